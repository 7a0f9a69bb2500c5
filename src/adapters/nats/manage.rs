//! Changing JetStream: streams made, purged and deleted, messages deleted, consumers paused and deleted, advisories captured.
//!
//! A plan's steps are the very requests that are made: a JSON list of API calls with their bodies, in order.

use super::api::Api;
use super::model::{StreamInfo, text};
use super::names::{Name, is_subject, stream_channel};
use super::operations as ops;
use super::purge::{self, Cut};
use crate::adapters::session::Manage;
use crate::domain::address::Address;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::operation::{Change, Done, OperationSpec, Request};
use crate::domain::text::SafeText;
use crate::domain::time::parse_duration;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The stream that advisories are captured into.
const ADVISORIES: &str = "MQDECK_ADVISORIES";
/// What tells of a message that its consumer will never be given again (ADR-1).
const DEAD: [&str; 2] = ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>"];

pub(super) struct NatsManage {
    api: Api,
}

/// One request of a plan.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// What it does, for the report.
    what: String,
    /// Behind `$JS.API.`.
    call: String,
    body: Value,
    /// What it is done to.
    on: On,
}

/// What a step is done to: a name may be another's by the time of the deed.
#[derive(Debug, Serialize, Deserialize)]
enum On {
    /// Something that is not there yet: the call that would tell of it. To make what is there already in the very same form is no error
    /// to the server.
    New { info: String },
    /// The call that tells of it, and when it was made as the plan saw it; and the last sequence of a stream that nothing may have come to.
    Made {
        info: String,
        created: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
    },
}

