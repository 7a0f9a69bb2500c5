//! An address that is listed or printed opens the same channel again, whatever the channel is called; and nothing is done to another.

#[cfg(feature = "mqtt")]
use crate::support::mosquitto::{self, Peer};
#[cfg(feature = "nats")]
use crate::support::nats;
use crate::support::{SOON, unique};
use mqdeck::config::profile::{Integration, Profile};
use mqdeck::domain::address::Address;
use mqdeck::domain::message::{Message, Outgoing};
use mqdeck::domain::operation::{Plan, Request};
use mqdeck::domain::position::{Bound, Range};
use mqdeck::domain::safety::Safety;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::filter::Filter;
use mqdeck::gateway::find::Search;
use std::sync::Arc;

fn gateway(integration: Integration) -> Gateway {
    let integrations = vec![integration];
    Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations }, false)
}

fn address(text: &str) -> Address {
    text.parse().unwrap_or_else(|fault| panic!("{fault}"))
}

async fn publish(gateway: &Gateway, to: &str, payload: &str, options: &[(&'static str, &str)]) {
    let options = options.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let message = Outgoing { payload: Some(payload.to_owned().into()), options, ..Outgoing::default() };
    let plan = Plan::Publish { address: address(to), messages: vec![message] };
    gateway.execute(plan).await.unwrap_or_else(|fault| panic!("{to}: {fault}")).single().unwrap_or_else(|fault| panic!("{to}: {fault}"));
}

/// All that a channel keeps.
async fn kept(gateway: &Gateway, of: &Address) -> Vec<Message> {
    let range = Range { start: Bound::Earliest, end: Bound::Latest };
    let search = Search { range, ..Search::new(vec![of.clone()], Filter::parse("").expect("a query")) };
    let mut finding = gateway.find(search).await.unwrap_or_else(|fault| panic!("{of}: {fault}"));
    let mut messages = Vec::new();
    while let Some(found) = finding.next().await {
        assert_eq!(found.faults, [], "{of}");
        messages.extend(found.messages.into_iter().map(|(_, message)| message));
    }
    messages
}

fn payloads(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(message.payload.as_deref().unwrap_or_default()).expect("text")).collect()
}

#[cfg(feature = "mqtt")]
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_reads_as_a_kind_is_listed_opened_published_to_and_cleared_as_itself() {
    let Some(broker) = mosquitto::shared() else { return };
    let gateway = gateway(broker.integration("PLAIN", &[]));
    let base = unique("names");
    // The topic, and how its address is written.
    let topics = [
        (format!("{base}/b"), format!("iot/{base}/b")),
        (format!("topic:{base}/b"), format!("iot/topic:topic:{base}/b")),
        (format!("channel:{base}/temp"), format!("iot/channel:{base}/temp")),
        (format!("queue:{base}/x"), format!("iot/queue:{base}/x")),
        (format!("{base}/\\x41"), format!("iot/{base}/\\x5cx41")),
    ];
    for (topic, written) in &topics {
        let Some(mut peer) = Peer::start(&["take", broker.port(), topic, "1"]) else { return };
        publish(&gateway, written, topic, &[("qos", "1"), ("retain", "yes")]).await;
        let came: serde_json::Value = serde_json::from_str(&peer.line()).expect("JSON");
        assert_eq!(came["topic"], **topic, "{written}");
    }
    let listed = gateway.channels("iot").await.expect("a list");
    for (topic, written) in &topics {
        let row = listed.iter().find(|row| Address::new("iot", &row.name).to_string() == *written);
        let row = row.unwrap_or_else(|| panic!("{written} is not listed"));
        let read = kept(&gateway, &address(&Address::new("iot", &row.name).to_string())).await;
        assert_eq!((payloads(&read), &read[0].channel), (vec![topic.as_str()], &row.name), "{written}");
        assert_eq!(gateway.describe(&address(written)).await.expect("described").channel.name, row.name);
    }
    assert_eq!(payloads(&kept(&gateway, &address(&format!("iot/topic:{base}/b"))).await), [topics[0].0.as_str()], "a kind is a kind");

    let to_clear = address(&topics[1].1);
    let spec = gateway.operation(&to_clear, "retained.clear").await.expect("the operation");
    let change = gateway.plan(Request { spec, address: to_clear.clone(), arguments: Vec::new() }).await.expect("a plan");
    assert_eq!((change.touches.number(), change.request.address.to_string()), (Some(1), topics[1].1.clone()));
    gateway.arm("test", None).expect("armed");
    let outcome = gateway.execute(Plan::Change(Arc::new(change))).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!((outcome.counts().done, outcome.counts().failed), (1, 0));
    assert_eq!(payloads(&kept(&gateway, &to_clear).await), [""; 0]);
    assert_eq!(payloads(&kept(&gateway, &address(&topics[0].1)).await), [topics[0].0.as_str()], "its neighbour is still there");
    gateway.shutdown().await;
}

#[cfg(feature = "nats")]
#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_reads_as_a_kind_or_a_position_is_tailed_listed_and_published_to_as_itself() {
    use futures::StreamExt;
    use mqdeck::domain::tail::TailEvent;
    let Some(server) = nats::shared() else { return };
    let gateway = gateway(server.integration());
    let base = unique("names");
    for (subject, written) in [
        (format!("subject:{base}"), format!("nats/subject:subject:{base}")),
        (format!("stream:{base}"), format!("nats/subject:stream:{base}")),
        (format!("topic:{base}"), format!("nats/topic:{base}")),
        (format!("{base}#17"), format!("nats/{base}\\x2317")),
        (format!("{base}.\\x41"), format!("nats/{base}.\\x5cx41")),
    ] {
        let mut events = gateway.tail(&[address(&written)]).await.expect("a tail");
        let mut wire = Wire::open(server.address());
        wire.take(&subject);
        // From us to another client, and from another client to us.
        publish(&gateway, &written, "from us", &[]).await;
        assert_eq!(wire.next(), (subject.clone(), "from us".to_owned()));
        wire.publish(&subject, "to us");
        let mut came: Vec<Message> = Vec::new();
        while came.len() < 2 {
            let event = tokio::time::timeout(SOON, events.next()).await.expect("a message comes").expect("a tail does not end");
            if let (_, TailEvent::Messages(messages)) = event {
                came.extend(messages);
            }
        }
        assert_eq!(payloads(&came), ["from us", "to us"], "{written}");
        assert!(came.iter().all(|message| Address::new("nats", &message.channel).to_string() == written), "{written}: {came:?}");
        let listed = gateway.channels("nats").await.expect("a list");
        assert!(listed.iter().any(|row| Address::new("nats", &row.name).to_string() == written), "{written} is listed");
    }
    gateway.shutdown().await;
}

