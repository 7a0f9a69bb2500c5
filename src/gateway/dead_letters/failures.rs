//! Failures: the letters of channels, grouped by what they died of where their bytes are. Nothing is copied of a letter whose failure was met
//! before, so that a million of them are looked at as fast as they are read.

use super::super::decoders::Decoders;
use super::super::filter::{Filter, Verdict};
use super::super::{Gateway, cannot};
use crate::adapters::session::Session;
use crate::config::profile::Integration;
use crate::domain::address::Address;
use crate::domain::dead_letter::place::{Assumptions, Found, Letter};
use crate::domain::dead_letter::{Dialects, Failure, FailureGroup, FailureGroups, KeyBy, Seen};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, HeaderTest, Message, RawMessage, Stamp};
use crate::domain::position::Range;
use crate::domain::query::{self, Node, Record, Undecodable};
use crate::domain::search::{ChunkHint, Evaluation, MessageFilter, Path, ScanBatch, Scope, Tally};
use crate::domain::time::Timestamp;
use crate::domain::value::{Step, Value};
use crate::wire::record::MessageRecord;
use futures::StreamExt;
use futures::stream::{self, BoxStream, SelectAll};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Faults that are kept; more are only counted.
const KEPT_FAULTS: usize = 20;
/// Messages of a queue that are looked at.
const LOOKED_AT: usize = 1_000;

/// Which letters are grouped, and by what.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub channels: Vec<Address>,
    pub range: Range,
    pub filter: Filter,
    /// Without it what the profile says of the channel, else the failure.
    pub by: Option<query::Field>,
    /// Queues are looked at as well, though that marks their messages.
    pub look: bool,
}

/// Letters being read.
pub struct Failures {
    groups: Arc<Mutex<FailureGroups>>,
    lanes: SelectAll<BoxStream<'static, Result<ScanBatch, Fault>>>,
    pub counts: Tally,
    /// Upper bound of the letters to look at.
    pub at_most: u64,
    /// What could not be read, and how many faults there were.
    pub faults: Vec<Fault>,
    pub failed: u64,
    /// Channels whose letters are in no group, and why.
    pub unread: Vec<(Address, Fault)>,
    pub notes: Vec<String>,
}

