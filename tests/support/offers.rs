//! Every kind of channel of every system, with what it offers: the table whose rows the contract's cases run for.

#[cfg(feature = "mqtt")]
use super::mosquitto;
#[cfg(feature = "nats")]
use super::nats;
#[cfg(feature = "rabbitmq")]
use super::rabbitmq;
#[cfg(feature = "redis")]
use super::redis;
use super::subjects::connect;
#[cfg(any(feature = "nats", feature = "redis"))]
use super::subjects::manage;
use super::unique;
#[cfg(feature = "kafka")]
use super::{kafka, topics};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Integration, Profile, Setting};
use mqdeck::config::secret::Secret;
use mqdeck::domain::address::Address;
use mqdeck::domain::message::{Message, Outgoing};
#[cfg(feature = "redis")]
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::safety::Safety;
use mqdeck::gateway::Gateway;
use std::sync::Arc;

/// One kind of channel.
pub(crate) struct Row {
    /// As `ADAPTERS` names it.
    pub(crate) system: &'static str,
    pub(crate) kind: &'static str,
    /// What its row of a list says that it can, in the order of `Caps::words`.
    pub(crate) can: &'static [&'static str],
    /// What works all the same, though it is offered elsewhere: a subject may be asked whether or not a service is known to answer there.
    pub(crate) also: &'static [&'static str],
    /// The operation that deletes it.
    pub(crate) delete: Option<&'static str>,
    pub(crate) is: Traits,
}

/// What cases have to know of it beside that.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traits {
    /// It can be made here, and described then.
    pub(crate) made: bool,
    /// It keeps what was published, in one order, and its history is all of it.
    pub(crate) log: bool,
    /// A channel that is not there can be told from one that is.
    pub(crate) found: bool,
    /// Messages that are received have tickets, and this becomes of one that is not settled.
    pub(crate) held: Option<Left>,
}

/// What becomes of a message that was received and not settled when the receiving ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The next who receives has it at once.
    GoesBack,
    /// It stays with who received it.
    Stays,
}

const NONE: Traits = Traits { made: true, log: false, found: false, held: None };
const FOUND: Traits = Traits { found: true, ..NONE };
const LOG: Traits = Traits { log: true, ..FOUND };
const QUEUE: Traits = Traits { held: Some(Left::GoesBack), ..FOUND };

const fn row(system: &'static str, kind: &'static str, can: &'static [&'static str], is: Traits, delete: Option<&'static str>) -> Row {
    Row { system, kind, can, also: &[], is, delete }
}

/// The table. What a row does not name is refused by one and the same fault.
pub(crate) const OFFERED: &[Row] = &[
    row("memory", "topic", &["tail", "history", "publish"], LOG, Some("topic.delete")),
    row("memory", "queue", &["peek", "publish", "hold"], QUEUE, None),
    row("memory", "service", &["call"], FOUND, None),
    row("kafka", "topic", &["tail", "history", "publish"], LOG, Some("topic.delete")),
    row("rabbitmq", "queue", &["peek", "publish", "hold", "call"], QUEUE, Some("queue.delete")),
    row("rabbitmq", "stream", &["tail", "history", "publish"], LOG, Some("queue.delete")),
    row("rabbitmq", "exchange", &["tail", "publish", "call"], FOUND, Some("exchange.delete")),
    Row { also: &["call"], ..row("nats", "subject", &["tail", "publish"], NONE, None) },
    row(
        "nats",
        "stream",
        &["tail", "history", "peek", "publish", "hold"],
        Traits { held: Some(Left::GoesBack), ..LOG },
        Some("stream.delete"),
    ),
    Row { also: &["tail", "history"], ..row("nats", "consumer", &["peek", "hold"], QUEUE, None) },
    row("nats", "queue", &["hold"], NONE, None),
    row("nats", "service", &["call"], Traits { made: false, ..NONE }, None),
    row("mqtt", "topic", &["tail", "history", "publish", "hold", "call"], Traits { made: false, held: Some(Left::Stays), ..NONE }, None),
    row("redis", "stream", &["tail", "history", "publish", "hold"], Traits { held: Some(Left::Stays), ..LOG }, Some("key.delete")),
    row("redis", "channel", &["tail", "publish"], NONE, None),
    row("redis", "key", &["tail"], Traits { made: false, ..NONE }, None),
];

