//! Envelopes: forms that messages are wrapped in, as a table of where each keeps what; and the ids that messages share. From seed 3
//! (domain events), seed 4 (message envelope, incident events) and `CloudEvents` 1.0 with its bindings.

use super::address::{escape_bytes, unescape_bytes};
use super::message::Header;
use super::query::Literal;
use super::text::SafeText;
use super::time::Timestamp;
use super::value::Value;
use std::borrow::Cow;

/// Longer fields are cut.
const LONGEST: usize = 200;

/// A path of names into a payload.
type Path = &'static [&'static str];

/// Where an envelope keeps what; of several places the first that is there counts.
#[derive(Debug)]
struct Known {
    name: &'static str,
    /// Paths of the payload that are all there.
    needs: &'static [Path],
    /// Names of headers that are all there, each in any of its spellings.
    marks: &'static [&'static [&'static str]],
    facts: &'static [(&'static str, Place)],
    /// What is wrapped; the whole payload where there is none.
    body: &'static [Path],
}

/// Where one fact stands.
#[derive(Debug)]
enum Place {
    Paths(&'static [Path]),
    Headers(&'static [&'static str]),
}

use Place::{Headers, Paths};

/// The envelopes that are known. The first that fits is it.
static KNOWN: [Known; 4] = [
    Known {
        name: "message envelope",
        needs: &[&["payload"], &["metadata", "message_id"], &["metadata", "timestamp"], &["metadata", "version"]],
        marks: &[],
        facts: &[
            ("source", Paths(&[&["metadata", "source"]])),
            ("time", Paths(&[&["metadata", "timestamp"]])),
            ("message id", Paths(&[&["metadata", "message_id"]])),
            ("correlation", Paths(&[&["metadata", "correlation_id"]])),
            ("trace", Paths(&[&["metadata", "trace_id"], &["metadata", "traceparent"]])),
            ("tenant", Paths(&[&["metadata", "tenant_id"], &["metadata", "tenant"]])),
            ("version", Paths(&[&["metadata", "version"]])),
        ],
        body: &[&["payload"]],
    },
    Known {
        name: "CloudEvents",
        needs: &[&["specversion"], &["id"], &["source"], &["type"]],
        marks: &[],
        facts: &[
            ("type", Paths(&[&["type"]])),
            ("source", Paths(&[&["source"]])),
            ("subject", Paths(&[&["subject"]])),
            ("time", Paths(&[&["time"]])),
            ("message id", Paths(&[&["id"]])),
            ("correlation", Paths(&[&["correlationid"]])),
            ("trace", Paths(&[&["traceparent"]])),
            ("tenant", Paths(&[&["tenantid"], &["tenant"]])),
            ("version", Paths(&[&["specversion"]])),
        ],
        body: &[&["data"], &["data_base64"]],
    },
    Known {
        name: "CloudEvents, binary mode",
        needs: &[],
        marks: &[
            &["ce_specversion", "ce-specversion", "cloudEvents:specversion", "cloudEvents_specversion"],
            &["ce_id", "ce-id", "cloudEvents:id", "cloudEvents_id"],
        ],
        facts: &[
            ("type", Headers(&["ce_type", "ce-type", "cloudEvents:type", "cloudEvents_type"])),
            ("source", Headers(&["ce_source", "ce-source", "cloudEvents:source", "cloudEvents_source"])),
            ("subject", Headers(&["ce_subject", "ce-subject", "cloudEvents:subject", "cloudEvents_subject"])),
            ("time", Headers(&["ce_time", "ce-time", "cloudEvents:time", "cloudEvents_time"])),
            ("message id", Headers(&["ce_id", "ce-id", "cloudEvents:id", "cloudEvents_id"])),
            ("trace", Headers(&["ce_traceparent", "ce-traceparent", "cloudEvents:traceparent", "cloudEvents_traceparent"])),
            ("version", Headers(&["ce_specversion", "ce-specversion", "cloudEvents:specversion", "cloudEvents_specversion"])),
        ],
        body: &[],
    },
    Known {
        name: "domain event",
        needs: &[&["event_type"], &["aggregate_id"]],
        marks: &[],
        facts: &[
            ("type", Paths(&[&["event_type"]])),
            ("aggregate", Paths(&[&["aggregate_id"]])),
            ("source", Paths(&[&["source"], &["metadata", "source"]])),
            ("time", Paths(&[&["timestamp"], &["occurred_at"], &["metadata", "timestamp"]])),
            ("message id", Paths(&[&["event_id"]])),
            ("correlation", Paths(&[&["correlation_id"], &["metadata", "correlation_id"]])),
            ("trace", Paths(&[&["trace_id"], &["traceparent"]])),
            ("tenant", Paths(&[&["tenant_id"], &["tenant"]])),
        ],
        body: &[&["payload"], &["data"]],
    },
];