impl Gateway {
    /// Begins to read letters, and to group them. What cannot be read keeps nobody from the rest.
    ///
    /// # Errors
    /// An integration is not in the profile.
    pub async fn failures(&self, wanted: Wanted) -> Result<Failures, Fault> {
        let by = self.key_of(&wanted);
        let mut failures = Failures {
            groups: Arc::new(Mutex::new(FailureGroups::new(by))),
            lanes: SelectAll::new(),
            counts: Tally::default(),
            at_most: 0,
            faults: Vec::new(),
            failed: 0,
            unread: Vec::new(),
            notes: Vec::new(),
        };
        for address in &wanted.channels {
            let supervised = self.supervised(&address.integration)?;
            let declared = self.profile.dead_letters();
            let name = self.named(address)?;
            let address = Address::new(&address.integration, &name);
            let block = declared.places.iter().find(|place| place.channel == address);
            let sink = Arc::new(Sink {
                address: address.to_string().into(),
                integration: supervised.integration.clone(),
                decoders: supervised.decoders.clone(),
                dialects: block.map_or_else(|| declared.dialects(), |block| declared.dialects_of(block)),
                filter: wanted.filter.clone(),
                groups: failures.groups.clone(),
            });
            let deliveries = block.and_then(|block| block.max_deliveries);
            let read = match self.reading(&address.integration).await {
                Ok(session) => self.letters(&session, &address, deliveries, &wanted, sink, &mut failures).await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = read {
                failures.unread.push((address, fault));
            }
        }
        Ok(failures)
    }

    /// What is known of how one message died; `None` where no dialect is on it.
    ///
    /// # Errors
    /// The integration is not in the profile.
    pub fn failure_of(&self, address: &Address, message: &Message) -> Result<Option<Failure>, Fault> {
        let supervised = self.supervised(&address.integration)?;
        let declared = self.profile.dead_letters();
        let block = declared.places.iter().find(|place| place.channel == *address);
        let dialects = block.map_or_else(|| declared.dialects(), |block| declared.dialects_of(block));
        Ok(dialects.read(&MessageRecord::new(message, supervised.decoders.of(&message.channel))))
    }

    fn key_of(&self, wanted: &Wanted) -> KeyBy {
        let declared = self.profile.dead_letters();
        let of_profile = || match wanted.channels.as_slice() {
            [one] => declared.places.iter().find(|place| place.channel == *one).and_then(|place| place.key.clone()),
            _ => None,
        };
        wanted.by.clone().or_else(of_profile).map_or(KeyBy::Failure, KeyBy::Field)
    }

    async fn letters(
        &self,
        session: &Session,
        address: &Address,
        deliveries: Option<u64>,
        wanted: &Wanted,
        sink: Arc<Sink>,
        failures: &mut Failures,
    ) -> Result<(), Fault> {
        let history = async {
            let history = session.history.as_ref().ok_or_else(|| cannot("read", &address.integration, "history"))?;
            history.scan(&address.channel, &Scope { patient: true, ..Scope::of(wanted.range) }, sink.clone()).await
        };
        let refused = match history.await {
            Ok(scan) => {
                failures.notes.extend(scan.notes);
                for lane in scan.lanes {
                    failures.at_most += lane.at_most;
                    failures.lanes.push(lane.batches);
                }
                return Ok(());
            }
            // A place of the system's own is no channel that could be read.
            Err(fault) if matches!(fault.kind, Kind::Usage | Kind::NotFound) => fault,
            Err(fault) => return Err(fault),
        };
        if let Some(handle) = &session.dead_letters {
            let assumed = Assumptions { deliveries: deliveries.unwrap_or(Assumptions::default().deliveries), ..Assumptions::default() };
            match handle.letters(&address.channel, &assumed).await {
                Ok(letters) => {
                    failures.lanes.push(letters.flat_map(move |batch| stream::iter(sink.made(batch))).boxed());
                    return Ok(());
                }
                Err(fault) if fault.kind != Kind::Usage => return Err(fault),
                Err(_) => {}
            }
        }
        if !wanted.look || session.peek.is_none() {
            let next = "look at it all the same, which marks its messages: mqdeck dlq groups --look";
            return Err(if session.peek.is_some() { refused.next(next) } else { refused });
        }
        let looked = self.peek(address, LOOKED_AT, false).await?;
        failures.at_most += looked.deliveries.len() as u64;
        failures.notes.extend(looked.notes.iter().map(ToString::to_string));
        if looked.cut || looked.deliveries.len() == LOOKED_AT {
            failures.notes.push(format!("of {address} the first {} letters are looked at", looked.deliveries.len()));
        }
        let batch = sink.all(looked.deliveries.into_iter().map(|delivery| delivery.message));
        failures.lanes.push(stream::iter([Ok(batch)]).boxed());
        Ok(())
    }
}

impl Failures {
    /// Reads on; false at the end.
    pub async fn next(&mut self) -> bool {
        match self.lanes.next().await {
            None => return false,
            Some(Ok(batch)) => self.counts.add(&batch.counts),
            Some(Err(fault)) => {
                self.failed += 1;
                if self.faults.len() < KEPT_FAULTS {
                    self.faults.push(fault);
                }
            }
        }
        true
    }

    /// The groups so far, those with the most letters first.
    pub fn groups(&self) -> Vec<FailureGroup> {
        self.locked().groups()
    }

    /// Letters so far, and those of them whose failures found no room among the groups.
    pub fn letters(&self) -> (u64, u64) {
        let groups = self.locked();
        (groups.letters(), groups.rest())
    }

    /// Whether every letter was read.
    pub fn is_whole(&self) -> bool {
        self.failed == 0 && self.unread.is_empty()
    }

    fn locked(&self) -> MutexGuard<'_, FailureGroups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the letters of one channel are counted.
struct Sink {
    address: Arc<str>,
    integration: Arc<Integration>,
    decoders: Arc<Decoders>,
    dialects: Dialects,
    filter: Filter,
    groups: Arc<Mutex<FailureGroups>>,
}

impl Sink {
    /// Counts letters that have come as whole messages.
    fn all(&self, messages: impl Iterator<Item = Message>) -> ScanBatch {
        let mut batch = ScanBatch::default();
        for mut message in messages {
            // When it was looked at is not when it died.
            if message.stamp == Stamp::Seen {
                message.timestamp = None;
            }
            batch.take(self, ChunkHint::default(), &(&message).into(), || message.detached());
            batch.counts.passed += 1;
        }
        batch
    }

