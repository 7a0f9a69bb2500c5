//! What is recognised, and which ids are found.

use super::*;
use bytes::Bytes;

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn object(entries: &[(&str, Value)]) -> Value {
    Value::Object(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn header(name: &str, value: &str) -> Header {
    Header { name: Bytes::copy_from_slice(name.as_bytes()), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}

fn metadata(more: &[(&str, Value)]) -> Value {
    let known = [("message_id", text("m-1")), ("timestamp", Value::Number("1770285600".into())), ("version", text("1.0"))];
    object(&[&known, more].concat())
}

fn described(headers: &[Header], value: &Value) -> Option<String> {
    let envelope = recognise(headers, value)?;
    let facts: Vec<String> = envelope.facts.iter().map(|(name, text)| format!("{name}={text}")).collect();
    Some(format!("{}: {}", envelope.name, facts.join(" ")))
}

#[test]
fn known_envelopes_are_told_by_what_they_keep() {
    let incident =
        object(&[("Escalated", object(&[("incident_id", text("i\u{1b}[2J")), ("escalation_level", Value::Number("2".into()))]))]);
    let enveloped = object(&[("payload", incident.clone()), ("metadata", metadata(&[("correlation_id", text("req-123"))]))]);
    let cloud = object(&[
        ("specversion", text("1.0")),
        ("id", text("e-1")),
        ("source", text("/shop\u{1b}")),
        ("type", text("order.paid")),
        ("data", Value::Null),
    ]);
    let domain = object(&[("event_type", text("PolicyProposed")), ("aggregate_id", text("p-7")), ("tenant_id", text("acme"))]);
    for (headers, value, expected) in [
        (
            vec![],
            &enveloped,
            "message envelope: event=incident escalated time=1770285600 (2026-02-05T10:00:00.000Z) message id=m-1 correlation=req-123 \
             version=1.0",
        ),
        (vec![], &incident, "incident escalated: "),
        (vec![], &cloud, "CloudEvents: type=order.paid source=/shop‹ESC› message id=e-1 version=1.0"),
        (vec![], &domain, "domain event: type=PolicyProposed aggregate=p-7 tenant=acme"),
        (
            vec![header("ce_specversion", "1.0"), header("CE_ID", "e-2"), header("ce_type", "order.paid")],
            &text("anything"),
            "CloudEvents, binary mode: type=order.paid message id=e-2 version=1.0",
        ),
    ] {
        assert_eq!(described(&headers, value).as_deref(), Some(expected));
    }
    assert_eq!(recognise(&[], &cloud).and_then(|envelope| envelope.body), Some(&Value::Null));
    assert_eq!(recognise(&[], &domain).map(|envelope| envelope.body), Some(None), "the whole payload is it");
}

#[test]
fn what_only_looks_alike_is_no_envelope() {
    for value in [
        Value::Null,
        object(&[]),
        object(&[("payload", Value::Null), ("metadata", object(&[]))]),
        object(&[("Created", object(&[("id", text("1"))]))]),
        object(&[("Created", object(&[("incident_id", text("1"))])), ("b", Value::Null)]),
        object(&[("id", text("1")), ("type", text("t"))]),
    ] {
        assert_eq!(recognise(&[header("ce_id", "1")], &value), None, "{value:?}");
    }
}

#[test]
fn ids_are_found_in_headers_and_payloads_and_each_is_said_once() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers =
        [header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01")), header("X-Correlation-Id", "req-1"), header("message-id", "")];
    let value = object(&[("id", text("order-7")), ("correlation_id", text("req-1")), ("metadata", metadata(&[]))]);
    let found: Vec<(IdKind, String)> = ids(&headers, Some(&value)).into_iter().map(|id| (id.kind, id.text)).collect();
    let expected =
        [(IdKind::Correlation, "req-1"), (IdKind::Trace, trace), (IdKind::Message, "m-1")].map(|(kind, id)| (kind, id.to_owned()));
    assert_eq!(found, expected, "an order's id is no message's");
    assert_eq!(ids(&[], None), []);
}

#[test]
fn the_query_of_ids_is_one_and_takes_them_as_they_are() {
    for id in ["req-1", "a \"quoted\" \\ id", "or", "x\u{202e}"] {
        let ids = [Id { kind: IdKind::Correlation, text: id.to_owned() }, Id { kind: IdKind::Trace, text: id.to_owned() }];
        let parsed = crate::domain::query::Query::parse(&query(&ids), &jiff::Zoned::default());
        assert!(parsed.is_ok(), "{id}: {parsed:?}");
    }
}

#[test]
fn an_id_that_is_no_text_is_found_again_by_its_bytes() {
    let binary = Header { name: "correlation-id".into(), value: Some(Bytes::from_static(b"\xfe\x00\"")) };
    let ids = ids(&[binary], None);
    assert_eq!(ids, [Id { kind: IdKind::Correlation, text: "\\xfe\0\"".to_owned() }]);
    assert!(query(&ids).contains(r#"headers."correlation-id" == b"\xfe\x00\"""#), "{}", query(&ids));
    crate::domain::query::Query::parse(&query(&ids), &jiff::Zoned::default()).expect("a query");
}