/// NATS as any client speaks it.
#[cfg(feature = "nats")]
struct Wire(std::io::BufReader<std::net::TcpStream>);

#[cfg(feature = "nats")]
impl Wire {
    fn open(address: &str) -> Self {
        let first = address.split(',').next().expect("an address");
        let stream = std::net::TcpStream::connect(first.trim_start_matches("nats://")).expect("the server is there");
        stream.set_read_timeout(Some(SOON)).expect("a limit");
        let mut wire = Self(std::io::BufReader::new(stream));
        wire.say("CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"test\",\"version\":\"1\",\"protocol\":0}\r\n");
        wire
    }

    fn say(&mut self, text: &str) {
        std::io::Write::write_all(self.0.get_mut(), text.as_bytes()).expect("sent");
    }

    /// Subscribes, and returns when the server knows.
    fn take(&mut self, subject: &str) {
        self.say(&format!("SUB {subject} 1\r\nPING\r\n"));
        while self.line() != "PONG" {}
    }

    fn publish(&mut self, subject: &str, payload: &str) {
        self.say(&format!("PUB {subject} {}\r\n{payload}\r\n", payload.len()));
    }

    /// The subject and payload of the next message.
    fn next(&mut self) -> (String, String) {
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix("MSG ") {
                return (rest.split(' ').next().expect("a subject").to_owned(), self.line());
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut self.0, &mut line).expect("the server answers");
        assert!(!line.is_empty(), "the server ended the connection");
        line.trim_end().to_owned()
    }
}