    /// The same of letters that a system makes of its own knowledge. What could not be read of them is said beside the others.
    fn made(&self, letters: Result<Vec<Letter>, Fault>) -> Vec<Result<ScanBatch, Fault>> {
        let letters = match letters {
            Ok(letters) => letters,
            Err(fault) => return vec![Err(fault)],
        };
        let (messages, faults): (Vec<_>, Vec<_>) = letters.into_iter().map(with_death).partition(Result::is_ok);
        let batch = self.all(messages.into_iter().flatten());
        faults.into_iter().filter_map(Result::err).map(Err).chain([Ok(batch)]).collect()
    }
}

impl MessageFilter for Sink {
    fn prefilter_chunk(&self, _: &[u8]) -> ChunkHint {
        ChunkHint::default()
    }

    fn evaluate(&self, raw: &RawMessage<'_>, _: ChunkHint) -> Evaluation {
        let record = LetterRecord { message: MessageRecord::of(*raw, self.decoders.of(raw.channel)), address: &self.address };
        let verdict = match self.filter.query.matches(&record) {
            Ok(true) => Verdict::Passes,
            Ok(false) => Verdict::Fails,
            Err(query::Undecided::Undecodable) => Verdict::Undecodable,
            Err(query::Undecided::Failed(_)) => Verdict::Failed,
        };
        if verdict == Verdict::Passes {
            let seen = Seen { position: raw.position, tenant: self.integration.tenant_of(raw.channel), stored: raw.timestamp };
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).add(&self.dialects, &record, seen);
        }
        Evaluation { verdict, path: Path::Literal, keep: false }
    }
}

/// A letter, whose channel is an address: letters of several systems are grouped together.
struct LetterRecord<'a> {
    message: MessageRecord<'a>,
    address: &'a str,
}

impl Record for LetterRecord<'_> {
    fn topic(&self) -> &str {
        self.address
    }

    fn partition(&self) -> Option<i32> {
        self.message.partition()
    }

    fn offset(&self) -> Option<i64> {
        self.message.offset()
    }

    fn timestamp(&self) -> Option<Timestamp> {
        self.message.timestamp()
    }

    fn size(&self) -> usize {
        self.message.size()
    }

    fn key(&self) -> Option<&[u8]> {
        self.message.key()
    }

    fn any_header(&self, test: &mut HeaderTest<'_>) -> bool {
        self.message.any_header(test)
    }

    fn payload(&self) -> Option<&[u8]> {
        self.message.payload()
    }

    fn value(&self) -> Result<Option<&Value>, Undecodable> {
        self.message.value()
    }

    fn key_value(&self) -> Option<&Value> {
        self.message.key_value()
    }

    fn any_at(&self, steps: &[Step], test: &mut dyn FnMut(&Node<'_>) -> bool) -> Result<bool, Undecodable> {
        self.message.any_at(steps, test)
    }

    fn is_plain(&self) -> bool {
        self.message.is_plain()
    }
}

/// The message of a letter that a system makes of its own knowledge, which is written into headers: the dialect `pending` reads them. Of one
/// that is gone there is nothing but its death.
fn with_death(letter: Letter) -> Result<Message, Fault> {
    let mut message = match letter.message {
        Found::Message(message) => *message,
        Found::Gone(_) => Message::at(letter.channel.clone(), letter.position),
        Found::Unread(fault) => return Err(fault),
    };
    let header = |name: &'static str, value: String| Header { name: name.into(), value: Some(value.into()) };
    message.headers.extend([
        header("mqdeck-pending-channel", letter.channel.to_string()),
        header("mqdeck-pending-group", letter.group.to_string()),
        header("mqdeck-pending-reason", letter.explanation.map_or_else(|| letter.reason.to_owned(), |said| said.as_str().to_owned())),
    ]);
    message.headers.extend(letter.deliveries.map(|deliveries| header("mqdeck-pending-deliveries", deliveries.to_string())));
    if let Some(died) = letter.died {
        (message.timestamp, message.stamp) = (Some(died), Stamp::Stored);
    }
    Ok(message)
}