/// What a plan says beside its steps.
#[derive(Default)]
struct Outline {
    summary: String,
    touches: Amount,
    notes: Vec<String>,
    rows: Vec<(&'static str, String)>,
    refused: Option<Fault>,
    /// The steps name the places up to which they go.
    bounded: bool,
    /// The operation that takes it back, and what it is done to.
    undo: Option<(&'static OperationSpec, Address)>,
}

impl Step {
    /// A step on this very stream.
    fn on(info: &StreamInfo, what: String, call: String, body: Value) -> Self {
        let on = On::Made { info: format!("STREAM.INFO.{}", info.name()), created: info.created.clone(), last: None };
        Self { what, call, body, on }
    }
}

impl NatsManage {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    async fn outline(&self, request: &Request) -> Result<(Outline, Vec<Step>), Fault> {
        match request.spec.id {
            "stream.create" => self.create(request).await,
            "advisories.capture" => self.capture(request).await,
            "consumer.pause" | "consumer.resume" | "consumer.delete" => self.of_consumer(request).await,
            _ => self.of_stream(request).await,
        }
    }

    async fn of_stream(&self, request: &Request) -> Result<(Outline, Vec<Step>), Fault> {
        let id = request.spec.id;
        let within = request.address.within();
        let Name::Stream(stream) = Name::of(id, &within)? else {
            return Err(Fault::new(Kind::Usage, id, request.address.to_string(), "this is done to a stream").next("write stream:NAME"));
        };
        let info = self.api.stream(id, stream).await?;
        match id {
            "stream.purge" => purge(&self.api, request, &info).await,
            "message.delete" => delete_message(request, &info),
            "consumer.create" => self.create_consumer(request, &info).await,
            _ => Ok(delete_stream(&info)),
        }
    }

    async fn of_consumer(&self, request: &Request) -> Result<(Outline, Vec<Step>), Fault> {
        let id = request.spec.id;
        // The group stands in the address's place of the channel, with the kind `group`.
        let name = request.address.channel.trim_start_matches("group:");
        let Some(Name::Consumer { stream, consumer }) = Name::consumer(name) else {
            return Err(
                Fault::new(Kind::NotFound, id, request.address.to_string(), "no consumer can have this name").next("write STREAM/CONSUMER")
            );
        };
        let info = self.api.consumer(id, stream, consumer).await?;
        let rows = vec![
            ("pending", figure::count(info.num_pending)),
            ("unacknowledged", figure::count(info.num_ack_pending)),
            ("waiting", info.num_waiting.to_string()),
        ];
        let step = |what: &str, call: &str, body: Value| {
            let on = On::Made { info: format!("CONSUMER.INFO.{stream}.{consumer}"), created: info.created.clone(), last: None };
            vec![Step { what: format!("{what} {stream}/{consumer}"), call: format!("CONSUMER.{call}.{stream}.{consumer}"), body, on }]
        };
        Ok(match id {
            "consumer.pause" => {
                let until = until(request)?;
                let summary = format!("nothing is given to {stream}/{consumer} until {until}");
                let notes = vec!["it needs a server of 2.11 or later".to_owned()];
                // The end of a pause that runs already could not be brought back.
                let undo = (!info.paused).then(|| (&ops::RESUME, request.address.clone()));
                (
                    Outline { summary, rows, notes, undo, touches: Amount::Exactly(0), ..Outline::default() },
                    step("paused", "PAUSE", json!({ "pause_until": until.to_string() })),
                )
            }
            "consumer.resume" => {
                let summary = format!("messages are given to {stream}/{consumer} again");
                let refused = (!info.paused).then(|| Fault::new(Kind::Rejected, id, request.address.to_string(), "it is not paused"));
                (Outline { summary, rows, refused, touches: Amount::Exactly(0), ..Outline::default() }, step("resumed", "PAUSE", json!({})))
            }
            _ => {
                let mut notes = vec!["its position is gone for good; whoever uses it is told that it was deleted".to_owned()];
                if info.num_waiting > 0 || info.push_bound {
                    notes.push("somebody is using it".to_owned());
                }
                let summary = format!("the consumer {stream}/{consumer} is deleted; the stream keeps its messages");
                let touches = Amount::Exactly(info.num_pending + info.num_ack_pending);
                (Outline { summary, touches, notes, rows, ..Outline::default() }, step("deleted", "DELETE", Value::Null))
            }
        })
    }

    async fn create_consumer(&self, request: &Request, info: &StreamInfo) -> Result<(Outline, Vec<Step>), Fault> {
        let (id, stream) = (request.spec.id, info.name());
        let name = argument(request, "name").ok_or_else(|| wrong(request, "a consumer needs a name").next("fill in `name`"))?;
        if Name::consumer(&format!("{stream}/{name}")).is_none() {
            return Err(wrong(request, format!("`{name}` cannot be a consumer's name")).next("no blanks, dots, slashes and wildcards"));
        }
        let filter = argument(request, "filter");
        if let Some(bad) = filter.filter(|filter| !is_subject(filter)) {
            return Err(wrong(request, format!("filter: `{bad}` is no subject")));
        }
        let refused = match self.api.consumer(id, stream, name).await {
            Ok(_) => Some(Fault::new(Kind::Rejected, id, format!("consumer:{stream}/{name}"), "there is such a consumer already")),
            Err(fault) if fault.kind == Kind::NotFound => None,
            Err(fault) => return Err(fault),
        };
        let from_now = argument(request, "from") == Some("latest");
        let mut config = json!({
            "durable_name": name, "ack_policy": "explicit", "deliver_policy": if from_now { "new" } else { "all" }, "replay_policy": "instant",
        });
        if let Some(filter) = filter {
            config["filter_subject"] = json!(filter);
        }
        match nanos(request, "ack_wait")? {
            0 => {}
            wait => config["ack_wait"] = json!(wait),
        }
        if let Some(most) = argument(request, "max_deliver").and_then(|most| most.parse::<i64>().ok()) {
            config["max_deliver"] = json!(most);
        }
        let rows = vec![
            ("stream", stream.to_owned()),
            ("subject", filter.unwrap_or("all").to_owned()),
            ("messages", figure::count(info.state.messages)),
        ];
        let what = if from_now { "what comes from now on" } else { "every message that is there" };
        let summary = format!("a consumer {stream}/{name} is made, which is given {what}");
        let undo = (&ops::DELETE_CONSUMER, Address::group(&request.address.integration, &format!("{stream}/{name}")));
        let outline = Outline { summary, touches: Amount::Exactly(0), rows, refused, undo: Some(undo), ..Outline::default() };
        // Without the action a server of 2.10 or later would change a consumer of this name that somebody has made meanwhile.
        let body = json!({ "stream_name": stream, "config": config, "action": "create" });
        let (what, call) = (format!("created {name}"), format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"));
        Ok((outline, vec![Step::on(info, what, call, body)]))
    }

    async fn create(&self, request: &Request) -> Result<(Outline, Vec<Step>), Fault> {
        let request = &Request { address: request.address.split(super::names::KINDS), ..request.clone() };
        let name = request.new_name()?;
        if request.address.kind.is_some_and(|kind| kind != "stream") {
            return Err(wrong(request, "this names no stream").next("write INTEGRATION/stream:NAME"));
        }
        Name::of(request.spec.id, &format!("stream:{name}"))?;
        let subjects: Vec<&str> = argument(request, "subjects").unwrap_or(name).split([',', ' ']).filter(|s| !s.is_empty()).collect();
        if let Some(bad) = subjects.iter().find(|subject| !is_subject(subject)) {
            return Err(wrong(request, format!("subjects: `{bad}` is no subject")));
        }
        let refused = match self.api.stream(request.spec.id, name).await {
            Ok(_) => Some(Fault::new(Kind::Rejected, request.spec.id, format!("stream:{name}"), "there is such a stream already")),
            Err(fault) if fault.kind == Kind::NotFound => None,
            Err(fault) => return Err(fault),
        };
        let number = |id: &str, default: i64| argument(request, id).and_then(|text| text.parse::<i64>().ok()).unwrap_or(default);
        let choice = |id: &str, default: &'static str| argument(request, id).unwrap_or(default).to_owned();
        let body = json!({
            "name": name, "subjects": subjects, "retention": choice("retention", "limits"), "storage": choice("storage", "file"),
            "num_replicas": number("replicas", 1), "max_msgs": number("max_messages", -1), "max_age": nanos(request, "max_age")?,
            "discard": "old", "allow_direct": true,
        });
        let rows =
            vec![("subjects", subjects.join(" ")), ("retention", choice("retention", "limits")), ("storage", choice("storage", "file"))];
        let outline = Outline {
            summary: format!("a stream {name} is made, which keeps what is published to {}", subjects.join(", ")),
            touches: Amount::Exactly(0),
            rows,
            refused,
            undo: Some(deletion(request, name)),
            ..Outline::default()
        };
        let on = On::New { info: format!("STREAM.INFO.{name}") };
        Ok((outline, vec![Step { what: format!("created {name}"), call: format!("STREAM.CREATE.{name}"), body, on }]))
    }

    async fn capture(&self, request: &Request) -> Result<(Outline, Vec<Step>), Fault> {
        let id = request.spec.id;
        let refused = match self.api.stream(id, ADVISORIES).await {
            Ok(_) => {
                Some(Fault::new(Kind::Rejected, id, format!("stream:{ADVISORIES}"), "the stream is there already: advisories are captured"))
            }
            Err(fault) if fault.kind == Kind::NotFound => None,
            Err(fault) => return Err(fault),
        };
        let week = 7 * 24 * 3_600_u64 * 1_000_000_000;
        let body = json!({
            "name": ADVISORIES, "subjects": DEAD, "retention": "limits", "storage": "file", "num_replicas": 1, "max_age": week,
            "max_msgs": 100_000, "discard": "old", "allow_direct": true,
            "description": "which messages their consumers gave up: made by mqdeck",
        });
        let outline = Outline {
            summary: format!("a stream {ADVISORIES} keeps what tells of messages that consumers gave up or terminated"),
            touches: Amount::Exactly(0),
            notes: vec!["it tells of those from now on: what was given up before is not known to anybody".to_owned()],
            rows: vec![("subjects", DEAD.join(" ")), ("keeps", "7 days, 100,000 advisories".to_owned())],
            refused,
            bounded: false,
            undo: Some(deletion(request, ADVISORIES)),
        };
        let (call, on) = (format!("STREAM.CREATE.{ADVISORIES}"), On::New { info: format!("STREAM.INFO.{ADVISORIES}") });
        Ok((outline, vec![Step { what: format!("created {ADVISORIES}"), call, body, on }]))
    }
}

#[async_trait]
impl Manage for NatsManage {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        ops::ALL
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        let (outline, steps) = self.outline(&request).await?;
        let steps = serde_json::to_string(&steps).map_err(|error| Fault::new(Kind::Usage, request.spec.id, "", error.to_string()))?;
        let rows = outline.rows.into_iter().map(|(what, value)| vec![what.into(), SafeText::from(value)]).collect();
        let undo = outline.undo.map(|(spec, address)| Request { spec, address, arguments: Vec::new() });
        Ok(Change {
            risk: request.spec.risk,
            summary: outline.summary.into(),
            tables: vec![Table { title: "now", columns: vec!["what", "value"], rows }],
            touches: outline.touches,
            notes: outline.notes.into_iter().map(SafeText::from).collect(),
            refused: outline.refused,
            steps: steps.into(),
            undo,
            bounded: outline.bounded,
            request,
        })
    }

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        let (id, target) = (change.request.spec.id, change.request.address.to_string());
        let steps: Vec<Step> = serde_json::from_str(&change.steps)
            .map_err(|error| Fault::new(Kind::Usage, id, target.as_str(), format!("the steps are not ours: {error}")))?;
        let mut done = Done::default();
        for step in steps {
            let said = self.apply(id, &target, &step).await;
            // A server that knows no such call never answers it.
            let said = said.map_err(|fault| match fault.kind {
                Kind::Timeout => fault.next("the server may be too old for this (pausing needs 2.11), or without a leader"),
                _ => fault,
            });
            done.parts.push((step.what.into(), said));
        }
        Ok(done)
    }
}

impl NatsManage {
    /// Makes one request of a plan, if what it is about is still what the plan saw.
    async fn apply(&self, id: &'static str, target: &str, step: &Step) -> Result<SafeText, Fault> {
        let rejected = |cause: &str, next: &str| Err(Fault::new(Kind::Rejected, id, target, cause.to_owned()).next(next.to_owned()));
        match &step.on {
            On::New { info } => match self.api.call::<Value>(id, target, info, &Value::Null).await {
                Ok(_) => return rejected("somebody else has made it since the plan", "nothing was done; look at it"),
                Err(fault) if fault.kind == Kind::NotFound => {}
                Err(fault) => return Err(fault),
            },
            On::Made { info, created, last } => {
                let found: Value = self.api.call(id, target, info, &Value::Null).await?;
                if text(&found, "created") != created {
                    let cause = "it was deleted and made again since the plan: this is another one";
                    return rejected(cause, "nothing was done; look at it, and plan again");
                }
                let now = found.pointer("/state/last_seq").and_then(Value::as_u64);
                if let (Some(last), Some(now)) = (last, now)
                    && now > *last
                {
                    let cause =
                        format!("{} came since it was planned, and would be deleted with it", figure::several(now - last, "message"));
                    return rejected(&cause, "nothing was done; stop who publishes to it, and plan again");
                }
            }
        }
        let answer: Value = self.api.call(id, target, &step.call, &step.body).await?;
        let purged = answer.get("purged").and_then(Value::as_u64);
        Ok(purged.map_or_else(|| step.what.clone(), |purged| format!("{}: {} messages", step.what, figure::count(purged))).into())
    }
}

fn argument<'a>(request: &'a Request, id: &str) -> Option<&'a str> {
    request.argument(id).map(str::trim).filter(|value| !value.is_empty())
}

