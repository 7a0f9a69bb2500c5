//! Test support: a console that is driven by events alone, with a world of made-up channels and messages.

use super::theme::{Depth, Theme};
use crate::app::event::{HistoryUpdate, Opened, OpenedIntegration, ProfileEntry, TailUpdate};
use crate::app::{Effect, Event, Model, Start, TaskId, update};
use crate::domain::address::Address;
use crate::domain::channel::{Attribute, Caps, Channel, Description, Table};
use crate::domain::exchange::Exchange;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::health::Link;
use crate::domain::message::{Header, Message, Stamp};
use crate::domain::operation::{Change, Field, OperationSpec, PublishSpec, Request, Risk, Target};
use crate::domain::position::Position;
use crate::domain::safety::Safety;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::domain::view::{Counts, Decoded, MessageView, Preview};
use bytes::Bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::Duration;

/// 2026-02-05T14:07:12Z.
pub(super) const NOW: Timestamp = Timestamp(1_770_300_432_000);

pub(super) const HOSTILE: &str = "a\u{1b}[2J\u{202e}evil\u{200b}\u{e0041}漢字é\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\r\n\u{9b}31m";

/// What the publish form asks in these tests.
pub(super) const SPEC: PublishSpec = PublishSpec { key: true, tombstone: true, timestamp: true, fields: FIELDS };
const FIELDS: &[Field] = &[Field::number("partition", "partition", "chosen by the key if empty", 0, 11)];

const TOPIC: Target = Target::Channel(&["topic"]);

const fn operation(id: &'static str, title: &'static str, risk: Risk, on: Target, fields: &'static [Field]) -> OperationSpec {
    OperationSpec::new(risk, on, "topics:change").named(id, title).help("as these tests have it").asks(fields)
}

pub(super) static CREATE: OperationSpec = operation(
    "topic.create",
    "Create topic",
    Risk::Reversible,
    Target::Integration,
    &[Field::number("partitions", "partitions", "the broker's default if empty", 1, 1_000)],
);
pub(super) static CONFIGURE: OperationSpec = operation(
    "topic.configure",
    "Change settings",
    Risk::Reversible,
    TOPIC,
    &[
        Field::choice("cleanup", "cleanup", "what becomes of old messages", &["delete", "compact", "both"]),
        Field::text("retention", "retention", "how long they are kept: `7d`"),
        Field::number("segment", "segment bytes", "one file's size", 14, 2_147_483_647),
    ],
);
pub(super) static EMPTY: OperationSpec = operation("topic.empty", "Delete records", Risk::Bulk, TOPIC, &[]);
pub(super) static DELETE: OperationSpec = operation("topic.delete", "Delete topic", Risk::Destroy, TOPIC, &[]);

/// What `events` offers in these tests.
pub(super) static OPERATIONS: [&OperationSpec; 4] = [&CREATE, &CONFIGURE, &EMPTY, &DELETE];

/// A change as an adapter plans it: three partitions.
pub(super) fn change(request: Request) -> Change {
    let row =
        |i: u64| vec![SafeText::from(i.to_string()), "0".into(), (1_042 * (i + 1)).to_string().into(), "kafka-1.prod.example:9092".into()];
    let summary = format!("{} {}: 3 partitions.", request.spec.title, request.address);
    Change {
        tables: vec![Table { title: "partitions", columns: vec!["partition", "start", "end", "leader"], rows: (0..3).map(row).collect() }],
        touches: Amount::AtMost(6_252),
        ..Change::new(request, summary, "0 1 2")
    }
}

/// A driven console.
pub(super) struct Stage {
    pub(super) model: Model,
    pub(super) effects: Vec<Effect>,
}

impl Stage {
    pub(super) fn new(width: u16, height: u16, opening: bool) -> Self {
        let start = Start { now: NOW, zone: jiff::tz::TimeZone::UTC, width, height, opening, seed: 7 };
        let (model, effects) = Model::new(start);
        Self { model, effects }
    }

    pub(super) fn event(&mut self, event: Event) -> &mut Self {
        self.effects.extend(update(&mut self.model, event));
        self
    }

