//! What a live tail says.

use super::fault::Fault;
use super::message::Message;
use super::text::SafeText;
use super::view::Side;

/// What a tail says.
#[derive(Clone, Debug, PartialEq)]
pub enum TailEvent {
    /// Messages, in order within each partition.
    Messages(Vec<Message>),
    /// Reading stopped (of the whole or of some partitions); the tail keeps trying.
    Interrupted(Fault),
    /// Reading goes on; `lost` messages could not be read, being deleted or damaged (0 if none, `None` if unknown).
    Resumed { lost: Option<u64> },
    /// Reading went on all the time, and so many messages are missing from it (`None`: at least one).
    Skipped { count: Option<u64>, side: Side },
    /// Nothing is wrong with the reading, but something in the system holds back what is written already: what, and what ends it.
    /// `None` when nothing is held back any more.
    Waits(Option<SafeText>),
}