fn wrong(request: &Request, cause: impl Into<SafeText>) -> Fault {
    Fault::new(Kind::Usage, request.spec.id, request.address.to_string(), cause)
}

fn nanos(request: &Request, id: &str) -> Result<u64, Fault> {
    let Some(text) = argument(request, id) else { return Ok(0) };
    let duration = parse_duration(text).ok().and_then(|duration| std::time::Duration::try_from(duration).ok());
    let nanos = duration.and_then(|duration| u64::try_from(duration.as_nanos()).ok());
    nanos.ok_or_else(|| wrong(request, format!("{id}: `{text}` is no duration: write 7d, 12h, 30m")))
}

fn until(request: &Request) -> Result<jiff::Timestamp, Fault> {
    let nanos = nanos(request, "for")?;
    let nanos = if nanos == 0 { 3_600_000_000_000 } else { nanos };
    jiff::Timestamp::now()
        .checked_add(jiff::SignedDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)))
        .map_err(|_| wrong(request, "for: this is too long"))
}

/// What takes the making of a stream back; its own plan says what has come into it since.
fn deletion(request: &Request, stream: &str) -> (&'static OperationSpec, Address) {
    (&ops::DELETE, Address::new(&request.address.integration, &stream_channel(stream)))
}

async fn purge(api: &Api, request: &Request, info: &StreamInfo) -> Result<(Outline, Vec<Step>), Fault> {
    let name = info.name();
    let number = |id: &str| argument(request, id).and_then(|text| text.parse::<u64>().ok());
    let (subject, before, keep) = (argument(request, "subject"), number("before"), number("keep"));
    if keep.is_some() && before.is_some() {
        return Err(wrong(request, "`keep` and `before` cannot both be given: they are two ways to say how much is deleted"));
    }
    if let Some(bad) = subject.filter(|subject| !is_subject(subject)) {
        return Err(wrong(request, format!("subject: `{bad}` is no subject")));
    }
    let cut = match (before, keep) {
        (None, Some(keep)) => purge::kept(api, request.spec.id, info, subject, keep).await?,
        (before, _) => Cut::before(info, before.unwrap_or(u64::MAX), subject),
    };
    let what = subject.map_or_else(|| "messages".to_owned(), |subject| format!("messages of {subject}"));
    let nothing = cut.before <= info.first() || info.state.messages == 0 || cut.touches == Amount::Exactly(0);
    let refused = if nothing {
        Some(Fault::new(Kind::NotFound, request.spec.id, format!("stream:{name}"), "nothing is to be deleted: no message is that old"))
    } else {
        forbidden(request, info, "deny_purge", "the stream denies purging (deny_purge)")
    };
    let mut body = json!({ "seq": cut.before });
    if let Some(subject) = subject {
        body["filter"] = json!(subject);
    }
    let mut rows = now(info);
    rows.push(("deleted before", format!("sequence {}", cut.before)));
    let outline = Outline {
        summary: format!("{what} of stream {name} before sequence {} are deleted", cut.before),
        touches: cut.touches,
        notes: vec![
            "they are gone for good, from the stream and from its consumers".to_owned(),
            "what is published from now on stays".to_owned(),
        ],
        rows,
        refused,
        bounded: true,
        ..Outline::default()
    };
    Ok((outline, vec![Step::on(info, format!("purged {name}"), format!("STREAM.PURGE.{name}"), body)]))
}

