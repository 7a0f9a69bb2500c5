//! Every test that needs more than one module: one binary, because each file directly in `tests/` links everything again.

mod cli;
mod console;
mod contract;
mod faults;
mod support;
