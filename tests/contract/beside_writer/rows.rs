//! The operations of every system: what is there, what comes between the plan and the act, how it ends, and what is there afterwards.

use super::Do::{self, Put, Run, Say};
use super::Ends::{Done as Carried, Partly, Refused, Unplanned};
use super::{NOWHERE, Row};

const TOPIC: Do = Run("{}", "topic.create", &[("partitions", "1")]);
const TWO: Do = Put("{}", &["1", "2"]);
const THIRD: Do = Put("{}", &["3"]);
const ALL: &[&str] = &["1", "2", "3"];
const START: Do = Run("group:{}", "group.reset", &[("to", "earliest"), ("topic", "{}")]);
const END: Do = Run("group:{}", "group.reset", &[("to", "latest"), ("topic", "{}")]);

pub(super) const KAFKA: &[Row] = &[
    Row {
        id: "topic.create",
        on: "{}",
        arguments: &[("partitions", "1")],
        before: &[],
        meanwhile: &[TOPIC, TWO],
        ends: Refused,
        left: ("{}", &["1", "2"]),
    },
    Row { id: "topic.delete", on: "{}", arguments: &[], before: &[TOPIC, TWO], meanwhile: &[THIRD], ends: Refused, left: ("{}", ALL) },
    Row { id: "topic.delete", on: "{}", arguments: &[], before: &[TOPIC], meanwhile: &[THIRD], ends: Refused, left: ("{}", &["3"]) },
    Row { id: "topic.purge", on: "{}", arguments: &[], before: &[TOPIC, TWO], meanwhile: &[THIRD], ends: Carried, left: ("{}", &["3"]) },
    Row {
        id: "partitions.add",
        on: "{}",
        arguments: &[("count", "2")],
        before: &[TOPIC, TWO],
        meanwhile: &[Run("{}", "partitions.add", &[("count", "3")])],
        ends: Refused,
        left: ("{}", &["1", "2"]),
    },
    Row {
        id: "settings.change",
        on: "{}",
        arguments: &[("set", "retention.ms=86400000")],
        before: &[TOPIC, TWO],
        meanwhile: &[THIRD],
        ends: Carried,
        left: ("{}", ALL),
    },
    Row { id: "leaders.elect", on: "{}", arguments: &[], before: &[TOPIC], meanwhile: &[], ends: Unplanned, left: NOWHERE },
    Row {
        id: "group.reset",
        on: "group:{}",
        arguments: &[("to", "latest")],
        before: &[TOPIC, TWO, START],
        meanwhile: &[END],
        ends: Refused,
        left: ("{}", &["1", "2"]),
    },
    Row {
        id: "group.reset",
        on: "group:{}",
        arguments: &[("to", "latest")],
        before: &[TOPIC, TWO, START],
        meanwhile: &[THIRD],
        ends: Carried,
        left: ("{}", ALL),
    },
    Row {
        id: "group.delete",
        on: "group:{}",
        arguments: &[],
        before: &[TOPIC, TWO, START],
        meanwhile: &[END],
        ends: Refused,
        left: ("{}", &["1", "2"]),
    },
];

const QUEUE: Do = Run("queue:{}", "queue.declare", &[]);
const QUORUM: Do = Run("queue:{}", "queue.declare", &[("type", "quorum")]);
const LETTERS: Do = Put("queue:{}", &["1", "2"]);
const LETTER: Do = Put("queue:{}", &["3"]);
const EXCHANGE: Do = Run("exchange:{}", "exchange.declare", &[]);
const BIND: Do = Run("queue:{}", "binding.create", &[("exchange", "{}"), ("routing_key", "a")]);

