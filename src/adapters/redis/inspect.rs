//! `Inspect` for Redis: streams found by scanning, pub/sub channels that somebody listens to, and keys by pattern with their time to live.

use super::figures::Figures;
use super::history::Edges;
use super::name::{Glob, Key, Name};
use super::value::{self, field};
use super::{Redis, groups};
use crate::adapters::session::Inspect;
use crate::domain::channel::{Attribute, Caps, Channel, Description, Table};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use redis::{Value, cmd};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const LIST: &str = "list channels of";
const DESCRIBE: &str = "describe";
/// Keys that the server is asked to look at in one step of a scan.
const STEP: usize = 1_000;
/// A scan is repeated no sooner than this, and never so that it takes more than a fiftieth of the server's time.
const RESCAN: Duration = Duration::from_secs(30);
const SCAN_SHARE: u32 = 50;
/// Pending entries of each group in the description of a stream.
const PENDING: usize = 100;
/// Keys in the description of a pattern.
pub(super) const KEYS: usize = 500;

/// The streams there are.
#[derive(Clone, Default)]
pub(super) struct Streams {
    /// In order.
    pub(super) names: Vec<Key>,
    /// Why others may be missing.
    pub(super) unseen: Option<Fault>,
}

/// What the last scan for streams found.
#[derive(Default)]
pub(super) struct Scanned(Mutex<Option<(Instant, Duration, Streams)>>);

#[async_trait]
impl Inspect for Redis {
    async fn ping(&self) -> Result<Duration, Fault> {
        self.link.ping().await
    }

    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let listened = cmd("PUBSUB").arg("CHANNELS").to_owned();
        let (streams, listened) = tokio::join!(self.streams(), self.link.call_everywhere(&listened, LIST));
        let streams = streams?;
        let figures = self.figures(LIST, &streams.names).await;
        let mut channels: Vec<Channel> = streams.names.iter().filter_map(|name| self.stream_row(name, figures.get(name))).collect();
        // What cannot be listed is a row of its own: a list that lacks something must not look whole.
        channels.extend(streams.unseen.map(|fault| self.gap(&Name::Key(Glob::parse("*")), "key", fault)));
        match listened {
            Ok(listened) => {
                let names = listened.into_iter().flat_map(value::items).filter_map(value::bytes).map(Key::from);
                let names: Vec<Key> = names.collect::<BTreeSet<Key>>().into_iter().collect();
                if !names.is_empty() {
                    let counts = self.subscribers(&names).await.unwrap_or_default();
                    channels.extend(names.iter().map(|name| self.channel_row(&Glob::literally(name), counts.get(name).copied())));
                }
            }
            Err(fault) if fault.kind == Kind::Forbidden => channels.push(self.gap(&Name::Channel(Glob::parse("*")), "channel", fault)),
            Err(fault) => return Err(fault),
        }
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(channels)
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        match self.resolve(DESCRIBE, channel).await? {
            Name::Stream(name) => self.describe_stream(&name).await,
            Name::Channel(name) => self.describe_channel(&name).await,
            Name::Key(pattern) => self.describe_keys(&pattern).await,
        }
    }
}

impl Redis {
    /// How many listen to each channel, on all servers of a cluster.
    pub(super) async fn subscribers(&self, names: &[Key]) -> Result<BTreeMap<Key, i64>, Fault> {
        let mut counts = BTreeMap::new();
        for said in self.link.call_everywhere(cmd("PUBSUB").arg("NUMSUB").arg(names), LIST).await? {
            for (name, count) in value::named(said) {
                *counts.entry(name.into()).or_insert(0) += value::int(&count).unwrap_or(0);
            }
        }
        Ok(counts)
    }

