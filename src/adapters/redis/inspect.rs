//! `Inspect` for Redis: streams found by scanning, pub/sub channels that somebody listens to, and keys by pattern with their time to live.

use super::name::{Name, is_pattern};
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
/// Streams of the list that are asked for their figures; the others are listed by name.
const FIGURES: usize = 2_000;
/// Pending entries of each group in the description of a stream.
const PENDING: usize = 100;
/// Keys in the description of a pattern.
pub(super) const KEYS: usize = 500;

/// What the last scan for streams found.
#[derive(Default)]
pub(super) struct Scanned(Mutex<Option<(Instant, Duration, Vec<String>)>>);

#[async_trait]
impl Inspect for Redis {
    async fn ping(&self) -> Result<Duration, Fault> {
        self.link.ping().await
    }

    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let listened = cmd("PUBSUB").arg("CHANNELS").to_owned();
        let (streams, listened) = tokio::join!(self.streams(), self.link.call_everywhere(&listened, LIST));
        let streams = streams?;
        let asked: Vec<_> = streams.iter().take(FIGURES).map(|name| cmd("XINFO").arg("STREAM").arg(name).to_owned()).collect();
        let figures = self.link.all(&asked, LIST, "").await;
        let mut figures = figures.into_iter().map(|answer| answer.map(value::pairs));
        let mut channels: Vec<Channel> = streams.iter().map(|name| self.stream_row(name, figures.next())).collect();
        // A user without rights to PUBSUB sees its streams all the same.
        let listened = listened.unwrap_or_default().into_iter().flat_map(value::items);
        let names: BTreeSet<String> = listened.filter_map(|name| value::text(&name)).collect();
        let names: Vec<String> = names.into_iter().collect();
        if !names.is_empty() {
            let counts = self.subscribers(&names).await.unwrap_or_default();
            channels.extend(names.iter().map(|name| self.channel_row(name, counts.get(name).copied())));
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
    pub(super) async fn subscribers(&self, names: &[String]) -> Result<BTreeMap<String, i64>, Fault> {
        let mut counts = BTreeMap::new();
        for said in self.link.call_everywhere(cmd("PUBSUB").arg("NUMSUB").arg(names), LIST).await? {
            for (name, count) in value::pairs(said) {
                *counts.entry(name).or_insert(0) += value::int(&count).unwrap_or(0);
            }
        }
        Ok(counts)
    }

    /// The names of all streams, in order.
    pub(super) async fn streams(&self) -> Result<Vec<String>, Fault> {
        let known = self.scanned.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, took, names)) = known
            && at.elapsed() < RESCAN.max(took * SCAN_SHARE)
        {
            return Ok(names);
        }
        let began = Instant::now();
        let mut names = self.scan(&["TYPE", "stream"], usize::MAX).await?.0;
        names.sort();
        names.dedup();
        *self.scanned.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), began.elapsed(), names.clone()));
        Ok(names)
    }

    /// Forgets what the last scan found: something was created or deleted.
    pub(super) fn rescan(&self) {
        *self.scanned.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The keys that a scan with these options finds on every server, and whether these are all.
    async fn scan(&self, options: &[&str], most: usize) -> Result<(Vec<String>, bool), Fault> {
        let mut names = Vec::new();
        for server in self.link.masters().await? {
            let mut cursor = "0".to_owned();
            loop {
                let step = cmd("SCAN").arg(&cursor).arg("COUNT").arg(STEP).arg(options).to_owned();
                let mut parts = value::items(self.link.call_at(&server, &step, LIST, "").await?).into_iter();
                cursor = parts.next().as_ref().and_then(value::text).unwrap_or_else(|| "0".to_owned());
                names.extend(value::items(parts.next().unwrap_or_default()).iter().filter_map(value::text));
                if names.len() > most {
                    names.truncate(most);
                    return Ok((names, false));
                }
                if cursor == "0" {
                    break;
                }
            }
        }
        Ok((names, true))
    }

    fn row(&self, name: &Name, kind: &'static str, can: Caps) -> Channel {
        let text = name.text();
        let (Name::Stream(bare) | Name::Channel(bare) | Name::Key(bare)) = name;
        Channel {
            tenant: self.integration.tenant_of(bare).map(SafeText::new),
            name: text.into(),
            kind,
            internal: false,
            can,
            depth: Amount::Unknown,
            bytes: Amount::Unknown,
            ends: None,
            rate_in: None,
            parts: None,
            dead_letters_to: None,
            kept_by: None,
            attributes: Vec::new(),
            fault: None,
        }
    }

    fn stream_row(&self, name: &str, info: Option<Result<Vec<(String, Value)>, Fault>>) -> Channel {
        let can = Caps { tail: true, history: true, publish: true, hold: true, ways: true, ..Caps::default() };
        let mut row = self.row(&Name::Stream(name.to_owned()), "stream", can);
        match info {
            Some(Ok(info)) => {
                let number = |name: &str| field(&info, name).and_then(value::int).and_then(|n| u64::try_from(n).ok());
                row.depth = number("length").map_or(Amount::Unknown, Amount::Exactly);
                // Servers before Redis 7 do not count what was ever added.
                row.ends = number("entries-added");
                row.attributes = attributes(&info, &[("groups", "groups"), ("last-generated-id", "last entry")]);
            }
            Some(Err(fault)) if fault.kind != Kind::NotFound => row.fault = Some(fault),
            _ => {}
        }
        row
    }

    fn channel_row(&self, name: &str, subscribers: Option<i64>) -> Channel {
        let can = Caps { tail: true, publish: !is_pattern(name), ..Caps::default() };
        let mut row = self.row(&Name::Channel(name.to_owned()), "channel", can);
        row.attributes = subscribers.map(|n| attribute("subscribers", &n.to_string())).into_iter().collect();
        row
    }

    async fn describe_stream(&self, name: &str) -> Result<Description, Fault> {
        let asked = [
            cmd("XINFO").arg("STREAM").arg(name).to_owned(),
            cmd("MEMORY").arg("USAGE").arg(name).to_owned(),
            cmd("XINFO").arg("GROUPS").arg(name).to_owned(),
        ];
        let mut answers = self.link.all(&asked, DESCRIBE, name).await.into_iter();
        let info = answers.next().transpose()?.map(value::pairs).unwrap_or_default();
        let memory = answers.next().and_then(Result::ok).as_ref().and_then(value::int);
        let groups = answers.next().transpose()?.map(value::items).unwrap_or_default();
        let mut channel = self.stream_row(name, Some(Ok(info.clone())));
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
        for group in groups::names(&groups) {
            // Somebody who may not ask for it sees the rest.
            let found = self.pending(name, &group, Duration::ZERO, None, PENDING).await.unwrap_or_default();
            pending.extend(found.into_iter().map(|one| (group.clone(), one)));
        }
        let mut tables = vec![groups::table(groups)];
        if !pending.is_empty() {
            tables.push(groups::pending_table(pending.iter().map(|(group, one)| (Some(group.as_str()), one))));
        }
        Ok(Description { channel, tables })
    }

    async fn describe_channel(&self, name: &str) -> Result<Description, Fault> {
        let subscribers = if is_pattern(name) { None } else { self.subscribers(&[name.to_owned()]).await?.remove(name) };
        let mut channel = self.channel_row(name, subscribers);
        // Subscriptions by pattern are counted for the server as a whole.
        let patterns = self.link.call(cmd("PUBSUB").arg("NUMPAT"), DESCRIBE, name).await.ok().as_ref().and_then(value::int);
        channel.attributes.extend(patterns.map(|n| attribute("patterns subscribed on the server", &n.to_string())));
        Ok(Description { channel, tables: Vec::new() })
    }

    /// The keys that a pattern means, in order, and whether these are all.
    pub(super) async fn keys(&self, pattern: &str, most: usize) -> Result<(Vec<String>, bool), Fault> {
        let (mut keys, whole) = self.scan(&["MATCH", pattern], most).await?;
        keys.sort();
        keys.dedup();
        Ok((keys, whole))
    }

    /// The keys of a pattern with their types and times to live (seed 3's cache).
    async fn describe_keys(&self, pattern: &str) -> Result<Description, Fault> {
        let (keys, whole) = self.keys(pattern, KEYS).await?;
        let mut asked = Vec::with_capacity(keys.len() * 3);
        for key in &keys {
            asked.extend([
                cmd("TYPE").arg(key).to_owned(),
                cmd("PTTL").arg(key).to_owned(),
                cmd("MEMORY").arg("USAGE").arg(key).to_owned(),
            ]);
        }
        let answers = self.link.all(&asked, DESCRIBE, pattern).await;
        let rows = keys.iter().zip(answers.chunks(3)).map(|(key, said)| {
            let said = |at: usize| said.get(at).and_then(|answer| answer.as_ref().ok());
            let unknown = || "–".to_owned();
            let kind = said(0).and_then(value::text).unwrap_or_else(unknown);
            let memory = said(2).and_then(value::int).and_then(|n| u64::try_from(n).ok()).map_or_else(unknown, figure::bytes);
            [key.clone(), kind, said(1).and_then(value::int).map_or_else(unknown, time_to_live), memory].map(SafeText::from).to_vec()
        });
        let table = Table { title: "keys", columns: vec!["key", "type", "lives for", "memory"], rows: rows.collect() };
        let mut channel = self.row(&Name::Key(pattern.to_owned()), "key", Caps { tail: true, ..Caps::default() });
        let found = keys.len() as u64;
        channel.depth = if whole { Amount::Exactly(found) } else { Amount::AtLeast(found) };
        Ok(Description { channel, tables: vec![table] })
    }
}

/// PTTL's answer in words.
fn time_to_live(millis: i64) -> String {
    match u64::try_from(millis) {
        Ok(millis) => figure::duration(Duration::from_millis(millis)),
        Err(_) if millis == -1 => "ever".to_owned(),
        Err(_) => "gone".to_owned(),
    }
}

pub(super) fn attribute(name: &str, value: &str) -> Attribute {
    Attribute { name: name.into(), value: SafeText::new(value) }
}

/// These fields of an answer, under the names that people read.
fn attributes(info: &[(String, Value)], wanted: &[(&str, &str)]) -> Vec<Attribute> {
    wanted.iter().filter_map(|(name, title)| Some(attribute(title, &value::text(field(info, name)?)?))).collect()
}
