//! Commands as the console copies them: each ends by itself and shows what was selected, of every system.

use crate::contract::redis;
use crate::support::offers::offers;
use crate::support::program::Home;
use crate::support::subjects::{connect, read};
use crate::support::{kafka, nats, topics, unique};
use mqdeck::adapters::session::Session;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::Bound;

const PAYLOADS: [&str; 3] = ["one", "two", "three"];

async fn fill(session: &Session, channel: &str) {
    let publish = session.publish.as_ref().expect("the system takes messages");
    for payload in PAYLOADS {
        let message = Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() };
        publish.publish(channel, message).await.unwrap_or_else(|fault| panic!("{channel}: {fault}"));
    }
}

/// What a command prints of each message, after it has ended by itself.
fn printed(home: &Home, words: &[&str]) -> Vec<String> {
    let done = home.mqdeck(words).arg("--json").output().expect("the program runs");
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["value"].as_str().expect("text").to_owned();
    std::str::from_utf8(&done.stdout).expect("text").lines().map(value).collect()
}

/// One message by its place, and a range of history.
async fn shows(url: &str, session: &Session, channel: &str) {
    let home = Home::new();
    let address = format!("{}/{channel}", home.integration(url));
    let all = read(session, channel, crate::contract::history::WHOLE).await.expect("history");
    let place = Bound::At(all[1].position).to_string();
    let one = ["--url", url, "tail", &address, "--from", &place, "--until", "latest", "--limit", "1"];
    assert_eq!(printed(&home, &one), ["two"], "{url}");
    assert_eq!(printed(&home, &["--url", url, "find", &address, "", "--from", "earliest"]), PAYLOADS, "{url}");
    assert_eq!(printed(&home, &["--url", url, "find", &address, "three", "--from", "1h ago", "--until", "latest"]), ["three"], "{url}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_command_shows_a_message_by_its_place_in_every_system_that_has_places() {
    if let Some(server) = kafka::shared() {
        let topic = topics::create(server.plain(), "copied", 1, 1, &[]).await;
        let session =
            connect(mqdeck::config::profile::Integration::new("events", "kafka", vec![server.plain().to_owned()])).await.expect("Kafka");
        fill(&session, &topic).await;
        shows(&format!("kafka://{}", server.plain()), &session, &topic).await;
    }
    if let Some(server) = nats::shared() {
        for log in offers("copied", |row| row.system == "nats" && row.is.log).await {
            fill(&log.session, &log.name).await;
            let first = server.address().split(',').next().expect("an address").trim_start_matches("nats://").to_owned();
            shows(&format!("nats://{first}"), &log.session, &log.name).await;
        }
    }
    if let Some((server, session)) = redis::shared().await {
        let stream = format!("stream:{}", unique("copied"));
        fill(&session, &stream).await;
        let address = redis::integration(&server).endpoint.addresses.remove(0);
        shows(&format!("redis://{address}"), &session, &stream).await;
    }
}
