//! `Channel`: what messages travel through, with what it can do and what is known of it.

use super::fault::Fault;
use super::figure::Amount;
use super::text::SafeText;
use std::sync::Arc;
use std::time::Instant;

/// What a channel offers. Screens, commands and the tenant check go by this, not by the system's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    pub tail: bool,
    pub history: bool,
    /// Can be looked at without taking anything out, at a price that is said before.
    pub peek: bool,
    pub publish: bool,
    /// Messages can be received, kept for a while, and settled one by one.
    pub hold: bool,
    /// They are received in one of several ways (a group of a stream): which, has to be said.
    pub receive_options: bool,
    /// Somebody behind it answers requests.
    pub call: bool,
}

impl Caps {
    /// The words of the `can` field, in a fixed order.
    pub fn words(self) -> Vec<&'static str> {
        [
            ("tail", self.tail),
            ("history", self.history),
            ("peek", self.peek),
            ("publish", self.publish),
            ("hold", self.hold),
            ("call", self.call),
        ]
        .into_iter()
        .filter(|(_, can)| *can)
        .map(|(word, _)| word)
        .collect()
    }
}

/// One row of the channel list. What the system does not tell is unknown, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    /// The channel's own name, exactly as the system spells it; show it through [`SafeText`].
    pub name: Arc<str>,
    /// `topic`, `queue`, `stream`, …
    pub kind: &'static str,
    /// The tenant that the profile's pattern finds in the name.
    pub tenant: Option<SafeText>,
    /// Belongs to the system itself; hidden until asked for.
    pub internal: bool,
    pub can: Caps,
    /// Messages held; for Kafka an upper bound (offsets count control records and compaction holes).
    pub depth: Amount,
    /// Bytes on disk of one replica of everything.
    pub bytes: Amount,
    /// End of the log summed over partitions; the supervisor derives `rate_in` from its growth.
    pub ends: Option<u64>,
    /// When `ends` and `given` were counted, where that was before the list was made.
    pub counted: Option<Instant>,
    /// Messages a second that come in.
    pub rate_in: Option<f64>,
    /// Messages given out since the system counts, to all consumers together; the supervisor derives `rate_out` from its growth.
    pub given: Option<u64>,
    /// Messages a second that are given out, to all consumers together.
    pub rate_out: Option<f64>,
    /// Who takes messages from it, as the system counts them: consumers of a queue or a stream, groups of a Redis stream, subscribers of
    /// a pub/sub channel by its name.
    pub consumers: Option<u64>,
    /// Partitions, where the system has them.
    pub parts: Option<u32>,
    pub dead_letters_to: Option<SafeText>,
    /// The channel of the same system in which every message that comes by this one is seen as well: a stream keeps it, or an exchange
    /// has carried it.
    pub kept_by: Option<Arc<str>>,
    /// What is particular to the system: retention, cleanup policy, replicas.
    pub attributes: Vec<Attribute>,
    /// Something is wrong with this channel alone: no leader, not authorized.
    pub fault: Option<Fault>,
    /// The fault keeps everybody from publishing to any channel of the integration.
    pub blocks: bool,
}

impl Channel {
    /// A channel of which nothing but name and kind is known, and that can do nothing.
    pub fn named(name: impl Into<Arc<str>>, kind: &'static str) -> Self {
        Self { name: name.into(), kind, ..Self::default() }
    }
}

/// One named fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: SafeText,
    pub value: SafeText,
}

impl Attribute {
    pub fn new(name: &str, value: impl Into<SafeText>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// Everything that is known of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    pub channel: Channel,
    pub tables: Vec<Table>,
}

/// A titled table of the description: partitions, settings. One without columns is a remark: why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub title: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<SafeText>>,
}

impl Table {
    /// What stands in the place of a table that cannot be had or has nothing in it.
    pub fn remark(title: &'static str, text: impl Into<SafeText>) -> Self {
        Self { title, columns: Vec::new(), rows: vec![vec![text.into()]] }
    }

    /// The text of a remark.
    pub fn as_remark(&self) -> Option<&SafeText> {
        self.rows.first().and_then(|row| row.first()).filter(|_| self.columns.is_empty())
    }
}

/// What looking does to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nothing that anybody could notice.
    Nothing,
    /// Objects of our own, removed afterwards: what they are (`an exclusive queue bound to the exchange`).
    Temporary(&'static str),
    /// The messages looked at keep a mark: which (`redelivered is set, a delivery is spent`). Asked for each time.
    Marks(&'static str),
    /// Messages may be deleted by being looked at: why (`each look spends one of the 3 returns that the queue allows`). Refused unless
    /// somebody who may destroy wants it all the same.
    Spends(SafeText),
}
