//! A replay of dead letters as plain data: what can become of a letter and of a run, and how many letters are in which state.

pub mod id;
pub mod letter;
pub mod run;
pub mod spans;
pub mod summary;

#[cfg(test)]
mod tests;
