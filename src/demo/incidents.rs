//! Seed 4's incident events, each in its `MessageEnvelope`.

use super::tasks::{header, message};
use super::topics::{CRITICAL, DEAD_INCIDENTS, INCIDENTS};
use crate::domain::message::Outgoing;
use crate::domain::time::Timestamp;
use fastrand::Rng;
use serde_json::{Value, json};

const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
const TITLES: [&str; 5] = [
    "Production database down",
    "Model latency above 4 s in eu-central",
    "Token budget of tenant globex exhausted",
    "Hallucination rate above threshold",
    "Größenlimit überschritten – 漢字 in prompt",
];
const PEOPLE: [&str; 4] = ["mira", "jonas", "aiko", "zoë"];

/// One message of seed 4, most often an incident event, sometimes a critical alert, seldom one that nobody could process.
pub(super) fn any(rng: &mut Rng, at: Timestamp) -> (&'static str, Outgoing) {
    match rng.u8(..100) {
        0..4 => (DEAD_INCIDENTS, undeliverable(rng, at)),
        4..18 => (CRITICAL, alert(rng, at)),
        _ => (INCIDENTS, incident(rng, at)),
    }
}

fn incident(rng: &mut Rng, at: Timestamp) -> Outgoing {
    let id = format!("inc-{:03}", rng.u16(1..400));
    let event = match rng.u8(..9) {
        0 => {
            json!({"Created": {"incident_id": id, "severity": rng.choice(SEVERITIES), "incident_type": "outage", "title": rng.choice(TITLES)}})
        }
        1 => json!({"StateChanged": {"incident_id": id, "old_state": "new", "new_state": "acknowledged"}}),
        2 => json!({"Assigned": {"incident_id": id, "assignee": rng.choice(PEOPLE)}}),
        3 => json!({"Resolved": {"incident_id": id, "resolution_time_secs": rng.u32(60..14_400)}}),
        4 => json!({"Escalated": {"incident_id": id, "escalation_level": rng.u8(1..4)}}),
        5 => json!({"CommentAdded": {"incident_id": id, "comment_id": format!("c-{}", rng.u16(..)), "author": rng.choice(PEOPLE)}}),
        6 => json!({"PlaybookStarted": {"incident_id": id, "playbook_id": "restart-replica"}}),
        7 => json!({"PlaybookCompleted": {"incident_id": id, "playbook_id": "restart-replica", "success": rng.bool()}}),
        _ => {
            let score = f64::from(rng.u32(..1_000)) / 1_000.0;
            json!({"AlertCorrelated": {"incident_id": id, "alert_id": format!("alert-{:03}", rng.u16(..999)), "correlation_score": score}})
        }
    };
    message(&id, &envelope(rng, &event, "incident-manager", at), at)
}

fn alert(rng: &mut Rng, at: Timestamp) -> Outgoing {
    let id = format!("alert-{:03}", rng.u16(..999));
    let alert = json!({"alert_id": id, "severity": "critical", "message": "Database connection lost"});
    message(&id, &envelope(rng, &alert, "alert-service", at), at)
}

/// What the consumer could not take, with its reason in plain headers.
fn undeliverable(rng: &mut Rng, at: Timestamp) -> Outgoing {
    let mut dead = incident(rng, at);
    if rng.bool() {
        // Cut off in the middle: that is why.
        dead.payload = dead.payload.map(|payload| payload.slice(..payload.len() / 2));
    }
    let attempts = rng.u8(3..6).to_string();
    dead.headers = vec![
        header("x-original-topic", INCIDENTS),
        header("x-error", "SerializationError: EOF while parsing an object"),
        header("x-attempts", &attempts),
    ];
    dead
}

fn envelope(rng: &mut Rng, payload: &Value, source: &str, at: Timestamp) -> Value {
    let correlation = rng.bool().then(|| format!("req-{}", rng.u16(..)));
    json!({
        "payload": payload,
        "metadata": {
            "message_id": format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", rng.u32(..), rng.u16(..), rng.u16(..4096), rng.u16(..4096), rng.u64(..1 << 48)),
            "correlation_id": correlation,
            "timestamp": at.0 / 1_000,
            "source": source,
            "version": "1.0",
        },
    })
}
