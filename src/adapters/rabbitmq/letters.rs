//! `DeadLetters` for RabbitMQ: the paths of every queue by its arguments, policies and bindings, and what will lose dead letters on them.

use super::Rabbit;
use super::dead_letters::{Broken, Map, Path as Way};
use super::inspect::BINDING_COLUMNS;
use super::management::{number, text};
use super::name::Name;
use super::settles::delivery_limit;
use crate::adapters::session::DeadLetters;
use crate::domain::channel::Attribute;
use crate::domain::dead_letter::finding::{self, Finding, Severity};
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Path, Target};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{duration, grouped, several};
use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "map dead letters of";
const COLUMNS: &str = "name,type,arguments,durable,auto_delete,exclusive,policy,effective_policy_definition,consumers,messages,\
    messages_ready,messages_unacknowledged,messages_dlx,message_stats.ack,message_stats.deliver,message_stats.get,message_stats.redeliver";
/// What is asked for again.
const COUNTERS: &str =
    "name,messages_ready,messages_unacknowledged,message_stats.ack,message_stats.deliver,message_stats.get,message_stats.redeliver";
/// Queues asked for one by one at once.
const ABREAST: usize = 16;
/// A node tells the counters of its channels and queues every five seconds, each in its own time: so long after one of them was read, all
/// that are read are newer than it.
const APART: Duration = Duration::from_secs(6);
/// Dead letters that a quorum queue gives to its target at once by itself: more than these wait.
const UNDER_WAY: u64 = 32;

#[async_trait]
impl DeadLetters for Rabbit {
    async fn map(&self, assumed: &Assumptions) -> Result<DeadLetterMap, Fault> {
        let (queues, exchanges, bindings, version) = tokio::try_join!(
            self.management.list("queues", COLUMNS),
            self.management.list("exchanges", "name,type,arguments,policy"),
            self.management.list("bindings", BINDING_COLUMNS),
            self.version(),
        )?;
        let (rows, gaps) = self.with_policies(queues).await;
        let queues: BTreeMap<&str, Queue<'_>> =
            rows.iter().filter_map(|row| Some((text(row, &["name"])?, Queue::of(row, version)))).collect();
        let paths = Map::of(&exchanges, &bindings);
        let ways: BTreeMap<&str, Way> = queues.iter().filter_map(|(name, queue)| Some((*name, paths.path(queue.row)?))).collect();
        let rejects = |(name, queue): (&&str, &Queue<'_>)| !ways.contains_key(name) && queue.rejected(queue.row).is_some();
        let later = if queues.iter().any(rejects) { self.counters_later().await? } else { HashMap::new() };
        let audit = Audit { queues, ways, later, assumed };
        Ok(DeadLetterMap { gaps, ..audit.map() }.sorted())
    }
}

impl Rabbit {
    /// The counters of every queue, when they are newer than those that were read before.
    async fn counters_later(&self) -> Result<HashMap<String, Value>, Fault> {
        tokio::time::sleep(APART).await;
        let rows = self.management.list("queues", COUNTERS).await?;
        Ok(rows.into_iter().filter_map(|row| Some((text(&row, &["name"])?.to_owned(), row))).collect())
    }

    /// The rows with the policies in effect, which the server tells of a new queue a moment later; and of which queues it did not.
    async fn with_policies(&self, rows: Vec<Value>) -> (Vec<Value>, Vec<Fault>) {
        let (mut known, new): (Vec<Value>, Vec<Value>) = rows.into_iter().partition(|row| row.get("effective_policy_definition").is_some());
        let ask = |row: Value| async move {
            let governed = self.governed(text(&row, &["name"]).unwrap_or_default(), COLUMNS).await;
            (row, governed)
        };
        let (mut gaps, mut asked) = (Vec::new(), futures::stream::iter(new).map(ask).buffer_unordered(ABREAST));
        while let Some((row, governed)) = asked.next().await {
            match governed {
                Ok(row) => known.push(row),
                // Deleted meanwhile.
                Err(fault) if fault.kind == Kind::NotFound => {}
                Err(fault) => {
                    let name = Name::Queue(text(&row, &["name"]).unwrap_or_default().to_owned()).text();
                    gaps.push(Fault { op: OP, target: name.into(), ..fault });
                    known.push(row);
                }
            }
        }
        (known, gaps)
    }
}

/// A queue by its row of the management API: what holds of arguments and policies.
struct Queue<'a> {
    row: &'a Value,
    kind: &'a str,
    /// Its policy was told.
    known: bool,
    ttl: Option<u64>,
    expires: Option<u64>,
    length: Option<u64>,
    bytes: Option<u64>,
    overflow: &'a str,
    /// A quorum queue's limit of deliveries.
    limit: Option<u64>,
    consumers: Option<u64>,
}