/// Why a stream lets nothing be deleted, if it does not.
fn forbidden(request: &Request, info: &StreamInfo, flag: &str, cause: &'static str) -> Option<Fault> {
    let fault = |cause: &str| Fault::new(Kind::Rejected, request.spec.id, format!("stream:{}", info.name()), cause.to_owned());
    if info.flag("sealed") {
        return Some(fault("the stream is sealed: nothing in it changes any more").next("it can only be deleted whole: stream.delete"));
    }
    info.flag(flag).then(|| fault(cause).next("this cannot be switched off; the stream can only be deleted whole: stream.delete"))
}

fn delete_message(request: &Request, info: &StreamInfo) -> Result<(Outline, Vec<Step>), Fault> {
    let name = info.name();
    let seq = argument(request, "sequence")
        .and_then(|text| text.parse::<u64>().ok())
        .ok_or_else(|| wrong(request, "which? `sequence` is missing"))?;
    let erase = argument(request, "erase") == Some("yes");
    let refused = (seq < info.first() || seq >= info.end())
        .then(|| Fault::new(Kind::NotFound, request.spec.id, format!("stream:{name}#{seq}"), "the stream has no message of this sequence"))
        .or_else(|| forbidden(request, info, "deny_delete", "the stream denies deleting messages (deny_delete)"));
    let outline = Outline {
        summary: format!("message {seq} of stream {name} is deleted"),
        touches: Amount::Exactly(1),
        notes: vec![if erase { "its bytes are overwritten" } else { "its bytes stay on disk until its block is cleaned up" }.to_owned()],
        rows: now(info),
        refused,
        bounded: true,
        undo: None,
    };
    let body = json!({ "seq": seq, "no_erase": !erase });
    Ok((outline, vec![Step::on(info, format!("deleted {seq}"), format!("STREAM.MSG.DELETE.{name}"), body)]))
}

fn delete_stream(info: &StreamInfo) -> (Outline, Vec<Step>) {
    let name = info.name();
    let outline = Outline {
        summary: format!("stream {name} is deleted with its messages and its consumers"),
        touches: Amount::Exactly(info.state.messages),
        notes: vec![
            "publishers to its subjects get no acknowledgement any more".to_owned(),
            "refused if messages have come by then; only what comes in the moment of the deletion is deleted with it".to_owned(),
        ],
        rows: now(info),
        ..Outline::default()
    };
    let on = On::Made { info: format!("STREAM.INFO.{name}"), created: info.created.clone(), last: Some(info.end().saturating_sub(1)) };
    let (what, call) = (format!("deleted {name}"), format!("STREAM.DELETE.{name}"));
    (outline, vec![Step { what, call, body: Value::Null, on }])
}

fn now(info: &StreamInfo) -> Vec<(&'static str, String)> {
    vec![
        ("messages", figure::count(info.state.messages)),
        ("bytes", figure::bytes(info.state.bytes)),
        ("consumers", info.state.consumer_count.to_string()),
        ("retention", text(&info.config, "retention").to_owned()),
    ]
}