    /// Keys as in a tape: `j`, `Enter`, `^P`; several separated by spaces.
    pub(super) fn keys(&mut self, keys: &str) -> &mut Self {
        for key in keys.split(' ') {
            let (code, modifiers) = match key {
                "Enter" => (KeyCode::Enter, KeyModifiers::NONE),
                "Esc" => (KeyCode::Esc, KeyModifiers::NONE),
                "Tab" => (KeyCode::Tab, KeyModifiers::NONE),
                "Down" => (KeyCode::Down, KeyModifiers::NONE),
                "Space" => (KeyCode::Char(' '), KeyModifiers::NONE),
                ctrl if ctrl.len() == 2 && ctrl.starts_with('^') => {
                    (KeyCode::Char(ctrl.as_bytes()[1].to_ascii_lowercase().into()), KeyModifiers::CONTROL)
                }
                one => (KeyCode::Char(one.chars().next().expect("a key")), KeyModifiers::NONE),
            };
            self.event(Event::Key(KeyEvent::new(code, modifiers)));
        }
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.event(Event::Key(KeyEvent::from(KeyCode::Char(c))));
        }
        self
    }

    pub(super) fn after(&mut self, millis: i64) -> &mut Self {
        let now = Timestamp(self.model.now.0 + millis);
        self.event(Event::Tick(now))
    }

    /// The task of the last effect that started one.
    pub(super) fn task(&self) -> TaskId {
        self.effects
            .iter()
            .rev()
            .find_map(|effect| match effect {
                Effect::StartTail { task, .. }
                | Effect::ReadHistory { task, .. }
                | Effect::Describe { task, .. }
                | Effect::ReadFailures { task }
                | Effect::Fetch { task, .. }
                | Effect::Plan { task, .. }
                | Effect::Execute { task, .. }
                | Effect::ExportChannel { task, .. }
                | Effect::ReceiveOptions { task, .. }
                | Effect::Hold { task, .. }
                | Effect::Peek { task, .. }
                | Effect::Call { task, .. }
                | Effect::PlanSettle { task, .. }
                | Effect::Settle { task, .. }
                | Effect::Release { task, .. }
                | Effect::Publish { task, .. } => Some(*task),
                _ => None,
            })
            .expect("a task was started")
    }

    /// A profile with two integrations, of which the second is `link`ed so.
    pub(super) fn opened(&mut self, link: Link) -> &mut Self {
        self.opened_with(link, Safety::default())
    }

    /// The same with another `safety` block.
    pub(super) fn opened_with(&mut self, link: Link, safety: Safety) -> &mut Self {
        let integration = |name: &str, endpoint: &str| OpenedIntegration { name: name.into(), system: "Kafka", endpoint: endpoint.into() };
        self.event(Event::ProfileOpened(Opened {
            name: "prod-eu".into(),
            options: vec!["--profile".into(), "prod-eu".into()],
            demo: false,
            safety,
            unverified_tls: false,
            integrations: vec![integration("events", "kafka-1.prod.example:9092"), integration("billing", "10.0.0.4:9093")],
            show: None,
        }));
        self.event(Event::Link { integration: "events".into(), link: Link::Up { latency: Duration::from_millis(3) } });
        self.event(Event::Publishes { integration: "events".into(), spec: Some(&SPEC) });
        self.event(Event::Operations { integration: "events".into(), operations: &OPERATIONS });
        self.event(Event::Link { integration: "billing".into(), link })
    }

    /// Another profile with an integration of the same name.
    pub(super) fn open_another(&mut self, name: &str) -> &mut Self {
        self.event(Event::ProfileOpened(Opened {
            name: name.into(),
            options: vec!["--profile".into(), name.to_owned()],
            demo: false,
            safety: Safety::default(),
            unverified_tls: false,
            integrations: vec![OpenedIntegration { name: "events".into(), system: "Kafka", endpoint: "kafka-1.us.example:9092".into() }],
            show: None,
        }))
    }

    /// Channel lists of `events`, several times, so that rates have a past.
    pub(super) fn listed(&mut self, names: &[&str]) -> &mut Self {
        for round in 0..9_u32 {
            self.after(500);
            let channels = names.iter().enumerate().map(|(i, name)| channel(name, i, round)).collect();
            self.event(Event::Channels { integration: "events".into(), result: Ok(channels) });
        }
        self
    }

    /// Loaded with a dozen channels.
    pub(super) fn loaded(&mut self) -> &mut Self {
        self.opened(down()).listed(NAMES)
    }

    /// Traffic of `orders.created`, live, with these views.
    pub(super) fn live(&mut self, views: Vec<MessageView>) -> &mut Self {
        self.keys("2").text("/orders.created").keys("Enter Enter");
        let task = self.task();
        let seen = 48_211;
        self.event(Event::TailStarted { task, result: Ok(()) });
        let matched = views.len() as u64;
        let update = TailUpdate { views, counts: Counts { seen, bytes: 9_000_000 }, matched, ..TailUpdate::default() };
        self.event(Event::Tail { task, update })
    }

    /// A part of history that has ended.
    pub(super) fn history(&mut self, update: HistoryUpdate) -> &mut Self {
        let task = self.task();
        self.event(Event::History { task, update })
    }

    pub(super) fn wire(&mut self, text: &str) -> &mut Self {
        let line = |number: u64| Exchange {
            number,
            peer: "kafka-1.prod.example:9092".into(),
            request: SafeText::from(format!("Fetch v13 {text} 12 partitions")),
            outcome: SafeText::from(format!("{number} records, 14.2 kB {text}")),
            took: Duration::from_micros(800 * number),
        };
        self.event(Event::Wire { integration: "events".into(), lines: (1..=5).map(line).collect() })
    }

    pub(super) fn profiles(&mut self) -> &mut Self {
        let entry = |name: &str, integrations: &[&str], fault| ProfileEntry {
            name: name.into(),
            path: format!("/home/op/.config/mqdeck/profiles/{name}.hcl").into(),
            integrations: integrations.iter().map(|i| SafeText::from(*i)).collect(),
            fault,
        };
        let fault = Fault::new(Kind::Usage, "read profile", "broken.hcl", "broken.hcl:12:3: variable `env.KAFKA_PASSWORD` is not set");
        self.event(Event::Profiles(vec![
            entry("compose", &["kafka localhost:9092"], None),
            entry("prod-eu", &["kafka kafka-1.prod.example:9092", "kafka 10.0.0.4:9093"], None),
            entry("broken", &[], Some(fault)),
        ]))
    }

    pub(super) fn buffer(&self) -> Buffer {
        let theme = Theme::named("dark", Depth::True, false).expect("a theme");
        let mut buffer = Buffer::empty(Rect::new(0, 0, self.model.width, self.model.height));
        super::draw(&self.model, &theme, &mut buffer);
        buffer
    }

    /// The last request that a plan was asked for.
    pub(super) fn request(&self) -> Request {
        let requests =
            self.effects.iter().rev().filter_map(|e| if let Effect::Plan { request, .. } = e { Some(request.clone()) } else { None });
        requests.into_iter().next().expect("a plan was asked for")
    }

    /// Answers the last question for a plan: three partitions, changed by `with`.
    pub(super) fn planned(&mut self, with: impl FnOnce(&mut Change)) -> &mut Self {
        let mut change = change(self.request());
        with(&mut change);
        let task = self.task();
        self.event(Event::Planned { task, result: Ok(Arc::new(change)) })
    }

    /// Types the profile's name, and the gateway arms it for five minutes.
    pub(super) fn armed(&mut self) -> &mut Self {
        self.keys("!").text("prod-eu").keys("Enter");
        let until = Timestamp(self.model.now.0 + 300_000);
        self.event(Event::Armed(Ok(Some(until))))
    }

    /// The frame as lines of text.
    pub(super) fn screen(&self) -> String {
        lines(&self.buffer())
    }
}

