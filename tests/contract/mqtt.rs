//! MQTT by a real Mosquitto: publishing, live and retained messages, topics seen; with paho as the other side.

use crate::support::mosquitto::{Peer, connect, shared};
use crate::support::subjects::{Listener, header, read};
use crate::support::{SOON, clients, unique};
use mqdeck::adapters::session::Session;
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::{Header, Message, Outgoing, Stamp};
use mqdeck::domain::operation::Request;
use mqdeck::domain::position::{Bound, Range};
use mqdeck::domain::receipt::Receipt;
use std::sync::Arc;
use std::time::Duration;

const WHOLE: Range = Range { start: Bound::Earliest, end: Bound::Latest };

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

fn at(qos: &str, payload: &str) -> Outgoing {
    Outgoing { options: vec![("qos", qos.to_owned())], ..text(payload) }
}

fn kept(payload: &str) -> Outgoing {
    Outgoing { options: vec![("qos", "1".to_owned()), ("retain", "yes".to_owned())], ..text(payload) }
}

async fn publish(session: &Session, topic: &str, message: Outgoing) -> Result<Receipt, Fault> {
    session.publish.as_ref().expect("MQTT takes messages").publish(topic, message).await
}

fn said(message: &Message, name: &str) -> Option<String> {
    let found = message.headers.iter().find(|header| header.name == name.as_bytes())?;
    Some(String::from_utf8_lossy(found.value.as_deref().expect("a value")).into_owned())
}

/// Everything that MQTT 5 can say of a message, as headers.
fn everything() -> Vec<Header> {
    vec![
        header("mqtt-qos", Some(b"2")),
        header("mqtt-payload-format", Some(b"text")),
        header("mqtt-expiry", Some(b"600")),
        header("mqtt-content-type", Some(b"application/json")),
        header("mqtt-response-topic", Some("answers/ü".as_bytes())),
        header("mqtt-correlation-data", Some(b"\x00\xff")),
        header("b", Some(b"2")),
        header("a", Some(b"1")),
        header("b", Some(b"2")),
        header("empty", Some(b"")),
    ]
}