/// The incident events of seed 4, in the form in which serde writes an enum.
const INCIDENTS: [(&str, &str); 9] = [
    ("Created", "incident created"),
    ("StateChanged", "incident state changed"),
    ("Assigned", "incident assigned"),
    ("Resolved", "incident resolved"),
    ("Escalated", "incident escalated"),
    ("CommentAdded", "incident comment added"),
    ("PlaybookStarted", "incident playbook started"),
    ("PlaybookCompleted", "incident playbook completed"),
    ("AlertCorrelated", "incident alert correlated"),
];

/// What a message is wrapped in.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<'v> {
    /// `message envelope`, `CloudEvents`, `domain event`, `incident created`.
    pub name: &'static str,
    /// `type`, `source`, `time`, `correlation`, … in the order of reading; what is not there is left out.
    pub facts: Vec<(&'static str, SafeText)>,
    /// What is wrapped; `None` where the whole payload is it.
    pub body: Option<&'v Value>,
}

/// Recognises the envelope of a message by its decoded payload and its headers.
pub fn recognise<'v>(headers: &[Header], value: &'v Value) -> Option<Envelope<'v>> {
    let fits = |known: &&Known| {
        let marked = known.marks.iter().all(|names| header(headers, names).is_some());
        marked && known.needs.iter().all(|path| at(value, path).is_some()) && known.needs.len() + known.marks.len() > 0
    };
    let Some(known) = KNOWN.iter().find(fits) else {
        let (name, body) = incident(value)?;
        return Some(Envelope { name, facts: Vec::new(), body: Some(body) });
    };
    let said = |(name, place): &(&'static str, Place)| {
        let text = fact(headers, value, place)?;
        Some((*name, if *name == "time" { moment(text) } else { text }))
    };
    let mut facts: Vec<(&'static str, SafeText)> = known.facts.iter().filter_map(said).collect();
    let body = known.body.iter().find_map(|path| at(value, path));
    if let Some((name, _)) = body.and_then(incident) {
        facts.insert(0, ("event", name.into()));
    }
    Some(Envelope { name: known.name, facts, body })
}

fn fact(headers: &[Header], value: &Value, place: &Place) -> Option<SafeText> {
    match place {
        Paths(paths) => paths.iter().find_map(|path| printed(at(value, path)?)),
        Headers(names) => header(headers, names).map(|text| short(&text)),
    }
}

/// A Unix time with what it means; above a hundred thousand million it counts milliseconds.
fn moment(text: SafeText) -> SafeText {
    let Ok(number) = text.as_str().parse::<i64>() else { return text };
    let millis = if number.abs() < 100_000_000_000 { number.saturating_mul(1_000) } else { number };
    format!("{text} ({})", Timestamp(millis)).into()
}

/// Its words, and what it carries.
fn incident(value: &Value) -> Option<(&'static str, &Value)> {
    let Value::Object(entries) = value else { return None };
    let [(name, body)] = &entries[..] else { return None };
    let (_, words) = INCIDENTS.iter().find(|(event, _)| *event == &**name)?;
    body.get("incident_id")?.printed()?;
    Some((words, body))
}

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn printed(value: &Value) -> Option<SafeText> {
    if *value == Value::Null { None } else { value.printed().map(|text| short(&text)) }
}

fn short(text: &str) -> SafeText {
    let cut: String = text.chars().take(LONGEST).collect();
    SafeText::new(&cut)
}

fn header<'h>(headers: &'h [Header], names: &[&str]) -> Option<Cow<'h, str>> {
    let named = |header: &&Header| names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(&header.name));
    let value = headers.iter().find(named).and_then(|header| header.value.as_deref())?;
    Some(std::str::from_utf8(value).map_or_else(|_| escape_bytes(value).into(), Cow::Borrowed))
}