impl<'a> Queue<'a> {
    fn of(row: &'a Value, version: Option<(u32, u32)>) -> Self {
        // Of two numbers the smaller one holds; of two texts the argument.
        let least = |argument: &str, policy: &str| {
            let by = [number(row, &["arguments", argument]), number(row, &["effective_policy_definition", policy])];
            by.into_iter().flatten().min()
        };
        let said = text(row, &["arguments", "x-overflow"]).or_else(|| text(row, &["effective_policy_definition", "overflow"]));
        Self {
            row,
            kind: text(row, &["type"]).unwrap_or("classic"),
            known: row.get("effective_policy_definition").is_some(),
            ttl: least("x-message-ttl", "message-ttl"),
            expires: least("x-expires", "expires"),
            length: least("x-max-length", "max-length"),
            bytes: least("x-max-length-bytes", "max-length-bytes"),
            overflow: said.unwrap_or("drop-head"),
            limit: delivery_limit(row, version),
            consumers: number(row, &["consumers"]),
        }
    }

    fn name(&self) -> Name {
        let bare = text(self.row, &["name"]).unwrap_or_default().to_owned();
        if self.kind == "stream" { Name::Stream(bare) } else { Name::Queue(bare) }
    }

    fn channel(&self) -> Arc<str> {
        self.name().text().into()
    }

    fn is_bounded(&self) -> bool {
        self.length.is_some() || self.bytes.is_some()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.row.get(name).and_then(Value::as_bool)
    }

    /// For which reasons its messages die as it is configured; a message may bring a time to live of its own.
    fn reasons(&self) -> Vec<&'static str> {
        let overflows = self.is_bounded() && matches!(self.overflow, "drop-head" | "reject-publish-dlx");
        [("rejected", true), ("expired", self.ttl.is_some()), ("maxlen", overflows), ("delivery_limit", self.limit.is_some())]
            .into_iter()
            .filter(|(_, can)| *can)
            .map(|(reason, _)| reason)
            .collect()
    }

    /// Whether its messages die without anybody rejecting them.
    fn dies_by_itself(&self) -> bool {
        let reasons = self.reasons();
        reasons.contains(&"expired") || reasons.contains(&"maxlen")
    }

    /// Messages that consumers have rejected, at least, by the server's counters: what had been given out has ended acknowledged,
    /// unacknowledged, given out again, ready again, or rejected, as a later row has it.
    fn rejected(&self, later: &Value) -> Option<u64> {
        let given = |row: &Value| {
            let count = |name: &str| number(row, &["message_stats", name]).unwrap_or(0);
            count("deliver").saturating_add(count("get"))
        };
        let count = |name: &str| number(later, &["message_stats", name]).unwrap_or(0);
        let there = [number(later, &["messages_ready"])?, number(later, &["messages_unacknowledged"])?];
        // Counters that began anew say nothing of what was before.
        let before = Some(given(self.row)).filter(|before| given(later) >= *before)?;
        let ends = [count("ack"), count("redeliver")].into_iter().chain(there);
        Some(ends.fold(before, u64::saturating_sub)).filter(|rejected| *rejected > 0)
    }

    /// How long a stream keeps what it has, by age.
    fn age(&self) -> Option<Duration> {
        age(text(self.row, &["arguments", "x-max-age"]).or_else(|| text(self.row, &["effective_policy_definition", "max-age"]))?)
    }
}

/// A stream's age as the server writes it: `7D`, `12h`.
fn age(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        'Y' => 365 * 86_400,
        'M' => 30 * 86_400,
        'D' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    Some(Duration::from_secs(count.checked_mul(seconds)?))
}

/// All queues of a vhost, with the ways of those that have a dead-letter exchange.
struct Audit<'a> {
    queues: BTreeMap<&'a str, Queue<'a>>,
    ways: BTreeMap<&'a str, Way>,
    /// The counters of a moment later, where they were asked for.
    later: HashMap<String, Value>,
    assumed: &'a Assumptions,
}

