//! `mqdeck follow`: every message with the same correlation id, trace id or message id, from all integrations, in the order of time.

use super::output::{self, Messages};
use super::{Connection, duration, usage};
use crate::domain::address::{Address, parse_message_address};
use crate::domain::envelope::{self, Id, IdKind};
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::grouped_notes::{GroupedNotes, remark};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use crate::domain::tail::TailEvent;
use crate::domain::text::SafeText;
use crate::domain::time::{Timestamp, parse_moment};
use crate::gateway::Gateway;
use crate::gateway::filter::Filter;
use crate::gateway::find::{Report, Search};
use crate::gateway::follow::{REACH, Seen, Step, Trail, stored_in};
use clap::Args;
use futures::StreamExt;
use jiff::Zoned;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

#[derive(Debug, Args)]
#[command(after_help = "Without --live only history is searched; what could not be looked at is said on standard error.")]
pub struct Follow {
    /// An id as it is, or a message that has ids: `events/orders.created#3@1042`.
    #[arg(value_name = "ID|ADDRESS#POSITION")]
    what: String,
    /// The middle of the time that is searched; the message's own time, or now.
    #[arg(long, value_name = "TIME")]
    around: Option<String>,
    /// How far before and after it: 15m, 1h.
    #[arg(long, value_name = "DURATION")]
    reach: Option<String>,
    /// This many messages of each channel at most.
    #[arg(long, value_name = "N", default_value_t = crate::gateway::follow::ENOUGH)]
    limit: u64,
    /// Goes on with what comes from now on, in channels that keep no history as well; Ctrl-C ends it.
    #[arg(long)]
    live: bool,
    /// One JSON object a line, as `mqdeck tail --json` prints messages.
    #[arg(long)]
    json: bool,
}

/// What comes within this time is put in the order of time.
const SETTLED: Duration = Duration::from_millis(300);
/// Messages that wait to be printed while history is searched.
const WAITING: usize = 1_000;
/// The same in KiB, and of what comes within the time above.
const WAITING_KIB: u32 = 16 * 1024;
/// Bytes of what is found in history, all of which is kept until everything was searched.
const KEPT: usize = 32 * 1024 * 1024;
/// What a message takes beside its own bytes.
const EACH: usize = 320;

impl Follow {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let reach = self.reach.as_deref().map_or(Ok(REACH), |text| duration("follow", text))?;
        let moment = |text: &String| parse_moment(text, &Zoned::now()).map_err(|e| usage("follow", text, e));
        let around = self.around.as_ref().map(moment).transpose()?;
        let gateway = connection.open()?;
        let (ids, when) = self.ids(&gateway).await?;
        let words: Vec<String> = ids.iter().map(|id| format!("{} {}", id.kind.word(), SafeText::new(&id.text))).collect();
        output::note(format!("following {}", words.join(", ")));
        let now = Timestamp(jiff::Timestamp::now().as_millisecond());
        let trail = Trail { limit: self.limit, ..Trail::around(ids, around.or(when).unwrap_or(now), reach) };
        let names: Vec<Address> = gateway.integrations().map(|(name, _)| Address::new(name, "")).collect();
        let mut messages = Messages::new(&gateway, &names, self.json)?;
        messages.say_channels();
        let searching = async {
            let searched = search(&gateway, trail, self.live).await?;
            for (integration, message) in &searched.found {
                messages.print(integration, message)?;
            }
            messages.out.flush()?;
            if let Some(watching) = searched.watching {
                goes_on(watching, &searched.report, &mut messages).await?;
            }
            anyhow::Ok(searched.whole)
        };
        let whole = connection.unless_stopped(searching).await.unwrap_or(Ok(self.live))?;
        gateway.shutdown().await;
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The ids of a message with its time, or the id that was given; it may be of any kind.
    async fn ids(&self, gateway: &Gateway) -> Result<(Vec<Id>, Option<Timestamp>), Fault> {
        let message = parse_message_address(&self.what).ok().and_then(|(address, position)| Some((address, position?)));
        let Some((address, position)) = message else {
            let kinds = [IdKind::Correlation, IdKind::Trace, IdKind::Message];
            return Ok((kinds.map(|kind| Id { kind, text: self.what.clone() }).to_vec(), None));
        };
        let decoder = gateway.decoder(&address);
        let message = fetch(gateway, address, position).await?;
        let missing = || usage("follow", &self.what, "there is no such message").next("its position is read back with mqdeck tail --json");
        let message = message.ok_or_else(missing)?;
        let decoded = decoder.decode(message.payload.as_deref(), &message.headers);
        let ids = envelope::ids(&message.headers, decoded.value.as_ref());
        if ids.is_empty() {
            return Err(usage("follow", &self.what, "this message has no correlation id, no trace id and no message id"));
        }
        Ok((ids, message.timestamp))
    }
}

/// What a message takes in memory.
fn held(message: &Message) -> usize {
    message.size() + EACH
}

/// The message at a position.
async fn fetch(gateway: &Gateway, address: Address, position: Position) -> Result<Option<Message>, Fault> {
    let range = Range { start: Bound::At(position), end: Bound::Latest };
    let mut finding = gateway.find(Search { range, limit: Some(1), ..Search::new(vec![address], Filter::parse("")?) }).await?;
    while let Some(found) = finding.next().await {
        if let Some((_, message)) = found.messages.into_iter().next() {
            return Ok(Some(message).filter(|message| message.position == position));
        }
    }
    Ok(None)
}

