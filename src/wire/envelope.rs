//! Seed 4's `MessageEnvelope` and `IncidentEvent`, recognised in a decoded payload and named in a few words.

use crate::domain::text::SafeText;
use crate::domain::value::Value;

/// The incident events of seed 4 with the fields that say most about each.
const INCIDENTS: [(&str, &str, &[&str]); 9] = [
    ("Created", "incident created", &["severity", "incident_type", "title"]),
    ("StateChanged", "incident state changed", &["old_state", "new_state"]),
    ("Assigned", "incident assigned", &["assignee"]),
    ("Resolved", "incident resolved", &["resolution_time_secs"]),
    ("Escalated", "incident escalated", &["escalation_level"]),
    ("CommentAdded", "incident comment added", &["comment_id", "author"]),
    ("PlaybookStarted", "incident playbook started", &["playbook_id"]),
    ("PlaybookCompleted", "incident playbook completed", &["playbook_id", "success"]),
    ("AlertCorrelated", "incident alert correlated", &["alert_id", "correlation_score"]),
];

/// Longer fields are cut in a label.
const LONGEST_FIELD: usize = 60;

/// A few words on what the payload is: `envelope from alert-service, message m-1 · incident created inc-001: critical, outage, …`.
/// `None` where it is neither an envelope nor an incident.
pub fn label(value: &Value) -> Option<SafeText> {
    match envelope(value) {
        Some((payload, words)) => Some(incident(payload).map_or(words.clone(), |incident| format!("{words} · {incident}")).into()),
        None => incident(value).map(SafeText::from),
    }
}

/// What is inside an envelope; the value itself where there is none.
pub fn payload(value: &Value) -> &Value {
    envelope(value).map_or(value, |(payload, _)| payload)
}

/// The payload and a description of `{payload, metadata {message_id, correlation_id, timestamp, source, version}}`.
fn envelope(value: &Value) -> Option<(&Value, String)> {
    let (payload, metadata) = (value.get("payload")?, value.get("metadata")?);
    let id = field(metadata, "message_id")?;
    metadata.get("timestamp")?;
    let version = field(metadata, "version")?;
    let mut words = match field(metadata, "source") {
        Some(source) => format!("envelope {version} from {source}, message {id}"),
        None => format!("envelope {version}, message {id}"),
    };
    if let Some(correlation) = field(metadata, "correlation_id") {
        words.push_str(", correlation ");
        words.push_str(&correlation);
    }
    Some((payload, words))
}

/// An event in the form in which serde writes an enum: `{"Created": {"incident_id": …}}`.
fn incident(value: &Value) -> Option<String> {
    let Value::Object(entries) = value else { return None };
    let [(name, body)] = &entries[..] else { return None };
    let (_, words, fields) = INCIDENTS.iter().find(|(event, ..)| *event == &**name)?;
    let id = field(body, "incident_id")?;
    let details: Vec<String> = fields.iter().filter_map(|name| field(body, name)).collect();
    let colon = if details.is_empty() { "" } else { ": " };
    Some(format!("{words} {id}{colon}{}", details.join(", ")))
}

/// A scalar field as it is printed.
fn field(value: &Value, name: &str) -> Option<String> {
    let shown = match value.get(name)? {
        Value::Null => return None,
        other => other.printed()?,
    };
    Some(shown.chars().take(LONGEST_FIELD).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json;

    fn labelled(text: &str) -> Option<String> {
        label(&json::read(text.as_bytes()).expect("JSON").value).map(|label| label.to_string())
    }

    #[test]
    fn envelopes_and_incidents_are_named() {
        for (text, expected) in [
            (
                r#"{"payload":{"a":1},"metadata":{"message_id":"m-1","correlation_id":"req-123","timestamp":1,"source":"alert-service","version":"1.0"}}"#,
                "envelope 1.0 from alert-service, message m-1, correlation req-123",
            ),
            (
                r#"{"payload":1,"metadata":{"message_id":"m-1","correlation_id":null,"timestamp":1,"source":null,"version":"1.0"}}"#,
                "envelope 1.0, message m-1",
            ),
            (
                r#"{"Created":{"incident_id":"inc-001","severity":"critical","incident_type":"outage","title":"Database down"}}"#,
                "incident created inc-001: critical, outage, Database down",
            ),
            (
                r#"{"PlaybookCompleted":{"incident_id":"inc-001","playbook_id":"p","success":true}}"#,
                "incident playbook completed inc-001: p, true",
            ),
            (
                r#"{"payload":{"Escalated":{"incident_id":"i\u001b[2J","escalation_level":2}},"metadata":{"message_id":"m","timestamp":1,"version":"1"}}"#,
                "envelope 1, message m · incident escalated i‹ESC›[2J: 2",
            ),
        ] {
            assert_eq!(labelled(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn other_payloads_have_no_label() {
        for text in [
            "1",
            "{}",
            r#"{"payload":1,"metadata":{}}"#,
            r#"{"payload":1,"metadata":{"message_id":"m","version":"1"}}"#,
            r#"{"Created":{"id":1}}"#,
            r#"{"Created":{"incident_id":"i"},"b":1}"#,
            r#"{"Unknown":{"incident_id":"i"}}"#,
        ] {
            assert_eq!(labelled(text), None, "{text}");
        }
    }

    #[test]
    fn the_payload_of_an_envelope_is_what_it_carries() {
        let wrapped = json::read(br#"{"payload":7,"metadata":{"message_id":"m","timestamp":1,"version":"1"}}"#).expect("JSON").value;
        assert_eq!(payload(&wrapped), &Value::Number("7".into()));
        assert_eq!(payload(&Value::Null), &Value::Null);
    }
}