impl Audit<'_> {
    fn map(&self) -> DeadLetterMap {
        let mut map = DeadLetterMap::default();
        for (name, queue) in &self.queues {
            match self.ways.get(name) {
                Some(way) => {
                    map.paths.extend(self.paths(queue, way));
                    map.findings.extend(way_findings(queue, way));
                }
                None if queue.kind != "stream" => {
                    let findings = loss_findings(queue, self.later.get(*name));
                    if let Some(first) = findings.first() {
                        map.paths.push(path(queue, Target::Nowhere(first.detail.clone()), Vec::new(), Vec::new(), queue.known));
                    }
                    map.findings.extend(findings);
                }
                None => {}
            }
        }
        for name in self.dead_letter_queues() {
            if let Some(queue) = self.queues.get(name) {
                map.findings.extend(self.kept_findings(name, queue));
            }
        }
        map.findings.extend(self.cycles());
        map
    }

    fn channel(&self, name: &str) -> Arc<str> {
        self.queues.get(name).map_or_else(|| Name::Queue(name.to_owned()).text().into(), Queue::channel)
    }

    fn paths(&self, queue: &Queue<'_>, way: &Way) -> Vec<Path> {
        let exchange = if way.exchange.is_empty() { "the default exchange" } else { &way.exchange };
        let mut by = vec![Attribute::new("exchange", exchange)];
        by.extend(way.key.as_deref().map(|key| Attribute::new("routing key", key)));
        if text(queue.row, &["arguments", "x-dead-letter-exchange"]).is_none() {
            by.extend(text(queue.row, &["policy"]).map(|policy| Attribute::new("policy", policy)));
        }
        let losses: Vec<&str> = way.losses.clone();
        let certain = way.certain && queue.known;
        let targets = match way.broken {
            _ if !way.queues.is_empty() => way.queues.iter().map(|to| Target::Channel(self.channel(to))).collect(),
            Some(_) => vec![Target::Nowhere(losses.first().copied().unwrap_or_default().into())],
            None if way.exchange.is_empty() => vec![Target::Unknown("the queue that the message's own key names".into())],
            None => vec![Target::Unknown("no binding is known; the exchange's policy may name an alternate one".into())],
        };
        targets.into_iter().map(|to| path(queue, to, by.clone(), losses.clone(), certain)).collect()
    }

    /// Queues and streams that dead letters reach, and those that are said to hold some.
    fn dead_letter_queues(&self) -> BTreeSet<&str> {
        let reached = self.ways.values().flat_map(|way| way.queues.iter().map(String::as_str));
        let named: HashMap<Arc<str>, &str> = self.queues.iter().map(|(name, queue)| (queue.channel(), *name)).collect();
        // A bare name is a queue's, if there is one.
        let assumed = self.assumed.channels.iter().filter_map(|channel| named.get(channel).copied().or_else(|| self.bare(channel)));
        reached.chain(assumed).collect()
    }

    fn bare(&self, channel: &str) -> Option<&str> {
        self.queues.get_key_value(channel).map(|(name, _)| *name)
    }

    /// What loses dead letters that have arrived.
    fn kept_findings(&self, name: &str, queue: &Queue<'_>) -> Vec<Finding> {
        let (mut found, window) = (Vec::new(), self.assumed.window);
        let mut add = |kind, detail: String| found.push(Finding::new(kind, queue.channel(), detail));
        let short = |millis: u64| Some(Duration::from_millis(millis)).filter(|time| *time < window);
        let kept = "and dead letters have to stay for ";
        // What it passes on is not lost here.
        let passes_on = self.ways.get(name).is_some_and(|way| way.broken.is_none());
        if queue.kind == "stream" {
            if let Some(age) = queue.age().filter(|age| *age < window) {
                add(finding::EXPIRES, format!("the stream keeps messages for {}, {kept}{}", duration(age), duration(window)));
            }
            if queue.bytes.is_some() {
                add(finding::DROPS_OLDEST, "when the stream has x-max-length-bytes, its oldest messages are deleted".to_owned());
            }
        } else if !passes_on {
            if let Some(ttl) = queue.ttl.and_then(short) {
                add(finding::EXPIRES, format!("its messages expire after {}, {kept}{}", duration(ttl), duration(window)));
            }
            if queue.is_bounded() && queue.overflow == "drop-head" {
                add(finding::DROPS_OLDEST, format!("behind {} it deletes its oldest messages (x-overflow: drop-head)", bound(queue)));
            }
        }
        if queue.is_bounded() && queue.kind != "stream" && queue.overflow != "drop-head" && self.feeders(name).any(|way| !way.waits) {
            add(finding::REFUSES, format!("behind {} it refuses messages, and queues that lead here do not wait for it", bound(queue)));
        }
        if let Some(expires) = queue.expires.and_then(short) {
            add(finding::NOT_LASTING, format!("it is deleted with its messages when nobody uses it for {} (x-expires)", duration(expires)));
        }
        if queue.flag("auto_delete") == Some(true) {
            add(finding::NOT_LASTING, "it is deleted with its messages when its last consumer leaves (auto-delete)".to_owned());
        } else if queue.flag("durable") == Some(false) {
            add(finding::NOT_LASTING, "it is gone when its node restarts: it is not durable".to_owned());
        }
        if !queue.is_bounded() && queue.age().is_none() && queue.ttl.is_none() && queue.known {
            add(finding::UNBOUNDED, "nothing bounds it: full disks and memory stop every publisher of the cluster".to_owned());
        }
        // What is passed on by a time to live needs no reader.
        if queue.consumers == Some(0) && !(passes_on && queue.ttl.is_some()) {
            let there = number(queue.row, &["messages"]).filter(|n| *n > 0);
            let there = there.map_or_else(String::new, |n| format!(", and {} in it", several(n, "message")));
            add(finding::UNREAD, format!("it has no consumer{there}"));
        }
        found
    }

    /// The ways that lead to a queue.
    fn feeders<'s>(&'s self, queue: &'s str) -> impl Iterator<Item = &'s Way> {
        self.ways.values().filter(move |way| way.queues.iter().any(|to| to == queue))
    }

    /// Dead letters that come back to a queue: the shortest way round, told of the queue whose name is the first.
    fn cycles(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, queue) in &self.queues {
            let Some(round) = self.round(name).filter(|round| round.iter().all(|other| other >= name)) else { continue };
            let all: Vec<&Queue<'_>> = round.iter().filter_map(|name| self.queues.get(name)).collect();
            let (kind, detail) = if all.iter().all(|queue| queue.dies_by_itself()) {
                (finding::CYCLE, "its dead letters come back to it without anybody rejecting them: the server drops them then")
            } else {
                (
                    finding::RETRY_LOOP,
                    "its dead letters come back to it: a message that always fails goes round until its consumer gives up",
                )
            };
            let others = round.iter().filter(|other| *other != name).map(|other| self.channel(other)).collect();
            found.push(Finding { others, ..Finding::new(kind, queue.channel(), detail) });
        }
        found
    }

    /// The queues on the shortest way from a queue back to it, beginning with it.
    fn round<'s>(&'s self, start: &'s str) -> Option<Vec<&'s str>> {
        let (mut before, mut open): (HashMap<&str, &str>, Vec<&str>) = (HashMap::new(), vec![start]);
        while !open.is_empty() {
            let mut next = Vec::new();
            for at in open {
                for to in self.ways.get(at).into_iter().flat_map(|way| &way.queues) {
                    if to == start {
                        let mut round = vec![at];
                        while let Some(earlier) = before.get(round[round.len() - 1]) {
                            round.push(earlier);
                        }
                        round.reverse();
                        return Some(round);
                    }
                    if !before.contains_key(to.as_str()) {
                        before.insert(to, at);
                        next.push(to.as_str());
                    }
                }
            }
            open = next;
        }
        None
    }
}