pub(super) const RABBITMQ: &[Row] = &[
    Row {
        id: "tenant.declare",
        on: "{}",
        arguments: &[],
        before: &[],
        meanwhile: &[Run("queue:grey.tasks.{}", "queue.declare", &[("max_priority", "3")]), Put("queue:grey.tasks.{}", &["1"])],
        ends: Partly,
        left: ("queue:grey.tasks.{}", &["1"]),
    },
    Row {
        id: "queue.declare",
        on: "queue:{}",
        arguments: &[],
        before: &[],
        meanwhile: &[Run("queue:{}", "queue.declare", &[("max_priority", "3")]), LETTERS],
        ends: Refused,
        left: ("queue:{}", &["1", "2"]),
    },
    Row {
        id: "queue.declare",
        on: "queue:{}",
        arguments: &[],
        before: &[],
        meanwhile: &[QUEUE, LETTERS],
        ends: Carried,
        left: ("queue:{}", &["1", "2"]),
    },
    Row {
        id: "exchange.declare",
        on: "exchange:{}",
        arguments: &[],
        before: &[],
        meanwhile: &[Run("exchange:{}", "exchange.declare", &[("type", "fanout")])],
        ends: Refused,
        left: NOWHERE,
    },
    Row {
        id: "binding.create",
        on: "queue:{}",
        arguments: &[("exchange", "{}"), ("routing_key", "a")],
        before: &[QUEUE, EXCHANGE],
        meanwhile: &[LETTER],
        ends: Carried,
        left: ("queue:{}", &["3"]),
    },
    Row {
        id: "binding.delete",
        on: "queue:{}",
        arguments: &[("exchange", "{}"), ("routing_key", "a")],
        before: &[QUEUE, EXCHANGE, BIND],
        meanwhile: &[LETTER],
        ends: Carried,
        left: ("queue:{}", &["3"]),
    },
    Row {
        id: "queue.purge",
        on: "queue:{}",
        arguments: &[],
        before: &[QUEUE, LETTERS],
        meanwhile: &[LETTER],
        ends: Carried,
        left: ("queue:{}", &["3"]),
    },
    Row {
        id: "queue.purge",
        on: "queue:{}",
        arguments: &[],
        before: &[QUORUM, LETTERS],
        meanwhile: &[LETTER],
        ends: Carried,
        left: ("queue:{}", &["3"]),
    },
    Row {
        id: "queue.purge",
        on: "queue:{}",
        arguments: &[],
        before: &[QUEUE],
        meanwhile: &[LETTER],
        ends: Carried,
        left: ("queue:{}", &["3"]),
    },
    Row {
        id: "queue.delete",
        on: "queue:{}",
        arguments: &[],
        before: &[QUEUE, LETTERS],
        meanwhile: &[LETTER],
        ends: Refused,
        left: ("queue:{}", ALL),
    },
    Row {
        id: "queue.delete",
        on: "queue:{}",
        arguments: &[],
        before: &[QUORUM, LETTERS],
        meanwhile: &[LETTER],
        ends: Refused,
        left: ("queue:{}", ALL),
    },
    Row {
        id: "queue.delete",
        on: "queue:{}",
        arguments: &[],
        before: &[QUEUE],
        meanwhile: &[LETTER],
        ends: Refused,
        left: ("queue:{}", &["3"]),
    },
    Row {
        id: "exchange.delete",
        on: "exchange:{}",
        arguments: &[],
        before: &[QUEUE, EXCHANGE],
        meanwhile: &[BIND, LETTER],
        ends: Refused,
        left: ("queue:{}", &["3"]),
    },
    Row {
        id: "exchange.delete",
        on: "exchange:{}",
        arguments: &[],
        before: &[QUEUE, EXCHANGE, BIND],
        meanwhile: &[Run("queue:{}", "binding.create", &[("exchange", "{}"), ("routing_key", "b")])],
        ends: Refused,
        left: NOWHERE,
    },
];

const STREAM: Do = Run("stream:{}", "stream.create", &[]);
const STORED: Do = Put("stream:{}", &["1", "2"]);
const STORED_LATER: Do = Put("stream:{}", &["3"]);
const CONSUMER: Do = Run("stream:{}", "consumer.create", &[("name", "c")]);
const PAUSE: Do = Run("group:{}/c", "consumer.pause", &[]);

pub(super) const NATS: &[Row] = &[
    Row {
        id: "stream.create",
        on: "stream:{}",
        arguments: &[],
        before: &[],
        meanwhile: &[STREAM, STORED],
        ends: Refused,
        left: ("stream:{}", &["1", "2"]),
    },
    Row {
        id: "consumer.create",
        on: "stream:{}",
        arguments: &[("name", "c")],
        before: &[STREAM, STORED],
        meanwhile: &[Run("stream:{}", "consumer.create", &[("name", "c"), ("max_deliver", "3")])],
        ends: Refused,
        left: ("stream:{}", &["1", "2"]),
    },
    Row {
        id: "stream.purge",
        on: "stream:{}",
        arguments: &[],
        before: &[STREAM, STORED],
        meanwhile: &[STORED_LATER],
        ends: Carried,
        left: ("stream:{}", &["3"]),
    },
    Row {
        id: "message.delete",
        on: "stream:{}",
        arguments: &[("sequence", "1")],
        before: &[STREAM, STORED],
        meanwhile: &[STORED_LATER],
        ends: Carried,
        left: ("stream:{}", &["2", "3"]),
    },
    Row {
        id: "stream.delete",
        on: "stream:{}",
        arguments: &[],
        before: &[STREAM, STORED],
        meanwhile: &[STORED_LATER],
        ends: Refused,
        left: ("stream:{}", ALL),
    },
    Row {
        id: "consumer.pause",
        on: "group:{}/c",
        arguments: &[],
        before: &[STREAM, STORED, CONSUMER],
        meanwhile: &[STORED_LATER],
        ends: Carried,
        left: ("stream:{}", ALL),
    },
    Row {
        id: "consumer.resume",
        on: "group:{}/c",
        arguments: &[],
        before: &[STREAM, STORED, CONSUMER, PAUSE],
        meanwhile: &[STORED_LATER],
        ends: Carried,
        left: ("stream:{}", ALL),
    },
    Row {
        id: "consumer.delete",
        on: "group:{}/c",
        arguments: &[],
        before: &[STREAM, STORED, CONSUMER],
        meanwhile: &[STORED_LATER],
        ends: Carried,
        left: ("stream:{}", ALL),
    },
    Row {
        id: "advisories.capture",
        on: "",
        arguments: &[],
        before: &[],
        meanwhile: &[Run("", "advisories.capture", &[])],
        ends: Refused,
        left: NOWHERE,
    },
];