/// What kind of id it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdKind {
    /// Of a request and everything that follows from it.
    Correlation,
    /// Of a trace (W3C trace context): 32 hexadecimal digits.
    Trace,
    /// Of one message.
    Message,
}

/// An id that other messages may have too; one that is no UTF-8 is written with the escapes of addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub kind: IdKind,
    pub text: String,
}

/// Where ids of a kind stand: names of headers, and paths of payloads as queries write them.
struct Places {
    kind: IdKind,
    headers: &'static [&'static str],
    paths: &'static [Path],
}

static PLACES: [Places; 3] = [
    Places {
        kind: IdKind::Correlation,
        headers: &[
            "correlation-id",
            "correlation_id",
            "correlationId",
            "x-correlation-id",
            "X-Correlation-Id",
            "Correlation-Id",
            "X-Request-Id",
            "x-request-id",
            "request-id",
            "ce_correlationid",
            // AMQP's own property, as its adapter names it.
            "amqp_correlation_id",
        ],
        paths: &[&["metadata", "correlation_id"], &["correlation_id"], &["correlationId"], &["correlationid"], &["request_id"]],
    },
    Places {
        kind: IdKind::Trace,
        headers: &["traceparent", "trace-id", "trace_id", "x-trace-id", "x-b3-traceid", "ce_traceparent", "ce-traceparent"],
        paths: &[&["traceparent"], &["trace_id"], &["traceId"], &["metadata", "trace_id"], &["metadata", "traceparent"]],
    },
    Places {
        kind: IdKind::Message,
        headers: &[
            "message-id",
            "message_id",
            "messageId",
            "x-message-id",
            "Nats-Msg-Id",
            "ce_id",
            "ce-id",
            "event_id",
            "x-original-id",
            "amqp_message_id",
        ],
        paths: &[&["metadata", "message_id"], &["message_id"], &["messageId"], &["event_id"], &["eventId"], &["id"], &["causation_id"]],
    },
];

impl IdKind {
    /// As people call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Correlation => "correlation id",
            Self::Trace => "trace id",
            Self::Message => "message id",
        }
    }
}

/// The ids of a message, each once: correlation before trace before the message's own.
pub fn ids(headers: &[Header], value: Option<&Value>) -> Vec<Id> {
    let mut found: Vec<Id> = Vec::new();
    for places in &PLACES {
        let said = places.headers.iter().filter_map(|name| header(headers, &[name]).map(Cow::into_owned));
        // Only an envelope's own `id` is a message's; anywhere else it is some thing's.
        let own = |path: &&Path| path.len() > 1 || path[0] != "id" || value.is_some_and(|value| value.get("specversion").is_some());
        let paths = places.paths.iter().filter(own);
        let told = paths.filter_map(|path| at(value?, path)).filter(|value| **value != Value::Null);
        let told = told.filter_map(|value| value.printed().map(Cow::into_owned));
        for text in said.chain(told) {
            let text = if places.kind == IdKind::Trace { trace_id(&text).unwrap_or(text) } else { text };
            let id = Id { kind: places.kind, text };
            if !id.text.is_empty() && id.text.len() <= LONGEST && !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}

/// The trace of a `traceparent`: `00-TRACE-SPAN-FLAGS`.
fn trace_id(text: &str) -> Option<String> {
    let trace = text.split('-').nth(1)?;
    (trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| trace.to_owned())
}

/// The query that is true for every message that has one of these ids where such ids stand.
pub fn query(ids: &[Id]) -> String {
    let mut tests = Vec::new();
    for id in ids {
        let bytes = unescape_bytes(&id.text);
        let mut wanted = vec![quoted(&id.text)];
        if std::str::from_utf8(&bytes).is_err() {
            wanted.push(Literal::Bytes(bytes).to_string());
        }
        for places in PLACES.iter().filter(|places| places.kind == id.kind) {
            for name in places.headers {
                // A traceparent has the trace in its middle.
                let is = if name.ends_with("traceparent") { "contains" } else { "==" };
                tests.extend(wanted.iter().map(|id| format!("headers.{} {is} {id}", quoted(name))));
            }
            for path in places.paths {
                let is = if path.last() == Some(&"traceparent") { "contains" } else { "==" };
                tests.extend(wanted.iter().map(|id| format!("value.{} {is} {id}", path.join("."))));
            }
        }
    }
    tests.join(" or ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
