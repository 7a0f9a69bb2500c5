//! Templates to publish by: the known envelopes and events, with ids and time filled in. From seed 3 (domain events), seed 4 (message
//! envelope, incident events) and `CloudEvents` 1.0.

use super::time::Timestamp;

/// A message to start from when publishing.
#[derive(Debug, PartialEq, Eq)]
pub struct Template {
    /// Stable name on the command line: `incident.created`.
    pub id: &'static str,
    pub title: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Body,
}

/// What a template's payload is. `{id}` and `{other}` become fresh ids, `{time}` the moment as RFC 3339, `{seconds}` as Unix time.
#[derive(Debug, PartialEq, Eq)]
enum Body {
    /// The payload of seed 4's message envelope.
    Wrapped(&'static str),
    /// A domain event of this type.
    Event(&'static str),
    Whole(&'static str),
}

const ENVELOPE: &str = r#"{
  "payload": {payload},
  "metadata": {
    "message_id": "{id}",
    "correlation_id": null,
    "timestamp": {seconds},
    "source": "mqdeck",
    "version": "1.0"
  }
}"#;

const EVENT: &str = r#"{
  "event_id": "{id}",
  "event_type": "{type}",
  "aggregate_id": "{other}",
  "timestamp": "{time}",
  "payload": {}
}"#;

const CLOUD_EVENT: &str = r#"{
  "specversion": "1.0",
  "id": "{id}",
  "source": "mqdeck",
  "type": "com.example.event",
  "time": "{time}",
  "datacontenttype": "application/json",
  "data": {}
}"#;

/// Every template, in the order of the list.
pub static TEMPLATES: [Template; 14] = [
    wrapped("envelope", "Message envelope", "{}"),
    wrapped(
        "incident.created",
        "Incident created",
        r#"{"Created": {"incident_id": "inc-001", "severity": "critical", "incident_type": "outage", "title": ""}}"#,
    ),
    wrapped(
        "incident.state-changed",
        "Incident state changed",
        r#"{"StateChanged": {"incident_id": "inc-001", "old_state": "new", "new_state": "acknowledged"}}"#,
    ),
    wrapped("incident.assigned", "Incident assigned", r#"{"Assigned": {"incident_id": "inc-001", "assignee": ""}}"#),
    wrapped("incident.resolved", "Incident resolved", r#"{"Resolved": {"incident_id": "inc-001", "resolution_time_secs": 3600}}"#),
    wrapped("incident.escalated", "Incident escalated", r#"{"Escalated": {"incident_id": "inc-001", "escalation_level": 2}}"#),
    wrapped(
        "incident.comment-added",
        "Incident comment added",
        r#"{"CommentAdded": {"incident_id": "inc-001", "comment_id": "{other}", "author": ""}}"#,
    ),
    wrapped(
        "incident.playbook-started",
        "Incident playbook started",
        r#"{"PlaybookStarted": {"incident_id": "inc-001", "playbook_id": ""}}"#,
    ),
    wrapped(
        "incident.playbook-completed",
        "Incident playbook completed",
        r#"{"PlaybookCompleted": {"incident_id": "inc-001", "playbook_id": "", "success": true}}"#,
    ),
    wrapped(
        "incident.alert-correlated",
        "Incident alert correlated",
        r#"{"AlertCorrelated": {"incident_id": "inc-001", "alert_id": "alert-001", "correlation_score": 0.9}}"#,
    ),
    event("policy.proposed", "Domain event: policy proposed", "PolicyProposed"),
    event("policy.enforced", "Domain event: policy enforced", "PolicyEnforced"),
    event("policy.revoked", "Domain event: policy revoked", "PolicyRevoked"),
    Template {
        id: "cloudevent",
        title: "CloudEvent, structured",
        headers: &[("content-type", "application/cloudevents+json")],
        body: Body::Whole(CLOUD_EVENT),
    },
];

const fn wrapped(id: &'static str, title: &'static str, payload: &'static str) -> Template {
    Template { id, title, headers: &[("content-type", "application/json")], body: Body::Wrapped(payload) }
}

/// A domain event of seed 3: its type and aggregate stand in the message's attributes too.
const fn event(id: &'static str, title: &'static str, kind: &'static str) -> Template {
    Template { id, title, headers: &[("event_type", "{type}"), ("aggregate_id", "{other}")], body: Body::Event(kind) }
}

impl Template {
    /// The template of that name.
    pub fn find(id: &str) -> Option<&'static Self> {
        TEMPLATES.iter().find(|template| template.id == id)
    }

    /// Its headers and its payload, with ids and time filled in; `random` is asked for the bits of the ids.
    pub fn filled(&self, now: Timestamp, mut random: impl FnMut() -> u64) -> (Vec<(&'static str, String)>, String) {
        let (id, other) = (uuid(now, &mut random), uuid(now, &mut random));
        let (whole, kind) = match self.body {
            Body::Wrapped(payload) => (ENVELOPE.replace("{payload}", payload), ""),
            Body::Event(kind) => (EVENT.to_owned(), kind),
            Body::Whole(whole) => (whole.to_owned(), ""),
        };
        let seconds = now.0.div_euclid(1_000).to_string();
        let fill = |text: &str| {
            let text = text.replace("{id}", &id).replace("{other}", &other).replace("{seconds}", &seconds);
            text.replace("{time}", &now.to_string()).replace("{type}", kind)
        };
        (self.headers.iter().map(|(name, value)| (*name, fill(value))).collect(), fill(&whole))
    }
}

/// A UUID of version 7 (RFC 9562 section 5.7): its moment, then bits of chance.
fn uuid(now: Timestamp, random: &mut impl FnMut() -> u64) -> String {
    let (a, b) = (random(), random());
    let (millis, high) = (now.0.max(0) as u64 & 0xffff_ffff_ffff, a & 0xfff);
    let variant = 0x8000 | ((a >> 16) & 0x3fff);
    format!("{:08x}-{:04x}-7{high:03x}-{variant:04x}-{:012x}", millis >> 16, millis & 0xffff, b & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_template_is_filled_with_what_nobody_had_before() {
        let now = Timestamp(1_770_300_432_123);
        let mut last = 0_u64;
        let mut random = || {
            last = last.wrapping_add(0x9e37_79b9_7f4a_7c15);
            last
        };
        let mut seen = HashSet::new();
        for template in &TEMPLATES {
            assert_eq!(Template::find(template.id), Some(template));
            let (headers, body) = template.filled(now, &mut random);
            assert!(seen.insert(body.clone()));
            for text in headers.iter().map(|(_, value)| value).chain([&body]) {
                assert!(!["{id", "{other", "{time", "{seconds", "{type", "{payload"].iter().any(|hole| text.contains(hole)), "{text}");
            }
            let parsed: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{}: {e}", template.id));
            assert!(parsed.is_object());
        }
    }

    #[test]
    fn ids_are_uuids_of_version_seven_and_grow_with_time() {
        let id = uuid(Timestamp(0x0123_4567_89ab), &mut || u64::MAX);
        assert_eq!(id, "01234567-89ab-7fff-bfff-ffffffffffff");
        let earlier = uuid(Timestamp(0x0123_4567_89aa), &mut || u64::MAX);
        assert!(earlier < uuid(Timestamp(0x0123_4567_89ab), &mut || 0));
    }
}
