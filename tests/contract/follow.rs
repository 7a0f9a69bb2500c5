//! `mqdeck follow --live` over several real systems at once: one timeline, whoever keeps the messages.

use crate::support::program::{Home, lines};
use crate::support::server::Server;
use crate::support::subjects::{Listener, connect, manage};
use crate::support::{SOON, kafka, mosquitto, nats, rabbitmq, topics};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::message::{Header, Outgoing};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

fn integration(name: &str, system: &str, address: &str) -> String {
    format!("integration \"{name}\" {{\n  type = \"{system}\"\n  endpoint {{ address = \"{address}\" }}\n}}\n")
}

/// The program while it follows.
struct Following {
    child: Child,
    printed: Receiver<String>,
    notes: Receiver<String>,
    said: Vec<String>,
    /// The addresses and numbers of what was printed.
    seen: Vec<(String, u64)>,
}

impl Following {
    fn start(home: &Home, profile: &str, id: &str) -> Self {
        let mut command = home.mqdeck(&["--profile", profile, "follow", id, "--live", "--json"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let printed = lines(child.stdout.take().expect("its output"));
        let notes = lines(child.stderr.take().expect("its errors"));
        Self { child, printed, notes, said: Vec::new(), seen: Vec::new() }
    }

    /// Waits until it says this.
    fn says(&mut self, word: &str) {
        while !self.said.iter().any(|line| line.contains(word)) {
            let line = self.notes.recv_timeout(SOON).unwrap_or_else(|_| panic!("it does not say `{word}`: {:#?}", self.said));
            self.said.push(line);
        }
    }

    /// Waits until a message with this number was printed.
    fn prints(&mut self, number: u64) {
        let until = Instant::now() + SOON;
        while !self.seen.iter().any(|(_, seen)| *seen == number) {
            let left = until.saturating_duration_since(Instant::now());
            let line =
                self.printed.recv_timeout(left).unwrap_or_else(|_| panic!("{number} did not come: {:?}, {:?}", self.seen, self.said));
            let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
            let address = line["address"].as_str().expect("an address").to_owned();
            self.seen.push((address, line["value"]["n"].as_u64().expect("a number")));
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn publish(session: &Session, channel: &str, id: &str, number: u64) {
    let header = |name: &str, value: &str| Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) };
    // The id stands where each system's people put it: in a header, or in the message.
    let headers = if channel.starts_with("channel:") { Vec::new() } else { vec![header("correlation_id", id)] };
    let payload = format!("{{\"correlation_id\":\"{id}\",\"n\":{number}}}");
    let message = Outgoing { headers, payload: Some(payload.into()), ..Outgoing::default() };
    let publish = session.publish.as_ref().expect("it takes messages");
    publish.publish(channel, message).await.unwrap_or_else(|fault| panic!("{channel}: {fault}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_systems_carry_from_now_on_is_one_timeline_and_what_cannot_be_seen_is_said() {
    let (Some(kafka), Some(nats), Some(mosquitto)) = (kafka::own(&[]), nats::own(&[]), mosquitto::own(&[])) else { return };
    let Some(redis) = Server::own("redis", "Redis", &[]) else { return };
    let events = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    let stream = connect(nats.integration()).await.expect("NATS is there");
    let cache = connect(Integration::new("cache", "redis", redis.addresses())).await.expect("Redis is there");
    let iot = mosquitto.session(&[]).await;
    let orders = topics::create(kafka.plain(), "orders", 2, 1, &[]).await;
    manage(&stream, "nats/stream:SHIPPED", "stream.create", &[("subjects", "shipped.>")]).await;
    // A pub/sub channel is there while somebody listens; a topic is known by what it keeps.
    let _listener = Listener::start(&cache, &["channel:news".into()]).await;
    let kept = Outgoing { payload: Some("{}".into()), options: vec![("retain", "yes".to_owned())], ..Outgoing::default() };
    iot.publish.as_ref().expect("MQTT takes messages").publish("press/1", kept).await.unwrap_or_else(|fault| panic!("{fault}"));
    publish(&events, &orders, "c-77", 1).await;

    let home = Home::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string();
    let profile = [
        integration("events", "kafka", kafka.plain()),
        integration("nats", "nats", nats.address()),
        integration("cache", "redis", redis.fact("ADDRESS")),
        integration("iot", "mqtt", mosquitto.at("PLAIN")),
        integration("away", "redis", &nobody),
        "integration \"jobs\" {\n  type = \"memory\"\n  config { queues = \"tasks:5\" }\n}\n".to_owned(),
    ];
    let profile = home.write("p.hcl", &profile.concat());
    let mut following = Following::start(&home, profile.to_str().expect("a path"), "c-77");
    following.says("watching ");
    // While history is searched, or after: it comes once.
    publish(&events, &orders, "c-77", 2).await;
    following.says(" found in ");
    following.prints(2);
    let mut number = 3;
    for (session, channel) in [(&stream, "shipped.today"), (&cache, "channel:news"), (&iot, "press/1"), (&events, orders.as_str())] {
        publish(session, channel, "c-78", 1_000 + number).await;
        publish(session, channel, "c-77", number).await;
        following.prints(number);
        number += 1;
    }
    // These two come by different ways at nearly the same time.
    publish(&events, &orders, "c-77", number).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    publish(&stream, "shipped.today", "c-77", number + 1).await;
    following.prints(number + 1);

    let told: Vec<u64> = following.seen.iter().map(|(_, number)| *number).collect();
    assert_eq!(told, (1..=number + 1).collect::<Vec<_>>(), "{:?}", following.seen);
    for (address, number) in [("nats/stream:SHIPPED", 3), ("cache/channel:news", 4), ("iot/press/1", 5), (&*format!("events/{orders}"), 6)]
    {
        assert!(following.seen.contains(&(address.to_owned(), number)), "{address}: {:?}", following.seen);
    }
    for (place, said) in [
        ("cache/channel:news", "no history is kept there: only what comes from now on"),
        ("nats/shipped.>", "what comes there is seen in nats/stream:SHIPPED"),
        ("jobs/tasks", "it is a queue"),
        ("away", "not looked at: "),
    ] {
        assert!(following.said.iter().any(|line| line.contains(place) && line.contains(said)), "{place} {said}: {:#?}", following.said);
    }
    let pid = i32::try_from(following.child.id()).ok().and_then(Pid::from_raw).expect("its id");
    kill_process(pid, Signal::INT).expect("it runs");
    assert_eq!(following.child.wait().expect("it ends").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn amqp_s_own_ids_are_known_and_what_an_exchange_carries_to_a_queue_comes_once() {
    let Some(rabbit) = rabbitmq::own() else { return };
    let session = rabbit.session().await;
    for exchange in ["exchange:first", "exchange:second"] {
        rabbitmq::done(&session, "exchange.declare", exchange, &[("type", "topic")]).await;
        let queue = rabbitmq::queue(&session, "jobs", "classic").await;
        let bound = [("exchange", exchange.trim_start_matches("exchange:")), ("routing_key", "#")];
        rabbitmq::done(&session, "binding.create", &format!("queue:{queue}"), &bound).await;
    }
    let home = Home::new();
    let management = format!("  config {{ management_url = \"{}\" }}\n}}\n", rabbit.fact("MANAGEMENT"));
    let profile = integration("rabbit", "rabbitmq", rabbit.fact("AMQP")).replace("}\n}\n", &format!("}}\n{management}"));
    let profile = home.write("p.hcl", &profile);
    let mut following = Following::start(&home, profile.to_str().expect("a path"), "c-77");
    following.says("watching ");
    following.says(" found in ");
    let mut number = 1;
    for id in ["correlation_id", "message_id", "correlation_id"] {
        for exchange in ["exchange:first", "exchange:second"] {
            let payload = format!("{{\"n\":{number}}}");
            let message = Outgoing {
                key: Some("k".into()),
                payload: Some(payload.into()),
                options: vec![(id, "c-77".to_owned())],
                ..Outgoing::default()
            };
            session
                .publish
                .as_ref()
                .expect("RabbitMQ takes messages")
                .publish(exchange, message)
                .await
                .unwrap_or_else(|fault| panic!("{fault}"));
            following.prints(number);
            number += 1;
        }
    }
    // What came by a queue of its own would have come before the last.
    let told: Vec<u64> = following.seen.iter().map(|(_, number)| *number).collect();
    assert_eq!(told, (1..number).collect::<Vec<_>>(), "{:?}", following.seen);
    assert!(following.seen.iter().all(|(address, _)| address.starts_with("rabbit/exchange:")), "{:?}", following.seen);
}