    /// All streams, in order. A user who may not scan sees those that the profile names.
    pub(super) async fn streams(&self) -> Result<Streams, Fault> {
        let known = self.scanned.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, took, streams)) = known
            && at.elapsed() < RESCAN.max(took * SCAN_SHARE)
        {
            return Ok(streams);
        }
        let began = Instant::now();
        let mut streams = match self.scan([&Key::parse("TYPE"), &Key::parse("stream")], usize::MAX).await {
            Ok(found) => Streams { names: found.keys, unseen: found.unseen },
            Err(fault) if fault.kind == Kind::Forbidden => self.named(fault).await?,
            Err(fault) => return Err(fault),
        };
        streams.names.sort();
        streams.names.dedup();
        *self.scanned.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), began.elapsed(), streams.clone()));
        Ok(streams)
    }

    async fn named(&self, refused: Fault) -> Result<Streams, Fault> {
        let mut names = Vec::new();
        for channel in self.integration.channels.iter().map(|channel| channel.pattern.as_str()).filter(|pattern| !pattern.contains('*')) {
            match self.resolve(LIST, channel).await {
                Ok(Name::Stream(name)) => names.push(name),
                Err(fault) if fault.kind == Kind::Unreachable => return Err(fault),
                Ok(_) | Err(_) => {}
            }
        }
        let next = "allow SCAN to the user, or name the streams in the profile";
        let cause = format!("only streams that the profile names are listed: {}", refused.cause);
        Ok(Streams { names, unseen: Some(Fault::new(refused.kind, LIST, refused.target, cause).next(next)) })
    }

    /// Forgets what the last scan found: something was created or deleted.
    pub(super) fn rescan(&self) {
        *self.scanned.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The keys that a scan with these options finds on every server.
    async fn scan(&self, options: [&Key; 2], most: usize) -> Result<Found, Fault> {
        let masters = self.link.masters().await?;
        let mut found = Found { keys: Vec::new(), whole: true, unseen: masters.unseen };
        let mut answered = false;
        for server in &masters.addresses {
            match self.scan_at(server, options, most, &mut found).await {
                Ok(()) => answered = true,
                // A cluster goes on without some of its servers.
                Err(fault) if masters.addresses.len() > 1 => {
                    found.unseen.get_or_insert(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        match found.unseen {
            Some(fault) if !answered => Err(fault),
            unseen => Ok(Found { unseen, ..found }),
        }
    }

    async fn scan_at(&self, server: &str, options: [&Key; 2], most: usize, found: &mut Found) -> Result<(), Fault> {
        let mut cursor = "0".to_owned();
        while found.whole {
            let mut step = cmd("SCAN");
            step.arg(&cursor).arg("COUNT").arg(STEP).arg(&options[..]);
            let mut parts = value::items(self.link.call_at(server, &step, LIST, "").await?).into_iter();
            cursor = parts.next().as_ref().and_then(value::text).unwrap_or_else(|| "0".to_owned());
            found.keys.extend(value::items(parts.next().unwrap_or_default()).into_iter().filter_map(value::bytes).map(Key::from));
            if found.keys.len() > most {
                found.keys.truncate(most);
                found.whole = false;
            }
            if cursor == "0" {
                break;
            }
        }
        Ok(())
    }

    /// What stands in a list for everything that cannot be seen of it.
    fn gap(&self, name: &Name, kind: &'static str, fault: Fault) -> Channel {
        Channel { fault: Some(fault), ..self.row(name, kind, Caps { tail: true, ..Caps::default() }) }
    }

    fn row(&self, name: &Name, kind: &'static str, can: Caps) -> Channel {
        let bare = match name {
            Name::Stream(name) => name.text(),
            Name::Channel(name) | Name::Key(name) => name.to_string(),
        };
        Channel { tenant: self.integration.tenant_of(&bare).map(SafeText::new), can, ..Channel::named(name.text(), kind) }
    }

    /// A stream of the list; `None` where it is none any more.
    fn stream_row(&self, name: &Key, seen: Option<&Figures>) -> Option<Channel> {
        let mut row = self.bare_stream(name);
        let Some(seen) = seen else { return Some(row) };
        let gone = |fault: &Fault| matches!(fault.kind, Kind::NotFound | Kind::Usage);
        if seen.length.as_ref().err().into_iter().chain(seen.groups.as_ref().err()).any(gone) {
            return None;
        }
        row.counted = Some(seen.at);
        match &seen.length {
            Ok(length) => row.depth = Amount::Exactly(*length),
            Err(fault) => row.fault = Some(fault.clone()),
        }
        if let Ok(groups) = &seen.groups {
            row.consumers = Some(groups.len() as u64);
            // Without a group that was read, only the stream's description says what was ever added.
            row.ends = groups.iter().filter_map(groups::Row::added).max();
        }
        Some(row)
    }

    fn bare_stream(&self, name: &Key) -> Channel {
        let can = Caps { tail: true, history: true, publish: true, hold: true, receive_options: true, ..Caps::default() };
        self.row(&Name::Stream(name.clone()), "stream", can)
    }

    fn channel_row(&self, name: &Glob, subscribers: Option<i64>) -> Channel {
        let can = Caps { tail: true, publish: !name.is_pattern(), ..Caps::default() };
        let mut row = self.row(&Name::Channel(name.clone()), "channel", can);
        row.consumers = subscribers.and_then(|n| u64::try_from(n).ok());
        row
    }

    async fn describe_stream(&self, name: &Key) -> Result<Description, Fault> {
        let target = name.text();
        let asked = [
            cmd("XINFO").arg("STREAM").arg(name).to_owned(),
            cmd("MEMORY").arg("USAGE").arg(name).to_owned(),
            cmd("XINFO").arg("GROUPS").arg(name).to_owned(),
        ];
        let mut answers = self.link.all(&asked, DESCRIBE, &target).await.into_iter();
        // Somebody who may not ask for one of them sees the rest.
        let mut answer = || answers.next().and_then(Result::ok);
        let info = answer().map(value::pairs).unwrap_or_default();
        let memory = answer().as_ref().and_then(value::int);
        let rows = answer().map(|groups| groups::rows(name, groups));
        let edges = match Edges::of(&info) {
            Some(edges) => edges,
            None => self.edges(DESCRIBE, name).await?,
        };
        let mut channel = self.bare_stream(name);
        channel.depth = Amount::Exactly(edges.length);
        channel.ends = edges.added;
        channel.consumers = rows.as_ref().map(|rows| rows.len() as u64);
        channel.bytes = memory.and_then(|n| u64::try_from(n).ok()).map_or(Amount::Unknown, Amount::Exactly);
        channel.attributes = attributes(
            &info,
            &[
                ("last-generated-id", "last entry"),
                ("entries-added", "ever added"),
                ("max-deleted-entry-id", "last deleted"),
                ("radix-tree-nodes", "nodes"),
            ],
        );
        let mut pending = Vec::new();
        let mut shown = Vec::new();
        for row in rows.iter().flatten() {
            let found = self.pending(name, &row.name, Duration::ZERO, None, PENDING).await.unwrap_or_default();
            pending.extend(found.into_iter().map(|one| (row.name.text(), one)));
            shown.push((row.clone(), self.behind(row, Some(&edges)).await.unwrap_or_default()));
        }
        let mut tables = vec![match rows {
            Some(_) => groups::table(&shown),
            None => Table::remark("groups", "the user may not ask for them (XINFO GROUPS)"),
        }];
        if !pending.is_empty() {
            tables.push(groups::pending_table(pending.iter().map(|(group, one)| (Some(group.as_str()), one))));
        }
        Ok(Description { channel, tables })
    }

    async fn describe_channel(&self, name: &Glob) -> Result<Description, Fault> {
        let subscribers = match name.literal() {
            Some(literal) => self.subscribers(std::slice::from_ref(&literal)).await?.remove(&literal),
            None => None,
        };
        let mut channel = self.channel_row(name, subscribers);
        // Subscriptions by pattern are counted for the server as a whole.
        let patterns = self.link.call(cmd("PUBSUB").arg("NUMPAT"), DESCRIBE, &name.to_string()).await.ok().as_ref().and_then(value::int);
        channel.attributes.extend(patterns.map(|n| Attribute::new("patterns subscribed on the server", n.to_string())));
        Ok(Description { channel, tables: Vec::new() })
    }

    /// The keys that a name or a pattern means, in order.
    pub(super) async fn keys(&self, op: &'static str, glob: &Glob, most: usize) -> Result<Found, Fault> {
        if let Some(key) = glob.literal() {
            let there = self.link.call(cmd("EXISTS").arg(&key), op, &glob.to_string()).await?;
            let keys = if value::int(&there) == Some(0) { Vec::new() } else { vec![key] };
            return Ok(Found { keys, whole: true, unseen: None });
        }
        let mut found = self.scan([&Key::parse("MATCH"), glob.pattern()], most).await?;
        found.keys.sort();
        found.keys.dedup();
        Ok(found)
    }

    /// The keys of a pattern with their types and times to live (seed 3's cache).
    async fn describe_keys(&self, glob: &Glob) -> Result<Description, Fault> {
        let found = self.keys(DESCRIBE, glob, KEYS).await?;
        let mut asked = Vec::with_capacity(found.keys.len() * 3);
        for key in &found.keys {
            asked.extend([
                cmd("TYPE").arg(key).to_owned(),
                cmd("PTTL").arg(key).to_owned(),
                cmd("MEMORY").arg("USAGE").arg(key).to_owned(),
            ]);
        }
        let answers = self.link.all(&asked, DESCRIBE, &glob.to_string()).await;
        let rows = found.keys.iter().zip(answers.chunks(3)).map(|(key, said)| {
            let said = |at: usize| said.get(at).and_then(|answer| answer.as_ref().ok());
            let unknown = || "–".to_owned();
            let kind = said(0).and_then(value::text).unwrap_or_else(unknown);
            let memory = said(2).and_then(value::int).and_then(|n| u64::try_from(n).ok()).map_or_else(unknown, figure::bytes);
            [Glob::literally(key).to_string(), kind, said(1).and_then(value::int).map_or_else(unknown, time_to_live), memory]
                .map(SafeText::from)
                .to_vec()
        });
        let mut tables = vec![Table { title: "keys", columns: vec!["key", "type", "lives for", "memory"], rows: rows.collect() }];
        let mut channel = self.row(&Name::Key(glob.clone()), "key", Caps { tail: true, ..Caps::default() });
        let count = found.keys.len() as u64;
        channel.depth = if found.whole && found.unseen.is_none() { Amount::Exactly(count) } else { Amount::AtLeast(count) };
        tables.extend(found.unseen.map(|fault| Table::remark("not seen", fault.to_string())));
        Ok(Description { channel, tables })
    }
}

/// What a scan found.
pub(super) struct Found {
    pub(super) keys: Vec<Key>,
    /// Whether there are no more of them on the servers that answered.
    pub(super) whole: bool,
    /// Why others may be missing.
    pub(super) unseen: Option<Fault>,
}

/// PTTL's answer in words.
fn time_to_live(millis: i64) -> String {
    match u64::try_from(millis) {
        Ok(millis) => figure::duration(Duration::from_millis(millis)),
        Err(_) if millis == -1 => "ever".to_owned(),
        Err(_) => "gone".to_owned(),
    }
}

/// These fields of an answer, under the names that people read.
fn attributes(info: &[(String, Value)], wanted: &[(&str, &str)]) -> Vec<Attribute> {
    wanted.iter().filter_map(|(name, title)| Some(Attribute::new(title, value::text(field(info, name)?)?))).collect()
}
