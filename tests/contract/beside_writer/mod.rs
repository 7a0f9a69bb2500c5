//! Every operation of every real system, with somebody who writes between the plan and the act: what was not in the plan is untouched.
//!
//! An operation that is in no row fails. `{}` stands for a name of the row's own.

mod rows;

use super::history::WHOLE;
use crate::support::server::Server;
use crate::support::subjects::{connect, manage, read};
use crate::support::{kafka, mosquitto, nats, rabbitmq, unique};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::operation::{Change, Done, Request};
use rows::{KAFKA, MQTT, NATS, RABBITMQ, REDIS};
use std::process::Command;

/// Fields of an operation's form.
type Arguments = &'static [(&'static str, &'static str)];

/// Something that somebody does.
enum Do {
    /// Publishes to a channel, in this order.
    Put(&'static str, &'static [&'static str]),
    /// Plans an operation on an address and carries it out.
    Run(&'static str, &'static str, Arguments),
    /// Says something to the server in its own words, with blanks between them.
    Say(&'static str),
}
use Do::{Put, Run, Say};

/// How carrying out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Done,
    /// Nothing was done.
    Refused,
    /// Some parts were done, and those that are another's by now were refused.
    Partly,
    /// There is nothing to plan on a system that is well.
    Unplanned,
}
use Ends::{Done as Carried, Partly, Refused, Unplanned};

struct Row {
    id: &'static str,
    /// Behind the integration.
    on: &'static str,
    arguments: Arguments,
    before: &'static [Do],
    meanwhile: &'static [Do],
    ends: Ends,
    /// A channel, and what it holds afterwards.
    left: (&'static str, &'static [&'static str]),
}

const NOWHERE: (&str, &[&str]) = ("", &[]);

/// One system under test.
struct System {
    name: &'static str,
    session: Session,
    say: Box<dyn Fn(&str)>,
    /// How its messages are published.
    options: Vec<(&'static str, String)>,
}

impl System {
    async fn of(integration: Integration) -> Self {
        let name = match integration.system.as_str() {
            "kafka" => "events",
            "rabbitmq" => "rabbit",
            "nats" => "nats",
            "redis" => "cache",
            _ => "iot",
        };
        let session = connect(integration).await.expect("it is there");
        Self { name, session, say: Box::new(|_| panic!("nobody says anything here")), options: Vec::new() }
    }

    async fn act(&self, deeds: &[Do], own: &str) {
        for deed in deeds {
            match deed {
                Put(channel, payloads) => {
                    let publish = self.session.publish.as_ref().expect("it takes messages");
                    for payload in *payloads {
                        let message = Outgoing { payload: Some((*payload).into()), options: self.options.clone(), ..Outgoing::default() };
                        publish.publish(&channel.replace("{}", own), message).await.unwrap_or_else(|fault| panic!("{fault}"));
                    }
                }
                Run(on, id, arguments) => {
                    let change = self.plan(on, id, arguments, own).await.unwrap_or_else(|fault| panic!("{id}: {fault}"));
                    assert_eq!(change.refused, None, "{id}");
                    let done = self.apply(&change).await.unwrap_or_else(|fault| panic!("{id}: {fault}"));
                    assert!(done.parts.iter().all(|(_, part)| part.is_ok()), "{id}: {done:?}");
                }
                Say(words) => (self.say)(&words.replace("{}", own)),
            }
        }
    }

    async fn plan(&self, on: &str, id: &str, arguments: Arguments, own: &str) -> Result<Change, Fault> {
        let manage = self.session.manage.as_ref().expect("it is managed");
        let spec = manage.operations().iter().find(|spec| spec.id == id).copied().unwrap_or_else(|| panic!("there is no {id}"));
        let on = on.replace("{}", own);
        let address = match on.strip_prefix("group:") {
            Some(group) => Address::group(self.name, group),
            None if on.is_empty() => Address::new(self.name, ""),
            None => format!("{}/{on}", self.name).parse().expect("an address"),
        };
        let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), value.replace("{}", own))).collect();
        manage.plan(Request { spec, address, arguments }).await
    }

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        self.session.manage.as_ref().expect("it is managed").apply(change).await
    }

    /// What a channel holds.
    async fn holds(&self, channel: &str) -> Vec<String> {
        let messages = match &self.session.peek {
            // A stream is read as it is.
            Some(peek) if !channel.starts_with("stream:") => {
                let looked = peek.peek(channel, 100).await.unwrap_or_else(|fault| panic!("{channel}: {fault}"));
                looked.deliveries.into_iter().map(|delivery| delivery.message).collect()
            }
            _ => read(&self.session, channel, WHOLE).await.unwrap_or_else(|fault| panic!("{channel}: {fault}")),
        };
        messages.iter().map(|message| String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()).collect()
    }

    async fn go_through(&self, rows: &[Row]) {
        let operations = self.session.manage.as_ref().expect("it is managed").operations();
        let missing: Vec<&str> = operations.iter().map(|spec| spec.id).filter(|id| rows.iter().all(|row| row.id != *id)).collect();
        assert!(missing.is_empty(), "{}: in no row: {missing:?}", self.name);
        for row in rows {
            self.check(row).await;
        }
    }

    async fn check(&self, row: &Row) {
        let own = unique("beside").replace('.', "-");
        self.act(row.before, &own).await;
        let planned = self.plan(row.on, row.id, row.arguments, &own).await;
        let change = match (planned, row.ends) {
            (Err(fault), Unplanned) => return assert_eq!(fault.kind, Kind::Rejected, "{}: {fault}", row.id),
            (planned, _) => planned.unwrap_or_else(|fault| panic!("{}: {fault}", row.id)),
        };
        assert_eq!(change.refused, None, "{}", row.id);
        self.act(row.meanwhile, &own).await;
        let (ends, said) = match self.apply(&change).await {
            Err(fault) => (Refused, format!("{fault}")),
            Ok(done) => {
                let failed = done.parts.iter().filter(|(_, part)| part.is_err()).count();
                let ends = match failed {
                    0 => Carried,
                    n if n == done.parts.len() => Refused,
                    _ => Partly,
                };
                (ends, format!("{done:?}"))
            }
        };
        assert_eq!(ends, row.ends, "{}: {said}", row.id);
        let (channel, payloads) = row.left;
        if !channel.is_empty() {
            assert_eq!(self.holds(&channel.replace("{}", &own)).await, payloads, "{}: {said}", row.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_leaves_alone_what_came_since_the_plan() {
    let Some(kafka) = kafka::shared() else { return };
    let system = System::of(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await;
    system.go_through(KAFKA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_leaves_alone_what_came_since_the_plan() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    System::of(rabbit.integration("guest")).await.go_through(RABBITMQ).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_leaves_alone_what_came_since_the_plan() {
    // Of its own: there is one stream of advisories.
    let Some(nats) = nats::own(&[]) else { return };
    System::of(nats.integration()).await.go_through(NATS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_leaves_alone_what_came_since_the_plan() {
    let Some(server) = Server::shared("redis", "Redis", &[]) else { return };
    let mut system = System::of(Integration::new("cache", "redis", server.addresses())).await;
    let (_, port) = server.addresses()[0].rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).expect("host:port");
    system.say = Box::new(move |words| {
        let done = Command::new("redis-cli").args(["-e", "-p", &port]).args(words.split(' ')).output().expect("redis-cli runs");
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stdout));
    });
    system.go_through(REDIS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_leaves_alone_what_came_since_the_plan() {
    let Some(broker) = mosquitto::shared() else { return };
    for version in ["5", "3.1.1"] {
        let mut system = System::of(broker.integration("PLAIN", &[("version", version)])).await;
        system.options = vec![("retain", "yes".to_owned()), ("qos", "1".to_owned())];
        system.go_through(MQTT).await;
    }
}

/// Purges while somebody publishes all the time: what was published since the plan is there, each message of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_a_queue_takes_as_many_as_were_planned_while_others_publish() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    for kind in ["classic", "quorum"] {
        let queue = rabbitmq::queue(&session, "busy", kind).await;
        let (address, others) = (format!("queue:{queue}"), rabbit.session().await);
        let put = async |session: &Session, payload: String| {
            let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
            publish.publish(&address, rabbitmq::letter(None, &payload)).await.unwrap_or_else(|fault| panic!("{fault}"));
        };
        for n in 0..300 {
            put(&session, format!("planned {n}")).await;
        }
        let change = rabbitmq::plan(&session, "queue.purge", &address, &[]).await.expect("a plan");
        assert!(change.bounded && change.touches.number() == Some(300), "{kind}: {:?}", change.touches);
        let writer = async {
            for n in 0..50 {
                put(&others, format!("later {n}")).await;
            }
        };
        let purge = session.manage.as_ref().expect("RabbitMQ is managed").apply(&change);
        let ((), done) = tokio::join!(writer, purge);
        let done = done.expect("carried out");
        assert_eq!(done.parts[0].1.as_ref().map(ToString::to_string), Ok("300 messages deleted".to_owned()), "{kind}");
        let left = session.peek.as_ref().expect("RabbitMQ is looked into").peek(&address, 100).await.expect("a look").deliveries;
        let left: Vec<String> =
            left.iter().map(|one| String::from_utf8_lossy(one.message.payload.as_deref().unwrap_or_default()).into_owned()).collect();
        assert_eq!(left, (0..50).map(|n| format!("later {n}")).collect::<Vec<_>>(), "{kind}");
        manage(&session, &format!("rabbit/{address}"), "queue.purge", &[]).await;
    }
}
