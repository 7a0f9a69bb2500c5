//! What is there: streams and consumers as JetStream tells them, services as they answer, subjects as far as they are known.

use super::Shared;
use super::model::{Cluster, ConsumerInfo, StreamInfo, text};
use super::names::{Name, plain, shown, stream_channel};
use super::queue::WARNING;
use super::services::{self, Instance};
use crate::adapters::session::Inspect;
use crate::domain::channel::{Attribute, Caps, Channel, Description, Table};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const LIST: &str = "list channels of";
const DESCRIBE: &str = "describe";
/// Services are asked for no more often than this: the question goes to every instance.
const SERVICES_AGE: Duration = Duration::from_secs(30);
/// Consumers are listed of no more streams than this; beyond, the list of groups has them.
const LISTED_MOST: usize = 200;
/// Subjects of a stream that its description counts.
const COUNTED: usize = 200;

/// The attribute of a subject that a service answers on.
const SERVED: &str = "served by";

const OF_STREAM: Caps = Caps { tail: true, history: true, publish: true, peek: false, hold: false, receive_options: false, call: false };
const OF_SUBJECT: Caps = Caps { tail: true, history: false, publish: true, peek: false, hold: false, receive_options: false, call: false };

/// The services found, and when.
type Found = Option<(Instant, BTreeMap<String, Vec<Instance>>)>;

pub(super) struct NatsInspect {
    shared: Shared,
    services: Mutex<Found>,
}