pub(super) fn lines(buffer: &Buffer) -> String {
    use unicode_width::UnicodeWidthStr;
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer.cell((x, y)).expect("a cell").symbol();
            if skip > 0 {
                skip -= 1;
                continue;
            }
            line.push_str(symbol);
            skip = symbol.width().saturating_sub(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

pub(super) const NAMES: &[&str] = &[
    "__consumer_offsets",
    "audit.events.incidents",
    "grey.results.tenant-123",
    "grey.tasks.tenant-123",
    "grey.tasks.tenant-456",
    "orders.created",
    "orders.created.dlt",
    "orders.created.v2.with-a-very-long-name-that-nobody-should-have-chosen.but-somebody-did",
    "orders.paid",
    "payments",
    "secret.ledger",
];

pub(super) fn down() -> Link {
    let fault = Fault::new(Kind::Unreachable, "connect", "broker 10.0.0.4:9093", "connection refused: nothing listens on port 9093")
        .next("start the broker, or correct `endpoint` in the profile");
    Link::Down { fault, since: Timestamp(NOW.0 - 130_000), attempts: 7, retry_at: Timestamp(NOW.0 + 12_000) }
}

fn channel(name: &str, i: usize, round: u32) -> Channel {
    let forbidden = name.starts_with("secret");
    Channel {
        tenant: name.strip_prefix("grey.tasks.").or_else(|| name.strip_prefix("grey.results.")).map(SafeText::new),
        internal: name.starts_with("__"),
        can: Caps { tail: true, history: true, publish: true, ..Caps::default() },
        depth: if forbidden { Amount::Unknown } else { Amount::AtMost(8_410_000 / (i as u64 + 1)) },
        bytes: if forbidden { Amount::Unknown } else { Amount::Exactly(1_900_000_000 / (i as u64 * i as u64 + 1)) },
        rate_in: (!forbidden).then(|| if name.ends_with("dlt") { 0.0 } else { 1200.0 / (i as f64 + 1.0) * f64::from(3 + round % 5) / 7.0 }),
        parts: Some(12),
        attributes: vec![Attribute::new("retention", "7 d"), Attribute::new("replicas", "3")],
        fault: forbidden.then(|| Fault::new(Kind::Forbidden, "describe", SafeText::new(name), "the user may not describe this topic")),
        ..Channel::named(name, "topic")
    }
}

pub(super) fn description(name: &str) -> Box<Description> {
    let row =
        |i: i32| vec![SafeText::from(i.to_string()), "kafka-1.prod.example:9092".into(), "1, 2, 3".into(), (1042 * i).to_string().into()];
    Box::new(Description {
        channel: channel(name, 1, 1),
        tables: vec![
            Table { title: "partitions", columns: vec!["partition", "leader", "in sync", "end"], rows: (0..12).map(row).collect() },
            Table {
                title: "settings",
                columns: vec!["name", "value"],
                rows: vec![vec!["cleanup.policy".into(), "delete".into()], vec!["retention.ms".into(), "604800000".into()]],
            },
        ],
    })
}

/// A view as the gateway makes it.
pub(super) fn view(id: u64, channel: &str, key: Option<&[u8]>, payload: Option<&[u8]>) -> MessageView {
    let message = Message {
        channel: channel.into(),
        position: Position::Offset { partition: (id % 12) as i32, offset: 1000 + id as i64 },
        timestamp: Some(Timestamp(NOW.0 - 60_000 + 37 * id as i64)),
        stamp: Stamp::Created,
        key: key.map(Bytes::copy_from_slice),
        headers: vec![
            Header { name: "traceparent".into(), value: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()) },
            Header { name: "source".into(), value: Some("checkout".into()) },
            Header { name: "source".into(), value: None },
            Header { name: "trace-bin".into(), value: Some(Bytes::from_static(b"\x00\xff\x10")) },
        ],
        payload: payload.map(Bytes::copy_from_slice),
    };
    let preview = match payload {
        None => Preview::Tombstone,
        Some([]) => Preview::Empty,
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => Preview::Text(SafeText::from_bytes(bytes)),
        Some(_) => Preview::Binary("81 a2 69 64 01 ff".into()),
    };
    MessageView {
        id,
        address: Address::new("events", channel),
        tenant: None,
        key: key.map(SafeText::from_bytes),
        preview,
        size: message.size(),
        message,
        whole: true,
    }
}

pub(super) fn views(count: u64) -> Vec<MessageView> {
    (1..=count)
        .map(|id| {
            let json = format!(r#"{{"id":"o-{id}","total":{}.90,"currency":"EUR","customer":{{"id":"c-{}"}}}}"#, 100 + id, id * 7 % 91);
            let key = format!("c-{}", id * 7 % 91);
            match id % 9 {
                0 => view(id, "orders.created", Some(key.as_bytes()), None),
                4 => view(id, "orders.created", None, Some(b"\x81\xa2id\x01\xff")),
                _ => view(id, "orders.created", Some(key.as_bytes()), Some(json.as_bytes())),
            }
        })
        .collect()
}

pub(super) fn decoded() -> Decoded {
    let text = |t: &str| Value::Text(t.into());
    let number = |t: &str| Value::Number(t.into());
    let item = |sku: &str| Value::Object(vec![("sku".into(), text(sku)), ("count".into(), number("2"))]);
    Decoded {
        format: "JSON",
        why: "by content".into(),
        value: Some(Value::Object(vec![
            ("id".into(), text("o-77")),
            ("total".into(), number("9007199254740993.10")),
            ("currency".into(), text("EUR")),
            ("paid".into(), Value::Bool(true)),
            ("coupon".into(), Value::Null),
            ("customer".into(), Value::Object(vec![("id".into(), text("c-8841")), ("name".into(), text("Ærøskøbing 漢字"))])),
            ("items".into(), Value::Array(vec![item("A-1"), item("B-2")])),
            ("note".into(), text(HOSTILE)),
            ("history".into(), Value::Array((0..150).map(|i: i32| Value::Number(Arc::from(i.to_string()))).collect())),
        ])),
        notes: vec!["key `id` appears twice; both are shown".into()],
    }
}