/// What a search has found.
struct Searched {
    /// In the order of time, once everything was searched.
    found: Vec<Seen>,
    /// What they take.
    bytes: usize,
    /// Messages that were found beyond that.
    unkept: u64,
    /// Everything could be read, and everything that was found is kept.
    whole: bool,
    /// How far each channel was read.
    report: Report,
    watching: Option<mpsc::Receiver<Came>>,
}

/// What came live, with the room that it takes.
type Came = (Arc<str>, TailEvent, OwnedSemaphorePermit);

impl Searched {
    /// Keeps a message, as long as there is room for it.
    fn keep(&mut self, (integration, message): Seen) {
        if self.bytes >= KEPT {
            self.unkept += 1;
            self.whole = false;
            return;
        }
        self.bytes += held(&message);
        self.found.push((integration, message.detached()));
    }
}

async fn search(gateway: &Gateway, trail: Trail, live: bool) -> Result<Searched, Fault> {
    let mut steps = gateway.follow(&trail)?;
    let mut searched = Searched { found: Vec::new(), bytes: 0, unkept: 0, whole: true, report: Report::default(), watching: None };
    let (mut channels, mut scanned) = (0, 0);
    let (mut unseen, mut noted) = (GroupedNotes::default(), GroupedNotes::default());
    while let Some(step) = steps.next().await {
        match step {
            // Before anything is searched, so that nothing falls between.
            Step::Begins { live: only, kept, stored, .. } => {
                for (address, keeper) in stored {
                    noted.add(address.to_string(), stored_in(&keeper));
                }
                if live {
                    searched.watching = Some(watch(gateway, &trail, only, kept).await?);
                } else {
                    for address in only {
                        unseen.add(address.to_string(), "no history is kept there");
                    }
                }
            }
            Step::Failed { address, fault } => {
                searched.whole = false;
                unseen.add(address.to_string(), fault.to_string());
            }
            Step::Unseen { place, why } => unseen.add(place, why.as_str()),
            Step::Found { messages, faults, .. } => {
                searched.whole &= faults.is_empty();
                for fault in faults {
                    output::note(fault.to_string());
                }
                for seen in messages {
                    searched.keep(seen);
                }
            }
            Step::Searched { report, notes, address } => {
                channels += 1;
                scanned += report.counts.scanned;
                for note in notes {
                    noted.add(address.to_string(), note);
                }
                searched.report.read.extend(report.read);
            }
        }
    }
    for line in unseen.take().map(|line| format!("not looked at: {line}")).chain(noted.take().map(|line| line.to_string())) {
        output::note(line);
    }
    searched.found.sort_by_key(|(_, message)| message.timestamp);
    output::note(format!(
        "{} found in {}, {} looked at",
        searched.found.len() as u64 + searched.unkept,
        figure::several(channels, "channel"),
        figure::several(scanned, "message")
    ));
    if searched.unkept > 0 {
        output::note(format!(
            "{} were found and not kept: {} are kept until everything was searched; narrow it with --around, --reach or --limit",
            figure::several(searched.unkept, "more hit"),
            figure::bytes(searched.bytes as u64)
        ));
    }
    Ok(searched)
}

/// Watches live from now on; what comes waits until history was searched.
async fn watch(gateway: &Gateway, trail: &Trail, only: Vec<Address>, kept: Vec<Address>) -> Result<mpsc::Receiver<Came>, Fault> {
    if !only.is_empty() {
        let names: Vec<SafeText> = only.iter().map(|address| address.to_string().into()).collect();
        output::note(remark(&names, "no history is kept there: only what comes from now on"));
    }
    let asked = only.len() + kept.len();
    let mut watch = gateway.watch(trail, only.into_iter().chain(kept).collect()).await?;
    for (address, fault) in &watch.unseen {
        output::note(format!("not watched: {address}: {fault}"));
    }
    output::note(format!("watching {}", figure::several((asked - watch.unseen.len()) as u64, "channel")));
    let (seen, watching) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(WAITING_KIB as usize));
        while let Some((integration, event)) = watch.events.next().await {
            let bytes = if let TailEvent::Messages(messages) = &event { messages.iter().map(held).sum() } else { EACH };
            let needed = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(WAITING_KIB);
            let Ok(taken) = room.clone().acquire_many_owned(needed).await else { return };
            if seen.send((integration, event, taken)).await.is_err() {
                return;
            }
        }
    });
    Ok(watching)
}

/// Prints what comes, less what was read of history.
async fn goes_on(mut watching: mpsc::Receiver<Came>, report: &Report, messages: &mut Messages) -> anyhow::Result<()> {
    let (mut together, mut rooms): (Vec<Seen>, Vec<OwnedSemaphorePermit>) = Default::default();
    loop {
        let event = if together.is_empty() { Ok(watching.recv().await) } else { timeout(SETTLED, watching.recv()).await };
        match event {
            Ok(Some((integration, TailEvent::Messages(came), room))) => {
                rooms.push(room);
                together.extend(came.into_iter().filter(|m| !report.has_read(&integration, m)).map(|m| (integration.clone(), m)));
                if together.len() < WAITING {
                    continue;
                }
            }
            Ok(Some((integration, said, _))) => output::tail_note(&integration, &said),
            Ok(None) | Err(_) => {}
        }
        together.sort_by_key(|(_, message)| message.timestamp);
        for (integration, message) in together.drain(..) {
            messages.print(&integration, &message)?;
        }
        rooms.clear();
        messages.out.flush()?;
        if watching.is_closed() && watching.is_empty() {
            return Ok(());
        }
    }
}