impl NatsInspect {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, services: Mutex::default() }
    }

    fn channel(&self, name: &str, kind: &'static str, can: Caps) -> Channel {
        Channel {
            tenant: self.shared.integration.tenant_of(name).map(SafeText::new),
            internal: name.starts_with('$') || name.contains(":$"),
            can,
            ..Channel::named(name, kind)
        }
    }

    fn stream(&self, info: &StreamInfo) -> Channel {
        // Whether one of its consumers can be received from is known when that is asked.
        let consumed = info.state.consumer_count > 0;
        let can = Caps {
            publish: !info.flag("sealed") && !info.subjects().is_empty(),
            peek: consumed,
            hold: consumed,
            receive_options: consumed,
            ..OF_STREAM
        };
        Channel {
            depth: Amount::Exactly(info.state.messages),
            bytes: Amount::Exactly(info.state.bytes),
            // Survives deletes, unlike the count of messages.
            ends: Some(info.state.last_seq),
            consumers: Some(info.state.consumer_count),
            // Without a consumer nothing is given out; what those that there are were given, they tell themselves.
            given: (!consumed).then_some(0),
            attributes: stream_attributes(info),
            fault: leaderless(&format!("stream:{}", info.name()), info.cluster.as_ref()),
            ..self.channel(&format!("stream:{}", info.name()), "stream", can)
        }
    }

    fn consumer(&self, info: &ConsumerInfo) -> Channel {
        let name = format!("consumer:{}/{}", info.stream_name, info.name);
        let can = Caps { peek: true, hold: info.is_pull() && info.is_explicit(), ..Caps::default() };
        Channel {
            depth: Amount::Exactly(info.num_pending + info.num_ack_pending),
            given: Some(info.delivered.consumer_seq),
            attributes: super::groups::attributes(info),
            fault: leaderless(&name, info.cluster.as_ref()),
            ..self.channel(&name, "consumer", can)
        }
    }

    /// A subject, by its own name, that a stream takes, that a service answers on, or that a tail has seen.
    fn subject(&self, name: &str, attributes: Vec<Attribute>) -> Channel {
        let call = attributes.iter().any(|attribute| attribute.name.as_str() == SERVED);
        Channel { attributes, ..self.channel(&shown(name.as_bytes()), "subject", Caps { call, ..OF_SUBJECT }) }
    }

    fn service(&self, name: &str, instances: &[Instance]) -> Channel {
        let first = instances.first().cloned().unwrap_or_default();
        let mut attributes = vec![Attribute::new("instances", instances.len().to_string()), Attribute::new("version", first.version)];
        if !first.description.is_empty() {
            attributes.push(Attribute::new("about", first.description));
        }
        Channel { attributes, ..self.channel(&format!("service:{name}"), "service", Caps { call: true, ..Caps::default() }) }
    }

    /// The streams; or why there are none to be told: the user may not ask, or there is no JetStream.
    async fn streams(&self) -> Result<Result<Vec<StreamInfo>, Fault>, Fault> {
        match self.shared.api.streams(LIST).await {
            Ok(streams) => Ok(Ok(streams)),
            Err(fault) if matches!(fault.kind, Kind::Rejected | Kind::Forbidden) => Ok(Err(fault)),
            Err(fault) => Err(fault),
        }
    }

    async fn services(&self) -> BTreeMap<String, Vec<Instance>> {
        let known = self.services.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((asked, found)) = known
            && asked.elapsed() < SERVICES_AGE
        {
            return found;
        }
        // A user that may not ask sees no services; the wire log has the refusal.
        let found = services::discover(&self.shared.api.link, None).await.unwrap_or_default();
        *self.services.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), found.clone()));
        found
    }

    async fn describe_stream(&self, stream: &str) -> Result<Description, Fault> {
        let body = json!({ "subjects_filter": ">", "deleted_details": false });
        let target = format!("stream:{stream}");
        let info: StreamInfo = self.shared.api.call(DESCRIBE, &target, &format!("STREAM.INFO.{stream}"), &body).await?;
        let consumers = self.shared.api.consumers(DESCRIBE, stream).await;
        let mut tables = vec![state_table(&info), consumers_table(&consumers)];
        tables.extend(subjects_table(&info));
        tables.extend(replicas_table(info.cluster.as_ref()));
        tables.extend(origins_table(&info));
        tables.push(settings_table(&info.config));
        Ok(Description { channel: self.stream(&info), tables })
    }

    async fn describe_consumer(&self, stream: &str, consumer: &str) -> Result<Description, Fault> {
        let info = self.shared.api.consumer(DESCRIBE, stream, consumer).await?;
        let mut tables = vec![consumers_table(&Ok(vec![info.clone()]))];
        tables.extend(replicas_table(info.cluster.as_ref()));
        tables.push(settings_table(&info.config));
        Ok(Description { channel: self.consumer(&info), tables })
    }

    async fn describe_service(&self, name: &str) -> Result<Description, Fault> {
        let mut found = services::discover(&self.shared.api.link, Some(name)).await?;
        let instances = found.remove(name).ok_or_else(|| {
            Fault::new(Kind::NotFound, DESCRIBE, format!("service:{name}"), "no instance of this service answers")
                .next("it may be down, or our user may not ask $SRV")
        })?;
        let row = |cells: [&str; 4]| cells.map(SafeText::new).into();
        let endpoints = instances.iter().flat_map(|instance| {
            instance.endpoints.iter().map(move |endpoint| row([&instance.id, &endpoint.name, &endpoint.subject, &endpoint.queue_group]))
        });
        let endpoints =
            Table { title: "endpoints", columns: vec!["instance", "endpoint", "subject", "queue group"], rows: endpoints.collect() };
        Ok(Description { channel: self.service(name, &instances), tables: vec![endpoints] })
    }

    /// A subject is there for whoever uses it; what is known is which streams keep it.
    async fn describe_subject(&self, subject: &str) -> Result<Description, Fault> {
        let subject = &*plain(subject);
        let kept: Result<Value, Fault> = self.shared.api.call(DESCRIBE, subject, "STREAM.NAMES", &json!({ "subject": subject })).await;
        let names = kept.as_ref().ok().and_then(|answer| answer.get("streams")).and_then(Value::as_array);
        let rows = names.into_iter().flatten().filter_map(Value::as_str).map(|name| vec![SafeText::from(format!("stream:{name}"))]);
        let rows: Vec<_> = rows.collect();
        let is_kept = !rows.is_empty();
        let kept_by = match &kept {
            Err(fault) => Table::remark("kept by", format!("not known: {}", fault.cause)),
            Ok(_) if is_kept => Table { title: "kept by", columns: vec!["stream"], rows },
            Ok(_) => Table::remark("kept by", "no stream: who does not listen when it is published misses it"),
        };
        let seen = self.shared.seen.all().into_iter().find(|(name, _)| **name == shown(subject.as_bytes()));
        let attributes = seen.map(|(_, count)| Attribute::new("seen", figure::count(count))).into_iter().collect();
        let mut channel = self.subject(subject, attributes);
        // Who serves a subject is not known; a stream that keeps it would answer in a service's place.
        channel.can.call = !is_kept;
        Ok(Description { channel, tables: vec![kept_by] })
    }
}

