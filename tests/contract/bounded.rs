//! What large messages cost the program: history is read in answers of a few megabytes, whatever the system.

use crate::support::program::{Home, measured};
use crate::support::subjects::{connect, manage};
use crate::support::{kafka, nats, topics, unique};
use mqdeck::adapters::session::Session;
use mqdeck::domain::message::Outgoing;

/// What the program has at most for messages on their way, beside itself.
const BOUND: u64 = 96 * 1024 * 1024;
const MESSAGES: usize = 150;

/// Fills a channel with more than would fit.
async fn fill(session: &Session, channel: &str) {
    let payload = vec![b'x'; 900 * 1024];
    for _ in 0..MESSAGES {
        let message = Outgoing { payload: Some(payload.clone().into()), ..Outgoing::default() };
        session.publish.as_ref().expect("it takes messages").publish(channel, message).await.expect("stored");
    }
}

/// Runs commands that read it; each stays under the bound.
fn stays_small(url: &str, commands: &[&[&str]]) {
    let home = Home::new();
    let run = |arguments: &[&str]| {
        let (output, most) = measured(home.mqdeck(&[&["--url", url], arguments].concat()));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        most
    };
    let itself = run(&["status"]);
    for arguments in commands {
        let most = run(arguments);
        assert!(most < itself + BOUND, "{arguments:?}: {} MB, {} MB of them for itself", most >> 20, itself >> 20);
    }
}

fn reads(address: &str) -> [Vec<&str>; 3] {
    let history = ["tail", address, "--from", "earliest", "--until", "latest", "--json"];
    [[&history[..], &["--limit", "1"]].concat(), history.to_vec(), vec!["find", address, "where value == \"none\""]]
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_read_in_small_answers() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), &unique("large"), 1, 1, &[]).await;
    let session = connect(mqdeck::config::profile::Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await;
    fill(&session.expect("Kafka is there"), &topic).await;
    let address = format!("kafka/{topic}");
    stays_small(&format!("kafka://{}", kafka.plain()), &reads(&address).each_ref().map(|words| &words[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jetstream_is_read_in_small_answers() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("NATS is there");
    let stream = unique("large").replace('.', "-");
    manage(&session, &format!("nats/stream:{stream}"), "stream.create", &[]).await;
    fill(&session, &format!("stream:{stream}")).await;
    let url = format!("nats://{}", nats.address().split(',').next().expect("an address"));
    let address = format!("nats/stream:{stream}");
    stays_small(&url, &reads(&address).each_ref().map(|words| &words[..]));
}
