//! How each screen is drawn.

pub mod channels;
pub mod dead_letters;
pub mod groups;
pub mod notices;
pub mod overview;
pub mod profiles;
pub mod publish;
pub mod received;
pub mod traffic;
pub mod wire_log;