#[async_trait]
impl Inspect for NatsInspect {
    async fn ping(&self) -> Result<Duration, Fault> {
        let asked = Instant::now();
        self.shared.api.link.ping("check").await?;
        Ok(asked.elapsed())
    }

    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let (streams, services) = tokio::join!(self.streams(), self.services());
        let mut channels: Vec<Channel> = services.iter().map(|(name, instances)| self.service(name, instances)).collect();
        let mut subjects: BTreeMap<String, Vec<Attribute>> = BTreeMap::new();
        for (name, count) in self.shared.seen.all() {
            let Ok(Name::Subject(subject)) = Name::of(LIST, &name) else { continue };
            subjects.entry(plain(subject)).or_default().push(Attribute::new("seen", figure::count(count)));
        }
        for (name, instances) in &services {
            for subject in instances.iter().flat_map(|instance| &instance.endpoints).map(|endpoint| &endpoint.subject) {
                let known = subjects.entry(subject.clone()).or_default();
                let served = Attribute::new(SERVED, format!("service:{name}"));
                if !known.contains(&served) {
                    known.push(served);
                }
            }
        }
        let mut keepers: HashMap<String, Arc<str>> = HashMap::new();
        match streams? {
            Ok(streams) => {
                for info in &streams {
                    for subject in info.subjects() {
                        subjects.entry(subject.to_owned()).or_default();
                    }
                }
                for (subject, known) in &mut subjects {
                    for info in streams.iter().filter(|info| info.takes(subject)) {
                        known.push(Attribute::new("kept by", format!("stream:{}", info.name())));
                        if info.keeps() {
                            keepers.insert(subject.clone(), stream_channel(info.name()));
                        }
                    }
                }
                let consumed = streams.iter().filter(|info| info.state.consumer_count > 0).take(LISTED_MOST);
                let names = consumed.map(|info| info.name().to_owned()).collect();
                let lists = self.shared.api.consumers_of(LIST, names).await;
                // A stream that was deleted in the meantime has no consumers.
                let consumers: Vec<ConsumerInfo> = lists.into_iter().flatten().flatten().collect();
                let mut given: BTreeMap<&str, u64> = BTreeMap::new();
                for info in &consumers {
                    *given.entry(&info.stream_name).or_default() += info.delivered.consumer_seq;
                }
                for info in &streams {
                    let row = self.stream(info);
                    channels.push(Channel { given: row.given.or_else(|| given.get(info.name()).copied()), ..row });
                }
                channels.extend(consumers.iter().map(|info| self.consumer(info)));
            }
            // Subjects work without JetStream: that it is off is worth a word where nothing else is known.
            // One that the profile names is missed whatever else there is.
            Err(fault)
                if fault.kind == Kind::Rejected && !self.shared.dial.is_elsewhere() && !(channels.is_empty() && subjects.is_empty()) => {}
            Err(fault) => {
                let row = self.channel("stream:*", "stream", Caps::default());
                channels.push(Channel { fault: Some(fault), ..row });
            }
        }
        let row = |(name, attributes): (String, Vec<Attribute>)| {
            let kept_by = keepers.remove(&name);
            Channel { kept_by, ..self.subject(&name, attributes) }
        };
        channels.extend(subjects.into_iter().map(row));
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(channels)
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        match Name::of(DESCRIBE, channel)? {
            Name::Stream(stream) => self.describe_stream(stream).await,
            Name::Consumer { stream, consumer } => self.describe_consumer(stream, consumer).await,
            Name::Service(name) => self.describe_service(name).await,
            Name::Subject(subject) => self.describe_subject(subject).await,
            Name::Queue { .. } => {
                let row = self.channel(channel, "queue", Caps { hold: true, ..Caps::default() });
                Ok(Description { channel: Channel { attributes: vec![Attribute::new("warning", WARNING)], ..row }, tables: Vec::new() })
            }
        }
    }
}

fn stream_attributes(info: &StreamInfo) -> Vec<Attribute> {
    let mut attributes = vec![Attribute::new("subjects", info.subjects().join(" "))];
    for (name, setting) in [("retention", "retention"), ("storage", "storage")] {
        attributes.push(Attribute::new(name, text(&info.config, setting)));
    }
    attributes.push(Attribute::new("replicas", info.config.get("num_replicas").map_or_else(|| "1".to_owned(), Value::to_string)));
    if let Some(age) = info.config.get("max_age").and_then(Value::as_u64).filter(|age| *age > 0) {
        attributes.push(Attribute::new("max age", figure::duration(Duration::from_nanos(age))));
    }
    if let Some(bucket) = info.name().strip_prefix("KV_") {
        attributes.push(Attribute::new("key-value bucket", bucket));
    }
    if let Some(bucket) = info.name().strip_prefix("OBJ_") {
        attributes.push(Attribute::new("object store", bucket));
    }
    attributes
}

/// A stream or consumer that no server leads takes and gives nothing.
fn leaderless(target: &str, cluster: Option<&Cluster>) -> Option<Fault> {
    cluster
        .filter(|cluster| !cluster.replicas.is_empty() && cluster.leader.is_empty())
        .map(|_| Fault::new(Kind::Unreachable, "read", target, "no server leads it").next("servers are down, or a leader is being elected"))
}

