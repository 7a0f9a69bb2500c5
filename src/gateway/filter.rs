//! `Filter`: a query's condition at work on messages, where they are whole and where they still lie in a system's bytes.

use super::decoders::Decoders;
use crate::domain::fault::Fault;
use crate::domain::message::{Message, RawMessage};
use crate::domain::query::{Needle, Place, Query, Record, Undecided};
pub use crate::domain::search::Verdict;
use crate::domain::search::{ChunkHint, Evaluation, MessageFilter, Path};
use crate::wire::decoder::Decoder;
use crate::wire::record::{Looked, MessageRecord};
use crate::wire::text;
use jiff::Zoned;
use std::sync::{Arc, Mutex, PoisonError};

/// A query that was read without error. `from`, `until` and `limit` are for whoever reads history; the filter tests the condition.
#[derive(Clone, Debug)]
pub struct Filter {
    pub query: Query,
}

impl Filter {
    /// Reads a query; an empty text lets everything pass.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Ok(Self { query: Query::parse(text, &Zoned::now())? })
    }

    /// `decoder` reads the payloads of the message's channel.
    pub fn test(&self, message: &Message, decoder: &Decoder) -> Verdict {
        self.decide(&MessageRecord::new(message, decoder)).0
    }

    fn decide(&self, record: &MessageRecord<'_>) -> (Verdict, Path, Option<Arc<str>>) {
        let answer = self.query.matches(record);
        let path = match record.looked() {
            Looked::Bytes => Path::Literal,
            Looked::Places => Path::Lazy,
            Looked::Tree if self.query.has_program() => Path::Jq,
            Looked::Tree => Path::Decoded,
        };
        match answer {
            Ok(true) => (Verdict::Passes, path, None),
            Ok(false) => (Verdict::Fails, path, None),
            Err(Undecided::Undecodable) => (Verdict::Undecodable, path, None),
            Err(Undecided::Failed(said)) => (Verdict::Failed, path, Some(said)),
        }
    }
}

/// Which messages a search hands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Those that match.
    #[default]
    Matches,
    /// Those of which the query cannot tell.
    Undecided,
}

/// A filter as a sieve: what cannot match is told by its raw bytes wherever that is sure.
pub struct Prefilter {
    filter: Filter,
    /// A match has one of each group.
    groups: Vec<Vec<Needle>>,
    wanted: Wanted,
    decoders: Arc<Decoders>,
    /// What the first failure of a program said.
    said: Arc<Mutex<Option<Arc<str>>>>,
}

/// More groups than this say little more.
const MOST_GROUPS: usize = 8;

impl Prefilter {
    pub fn new(filter: Filter, wanted: Wanted) -> Self {
        let mut groups = filter.query.needles();
        groups.truncate(MOST_GROUPS);
        Self { filter, groups, wanted, decoders: Arc::default(), said: Arc::default() }
    }

    /// The same for the messages of an integration, whose payloads are read by these.
    #[must_use]
    pub fn of(&self, decoders: &Arc<Decoders>) -> Self {
        Self {
            filter: self.filter.clone(),
            groups: self.groups.clone(),
            wanted: self.wanted,
            decoders: decoders.clone(),
            said: self.said.clone(),
        }
    }

    /// What the first failure of a program said.
    pub fn said(&self) -> Option<Arc<str>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the bytes of a message alone tell that it does not match.
    fn cannot_match(&self, record: &MessageRecord<'_>, hint: ChunkHint) -> bool {
        match hint.lacks.and_then(|group| self.groups.get(usize::from(group))) {
            Some(group) => is_sure(group, record),
            None => self.groups.iter().any(|group| !group.iter().any(|needle| may_have(needle, record)) && is_sure(group, record)),
        }
    }
}

/// Whether a needle is found where it would have to be.
fn may_have(needle: &Needle, record: &MessageRecord<'_>) -> bool {
    let is_in = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| needle.pattern.is_in(bytes));
    match needle.place {
        Place::Headers => true,
        Place::Key => is_in(record.key()),
        Place::Payload => is_in(record.payload()),
        Place::KeyOrPayload => is_in(record.payload()) || is_in(record.key()),
    }
}

/// Whether a message whose bytes have no needle of a group is sure not to match: decoded, it says nothing else than its bytes.
fn is_sure(group: &[Needle], record: &MessageRecord<'_>) -> bool {
    let key = || record.key().is_none_or(text::has_no_escape);
    group.iter().all(|needle| match needle.place {
        // Bytes are compared with what is stored, and never with what that decodes to.
        _ if needle.pattern.is_bytes() => true,
        Place::Headers => true,
        Place::Key => key(),
        Place::Payload => record.is_plain(),
        Place::KeyOrPayload => key() && record.is_plain(),
    })
}

impl MessageFilter for Prefilter {
    fn prefilter_chunk(&self, bytes: &[u8]) -> ChunkHint {
        let lacks = self.groups.iter().position(|group| !group.iter().any(|needle| needle.pattern.is_in(bytes)));
        ChunkHint { lacks: lacks.and_then(|group| u16::try_from(group).ok()) }
    }

    fn evaluate(&self, raw: &RawMessage<'_>, hint: ChunkHint) -> Evaluation {
        let record = MessageRecord::of(*raw, self.decoders.of(raw.channel));
        if self.cannot_match(&record, hint) {
            return Evaluation { verdict: Verdict::Fails, path: Path::Literal, keep: false };
        }
        let (verdict, path, said) = self.filter.decide(&record);
        if said.is_some() {
            let mut first = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_none() {
                *first = said;
            }
        }
        let keep = match self.wanted {
            Wanted::Matches => verdict == Verdict::Passes,
            Wanted::Undecided => matches!(verdict, Verdict::Undecodable | Verdict::Failed),
        };
        Evaluation { verdict, path, keep }
    }
}

#[cfg(test)]
mod tests;
