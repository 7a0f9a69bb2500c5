//! How each screen is drawn.

pub mod channels;
pub mod integration;
pub mod lists;
pub mod overview;
pub mod publish;
pub mod traffic;
pub mod welcome;