const ENTRIES: Do = Say("XADD {} 1-0 data 1");
const MORE: Do = Say("XADD {} 2-0 data 2");
const LATER: Do = Say("XADD {} 3-0 data 3");
/// By us: so that the list of streams, which is kept for a while, has it.
const GROUP: Do = Run("stream:{}", "group.create", &[("group", "g"), ("to", "earliest")]);
const ONE: Do = Say("XREADGROUP GROUP g c COUNT 1 STREAMS {} >");

pub(super) const REDIS: &[Row] = &[
    Row {
        id: "group.create",
        on: "stream:{}",
        arguments: &[("group", "g")],
        before: &[ENTRIES, MORE],
        meanwhile: &[Say("XGROUP CREATE {} g 0")],
        ends: Refused,
        left: ("stream:{}", &["1", "2"]),
    },
    Row {
        id: "group.reset",
        on: "group:{}/g",
        arguments: &[("to", "latest")],
        before: &[ENTRIES, MORE, GROUP],
        meanwhile: &[ONE],
        ends: Refused,
        left: ("stream:{}", &["1", "2"]),
    },
    Row {
        id: "group.reset",
        on: "group:{}/g",
        arguments: &[("to", "latest")],
        before: &[ENTRIES, MORE, GROUP],
        meanwhile: &[LATER],
        ends: Carried,
        left: ("stream:{}", ALL),
    },
    Row {
        id: "group.delete",
        on: "group:{}/g",
        arguments: &[],
        before: &[ENTRIES, MORE, GROUP],
        meanwhile: &[ONE],
        ends: Refused,
        left: ("stream:{}", &["1", "2"]),
    },
    Row {
        id: "consumer.delete",
        on: "group:{}/g",
        arguments: &[("consumer", "c")],
        before: &[ENTRIES, MORE, GROUP, ONE],
        meanwhile: &[ONE],
        ends: Refused,
        left: ("stream:{}", &["1", "2"]),
    },
    Row {
        id: "pending.ack",
        on: "group:{}/g",
        arguments: &[("ids", "1-0")],
        before: &[ENTRIES, MORE, GROUP, ONE],
        meanwhile: &[ONE, LATER],
        ends: Carried,
        left: ("stream:{}", ALL),
    },
    Row {
        id: "pending.claim",
        on: "group:{}/g",
        arguments: &[("consumer", "d"), ("idle", "0")],
        before: &[ENTRIES, MORE, GROUP, ONE],
        meanwhile: &[Say("XCLAIM {} g e 0 1-0")],
        ends: Refused,
        left: ("stream:{}", &["1", "2"]),
    },
    Row {
        id: "stream.trim",
        on: "stream:{}",
        arguments: &[("before", "latest")],
        before: &[ENTRIES, MORE],
        meanwhile: &[LATER],
        ends: Carried,
        left: ("stream:{}", &["3"]),
    },
    Row {
        id: "entry.delete",
        on: "stream:{}",
        arguments: &[("ids", "1-0")],
        before: &[ENTRIES, MORE],
        meanwhile: &[LATER],
        ends: Carried,
        left: ("stream:{}", &["2", "3"]),
    },
    Row {
        id: "key.delete",
        on: "stream:{}",
        arguments: &[],
        before: &[ENTRIES, MORE],
        meanwhile: &[LATER],
        ends: Refused,
        left: ("stream:{}", ALL),
    },
    Row {
        id: "key.delete",
        on: "key:{}*",
        arguments: &[],
        before: &[Say("RPUSH {}list 1"), Say("SET {}text 1")],
        meanwhile: &[Say("RPUSH {}list 2"), Say("SET {}other 1")],
        ends: Partly,
        left: NOWHERE,
    },
];

pub(super) const MQTT: &[Row] = &[
    Row {
        id: "retained.clear",
        on: "{}/#",
        arguments: &[],
        before: &[Put("{}/a", &["1"]), Put("{}/b", &["1"])],
        meanwhile: &[Put("{}/b", &["2"]), Put("{}/c", &["3"])],
        ends: Partly,
        left: ("{}/#", &["2", "3"]),
    },
    Row {
        id: "retained.clear",
        on: "{}",
        arguments: &[],
        before: &[Put("{}", &["1"])],
        meanwhile: &[Put("{}", &["2"])],
        ends: Refused,
        left: ("{}", &["2"]),
    },
];
