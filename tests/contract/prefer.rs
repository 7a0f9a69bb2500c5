//! What a profile says of a channel's payloads goes before what they look like: in searches, for live messages, and in lines.

#[cfg(feature = "kafka")]
use crate::support::program::Home;
use crate::support::unique;
#[cfg(feature = "kafka")]
use crate::support::{kafka, topics};
use mqdeck::config::profile::{ChannelPattern, Integration, Profile, Setting};
use mqdeck::config::secret::Secret;
use mqdeck::domain::address::Address;
use mqdeck::domain::format::Format;
use mqdeck::domain::message::{Message, Outgoing, Stamp};
use mqdeck::domain::operation::Plan;
use mqdeck::domain::position::Position;
use mqdeck::domain::safety::Safety;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::execute::Outcome;
use mqdeck::gateway::filter::{Filter, Verdict};
use mqdeck::gateway::find::Search;

async fn matched(gateway: &Gateway, address: &Address, query: &str) -> u64 {
    let search = Search::new(vec![address.clone()], Filter::parse(query).expect("a query"));
    let mut finding = gateway.find(search).await.expect("a search");
    while finding.next().await.is_some() {}
    finding.report().counts.matched
}

/// The number 123 is JSON by its looks; here it is text, in which it is no number.
async fn is_read_as_text(integration: Integration, topic: &str) {
    let address = Address::new(&integration.name, topic);
    for (prefer, by_text, by_number) in [(vec![Format::Text], 1, 0), (Vec::new(), 0, 1)] {
        let channels = vec![ChannelPattern { pattern: topic.to_owned(), prefer, ..ChannelPattern::default() }];
        let integrations = vec![Integration { channels, ..integration.clone() }];
        let gateway = Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations }, false);
        let message = Outgoing { payload: Some("123".into()), ..Outgoing::default() };
        // The system in memory is another one for each gateway.
        if matched(&gateway, &address, "").await == 0 {
            let outcome = gateway.execute(Plan::Publish { address: address.clone(), messages: vec![message.clone()] }).await;
            outcome.and_then(Outcome::single).expect("stored");
        }
        for (query, hits) in [("value == \"123\"", by_text), ("value == 123", by_number)] {
            assert_eq!(matched(&gateway, &address, query).await, hits, "{query} by {:?}", gateway.decoder(&address));
            let live = Filter::parse(query).expect("a query").test(&seen(topic), &gateway.decoder(&address));
            assert_eq!(live == Verdict::Passes, hits == 1, "live: {query}");
        }
        gateway.shutdown().await;
    }
}

fn seen(topic: &str) -> Message {
    Message {
        channel: topic.into(),
        position: Position::Sequence(1),
        timestamp: None,
        stamp: Stamp::Created,
        key: None,
        headers: Vec::new(),
        payload: Some("123".into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory() {
    let topic = unique("prefer");
    let mut integration = Integration::new("events", "memory", Vec::new());
    integration.settings.insert("topics".to_owned(), Setting { value: Secret::new(format!("{topic}:1")), line: 1 });
    is_read_as_text(integration, &topic).await;
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread")]
async fn in_kafka_and_in_its_lines() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "prefer", 1, 1, &[]).await;
    is_read_as_text(Integration::new("events", "kafka", vec![kafka.plain().to_owned()]), &topic).await;
    let home = Home::new();
    for (prefer, wire) in [("    prefer = [\"text\"]\n", "\"wire\":\"text\""), ("", "\"wire\":\"json\"")] {
        let text = format!(
            "integration \"events\" {{\n  type = \"kafka\"\n  endpoint {{\n    address = \"{}\"\n  }}\n  channels {{\n    \
             pattern = \"prefer*\"\n{prefer}  }}\n}}\n",
            kafka.plain()
        );
        let profile = home.write("prefer.hcl", &text);
        let address = format!("events/{topic}");
        let arguments = ["--profile", &profile.to_string_lossy(), "tail", &address, "--from", "earliest", "--until", "latest", "--json"];
        let said = home.mqdeck(&arguments).output().expect("the program runs");
        let said = String::from_utf8_lossy(&said.stdout).replace(": ", ":");
        assert!(said.contains(wire), "{said}");
    }
}
