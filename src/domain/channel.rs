//! `Channel`: what messages travel through, with what it can do and what is known of it.

use super::fault::Fault;
use super::figure::Amount;
use super::text::SafeText;
use std::sync::Arc;

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
    pub ways: bool,
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
#[derive(Clone, Debug, PartialEq)]
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
    /// Messages a second.
    pub rate_in: Option<f64>,
    /// Partitions, where the system has them.
    pub parts: Option<u32>,
    pub dead_letters_to: Option<SafeText>,
    /// What is particular to the system: retention, cleanup policy, replicas.
    pub attributes: Vec<Attribute>,
    /// Something is wrong with this channel alone: no leader, not authorized.
    pub fault: Option<Fault>,
}

/// One named fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: SafeText,
    pub value: SafeText,
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

/// The attribute that names the channel in whose history everything is kept that comes here.
pub const KEPT_BY: &str = "kept by";

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