fn state_table(info: &StreamInfo) -> Table {
    let state = &info.state;
    let rows = [
        ("messages", figure::count(state.messages)),
        ("bytes", figure::bytes(state.bytes)),
        ("first", format!("{} at {}", state.first_seq, state.first_ts)),
        ("last", format!("{} at {}", state.last_seq, state.last_ts)),
        ("subjects", figure::count(state.num_subjects)),
        ("deleted between", figure::count(state.num_deleted)),
        ("consumers", state.consumer_count.to_string()),
        ("created", info.created.clone()),
    ];
    Table { title: "state", columns: vec!["what", "value"], rows: rows.map(|(what, value)| vec![what.into(), value.into()]).into() }
}

fn consumers_table(consumers: &Result<Vec<ConsumerInfo>, Fault>) -> Table {
    let row = |info: &ConsumerInfo| {
        let cells = [
            info.name.clone(),
            super::groups::kind(info).to_owned(),
            info.num_pending.to_string(),
            info.num_ack_pending.to_string(),
            info.num_redelivered.to_string(),
            info.num_waiting.to_string(),
            info.delivered.stream_seq.to_string(),
            info.ack_floor.stream_seq.to_string(),
        ];
        cells.map(SafeText::from).into()
    };
    let columns = vec!["consumer", "kind", "pending", "unacked", "again", "waiting", "delivered", "ack floor"];
    let rows = match consumers {
        Ok(consumers) => consumers.iter().map(row).collect(),
        Err(fault) => {
            let mut cells = vec![SafeText::default(); columns.len()];
            (cells[0], cells[1]) = ("not told".into(), fault.cause.clone());
            vec![cells]
        }
    };
    Table { title: "its consumers", columns, rows }
}

fn subjects_table(info: &StreamInfo) -> Option<Table> {
    let mut counts: Vec<(&String, u64)> = info.state.subjects.as_ref()?.iter().map(|(name, n)| (name, n.as_u64().unwrap_or(0))).collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let left = counts.len().saturating_sub(COUNTED);
    counts.truncate(COUNTED);
    let mut rows: Vec<Vec<SafeText>> = counts.into_iter().map(|(name, n)| vec![SafeText::new(name), figure::count(n).into()]).collect();
    if left > 0 {
        rows.push(vec![format!("and {left} more").into(), SafeText::default()]);
    }
    Some(Table { title: "subjects", columns: vec!["subject", "messages"], rows })
}

fn replicas_table(cluster: Option<&Cluster>) -> Option<Table> {
    let cluster = cluster.filter(|cluster| !cluster.name.is_empty() || !cluster.replicas.is_empty())?;
    let mut rows = vec![vec![SafeText::new(&cluster.leader), "leader".into(), "0".into()]];
    for peer in &cluster.replicas {
        let state = if peer.offline {
            "offline"
        } else if peer.current {
            "current"
        } else {
            "behind"
        };
        rows.push(vec![SafeText::new(&peer.name), state.into(), peer.lag.to_string().into()]);
    }
    Some(Table { title: "replicas", columns: vec!["server", "state", "operations behind"], rows })
}

fn origins_table(info: &StreamInfo) -> Option<Table> {
    let origins: Vec<(&str, &Value)> =
        info.mirror.iter().map(|mirror| ("mirror of", mirror)).chain(info.sources.iter().map(|source| ("gathers", source))).collect();
    let number = |origin: &Value| origin.get("lag").map_or_else(|| "–".to_owned(), Value::to_string);
    let rows = origins.iter().map(|(how, origin)| vec![(*how).into(), text(origin, "name").into(), number(origin).into()]);
    (!origins.is_empty()).then(|| Table { title: "origins", columns: vec!["how", "stream", "behind"], rows: rows.collect() })
}

/// Every setting as the server tells it.
fn settings_table(config: &Value) -> Table {
    let mut rows = BTreeSet::new();
    flatten("", config, &mut rows);
    let rows = rows.into_iter().map(|(name, value)| vec![name.into(), value.into()]).collect();
    Table { title: "settings", columns: vec!["setting", "value"], rows }
}

fn flatten(name: &str, value: &Value, rows: &mut BTreeSet<(String, String)>) {
    /// Settings that are counted in nanoseconds.
    const TIMES: &[&str] = &["max_age", "duplicate_window", "ack_wait", "inactive_threshold", "idle_heartbeat", "max_expires"];
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&if name.is_empty() { field.clone() } else { format!("{name}.{field}") }, value, rows);
            }
        }
        Value::String(text) => drop(rows.insert((name.to_owned(), text.clone()))),
        Value::Number(number) if TIMES.contains(&name) => {
            let nanos = number.as_u64().unwrap_or(0);
            let shown = if nanos == 0 { "no limit".to_owned() } else { figure::duration(Duration::from_nanos(nanos)) };
            rows.insert((name.to_owned(), shown));
        }
        value => drop(rows.insert((name.to_owned(), value.to_string()))),
    }
}
