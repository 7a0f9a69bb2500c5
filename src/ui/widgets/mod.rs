//! The pieces that screens are drawn with.

pub mod chrome;
pub mod field;
pub mod grid;
pub mod input;
pub mod keys;
pub mod message;
pub mod panel;
pub mod state;
pub mod table;
pub mod text;
