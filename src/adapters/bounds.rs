//! What one reading has in memory at most, the same for every system: history, peeking, receiving, exporting and following.
//!
//! What waits to be read or is kept together has [`BYTES`] at most, and one answer of a server is meant to have 4 MiB (`fit.rs`). With what client
//! libraries and queues between tasks hold beside, reading costs the program no more than 96 MiB, however much there is to be read.

use crate::domain::message::Message;

/// Bytes of messages that one reading keeps; the one message that goes beyond is still taken.
pub(super) const BYTES: usize = 32 * 1024 * 1024;
/// Bytes of received messages that have come and nobody took yet: what is read from the connection then has to wait.
#[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
pub(super) const UNTAKEN: usize = 8 * 1024 * 1024;
/// What a message takes beside its own bytes.
const EACH: usize = 320;

/// What a message takes in memory.
pub(super) fn held(message: &Message) -> usize {
    message.size() + EACH
}
