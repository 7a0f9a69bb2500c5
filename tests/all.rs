//! Every test that needs more than one module: one binary, because each file directly in `tests/` links everything again.

#[cfg(feature = "kafka")]
mod contract;
mod support;