const DIGITS: &str = r#"{"n":9007199254740993}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_reaches_another_client_with_everything_that_it_says() {
    let Some(broker) = shared() else { return };
    let topic = format!("{}/ü", unique("out"));
    let Some(mut peer) = Peer::start(&["take", broker.port(), &topic, "2"]) else { return };
    let session = broker.session(&[]).await;
    let rich = Outgoing { headers: everything(), ..text(DIGITS) };
    assert_eq!(publish(&session, &topic, rich).await, Ok(Receipt::Accepted));
    let first: serde_json::Value = serde_json::from_str(&peer.line()).expect("JSON");
    let expected = serde_json::json!({
        "topic": topic, "payload": hex(DIGITS.as_bytes()), "qos": 2, "retain": false, "text": true, "expiry": 600,
        "content_type": "application/json", "response_topic": "answers/ü", "correlation": "00ff",
        "user": [["b", "2"], ["a", "1"], ["b", "2"], ["empty", ""]],
    });
    assert_eq!(first, expected);
    let bytes = Outgoing { payload: Some((0..=255).collect()), ..Outgoing::default() };
    assert_eq!(publish(&session, &topic, bytes).await, Ok(Receipt::Accepted));
    let second: serde_json::Value = serde_json::from_str(&peer.line()).expect("JSON");
    assert_eq!((&second["payload"], &second["qos"]), (&hex(&(0..=255).collect::<Vec<u8>>()).into(), &1.into()));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_client_publishes_is_seen_with_everything_that_it_says() {
    let Some(broker) = shared() else { return };
    let topic: Arc<str> = unique("in").into();
    let session = broker.session(&[]).await;
    let mut tail = Listener::start(&session, std::slice::from_ref(&topic)).await;
    let Some(rich) = clients::script("mosquitto/peer.py", &["rich", broker.port(), &topic]) else { return };
    clients::run(rich);
    tail.until("the message", SOON, |tail| tail.messages.len() == 1).await;
    let message = &tail.messages[0];
    assert_eq!((&message.channel, message.stamp, &message.key), (&topic, Stamp::Seen, &None));
    assert_eq!((&message.headers, message.payload.as_deref()), (&everything(), Some(DIGITS.as_bytes())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_promises_what_the_broker_said_and_no_more() {
    let Some(broker) = shared() else { return };
    let (newer, older) = (broker.session(&[("version", "5")]).await, broker.session(&[("version", "3.1.1")]).await);
    let (lonely, heard) = (unique("lonely"), unique("heard"));
    let _listener = Listener::start(&newer, &[heard.as_str().into()]).await;
    for (session, topic, message, receipt) in [
        (&newer, &heard, at("0", "x"), Receipt::Unconfirmed),
        (&newer, &heard, at("1", "x"), Receipt::Accepted),
        (&newer, &heard, at("2", "x"), Receipt::Accepted),
        (&newer, &lonely, at("1", "x"), Receipt::Handed(0)),
        // Mosquitto does not look who is there before it answers at QoS 2.
        (&newer, &lonely, at("2", "x"), Receipt::Accepted),
        (&newer, &lonely, kept("x"), Receipt::Accepted),
        (&older, &heard, at("1", "x"), Receipt::Unconfirmed),
        (&older, &lonely, at("2", "x"), Receipt::Unconfirmed),
    ] {
        let shown = format!("{message:?}");
        assert_eq!(publish(session, topic, message).await, Ok(receipt), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_message_is_told_where_the_protocol_tells_and_never_called_taken() {
    let Some(broker) = shared() else { return };
    let reader = connect(broker.user("reader", &[])).await.expect("a session");
    // More of them than may be under way: a refused one must not count for ever.
    for n in 0..50 {
        for qos in ["1", "2"] {
            let fault = publish(&reader, "x/forbidden", at(qos, "x")).await.expect_err("reader may not publish");
            assert_eq!((fault.kind, fault.op), (Kind::Forbidden, "publish to"), "{n} at QoS {qos}: {fault}");
            assert!(!fault.next.as_str().is_empty(), "{fault}");
        }
    }
    let sensor = connect(broker.user("sensor1", &[])).await.expect("a session");
    for qos in ["1", "2"] {
        let receipt = publish(&sensor, "sensors/sensor1/t", at(qos, "1")).await.expect("its own topic");
        assert!(matches!(receipt, Receipt::Accepted | Receipt::Handed(0)), "{receipt}");
    }
    let older = connect(broker.user("reader", &[("version", "3.1.1")])).await.expect("a session");
    assert_eq!(publish(&older, "x/forbidden", at("1", "x")).await, Ok(Receipt::Unconfirmed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_subscription_is_told_in_both_versions() {
    let Some(broker) = shared() else { return };
    for (version, kind) in [("5", Kind::Forbidden), ("3.1.1", Kind::Rejected)] {
        let session = connect(broker.integration("RULES", &[("version", version)])).await.expect("a session");
        let channels = ["open/#".into(), "secret/plans".into()];
        let fault = session.tail.as_ref().expect("a tail").tail(&channels).await.err().expect("it is forbidden");
        assert_eq!(fault.kind, kind, "{version}: {fault}");
        assert!(fault.target.as_str() == "secret/plans" && fault.next.as_str().contains("access list"), "{version}: {fault}");
        let fault = read(&session, "secret/#", WHOLE).await.expect_err("it is forbidden");
        assert_eq!(fault.kind, kind, "{version}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_does_not_take_is_refused_before_it_costs_the_connection() {
    let Some(broker) = shared() else { return };
    let session = broker.session(&[]).await;
    let topic = unique("large");
    let mut tail = Listener::start(&session, &[topic.as_str().into()]).await;
    let large = Outgoing { payload: Some(vec![b'x'; 1_000_000].into()), ..Outgoing::default() };
    let fault = publish(&session, &topic, large).await.expect_err("larger than max_packet_size");
    assert_eq!(fault.kind, Kind::Rejected, "{fault}");
    assert!(fault.cause.as_str().contains("1000000 bytes"), "{fault}");
    let fits = Outgoing { payload: Some(vec![b'x'; 990_000].into()), ..Outgoing::default() };
    assert_eq!(publish(&session, &topic, fits).await, Ok(Receipt::Accepted));
    tail.until("the large message", SOON, |tail| tail.messages.len() == 1).await;
    for (topic, message, kind, word) in [
        ("a/#", text("x"), Kind::Usage, "filter is not a topic"),
        ("a", Outgoing { key: Some("k".into()), ..text("x") }, Kind::Usage, "no key"),
        ("a", Outgoing::default(), Kind::Usage, "have a value"),
        ("a", at("3", "x"), Kind::Usage, "not 0, 1 or 2"),
    ] {
        let fault = publish(&session, topic, message).await.expect_err(word);
        assert!(fault.kind == kind && fault.cause.as_str().contains(word), "{fault}");
    }
    let older = broker.session(&[("version", "3.1.1")]).await;
    let with_header = Outgoing { headers: vec![header("a", Some(b"1"))], ..text("x") };
    let fault = publish(&older, "a", with_header).await.expect_err("3.1.1 has no headers");
    assert!(fault.cause.as_str().contains("no headers"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_begins_now_and_has_each_message_once_whatever_filters_have_it() {
    let Some(broker) = shared() else { return };
    for version in ["5", "3.1.1"] {
        let session = broker.session(&[("version", version)]).await;
        let root = unique("tail");
        publish(&session, &format!("{root}/old/t"), kept("before")).await.expect("sent");
        let filters = [format!("{root}/+/t"), format!("{root}/#"), format!("{root}/a/t")].map(Arc::<str>::from);
        let mut tail = Listener::start(&session, &filters).await;
        let Some(script) = clients::script("mosquitto/peer.py", &["publish", broker.port(), &format!("{root}/a/t"), "5000", "1", "5"])
        else {
            return;
        };
        clients::run(script);
        tail.until("all of them", SOON, |tail| tail.messages.len() >= 5_000).await;
        tail.for_a_while(Duration::from_millis(300)).await;
        let numbers: Vec<String> =
            tail.messages.iter().map(|m| String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()).into_owned()).collect();
        assert_eq!(numbers, (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>(), "{version}");
        assert_eq!(tail.said, [], "{version}");
        assert_eq!(said(&tail.messages[0], "mqtt-qos").as_deref(), Some("1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_are_history_and_are_cleared_by_a_plan() {
    let Some(broker) = shared() else { return };
    let session = broker.session(&[]).await;
    let root = unique("kept");
    let filter = format!("{root}/#");
    for n in 0..30 {
        publish(&session, &format!("{root}/{n:02}/state"), kept(&n.to_string())).await.expect("kept");
    }
    publish(&session, &format!("{root}/30/state"), text("live")).await.expect("sent");
    let found = read(&session, &filter, WHOLE).await.expect("history");
    let names: Vec<String> = found.iter().map(|message| message.channel.to_string()).collect();
    assert_eq!(names, (0..30).map(|n| format!("{root}/{n:02}/state")).collect::<Vec<_>>());
    assert!(found.iter().all(|message| said(message, "mqtt-retain").as_deref() == Some("true")));
    let one = read(&session, &format!("{root}/07/state"), WHOLE).await.expect("history");
    assert_eq!(one[0].payload.as_deref(), Some(&b"7"[..]));
    for (start, end, count) in
        [(Bound::BeforeEnd(3), Bound::Latest, 3), (Bound::Latest, Bound::Latest, 0), (Bound::Earliest, Bound::BeforeEnd(29), 1)]
    {
        assert_eq!(read(&session, &filter, Range { start, end }).await.expect("history").len(), count, "{start}");
    }
    let fault = read(&session, &filter, Range { start: Bound::Each(3), end: Bound::Latest }).await.expect_err("no offsets here");
    assert_eq!(fault.kind, Kind::Usage, "{fault}");

    let manage = session.manage.as_ref().expect("MQTT is administered");
    let spec = *manage.operations().first().expect("an operation");
    let request = |filter: &str| Request { spec, address: format!("iot/{filter}").parse().expect("an address"), arguments: Vec::new() };
    let change = manage.plan(request(&format!("{root}/+/state"))).await.expect("a plan");
    assert_eq!((change.touches, change.tables[0].rows.len()), (Amount::Exactly(30), 30));
    // Nobody but the plan decides what is cleared.
    publish(&session, &format!("{root}/99/state"), kept("late")).await.expect("kept");
    let done = manage.apply(&change).await.expect("carried out");
    assert!(done.parts.len() == 30 && done.parts.iter().all(|(_, part)| part.is_ok()), "{done:?}");
    let left = read(&session, &filter, WHOLE).await.expect("history");
    assert_eq!(left.iter().map(|message| message.channel.to_string()).collect::<Vec<_>>(), [format!("{root}/99/state")]);
    let fault = manage.plan(request(&format!("{root}/00/state"))).await.expect_err("nothing is retained");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_cleared_is_told_in_both_versions() {
    let Some(broker) = shared() else { return };
    let topic = unique("sensors/sensor1/kept");
    let ops = connect(broker.user("ops", &[])).await.expect("a session");
    publish(&ops, &topic, kept("on")).await.expect("kept");
    for version in ["5", "3.1.1"] {
        let reader = connect(broker.user("reader", &[("version", version)])).await.expect("a session");
        let manage = reader.manage.as_ref().expect("MQTT is administered");
        let spec = *manage.operations().first().expect("an operation");
        let request = Request { spec, address: format!("iot/{topic}").parse().expect("an address"), arguments: Vec::new() };
        let change = manage.plan(request).await.expect("a plan");
        let done = manage.apply(&change).await.expect("carried out");
        let fault = done.parts[0].1.as_ref().expect_err("it is forbidden");
        assert_eq!(fault.kind, Kind::Forbidden, "{version}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_listed_as_they_are_seen_and_the_brokers_own_are_marked() {
    let Some(broker) = shared() else { return };
    let root = unique("seen");
    for version in ["5", "3.1.1"] {
        let session = broker.session(&[("version", version), ("topics", &format!("{root}/#"))]).await;
        publish(&session, &format!("{root}/state"), kept("on")).await.expect("kept");
        let listed = session.inspect.channels().await.expect("a list");
        assert!(listed.is_sorted_by(|a, b| a.name <= b.name), "{version}");
        let row = |name: &str| listed.iter().find(|row| *row.name == *name).unwrap_or_else(|| panic!("{version}: {name}"));
        let state = row(&format!("{root}/state"));
        assert_eq!((state.depth, state.bytes, state.internal), (Amount::Exactly(1), Amount::Exactly(2), false), "{version}");
        let asks =
            if version == "5" { &["tail", "history", "publish", "hold", "call"][..] } else { &["tail", "history", "publish", "hold"] };
        assert_eq!(state.can.words(), asks, "{version}");
        assert_eq!(row(&format!("{root}/#")).can.words(), ["tail", "history", "hold"], "{version}");
        let uptime = row("$SYS/broker/version");
        assert!(uptime.internal && !uptime.can.publish, "{version}");
        assert!(uptime.attributes.iter().any(|attribute| attribute.value.as_str().contains("mosquitto version")), "{version}");

        publish(&session, &format!("{root}/live/{version}"), text("1")).await.expect("sent");
        let name = format!("{root}/live/{version}");
        let began = std::time::Instant::now();
        let seen = loop {
            match session.inspect.describe(&name).await {
                Ok(seen) => break seen,
                Err(fault) => assert!(fault.kind == Kind::NotFound && began.elapsed() < SOON, "{fault}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(seen.channel.ends, Some(1), "{version}");
        // 3.1.1 does not say of a live message whether it is to be kept.
        let held = if version == "5" { Amount::Exactly(0) } else { Amount::Unknown };
        assert_eq!(seen.channel.depth, held, "{version}");
        let fault = session.inspect.describe(&format!("{root}/never")).await.expect_err("nobody published there");
        assert_eq!(fault.kind, Kind::NotFound, "{version}: {fault}");
        let filter = session.inspect.describe(&format!("{root}/+")).await.expect("a filter");
        assert_eq!(filter.tables[0].rows.len(), 1, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_carries_both_ways() {
    let Some(broker) = shared() else { return };
    let mut web = broker.integration("WS", &[]);
    web.endpoint.addresses = vec![format!("ws://{}/mqtt", broker.at("WS"))];
    let mut secure_web = broker.secure("WSS", "CA");
    secure_web.endpoint.addresses = vec![format!("wss://{}/", broker.at("WSS"))];
    let mut mutual = broker.secure("MTLS", "CA");
    if let Some(tls) = &mut mutual.endpoint.tls {
        tls.client = Some((broker.file("CERT_ALICE"), broker.file("KEY_ALICE")));
    }
    let mut other_name = broker.secure("WRONGHOST", "CA");
    if let Some(tls) = &mut other_name.endpoint.tls {
        tls.server_name = Some("broker.example".to_owned());
    }
    for (name, integration) in [
        ("TLS", broker.secure("TLS", "CA")),
        ("mTLS", mutual),
        ("server_name", other_name),
        ("websocket", web),
        ("websocket with TLS", secure_web),
    ] {
        let session = connect(integration).await.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let topic = unique("transport");
        let mut tail = Listener::start(&session, &[topic.as_str().into()]).await;
        let large = "x".repeat(300_000);
        assert_eq!(publish(&session, &topic, text(&large)).await, Ok(Receipt::Accepted), "{name}");
        tail.until("the message", SOON, |tail| tail.messages.len() == 1).await;
        assert_eq!(tail.messages[0].payload.as_deref(), Some(large.as_bytes()), "{name}");
    }
}
