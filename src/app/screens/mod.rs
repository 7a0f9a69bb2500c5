//! The state of each screen, and what its keys do.

pub mod channels;
pub mod integration;
pub mod overview;
pub mod publish;
pub mod traffic;
pub mod wire_log;