fn path(queue: &Queue<'_>, to: Target, by: Vec<Attribute>, losses: Vec<&str>, certain: bool) -> Path {
    let losses = losses.into_iter().map(Into::into).collect();
    Path { from: queue.channel(), group: None, to, by, when: queue.reasons(), losses, certain }
}

/// `10,000 messages`, `1,048,576 bytes`.
fn bound(queue: &Queue<'_>) -> String {
    let length = queue.length.map(|length| several(length, "message"));
    length.unwrap_or_else(|| format!("{} bytes", grouped(queue.bytes.unwrap_or(0))))
}

/// What is wrong with the way of a queue's dead letters.
fn way_findings(queue: &Queue<'_>, way: &Way) -> Vec<Finding> {
    let new = |kind, detail: &str| Finding::new(kind, queue.channel(), detail);
    let mut found = Vec::new();
    match way.broken {
        Some(_) if way.waits => {
            let waiting = number(queue.row, &["messages_dlx"]).filter(|n| *n > 0);
            let now = waiting.map_or_else(String::new, |n| format!("; {} now", several(n, "dead letter")));
            found.push(new(finding::HELD_BACK, &format!("{}{now}", way.losses.first().copied().unwrap_or_default())));
            return found;
        }
        Some(Broken::Missing) => {
            found.push(new(finding::MISSING_EXCHANGE, "its dead-letter exchange is not there: dead letters are dropped in silence"));
            return found;
        }
        Some(Broken::Unbound) => {
            let detail = "no queue is bound to its dead-letter exchange for them: dead letters are dropped in silence";
            found.push(new(finding::UNBOUND, detail));
            return found;
        }
        None => {}
    }
    if way.exchange.is_empty() && way.key.is_none() {
        let detail = "by the default exchange each dead letter goes to the queue that its own key names: to this one if it was published \
                      by the queue's name, and nowhere if no queue has that name";
        found.push(new(finding::OWN_KEY, detail));
    } else if way.queues.is_empty() {
        found.push(new(finding::OWN_KEY, "no queue is known to be bound to its dead-letter exchange for them"));
    }
    if !way.waits {
        found.push(new(finding::AT_MOST_ONCE, way.losses.first().copied().unwrap_or_default()));
    }
    if let Some(waiting) = number(queue.row, &["messages_dlx"]).filter(|n| *n > UNDER_WAY) {
        let are = several(waiting, "dead letter");
        found.push(new(finding::HELD_BACK, &format!("{are} in this queue wait for the target to take them")));
    }
    found
}

