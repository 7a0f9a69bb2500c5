//! The built-in file, the blocks of a profile and the errors for their mistakes, and groups of letters.

use super::super::load::{Context, System, read};
use super::{DeadLetters, built_in};
use crate::domain::dead_letter::{Dialects, Failure, FailureGroups, KeyBy, Rate, Seen};
use crate::domain::message::{Header, HeaderTest};
use crate::domain::position::Position;
use crate::domain::query::{Record, Undecodable};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

/// A message whose payload is JSON, or is none.
pub(super) struct Sample {
    headers: Vec<Header>,
    payload: Option<Vec<u8>>,
    value: Option<Value>,
}

fn tree(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => Value::Number(number.to_string().into()),
        serde_json::Value::String(text) => Value::Text(text.into()),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(tree).collect()),
        serde_json::Value::Object(entries) => Value::Object(entries.into_iter().map(|(key, value)| (key.into(), tree(value))).collect()),
    }
}

pub(super) fn sample(headers: &[(&str, &[u8])], payload: &str) -> Sample {
    let header = |(name, value): &(&str, &[u8])| Header { name: (*name).to_owned().into(), value: Some(value.to_vec().into()) };
    let value = serde_json::from_str(payload).ok().map(tree);
    Sample { headers: headers.iter().map(header).collect(), payload: Some(payload.into()), value }
}

impl Record for Sample {
    fn topic(&self) -> &'static str {
        "letters"
    }
    fn partition(&self) -> Option<i32> {
        Some(0)
    }
    fn offset(&self) -> Option<i64> {
        Some(7)
    }
    fn timestamp(&self) -> Option<Timestamp> {
        None
    }
    fn size(&self) -> usize {
        0
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn any_header(&self, test: &mut HeaderTest<'_>) -> bool {
        self.headers.iter().any(|header| test(&header.name, header.value.as_deref()))
    }
    fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }
    fn value(&self) -> Result<Option<&Value>, Undecodable> {
        if self.payload.is_some() && self.value.is_none() { Err(Undecodable) } else { Ok(self.value.as_ref()) }
    }
    fn key_value(&self) -> Option<&Value> {
        None
    }
}

static BUILT_IN: LazyLock<Dialects> = LazyLock::new(|| DeadLetters::default().dialects());

/// Everything that a failure says, a line each, as far as it says something.
fn printed(failure: &Failure) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |name: &str, text: Option<String>| lines.extend(text.map(|text| format!("{name}={text}")));
    let origin = &failure.origin;
    add("from", Some(format!("{}/{}", failure.cause_from.as_deref().unwrap_or("-"), failure.route_from.as_deref().unwrap_or("-"))));
    add("origin", origin.channel.as_ref().map(ToString::to_string));
    add("at", origin.position.map(|position| format!("{}@{position}", origin.partition.map(|n| n.to_string()).unwrap_or_default())));
    add("made", origin.timestamp.map(|time| time.to_string()));
    add("consumer", origin.consumer.as_ref().map(ToString::to_string));
    add("exchange", origin.exchange.as_ref().map(|name| format!("{name:?}")));
    add("keys", (!origin.routing_keys.is_empty()).then(|| origin.routing_keys.join(",")));
    add("reason", failure.reason.as_ref().map(ToString::to_string));
    add("exception", failure.exception.as_ref().map(ToString::to_string));
    add("cause", failure.cause.as_ref().map(ToString::to_string));
    add("message", failure.message.as_ref().map(ToString::to_string));
    add("stack", (!failure.stack.is_empty()).then(|| failure.stack.len().to_string()));
    add("attempts", failure.attempts.map(|n| n.to_string()));
    add("first", failure.first.map(|time| time.to_string()));
    add("last", failure.last.map(|time| time.to_string()));
    for death in &failure.deaths {
        let channel = death.channel.as_deref().unwrap_or("-");
        let reason = death.reason.as_ref().map_or("-", |reason| reason.as_str());
        add("death", Some(format!("{channel} {reason} {:?}", death.count)));
    }
    if let Some(replayed) = &failure.replayed {
        add("replayed", Some(format!("{:?} {:?} {:?}", replayed.run, replayed.letter, replayed.attempt)));
    }
    lines.join("\n")
}

