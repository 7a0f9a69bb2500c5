//! `Group`: who consumes a channel, and how far each of its partitions has been read.

use super::channel::Attribute;
use super::fault::Fault;
use super::figure::Amount;
use super::position::Position;
use super::text::SafeText;
use super::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// One row of the group list: a Kafka group, a JetStream consumer, a Redis group, the consumers of a RabbitMQ queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The group's own name, exactly as the system spells it; show it through [`SafeText`].
    pub name: Arc<str>,
    /// What kind of group: `classic`, `consumer` (KIP-848), `share`, `streams`, …
    pub kind: SafeText,
    pub state: State,
    /// `None` where the system does not tell.
    pub members: Option<u32>,
    /// Watched because the profile names it; the system did not list it.
    pub named: bool,
    pub attributes: Vec<Attribute>,
    /// Why nothing is handed out to its members now, where the system tells it.
    pub halt: Option<Halt>,
    /// Something is wrong with this group alone: not authorized, coordinator not available.
    pub fault: Option<Fault>,
}

impl Group {
    /// A group of which no more is known.
    pub fn new(name: impl Into<Arc<str>>, kind: impl Into<SafeText>, state: State) -> Self {
        let (members, named, attributes, halt, fault) = (None, false, Vec::new(), None, None);
        Self { name: name.into(), kind: kind.into(), state, members, named, attributes, halt, fault }
    }
}

/// The groups of a system, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    pub groups: Vec<Group>,
    /// What could not be listed, a broker or the whole: groups may be missing because of it.
    pub gaps: Vec<Fault>,
}

/// Where a group stands between its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The system does not tell.
    #[default]
    Unknown,
    /// Members have their partitions.
    Stable,
    /// Partitions are being given out anew.
    Rebalancing,
    /// No member; positions are kept. Consumers that assign partitions to themselves look like this too.
    Empty,
    Dead,
}

/// Why a system hands out nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Somebody wants it so, until the time that the system names, if it does.
    Paused { until: Option<SafeText> },
    /// As many messages are handed out and not acknowledged as may be.
    Unacknowledged(u64),
}

/// How far a group is in one partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupOffset {
    pub channel: Arc<str>,
    /// `None` where the channel has no partitions.
    pub partition: Option<i32>,
    /// The next message to be read, counted as the system counts; `None`: nothing was ever committed, which is neither 0 nor the end.
    /// It may lie beyond `end`, after a channel was made anew.
    pub committed: Option<i64>,
    /// The first message that is still there; `None` also where nobody needs it, the group being at the end.
    pub start: Option<i64>,
    /// The end, asked for after `committed`, so that it never lies before it.
    pub end: Option<i64>,
    /// The next message to be read as a place in the channel, from `start` on: where reading on from the group's position begins. `None`
    /// where that is not known, or beyond the end.
    pub next: Option<Position>,
    /// Where an open transaction begins before `end`: readers of committed messages get no further until it is finished.
    pub held_at: Option<i64>,
    /// Positions between `committed`, or `start` if that is later, and `end`, as the system counts them: in Kafka offsets, among
    /// which are marks of transactions and what compaction took away.
    pub lag: Amount,
    /// What grows as the group works, where its position does not tell: one that acknowledges in any order has dealt with messages behind
    /// it. Counted like `end`; `None` where `committed` says it all.
    pub done: Option<i64>,
    /// How long the system itself says that the group has not moved on.
    pub quiet: Option<Duration>,
    /// Handed out and not acknowledged yet, where the system knows that.
    pub pending: Option<u64>,
    /// The member that reads it.
    pub owner: Option<SafeText>,
    /// This partition could not be asked.
    pub fault: Option<Fault>,
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: SafeText,
    pub client: SafeText,
    pub host: SafeText,
    /// Partitions by channel, in order.
    pub assignment: Vec<(Arc<str>, Vec<i32>)>,
}

/// Everything known of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupDescription {
    pub group: Group,
    pub members: Vec<Member>,
}

/// A place in a channel: the next message of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    pub channel: Arc<str>,
    pub position: Position,
}

impl Mark {
    /// A place in a partition.
    pub fn offset(channel: Arc<str>, partition: i32, offset: i64) -> Self {
        Self { channel, position: Position::Offset { partition, offset } }
    }

    /// Partition and offset, where the channel has partitions.
    pub fn in_partition(&self) -> Option<(i32, i64)> {
        match self.position {
            Position::Offset { partition, offset } => Some((partition, offset)),
            Position::Sequence(_) | Position::Entry { .. } | Position::Arrival(_) => None,
        }
    }
}

/// The next message to be read in a partition of which this is known.
pub fn next_in(partition: i32, committed: Option<i64>, start: Option<i64>, end: Option<i64>) -> Option<Position> {
    let offset = committed.filter(|committed| end.is_none_or(|end| *committed <= end))?;
    Some(Position::Offset { partition, offset: offset.max(start.unwrap_or(0)) })
}

/// When the message at a mark was made. `None`: there is none (nothing behind the mark yet).
pub type Stamped = Result<Option<Timestamp>, Fault>;

/// How many positions lie between `committed`, or `start` if that is later, and `end`. Unknown where the end is not known, where
/// `committed` lies beyond it (the log was cut off or made anew, and what is in it now was never read), and where nothing was
/// committed, unless the log is empty: then nothing waits, wherever the group will begin.
pub fn lag(committed: Option<i64>, start: Option<i64>, end: Option<i64>) -> Amount {
    let Some(end) = end else { return Amount::Unknown };
    let Some(committed) = committed else {
        return if end <= start.unwrap_or(0) { Amount::Exactly(0) } else { Amount::Unknown };
    };
    if committed > end {
        return Amount::Unknown;
    }
    let behind = |from: i64| u64::try_from(end.saturating_sub(from)).unwrap_or(0);
    match start {
        Some(start) => Amount::Exactly(behind(committed.max(start))),
        None if committed == end => Amount::Exactly(0),
        None => Amount::AtMost(behind(committed)),
    }
}

impl State {
    /// As it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Stable => "stable",
            Self::Rebalancing => "rebalancing",
            Self::Empty => "empty",
            Self::Dead => "dead",
        }
    }
}

/// What a session of transactions consumes, as a member of a group. The positions are the group's: they move when a transaction is
/// committed, and at no other time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub group: Arc<str>,
    pub channels: Vec<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_what_is_still_there_and_is_never_negative() {
        let (exactly, none) = (Amount::Exactly, Amount::Unknown);
        for (committed, start, end, shown) in [
            (Some(4), Some(0), Some(10), exactly(6)),
            (Some(4), Some(7), Some(10), exactly(3)),
            (Some(10), Some(10), Some(10), exactly(0)),
            (Some(15), Some(0), Some(10), none),
            (Some(15), None, Some(10), none),
            (Some(4), None, Some(10), Amount::AtMost(6)),
            (Some(10), None, Some(10), exactly(0)),
            (None, Some(0), Some(10), none),
            (None, None, Some(10), none),
            (None, Some(10), Some(10), exactly(0)),
            (None, None, Some(0), exactly(0)),
            (Some(4), Some(0), None, none),
        ] {
            assert_eq!(lag(committed, start, end), shown, "{committed:?} of {start:?}..{end:?}");
        }
    }
}
