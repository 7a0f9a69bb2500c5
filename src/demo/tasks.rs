//! Seed 1's tasks: what is asked, what became of it, what was told meanwhile, and what died.

use super::topics::{EVENTS, TENANTS};
use crate::domain::message::{Header, Outgoing};
use crate::domain::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};

const TYPES: [&str; 3] = ["STATELESS", "STATEFUL", "PIPELINE"];
const OPERATIONS: [&str; 6] = ["summarise", "embed", "classify", "transcode", "reconcile", "render-report"];
const SITES: [&str; 4] = ["fra", "iad", "sin", "gru"];

/// How tasks die: exception, message, and the place it was thrown at.
const FAILURES: [(&str, &str, &str); 3] = [
    ("io.grey.worker.TimeoutException", "enclave did not answer within 30000 ms", "io.grey.worker.Enclave.call(Enclave.java:214)"),
    ("java.lang.IllegalArgumentException", "unknown model: gpt-neox-∞", "io.grey.worker.Models.load(Models.java:88)"),
    ("org.apache.avro.AvroTypeException", "Expected field name not found: tenant_id", "io.grey.worker.Codec.decode(Codec.java:51)"),
];
/// The group of those who work tasks off.
pub(super) const GROUP: &str = "grey-cluster";

/// One task of a tenant.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) id: String,
    /// Index into [`TENANTS`].
    pub(super) tenant: usize,
    trace: String,
}

impl Task {
    pub(super) fn new(rng: &mut Rng) -> Self {
        // One tenant is much busier than the others.
        let tenant = [0, 0, 0, 1, 1, 2][rng.usize(..6)];
        let trace = format!("00-{:032x}-{:016x}-01", rng.u128(1..), rng.u64(1..));
        Self { id: format!("task-{:08x}", rng.u32(..)), tenant, trace }
    }

    /// The task that a message of a task topic asks for.
    pub(super) fn read(key: Option<&[u8]>, headers: &[Header], tenant: usize) -> Option<Self> {
        let id = String::from_utf8(key?.to_vec()).ok()?;
        let trace = headers.iter().find(|header| &header.name[..] == b"traceparent")?.value.as_deref()?;
        Some(Self { id, tenant, trace: String::from_utf8_lossy(trace).into_owned() })
    }

    pub(super) fn tenant_name(&self) -> &'static str {
        TENANTS[self.tenant]
    }

    /// `TaskPayload`.
    pub(super) fn payload(&self, rng: &mut Rng, at: Timestamp) -> Outgoing {
        let work = json!({"op": rng.choice(OPERATIONS), "input": format!("s3://{}/in/{}", self.tenant_name(), self.id), "tokens": rng.u32(100..120_000)});
        let idempotency = rng.bool().then(|| format!("idem-{:06x}", rng.u32(..1 << 24)));
        let body = json!({
            "task_id": self.id,
            "tenant_id": self.tenant_name(),
            "task_type": rng.choice(TYPES),
            "payload": STANDARD.encode(work.to_string()),
            "priority": rng.u8(1..=10),
            "require_tee": rng.u8(..10) == 0,
            "idempotency_key": idempotency,
            "headers": {"origin": format!("api-{}", rng.u8(1..4)), "region": rng.choice(SITES)},
        });
        let mut message = message(&self.id, &body, at);
        message.headers = vec![header("content-type", "application/json"), header("traceparent", &self.trace)];
        message
    }

    /// `TaskResult`; `failure` is one of those that [`failure`] draws.
    pub(super) fn result(&self, rng: &mut Rng, at: Timestamp, failure: Option<usize>) -> Outgoing {
        let done = failure.is_none();
        let result = done.then(|| STANDARD.encode(format!("{{\"score\":0.{:04},\"pages\":{}}}", rng.u32(..10_000), rng.u8(1..40))));
        let proof = (done && rng.u8(..4) == 0).then(|| STANDARD.encode(rng.u128(..).to_be_bytes()));
        let body = json!({
            "task_id": self.id,
            "tenant_id": self.tenant_name(),
            "status": if done { "COMPLETED" } else { "FAILED" },
            "result": result,
            "error": failure.map(|which| format!("{}: {}", FAILURES[which].0, FAILURES[which].1)),
            "proof": proof,
            "duration_ms": rng.u32(40..9_000),
            "completed_at": at.0,
        });
        let mut message = message(&self.id, &body, at);
        message.headers = vec![header("content-type", "application/json"), header("traceparent", &self.trace)];
        message
    }

    /// `TaskEvent`: submitted, started, completed or failed.
    pub(super) fn event(&self, rng: &mut Rng, at: Timestamp, kind: &str) -> (&'static str, Outgoing) {
        let body = json!({
            "event_id": format!("{:016x}", rng.u64(..)),
            "event_type": kind,
            "task_id": self.id,
            "tenant_id": self.tenant_name(),
            "node": format!("{}-{:02}", rng.choice(SITES).unwrap_or("fra"), rng.u8(1..9)),
            "at": at.0,
        });
        let mut message = message(self.tenant_name(), &body, at);
        message.headers = vec![header("event_type", kind), header("tenant_id", self.tenant_name()), header("task_id", &self.id)];
        (EVENTS, message)
    }
}

/// Now and then a way to fail.
pub(super) fn failure(rng: &mut Rng) -> Option<usize> {
    (rng.u8(..100) < 3).then(|| rng.usize(..FAILURES.len()))
}

/// Where a dead message was.
pub(super) struct Origin<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: Timestamp,
}

/// A message as Spring's `DeadLetterPublishingRecoverer` leaves it: its bytes as they were, and headers with numbers in raw big-endian.
pub(super) fn dead(message: &Outgoing, origin: &Origin<'_>, which: usize, at: Timestamp) -> Outgoing {
    let (class, text, place) = FAILURES[which];
    let trace = format!(
        "org.springframework.kafka.listener.ListenerExecutionFailedException: Listener failed; {class}: {text}\n\tat {place}\n\t\
         at io.grey.worker.TaskListener.onMessage(TaskListener.java:63)\nCaused by: {class}: {text}\n\t... 24 more\n"
    );
    let raw = |name: &'static str, bytes: &[u8]| Header { name: name.into(), value: Some(Bytes::copy_from_slice(bytes)) };
    let mut dead = message.clone();
    dead.timestamp = Some(at);
    dead.headers.extend([
        header("kafka_dlt-exception-fqcn", "org.springframework.kafka.listener.ListenerExecutionFailedException"),
        header("kafka_dlt-exception-cause-fqcn", class),
        header("kafka_dlt-exception-message", text),
        header("kafka_dlt-exception-stacktrace", &trace),
        header("kafka_dlt-original-topic", origin.topic),
        raw("kafka_dlt-original-partition", &origin.partition.to_be_bytes()),
        raw("kafka_dlt-original-offset", &origin.offset.to_be_bytes()),
        raw("kafka_dlt-original-timestamp", &origin.timestamp.0.to_be_bytes()),
        header("kafka_dlt-original-timestamp-type", "CreateTime"),
        header("kafka_dlt-original-consumer-group", GROUP),
    ]);
    dead
}

pub(super) fn message(key: &str, body: &Value, at: Timestamp) -> Outgoing {
    Outgoing {
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        payload: Some(body.to_string().into()),
        timestamp: Some(at),
        ..Outgoing::default()
    }
}

pub(super) fn header(name: &'static str, value: &str) -> Header {
    Header { name: name.into(), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}
