//! Plain data and rules: no I/O, no async, no terminal, no client crate and no clock of its own.

pub mod address;
pub mod channel;
pub mod delivery;
pub mod envelope;
pub mod fault;
pub mod figure;
pub mod format;
pub mod group;
pub mod health;
pub mod lag;
pub mod message;
pub mod moves;
pub mod operation;
pub mod position;
pub mod query;
pub mod receipt;
pub mod redact;
pub mod remarks;
pub mod reset;
pub mod safety;
pub mod suggest;
pub mod template;
pub mod text;
pub mod time;
pub mod value;
pub mod view;
