//! What every system must do through its handles: the same tests for the one in memory and for every real one.

mod history;
mod inspect;
#[cfg(feature = "kafka")]
mod kafka_link;
mod logs;
#[cfg(feature = "nats")]
mod nats;
mod publish;
mod tail;
