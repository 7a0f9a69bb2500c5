//! The commands as a shell runs them: output, exit codes, pipes.

#[cfg(feature = "kafka")]
mod commands;
#[cfg(all(feature = "kafka", feature = "nats", feature = "redis"))]
mod copied;
mod mistakes;
mod panics;
mod queues;
#[cfg(feature = "kafka")]
mod round_trip;