pub(super) fn check(name: &str, sample: &Sample, expected: &[&str]) {
    let failure = BUILT_IN.read(sample).unwrap_or_else(|| panic!("{name}: no dialect knows it"));
    assert_eq!(printed(&failure), expected.join("\n"), "{name}");
}

#[test]
fn the_built_in_file_is_right_and_names_every_dialect_once_in_each_order() {
    let (dialects, precedence, problems) = built_in();
    assert!(problems.0.is_empty(), "{problems}");
    let names: Vec<&str> = dialects.iter().map(|dialect| &*dialect.name).filter(|name| *name != "mqdeck").collect();
    for order in [&precedence.cause, &precedence.route] {
        let mut listed: Vec<&str> = order.iter().map(|name| &**name).collect();
        let mut all = names.clone();
        listed.sort_unstable();
        all.sort_unstable();
        assert_eq!(listed, all);
    }
}

pub(super) const JAVA: &[u8] = b"org.springframework.kafka.listener.ListenerExecutionFailedException: Listener failed\n\tat org.springframework.kafka.listener.Container.decorate(Container.java:2)\nCaused by: com.acme.SchemaMismatch: field \"currency\" missing\n\tat com.acme.Orders.handle(Orders.java:42)\n\t... 11 more\n";

/// Headers as Spring Kafka writes them: numbers big-endian.
pub(super) fn spring(topic: &'static [u8]) -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("kafka_dlt-original-topic", topic),
        ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
        ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 4, 0x12]),
        ("kafka_dlt-original-timestamp", &[0, 0, 1, 0x9c, 0x2d, 0x4e, 0x0c, 0x7b]),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", b"billing"),
    ]
}

