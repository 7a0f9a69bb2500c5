//! The commands as a shell runs them: output, exit codes, pipes.

#[cfg(feature = "kafka")]
mod commands;
#[cfg(all(feature = "kafka", feature = "nats", feature = "redis"))]
mod copied;
#[cfg(all(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod dlq;
mod hostile;
mod hostile_systems;
mod mistakes;
mod panics;
#[cfg(feature = "kafka")]
mod plans;
mod profiles;
mod queues;
#[cfg(feature = "kafka")]
mod round_trip;
mod secrets;
#[cfg(feature = "redis")]
mod signals;
