//! Files → validated values: profiles and the secrets in them. What is here was checked; nothing behind it parses again.
//!
//! A profile is read in four steps, each blind to the next: `source` knows places, `tree` turns HCL into plain values with variables
//! filled in, `section` takes values by name and type, and the grammar itself is one file a block (`integration`, `endpoint`, `auth`,
//! `kafka`). Problems are collected, never returned one at a time.

mod auth;
pub mod dialect;
mod endpoint;
mod integration;
mod kafka;
mod librdkafka_names;
pub mod load;
pub mod profile;
pub mod rules;
pub mod secret;
mod section;
pub mod source;
pub mod store;
pub mod system;
mod tree;
pub mod url;

#[cfg(test)]
mod tests;
