//! The state of each screen, and what its keys do.

pub mod channels;
pub mod groups;
pub mod notices;
pub mod overview;
pub mod profiles;
pub mod publish;
pub mod received;
pub mod traffic;
pub mod wire_log;