impl Row {
    pub(crate) fn works(&self, handle: &str) -> bool {
        self.can.contains(&handle) || self.also.contains(&handle)
    }
}

/// Handles of a system that concern no channel.
pub(crate) const WHOLE: &[(&str, &[&str])] = &[
    ("memory", &["groups", "dead_letters", "transact", "manage"]),
    ("kafka", &["groups", "dead_letters", "transact", "manage"]),
    ("rabbitmq", &["dead_letters", "manage"]),
    ("nats", &["groups", "dead_letters", "manage"]),
    ("mqtt", &["manage"]),
    ("redis", &["groups", "dead_letters", "manage"]),
];

/// A row with two fresh channels of it that nobody else uses.
pub(crate) struct Offer {
    pub(crate) row: &'static Row,
    /// The system, its release where there are several, and the kind: for what is said of a failure.
    pub(crate) title: String,
    pub(crate) integration: Integration,
    pub(crate) session: Session,
    pub(crate) name: Arc<str>,
    pub(crate) other: Arc<str>,
    /// Where what comes by the two is published to.
    pub(crate) into: [Arc<str>; 2],
    /// A channel of the kind that could be there and is not.
    pub(crate) missing: Arc<str>,
}

impl Offer {
    /// A message for it that has to arrive.
    pub(crate) fn text(&self, payload: &str) -> Outgoing {
        self.letter(Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() })
    }

    pub(crate) fn letter(&self, message: Outgoing) -> Outgoing {
        let options = if self.row.system == "mqtt" { vec![("qos", "1".to_owned())] } else { Vec::new() };
        Outgoing { options, ..message }
    }

    pub(crate) async fn publish(&self, into: &str, payload: &str) {
        let publish = self.session.publish.as_ref().expect("the system takes messages");
        publish.publish(into, self.text(payload)).await.unwrap_or_else(|fault| panic!("{}: {fault}", self.title));
    }

    pub(crate) async fn fill(&self, payloads: impl IntoIterator<Item = String>) {
        for payload in payloads {
            self.publish(&self.into[0], &payload).await;
        }
    }

    /// A gateway that may do everything to it.
    pub(crate) fn gateway(&self) -> Gateway {
        let integrations = vec![self.integration.clone()];
        let gateway = Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations }, false);
        gateway.arm("test", None).expect("armed");
        gateway
    }

    pub(crate) fn address(&self, channel: &str) -> Address {
        format!("{}/{channel}", self.integration.name).parse().unwrap_or_else(|fault| panic!("{}: {fault}", self.title))
    }
}