#[test]
fn a_replays_mark_is_read_and_makes_no_letter() {
    let mark = ("x-mqdeck-replay", &br#"{"run":"r-7","letter":"events/orders.dlt#3@17","attempt":2}"#[..]);
    assert_eq!(BUILT_IN.read(&sample(&[mark], "{}")), None);
    let facts = ["replayed=Some(\"r-7\") Some(\"events/orders.dlt#3@17\") Some(2)"];
    check("replayed", &sample(&[mark, ("topic_poisoned", b"a")], "{}"), &[&["from=-/watermill", "origin=a"][..], &facts].concat());
}

#[test]
fn a_cause_and_a_route_come_from_the_dialects_that_tell_them() {
    let mut headers = spring(b"orders");
    headers.push(("reason_poisoned", b"boom"));
    let failure = BUILT_IN.read(&sample(&headers, "{}")).expect("a letter");
    let from = [failure.cause_from.as_deref(), failure.route_from.as_deref(), failure.origin.channel.as_deref()];
    assert_eq!(from, [Some("watermill"), Some("spring-kafka"), Some("orders")]);
}

#[test]
fn what_no_dialect_knows_is_no_letter() {
    for (headers, payload) in [
        (vec![], "{}"),
        (vec![("content-type", &b"application/json"[..]), ("x-delivery-count", b"3"), ("DeliveryCount", b"1")], r#"{"error_class":"x"}"#),
        (vec![("x-exception-message", b"who wrote this?")], "no json"),
        (vec![("topic_poisoned", b"")], ""),
        (vec![("x-death", b"[")], ""),
    ] {
        assert_eq!(BUILT_IN.read(&sample(&headers, payload)), None, "{headers:?}");
    }
    assert!(BUILT_IN.is_bookkeeping(b"x-death") && BUILT_IN.is_bookkeeping(b"MT-Host-MachineName"));
    assert!(!BUILT_IN.is_bookkeeping(b"content-type"));
}

const SYSTEMS: &[System] = &[System::named("kafka", &[("kafka", 9092)])];

fn load(blocks: &str) -> Result<std::sync::Arc<DeadLetters>, Vec<String>> {
    let text = format!("integration \"events\" {{\n  type = \"kafka\"\n  endpoint {{ address = \"one\" }}\n}}\n{blocks}");
    let loaded = read(&text, "p.hcl", "p", Path::new("/"), Context { systems: SYSTEMS, env: &|_| None, vars: &[] });
    loaded
        .map(|loaded| loaded.profile.dead_letters())
        .map_err(|problems| problems.0.iter().map(|p| format!("{}:{} {} | {}", p.line, p.column, p.message, p.help)).collect())
}

const OURS: &str = r#"
dialect "ours" {
  origin   = headers.x-original-topic
  position = { from = "headers.x-original-offset", as = "int64" }
  reason   = [value.error.code, headers.x-reason]
  last     = { from = headers.x-failed-at, as = "seconds" }
}
dead_letters "orders" {
  channel        = "events/orders.created.dlt"
  origin         = "events/orders.created"
  consumer       = "billing"
  dialect        = "ours"
  key            = value.error.code
  max_deliveries = 5
  within         = "14d"
}
"#;

#[test]
fn a_profile_declares_its_own_dialect_and_it_comes_before_all_others() {
    let letters = load(OURS).expect("blocks");
    let place = &letters.places[0];
    assert_eq!((place.channel.to_string().as_str(), place.max_deliveries), ("events/orders.created.dlt", Some(5)));
    assert_eq!(place.within, Some(std::time::Duration::from_secs(14 * 86_400)));
    let headers: &[(&str, &[u8])] = &[
        ("x-original-topic", b"orders.created"),
        ("x-original-offset", &[0, 0, 0, 0, 0, 0, 0, 9]),
        ("x-failed-at", b"1770285600"),
        ("topic_poisoned", b"elsewhere"),
    ];
    let letter = sample(headers, r#"{"error":{"code":"E42"}}"#);
    let expected = ["from=ours/ours", "origin=orders.created", "at=@9", "reason=E42", "last=2026-02-05T10:00:00.000Z"].join("\n");
    for dialects in [letters.dialects(), letters.dialects_of(place)] {
        assert_eq!(printed(&dialects.read(&letter).expect("ours")), expected);
    }
    let mut groups = FailureGroups::new(place.key.clone().map_or(KeyBy::Failure, KeyBy::Field));
    groups.add(&letters.dialects(), &letter, Seen { position: Position::Sequence(1), tenant: None, stored: None });
    let groups = groups.groups();
    assert_eq!(groups[0].key.as_ref().map(ToString::to_string).as_deref(), Some("E42"));
}

#[test]
fn mistakes_in_the_blocks_name_their_place_and_what_to_write() {
    for (blocks, expected) in [
        ("dialect {\n}\n", "5:1 a dialect has one name | write dialect \"ours\" { origin = headers.x-original-topic }"),
        ("dialect \"ours\" {\n}\n", "5:1 this dialect says nothing | write dialect \"ours\" { origin = headers.x-original-topic }"),
        ("dialect \"ours\" {\n  orign = headers.x\n}\n", "6:3 unknown attribute `orign` | did you mean `origin`?"),
        (
            "dialect \"ours\" {\n  origin = \"x-original-topic\"\n}\n",
            "6:12 `origin`: column 1: `x-original-topic` is not a field (did you mean `value.x-original-topic`? To search for words, put them in quotes) | write headers.NAME, value.PATH or key, or { from = headers.NAME, as = \"int64\" }",
        ),
        (
            "dialect \"ours\" {\n  origin = \"topic\"\n}\n",
            "6:12 `origin` cannot be read from `topic` | write headers.NAME, value.PATH or key, or { from = headers.NAME, as = \"int64\" }",
        ),
        (
            "dialect \"ours\" {\n  origin = { from = headers.x, as = \"int64\" }\n}\n",
            "6:37 `origin` cannot be written as int64 | write `text`, `json` or `table`",
        ),
        (
            "dialect \"ours\" {\n  position = { from = headers.x, as = \"long\" }\n}\n",
            "6:39 `as` cannot be `long`: expected `text`, `int32`, `int64`, `json`, `table`, `seconds`, `milliseconds` or `ticks` | ",
        ),
        (
            "dialect \"ours\" {\n  reason = { as = \"json\" }\n}\n",
            "6:12 `reason` names no place: `from` is missing | write headers.NAME, value.PATH or key, or { from = headers.NAME, as = \"int64\" }",
        ),
        ("dialect \"ours\" {\n  reason = { from = headers.x, at = \"[0]\" }\n}\n", "6:37 `at` is a place in JSON | add as = \"json\""),
        (
            "dialect \"ours\" {\n  when = \"limit 5\"\n  reason = headers.x\n}\n",
            "6:10 `when` is a condition alone, without from, until and limit | write a condition as in --where: when = \"headers.x-original-topic exists\"",
        ),
        (
            "dialect \"ours\" {\n  deaths {\n    each = { from = headers.x, as = \"json\" }\n    channel = headers.y\n  }\n}\n",
            "8:15 `channel` is a place in each death of the list | write each.queue",
        ),
        (
            "dialect \"ours\" {\n  reason = headers.x\n}\ndialect \"ours\" {\n  reason = headers.y\n}\n",
            "8:1 a second dialect `ours` | give it a name of its own",
        ),
        (
            "dead_letters \"a\" {\n}\n",
            "5:1 `channel` is missing | write channel = \"events/orders.created.dlt\": the integration, a slash, the channel",
        ),
        ("dead_letters \"a\" {\n  channel = \"evnts/x\"\n}\n", "6:13 this profile has no integration `evnts` | did you mean `events`?"),
        (
            "dead_letters \"a\" {\n  channel = \"events/x\"\n  dialect = \"spring-kafak\"\n}\n",
            "7:13 there is no dialect `spring-kafak` | did you mean `spring-kafka`?",
        ),
        (
            "dead_letters \"a\" {\n  channel = \"events/x\"\n  key = offset\n}\n",
            "7:9 this is another in each letter, so that each would be a group of its own | write key = value.error.code, headers.NAME, key, reason, exception or origin",
        ),
        (
            "dead_letters \"a\" {\n  channel = \"events/x\"\n  within = \"14\"\n}\n",
            "7:12 `within` is `14`: expected a duration with its unit | write \"30s\", \"100ms\" or \"5m\"",
        ),
    ] {
        assert_eq!(load(blocks).err().unwrap_or_default(), [expected], "{blocks}");
    }
}

#[test]
fn letters_are_grouped_by_their_innermost_exception_with_times_tenants_and_routes() {
    let mut groups = FailureGroups::default();
    let add = |groups: &mut FailureGroups, headers: &[(&str, &[u8])], payload: &str, number: u64, tenant: Option<&str>| {
        let stored = Some(Timestamp(1_770_285_600_000 + i64::try_from(number).expect("small") * 1_000));
        groups.add(&BUILT_IN, &sample(headers, payload), Seen { position: Position::Sequence(number), tenant, stored });
    };
    for number in 0..20 {
        let stack = String::from_utf8_lossy(JAVA).replace(":42)", &format!(":{number})"));
        let message = format!("Listener failed for {number}");
        let mut headers = spring(if number < 15 { b"orders" } else { b"payments" });
        headers.extend([("kafka_dlt-exception-stacktrace", stack.as_bytes()), ("kafka_dlt-exception-message", message.as_bytes())]);
        add(&mut groups, &headers, "{}", number, Some(if number % 2 == 0 { "acme" } else { "zoo" }));
    }
    for number in 20..25 {
        let reason = format!("dial tcp 10.0.0.{number}:443: refused");
        add(&mut groups, &[("reason_poisoned", reason.as_bytes())], "{}", number, None);
    }
    add(&mut groups, &[], "{}", 30, None);
    assert_eq!((groups.letters(), groups.rest()), (26, 0));
    let found = groups.groups();
    let text = |text: &Option<crate::domain::text::SafeText>| text.as_ref().map(ToString::to_string).unwrap_or_default();
    let shown: Vec<_> =
        found.iter().map(|group| (group.letters, text(&group.exception), text(&group.frame), text(&group.reason))).collect();
    assert_eq!(
        shown,
        [
            (20, "com.acme.SchemaMismatch".to_owned(), "com.acme.Orders.handle".to_owned(), String::new()),
            (5, String::new(), String::new(), "dial tcp 10.0.0.20:443: refused".to_owned()),
            (1, String::new(), String::new(), String::new()),
        ]
    );
    assert!(found[2].unknown);
    let first = &found[0];
    assert_eq!(first.tenants.iter().map(|tenant| &**tenant).collect::<Vec<_>>(), ["acme", "zoo"]);
    let routes: Vec<_> = first.routes.iter().map(|route| (route.from.as_deref(), &*route.died_in, route.letters)).collect();
    assert_eq!(routes, [(Some("orders"), "letters", 15), (Some("payments"), "letters", 5)]);
    assert_eq!(first.samples.len(), 8);
    assert_eq!(first.samples[7].1, Position::Sequence(19), "the newest is kept");
    assert_eq!((first.first, first.last), (Some(Timestamp(1_770_285_600_000)), Some(Timestamp(1_770_285_619_000))));
    assert_eq!(Rate::counts(&first.rate).iter().sum::<u32>(), 20);
    assert_eq!(&*first.id, "221e8aaebf", "the same wherever and whenever it is met");
    let mut others = FailureGroups::default();
    for (group, headers) in [(0, vec![("kafka_dlt-original-topic", &b"x"[..]), ("kafka_dlt-exception-stacktrace", JAVA)]), (2, vec![])] {
        for groups in [&mut groups, &mut others] {
            assert_eq!(groups.id_of(&BUILT_IN, &sample(&headers, "{}")), found[group].id);
        }
    }
    assert_eq!(groups.top(1), found[..1]);
}

#[test]
fn more_failures_than_there_is_room_for_are_counted_together() {
    let mut groups = FailureGroups::default();
    for number in 0..10_050_u32 {
        // Words, because numbers are left out of a key.
        let reason: String = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
        let headers: &[(&str, &[u8])] = &[("reason_poisoned", reason.as_bytes())];
        groups.add(&BUILT_IN, &sample(headers, "{}"), Seen { position: Position::Sequence(0), tenant: None, stored: None });
    }
    assert_eq!((groups.groups().len(), groups.rest(), groups.letters()), (10_000, 50, 10_050));
}

/// Headers of names that dialects know and of others, with any bytes.
fn headers() -> impl Strategy<Value = Vec<Header>> {
    let names = [
        "x-death",
        "x-opt-deaths",
        "x-first-death-queue",
        "kafka_dlt-original-topic",
        "kafka_dlt-original-offset",
        "kafka_dlt-exception-stacktrace",
    ];
    let more = [
        "x-original-topic",
        "x-original-exchange",
        "x-exception-stacktrace",
        "MT-Fault-Timestamp",
        "NServiceBus.TimeOfFailure",
        "x-mqdeck-replay",
        "other",
    ];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        any::<String>().prop_map(String::into_bytes),
        "[\\[{\\]}\":,0-9a-z \n\t]{0,60}".prop_map(String::into_bytes),
        "(Caused by: |at |\tat |Traceback \\(most recent call last\\):|  File \"|\n|a\\.B|\\(|:| ---> |goroutine 1 \\[|\t/x\\.go:1|0x|\\$\\$){0,14}".prop_map(String::into_bytes),
    ];
    let name = prop_oneof![prop::sample::select(names.iter().chain(&more).map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>())];
    let header = (name, prop::option::of(value)).prop_map(|(name, value)| Header { name: name.into(), value: value.map(Into::into) });
    prop::collection::vec(header, 0..12)
}

proptest! {
    #[test]
    fn reading_and_grouping_never_panic(headers in headers(), payload in prop::option::of(prop::collection::vec(any::<u8>(), 0..60)), number in any::<i64>()) {
        let value = payload.as_ref().and_then(|payload| serde_json::from_slice(payload).ok()).map(tree);
        let letter = Sample { headers, payload, value };
        let read = BUILT_IN.read(&letter);
        for by in [KeyBy::Failure, KeyBy::Field(crate::domain::dead_letter::path("value.a").expect("a path"))] {
            let mut groups = FailureGroups::new(by);
            let seen = Seen { position: Position::Sequence(1), tenant: Some("a"), stored: Some(Timestamp(number)) };
            groups.add(&BUILT_IN, &letter, seen);
            groups.add(&BUILT_IN, &letter, seen);
            let groups = groups.groups();
            prop_assert_eq!((groups.len(), groups[0].letters, groups[0].unknown), (1, 2, read.is_none()));
        }
    }

    #[test]
    fn payloads_of_jobs_never_panic(job in "\\{\"(jid|failedReason|type|stacktrace|attemptsMade)\":(\"[a-z\\\\\\[]{0,9}\"|[0-9]{1,30}|null|\\[\"x\",[0-9]\\]),\"(class|queue|attemptsMade)\":[0-9]{1,4},\"error_class\":\"A\"\\}") {
        let read = BUILT_IN.read(&sample(&[], &job));
        prop_assert!(read.is_none_or(|failure| failure.cause_from.is_some() || failure.route_from.is_some()));
    }
}
