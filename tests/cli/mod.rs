//! The commands as a shell runs them: output, exit codes, pipes.

#[cfg(feature = "kafka")]
mod commands;
mod mistakes;
mod queues;
#[cfg(feature = "kafka")]
mod round_trip;