pub(crate) fn payloads(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

/// Every row of a system that can be had here for which this holds, with fresh channels. Those in memory always can.
pub(crate) async fn offers(name: &str, wanted: impl Fn(&Row) -> bool) -> Vec<Offer> {
    let mut all = Vec::new();
    for row in OFFERED.iter().filter(|row| wanted(row)) {
        for (release, integration, channels) in fresh(row, name).await {
            let title = format!("{}{release} {}", row.system, row.kind);
            let session = connect(integration.clone()).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            let Channels { names: [name, other], into } = channels;
            let missing = name.replace(&*bare(&name), "no-such-channel").into();
            all.push(Offer { row, title, integration, session, name, other, into, missing });
        }
    }
    all
}

/// A channel's name without its kind, and of a group without the group.
fn bare(name: &str) -> String {
    name.rsplit_once(':').map_or(name, |(_, bare)| bare).split('/').next().unwrap_or(name).to_owned()
}

struct Channels {
    names: [Arc<str>; 2],
    into: [Arc<str>; 2],
}

impl Channels {
    /// Two names written in the forms in which they are read and published to.
    fn of(names: &[String; 2], read: &str, into: &str) -> Self {
        let written = |form: &str| names.each_ref().map(|name| Arc::from(form.replace("{}", name)));
        Self { names: written(read), into: written(into) }
    }
}

/// A release of a system where there are several, how it is reached, and two fresh channels of it.
type Fresh = (&'static str, Integration, Channels);

async fn fresh(row: &Row, name: &str) -> Vec<Fresh> {
    // No dots: streams of NATS may have none.
    let names = [unique(name), unique(name)].map(|name| name.replace('.', "-"));
    match row.system {
        "memory" => vec![in_memory(row.kind, &names)],
        #[cfg(feature = "kafka")]
        "kafka" => of_kafka(&names).await,
        #[cfg(feature = "rabbitmq")]
        "rabbitmq" => of_rabbitmq(row.kind, &names).await.into_iter().collect(),
        #[cfg(feature = "nats")]
        "nats" => of_nats(row.kind, &names).await.into_iter().collect(),
        #[cfg(feature = "mqtt")]
        "mqtt" => {
            mosquitto::shared().map(|broker| ("", broker.integration("PLAIN", &[]), Channels::of(&names, "{}", "{}"))).into_iter().collect()
        }
        #[cfg(feature = "redis")]
        "redis" => of_redis(row.kind, &names).await.into_iter().collect(),
        _ => Vec::new(),
    }
}

fn in_memory(kind: &str, names: &[String; 2]) -> Fresh {
    let mut integration = Integration::new("memory", "memory", Vec::new());
    let number = i32::from(kind == "topic");
    let value = Secret::new(names.each_ref().map(|name| format!("{name}:{number}")).join(", "));
    integration.settings.insert(format!("{kind}s"), Setting { value, line: 1 });
    ("", integration, Channels::of(names, "{}", "{}"))
}

#[cfg(feature = "kafka")]
async fn of_kafka(names: &[String; 2]) -> Vec<Fresh> {
    let mut all = Vec::new();
    for (release, kafka) in [("", kafka::shared()), (" 2.8", kafka::old())] {
        let Some(kafka) = kafka else { continue };
        let mut made = Vec::new();
        for name in names {
            made.push(topics::create(kafka.plain(), name, 1, 1, &[]).await);
        }
        let made = <[String; 2]>::try_from(made).expect("two");
        let integration = Integration::new("events", "kafka", vec![kafka.plain().to_owned()]);
        all.push((release, integration, Channels::of(&made, "{}", "{}")));
    }
    all
}

#[cfg(feature = "rabbitmq")]
async fn of_rabbitmq(kind: &str, names: &[String; 2]) -> Option<Fresh> {
    let rabbit = rabbitmq::shared()?;
    let session = rabbit.session().await;
    for name in names {
        let (operation, address, argument) = match kind {
            "exchange" => ("exchange.declare", format!("exchange:{name}"), "topic"),
            "stream" => ("queue.declare", format!("queue:{name}"), "stream"),
            _ => ("queue.declare", format!("queue:{name}"), "classic"),
        };
        rabbitmq::done(&session, operation, &address, &[("type", argument)]).await;
    }
    let form = format!("{kind}:{{}}");
    Some(("", rabbit.integration("guest"), Channels::of(names, &form, &form)))
}

#[cfg(feature = "nats")]
async fn of_nats(kind: &str, names: &[String; 2]) -> Option<Fresh> {
    let integration = nats::shared()?.integration();
    let (read, into) = match kind {
        "subject" => ("{}", "{}"),
        "service" => ("service:{}", "{}"),
        "queue" => ("queue:{}/workers", "{}"),
        "stream" => ("stream:{}", "stream:{}"),
        _ => ("consumer:{}/worker", "stream:{}"),
    };
    if into == "stream:{}" {
        let session = connect(integration.clone()).await.expect("NATS is there");
        for name in names {
            let stream = format!("nats/stream:{name}");
            manage(&session, &stream, "stream.create", &[]).await;
            manage(&session, &stream, "consumer.create", &[("name", "worker")]).await;
        }
    }
    Some(("", integration, Channels::of(names, read, into)))
}

#[cfg(feature = "redis")]
async fn of_redis(kind: &str, names: &[String; 2]) -> Option<Fresh> {
    let (server, session) = redis::shared().await?;
    let publish = session.publish.as_ref().expect("Redis takes messages");
    for name in names.iter().filter(|_| kind == "stream") {
        // A stream is there with its first entry; this one is empty again, and has a group.
        let (stream, first) = (format!("stream:{name}"), Outgoing { payload: Some("first".into()), ..Outgoing::default() });
        let Ok(Receipt::Stored(first)) = publish.publish(&stream, first).await else { panic!("it is stored") };
        manage(&session, &format!("cache/{stream}"), "group.create", &[("group", "workers")]).await;
        manage(&session, &format!("cache/{stream}"), "entry.delete", &[("ids", &first.to_string())]).await;
    }
    let form = format!("{kind}:{{}}");
    Some(("", redis::integration(&server), Channels::of(names, &form, &form)))
}
