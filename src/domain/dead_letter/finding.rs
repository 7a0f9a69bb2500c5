//! `Finding`: what loses dead letters, or may, or is to be known, before it does.

use crate::domain::text::SafeText;
use std::sync::Arc;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is lost by it.
    Notice,
    /// Letters are lost if something else happens as well: a target fails, a queue is full.
    MayLose,
    /// As it is configured, letters are lost.
    Loses,
}

impl Severity {
    /// The word shown and written for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::MayLose => "may lose",
            Self::Loses => "loses",
        }
    }
}

/// What can be found: its id, how bad it is, and what it means in general. `audit` and its documentation go by this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub id: &'static str,
    pub severity: Severity,
    pub help: &'static str,
}

const fn kind(id: &'static str, severity: Severity, help: &'static str) -> Kind {
    Kind { id, severity, help }
}

pub const MISSING_EXCHANGE: Kind = kind("missing-exchange", Severity::Loses, "the dead-letter exchange does not exist");
pub const UNBOUND: Kind = kind("unbound", Severity::Loses, "the dead-letter exchange has no queue bound for dead letters");
pub const REJECTS: Kind = kind("rejects", Severity::Loses, "consumers reject, and there is no dead-letter exchange");
pub const LIMIT: Kind = kind("delivery-limit", Severity::Loses, "a delivery limit, and no dead-letter exchange");
pub const CYCLE: Kind = kind("cycle", Severity::Loses, "dead letters come back by themselves: the server drops them then");
pub const EXPIRES: Kind = kind("expires", Severity::Loses, "dead letters are deleted before the on-call window is over");
pub const DROPS_OLDEST: Kind = kind("drops-oldest", Severity::Loses, "when it is full, the oldest dead letters are deleted");
pub const COMPACTED: Kind = kind("compacted", Severity::Loses, "compaction keeps the last dead letter of each key alone");
pub const DELETED: Kind = kind("deleted", Severity::Loses, "entries were deleted while they were pending");
pub const AT_MOST_ONCE: Kind = kind("at-most-once", Severity::MayLose, "dead letters are lost if the target fails at that moment");
pub const REFUSES: Kind = kind("refuses", Severity::MayLose, "when it is full, it refuses new dead letters");
pub const OWN_KEY: Kind = kind("own-key", Severity::MayLose, "the message's own key decides where its dead letter goes");
pub const NOT_LASTING: Kind = kind("not-lasting", Severity::MayLose, "the channel itself goes away, with the dead letters in it");
pub const UNRECORDED: Kind = kind("unrecorded", Severity::MayLose, "no stream records which messages failed");
pub const UNANNOUNCED: Kind = kind("unannounced", Severity::MayLose, "more messages failed than are recorded");
pub const TRIMMED: Kind = kind("trimmed", Severity::MayLose, "the stream is trimmed, and the dead letters are in it");
pub const HELD_BACK: Kind = kind("held-back", Severity::Notice, "dead letters wait in the queue that they died in");
pub const RETRY_LOOP: Kind = kind("retry-loop", Severity::Notice, "what is rejected comes back for as long as nobody gives up");
pub const UNBOUNDED: Kind = kind("unbounded", Severity::Notice, "nothing bounds how many dead letters it holds");
pub const UNREAD: Kind = kind("unread", Severity::Notice, "nobody reads the dead letters");
pub const UNCLAIMED: Kind = kind("unclaimed", Severity::Notice, "nobody claims or acknowledges entries that failed");

/// Every kind, the worst first.
pub const KINDS: &[Kind] = &[
    MISSING_EXCHANGE,
    UNBOUND,
    REJECTS,
    LIMIT,
    CYCLE,
    EXPIRES,
    DROPS_OLDEST,
    COMPACTED,
    DELETED,
    AT_MOST_ONCE,
    REFUSES,
    OWN_KEY,
    NOT_LASTING,
    UNRECORDED,
    UNANNOUNCED,
    TRIMMED,
    HELD_BACK,
    RETRY_LOOP,
    UNBOUNDED,
    UNREAD,
    UNCLAIMED,
];

/// One of them, where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub channel: Arc<str>,
    /// The group whose messages it is about, where it is about one.
    pub group: Option<Arc<str>>,
    /// Other channels that it is about, in their order: the rest of a cycle.
    pub others: Vec<Arc<str>>,
    /// What it is here, in a sentence that names no channel: names are translated where they are shown.
    pub detail: SafeText,
}

impl Finding {
    pub fn new(kind: Kind, channel: impl Into<Arc<str>>, detail: impl Into<SafeText>) -> Self {
        Self { kind, channel: channel.into(), group: None, others: Vec::new(), detail: detail.into() }
    }

    /// The same about one group.
    #[must_use]
    pub fn of(self, group: impl Into<Arc<str>>) -> Self {
        Self { group: Some(group.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_an_id_of_its_own_and_the_worst_come_first() {
        let ids: BTreeSet<&str> = KINDS.iter().map(|kind| kind.id).collect();
        assert_eq!(ids.len(), KINDS.len());
        assert!(KINDS.is_sorted_by_key(|kind| std::cmp::Reverse(kind.severity)));
        assert!(Severity::Loses > Severity::MayLose && Severity::MayLose > Severity::Notice);
    }
}
