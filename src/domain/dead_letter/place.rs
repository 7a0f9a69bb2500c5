//! Where messages go that fail, as the system itself is configured: paths between channels, and places that are no channels of their own.

use super::finding::Finding;
use crate::domain::channel::Attribute;
use crate::domain::fault::Fault;
use crate::domain::figure::Amount;
use crate::domain::message::Message;
use crate::domain::position::Position;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// What is known of dead letters that no system knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// Channels that hold dead letters, by the profile or by their names.
    pub channels: Vec<Arc<str>>,
    /// Deliveries from which on what is still pending counts as dead, where the system itself has no limit.
    pub deliveries: u64,
    /// How long a letter has to stay, so that whoever is on call finds it.
    pub window: Duration,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self { channels: Vec::new(), deliveries: 5, window: Duration::from_secs(14 * 86_400) }
    }
}

/// What a system does with messages that fail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadLetterMap {
    /// In the order of their names.
    pub paths: Vec<Path>,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// What could not be read: whether messages die there, and where they go, is unknown.
    pub gaps: Vec<Fault>,
    pub notes: Vec<SafeText>,
}

impl DeadLetterMap {
    /// A map that can only say why it is empty.
    pub fn empty(why: impl Into<SafeText>) -> Self {
        Self { notes: vec![why.into()], ..Self::default() }
    }

    /// In the order in which it is shown.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.paths.sort_by(|a, b| (&a.from, &a.group, a.to.name()).cmp(&(&b.from, &b.group, b.to.name())));
        self.findings.sort_by_cached_key(|one| (Reverse(one.kind.severity), one.channel.clone(), one.group.clone(), one.kind.id));
        self
    }
}

/// The way that messages of a channel take when they fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub from: Arc<str>,
    /// The group that fails to process them, where the system knows groups.
    pub group: Option<Arc<str>>,
    pub to: Target,
    /// By what they go there: exchange, routing key, policy, limit.
    pub by: Vec<Attribute>,
    /// For which of the system's own reasons: `rejected`, `expired`, `maxlen`, `delivery_limit`, …
    pub when: Vec<&'static str>,
    /// Why one may be lost on the way, a sentence each; nothing if the way is safe.
    pub losses: Vec<SafeText>,
    /// Whether all of them go there; else what decides is in the messages, or not known.
    pub certain: bool,
}

/// Where a path ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Channel(Arc<str>),
    Place(Place),
    /// They are gone, or only counted: why.
    Nowhere(SafeText),
    /// What decides it is not known: what that is.
    Unknown(SafeText),
}

impl Target {
    /// The channel or the place.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Channel(name) | Self::Place(Place { name, .. }) => Some(name),
            Self::Nowhere(_) | Self::Unknown(_) => None,
        }
    }
}

/// A place in which letters lie that is no channel of dead letters: the letters are worked out from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What its letters are read by. As a channel it would be something else.
    pub name: Arc<str>,
    pub kind: PlaceKind,
    /// Letters of the path that leads here.
    pub letters: Amount,
}

/// Of what a place's letters are worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// A stream that keeps JetStream's advisories.
    Advisories,
    /// Entries of a Redis stream that were given to a group too often.
    Pending,
}

impl PlaceKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Advisories => "advisories",
            Self::Pending => "pending",
        }
    }
}

/// A dead letter of a place, with what the system itself knows of its death.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// The channel that its message is in, and where.
    pub channel: Arc<str>,
    pub position: Position,
    pub group: Arc<str>,
    /// Who was given it last, where the system tells.
    pub consumer: Option<SafeText>,
    /// The system's own reason: `max_deliveries`, `terminated`, `deliveries`, `fatal`.
    pub reason: &'static str,
    /// What the consumer said of it.
    pub explanation: Option<SafeText>,
    pub deliveries: Option<u64>,
    pub died: Option<Timestamp>,
    /// Where in the place it is recorded, if not in the channel of its message.
    pub recorded: Option<Position>,
    pub message: Found,
}

/// Whether a letter's message is still there.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Message(Box<Message>),
    /// It was deleted: what is known of that.
    Gone(SafeText),
    /// It could not be read.
    Unread(Fault),
}

#[cfg(test)]
mod tests {
    use super::super::finding::{AT_MOST_ONCE, EXPIRES, UNREAD};
    use super::*;

    #[test]
    fn a_map_is_shown_by_names_and_the_worst_first() {
        let path = |from: &str, to: Target| Path {
            from: from.into(),
            group: None,
            to,
            by: Vec::new(),
            when: Vec::new(),
            losses: Vec::new(),
            certain: true,
        };
        let map = DeadLetterMap {
            paths: vec![
                path("b", Target::Channel("x".into())),
                path("a", Target::Channel("z".into())),
                path("a", Target::Nowhere("".into())),
            ],
            findings: vec![Finding::new(UNREAD, "a", ""), Finding::new(AT_MOST_ONCE, "b", ""), Finding::new(EXPIRES, "z", "")],
            ..DeadLetterMap::default()
        }
        .sorted();
        let paths: Vec<_> = map.paths.iter().map(|path| (&*path.from, path.to.name().map(|name| &**name))).collect();
        assert_eq!(paths, [("a", None), ("a", Some("z")), ("b", Some("x"))]);
        assert_eq!(map.findings.iter().map(|finding| &*finding.channel).collect::<Vec<_>>(), ["z", "b", "a"]);
    }
}
