//! The commands as a shell runs them: output, exit codes, pipes.

#[cfg(feature = "kafka")]
mod commands;
mod mistakes;
mod panics;
mod queues;
#[cfg(feature = "kafka")]
mod round_trip;