/// Why messages of a queue without a dead-letter exchange are lost.
fn loss_findings(queue: &Queue<'_>, later: Option<&Value>) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(rejected) = later.and_then(|later| queue.rejected(later)) {
        let detail = format!(
            "consumers have rejected {} or more, and without a dead-letter exchange they are deleted",
            several(rejected, "message")
        );
        found.push(Finding::new(finding::REJECTS, queue.channel(), detail));
    }
    if let Some(limit) = queue.limit {
        let detail = format!("a message that comes back more than {} is deleted: there is no dead-letter exchange", times(limit));
        found.push(Finding::new(finding::LIMIT, queue.channel(), detail));
    }
    debug_assert!(found.iter().all(|finding| finding.kind.severity == Severity::Loses));
    found
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{} times", grouped(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rejections_are_what_the_counters_leave_no_other_end_for() {
        let row = |stats: Value, ready: u64, unacknowledged: u64| json!({ "message_stats": stats, "messages_ready": ready, "messages_unacknowledged": unacknowledged });
        for (before, later, rejected) in [
            (row(json!({ "deliver": 10, "ack": 4 }), 0, 0), None, Some(6)),
            (row(json!({ "deliver": 10, "get": 5, "ack": 4, "redeliver": 3 }), 2, 1), None, Some(5)),
            (row(json!({ "deliver": 10, "ack": 4 }), 6, 0), None, None),
            // The counters of a busy queue are not of one moment: what looks rejected was acknowledged or is held.
            (row(json!({ "deliver": 10, "ack": 4 }), 0, 0), Some(row(json!({ "deliver": 15, "ack": 10 }), 0, 5)), None),
            (row(json!({ "deliver": 10, "ack": 4 }), 0, 0), Some(row(json!({ "deliver": 15, "ack": 6 }), 0, 1)), Some(3)),
            // The node was started again meanwhile.
            (row(json!({ "deliver": 10, "ack": 4 }), 0, 0), Some(row(json!({ "deliver": 1 }), 0, 0)), None),
            (row(json!({ "deliver_no_ack": 10 }), 0, 0), None, None),
            (json!({ "message_stats": { "deliver": 10 } }), None, None),
            (json!({}), None, None),
        ] {
            assert_eq!(Queue::of(&before, None).rejected(later.as_ref().unwrap_or(&before)), rejected, "{before}");
        }
    }

    #[test]
    fn an_age_is_read_as_the_server_writes_it() {
        for (text, seconds) in
            [("7D", Some(604_800)), ("12h", Some(43_200)), ("1Y", Some(31_536_000)), ("", None), ("D", None), ("7ü", None)]
        {
            assert_eq!(age(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_limit_holds_by_argument_or_policy_and_the_smaller_one() {
        let row = json!({
            "type": "classic",
            "arguments": { "x-message-ttl": 500, "x-overflow": "reject-publish-dlx", "x-max-length": 9 },
            "effective_policy_definition": { "message-ttl": 300, "overflow": "drop-head", "expires": 7 },
        });
        let queue = Queue::of(&row, None);
        assert_eq!((queue.ttl, queue.expires, queue.length, queue.overflow), (Some(300), Some(7), Some(9), "reject-publish-dlx"));
        assert_eq!(queue.reasons(), ["rejected", "expired", "maxlen"]);
        let quorum = json!({ "type": "quorum", "arguments": {} });
        assert_eq!(Queue::of(&quorum, Some((4, 0))).limit, Some(20));
        assert_eq!((Queue::of(&quorum, Some((3, 13))).limit, Queue::of(&quorum, None).limit), (None, None));
    }
}
