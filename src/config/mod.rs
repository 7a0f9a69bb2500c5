//! Files → validated values: profiles and the secrets in them. What is here was checked; nothing behind it parses again.

pub mod profile;
pub mod secret;
