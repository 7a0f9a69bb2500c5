//! What large messages cost the program: whatever the system, and whether they are read, looked at or received, it has a few megabytes of
//! them at a time.

use crate::support::program::{Home, measured};
use crate::support::subjects::{connect, manage};
use crate::support::{SOON, kafka, mosquitto, nats, rabbitmq, topics, unique};
use futures::StreamExt;
use futures::future::join_all;
use mqdeck::adapters::session::{Publish, Session};
use mqdeck::domain::message::{Header, Outgoing};
use mqdeck::domain::tail::TailEvent;
use std::sync::Arc;

/// What the program has at most for messages on their way, beside itself.
const BOUND: u64 = 96 * 1024 * 1024;
const MESSAGES: usize = 200;
const SIZE: usize = 900 * 1024;

fn large(options: &[(&'static str, &str)]) -> Outgoing {
    let options = options.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Outgoing { payload: Some(vec![b'x'; SIZE].into()), options, ..Outgoing::default() }
}

/// Fills a channel with more than would fit.
async fn fill(session: &Session, channel: &str) {
    let message = large(&[]);
    for _ in 0..MESSAGES {
        session.publish.as_ref().expect("it takes messages").publish(channel, message.clone()).await.expect("stored");
    }
}

/// Runs commands on it, with a URL or a profile; each stays under the bound.
fn stays_small(source: &str, commands: &[&[&str]]) {
    let home = Home::new();
    let option = if source.contains("://") { "--url" } else { "--profile" };
    let run = |arguments: &[&str]| {
        let (output, most) = measured(home.mqdeck(&[&[option, source], arguments].concat()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        (most, output.stdout.len(), said)
    };
    let (itself, ..) = run(&["status"]);
    for arguments in commands {
        let (most, printed, said) = run(arguments);
        assert!(most < itself + BOUND, "{arguments:?}: {} MB, {} MB of them for itself", most >> 20, itself >> 20);
        let takes = ["peek", "receive"].contains(&arguments[0]) || arguments.contains(&"--json") && !arguments.contains(&"--limit");
        assert!(!takes || printed > 20 * SIZE, "{arguments:?}: only {printed} bytes came: {said}");
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
async fn a_jetstream_is_read_and_received_in_small_answers() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("NATS is there");
    let url = format!("nats://{}", nats.address().split(',').next().expect("an address"));
    // Read in batches; and one by one, as a stream is that does not allow direct gets.
    for direct in [true, false] {
        let stream = unique("large").replace('.', "-");
        if direct {
            manage(&session, &format!("nats/stream:{stream}"), "stream.create", &[]).await;
        } else {
            let config = format!(r#"{{"name":"{stream}","subjects":["{stream}"]}}"#);
            let request = Outgoing { payload: Some(config.into()), ..Outgoing::default() };
            let call = session.call.as_ref().expect("NATS is asked");
            drop(call.call(&format!("$JS.API.STREAM.CREATE.{stream}"), request, crate::support::SOON).await.expect("asked"));
        }
        fill(&session, &format!("stream:{stream}")).await;
        manage(&session, &format!("nats/stream:{stream}"), "consumer.create", &[("name", "c")]).await;
        let (address, consumer) = (format!("nats/stream:{stream}"), format!("nats/consumer:{stream}/c"));
        let reads = reads(&address);
        let mut commands: Vec<&[&str]> = reads.iter().map(|words| &words[..]).collect();
        let receive = ["receive", &consumer, "--limit", "200", "--wait", "5s", "--ack", "--json"];
        commands.push(&receive);
        stays_small(&url, &commands);
        manage(&session, &address, "stream.delete", &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_queue_is_looked_at_and_received_from_in_small_answers() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let queue = rabbitmq::queue(&session, "large", "classic").await;
    fill(&session, &format!("queue:{queue}")).await;
    let management = rabbit.fact("MANAGEMENT");
    let url = format!("amqp://guest:guest@{}/?management_url={management}", rabbit.fact("AMQP").split(',').next().expect("an address"));
    let address = format!("{}/queue:{queue}", Home::new().integration(&url));
    let words = |command: &'static str, more: &[&'static str]| {
        let mut words = vec![command, "--json", "--limit", "200"];
        words.extend(more);
        words
    };
    let mut peek = words("peek", &["--yes"]);
    let (mut hold, mut take) = (words("receive", &["--wait", "5s"]), words("receive", &["--wait", "5s", "--ack"]));
    for command in [&mut peek, &mut hold, &mut take] {
        command.push(&address);
    }
    stays_small(&url, &[&peek, &hold, &take]);
    manage(&session, &format!("rabbit/queue:{queue}"), "queue.delete", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_stream_is_read_in_small_answers() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let stream = rabbitmq::queue(&session, "large", "stream").await;
    let publish = session.publish.as_ref().expect("it takes messages");
    // All at once, so that they stand in few chunks.
    for _ in 0..10 {
        let channel = format!("stream:{stream}");
        let stored = join_all((0..MESSAGES / 10).map(|_| publish.publish(&channel, large(&[])))).await;
        assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    }
    let management = rabbit.fact("MANAGEMENT");
    let url = format!("amqp://guest:guest@{}/?management_url={management}", rabbit.fact("AMQP").split(',').next().expect("an address"));
    let address = format!("{}/stream:{stream}", Home::new().integration(&url));
    stays_small(&url, &reads(&address).each_ref().map(|words| &words[..]));
    manage(&session, &format!("rabbit/stream:{stream}"), "queue.delete", &[]).await;
}

/// What is stored waits at the server for a listener that takes nothing, and comes whole when it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_stream_is_tailed_in_small_pieces() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let stream = rabbitmq::queue(&session, "large", "stream").await;
    let channel: Arc<str> = format!("stream:{stream}").into();
    let mut tail = session.tail.as_ref().expect("it can be tailed").tail(std::slice::from_ref(&channel)).await.expect("a tail");
    fill(&session, &channel).await;
    // In the program what is not read is bounded by bytes; here it is seen in how much one event may have.
    let (mut seen, mut largest) = (0, 0);
    while seen < MESSAGES {
        match tokio::time::timeout(SOON, tail.next()).await.expect("messages").expect("it goes on") {
            TailEvent::Messages(messages) => {
                seen += messages.len();
                largest = largest.max(messages.len());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(largest * SIZE < 16 << 20, "{largest} messages came at once");
    manage(&session, &format!("rabbit/{channel}"), "queue.delete", &[]).await;
}

/// Everything that is found has to be put in the order of time, which cannot be done before everything was searched.
#[tokio::test(flavor = "multi_thread")]
async fn a_follow_keeps_so_much_of_what_it_finds_and_counts_the_rest() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("NATS is there");
    let id = Header { name: "correlation-id".into(), value: Some("c-1".into()) };
    for stream in ["A", "B"] {
        manage(&session, &format!("nats/stream:{stream}"), "stream.create", &[]).await;
        let channel = format!("stream:{stream}");
        for _ in 0..MESSAGES / 2 {
            let message = Outgoing { headers: vec![id.clone()], ..large(&[]) };
            session.publish.as_ref().expect("it takes messages").publish(&channel, message).await.expect("stored");
        }
    }
    let home = Home::new();
    let url = format!("nats://{}", nats.address().split(',').next().expect("an address"));
    let (_, itself) = measured(home.mqdeck(&["--url", &url, "status"]));
    let (output, most) = measured(home.mqdeck(&["--url", &url, "follow", "c-1", "--json"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(most < itself + BOUND, "{} MB, {} MB of them for itself", most >> 20, itself >> 20);
    let printed = String::from_utf8_lossy(&output.stdout).lines().count();
    assert!((20..MESSAGES / 2).contains(&printed), "{printed} lines: {said}");
    assert!(said.contains(&format!("{MESSAGES} found in 2 channels")), "{said}");
    assert!(said.contains(&format!("{} more hits were found and not kept", MESSAGES - printed)), "{said}");
    assert_eq!(output.status.code(), Some(1), "a part must not pass for all of it: {said}");
    // What fits is all of it.
    let one = Outgoing { headers: vec![Header { name: "correlation-id".into(), value: Some("c-2".into()) }], ..large(&[]) };
    session.publish.as_ref().expect("it takes messages").publish("stream:A", one).await.expect("stored");
    let (output, _) = measured(home.mqdeck(&["--url", &url, "follow", "c-2", "--json"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("1 found in 2 channels") && !said.contains("not kept"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mqtt_retains_is_read_in_small_answers() {
    let Some(broker) = mosquitto::own(&[]) else { return };
    let session = broker.session(&[]).await;
    let publish = session.publish.as_ref().expect("MQTT takes messages");
    for n in 0..MESSAGES {
        publish.publish(&format!("large/{n}"), large(&[("retain", "yes")])).await.expect("kept");
    }
    let url = format!("mqtt://{}", broker.at("PLAIN"));
    stays_small(&url, &reads("mqtt/large/#").each_ref().map(|words| &words[..]));
}

/// What is published while nobody receives is kept for a session that is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_mqtt_session_is_received_from_in_small_answers() {
    let Some(broker) = mosquitto::own(&[]) else { return };
    let session = broker.session(&[]).await;
    let publish = session.publish.as_ref().expect("MQTT takes messages");
    for (version, decision) in [("3.1.1", &["--ack"][..]), ("5", &[])] {
        is_received_in_small_answers(&broker, &**publish, version, decision).await;
    }
}

async fn is_received_in_small_answers(broker: &mosquitto::Mosquitto, publish: &dyn Publish, version: &str, decision: &[&str]) {
    let (home, id) = (Home::new(), unique("large"));
    let config = format!("client_id = \"{id}\"\n clean_session = \"false\"\n version = \"{version}\"");
    let endpoint = format!("endpoint {{ address = \"{}\" }}", broker.at("PLAIN"));
    let profile =
        home.write("kept.hcl", &format!("integration \"mqtt\" {{\n type = \"mqtt\"\n {endpoint}\n config {{\n {config}\n }}\n}}\n"));
    let profile = profile.to_str().expect("a path");
    let channel = format!("mqtt/later/{version}");
    let receive = ["receive", &channel, "--limit", "200", "--json", "--wait"];
    let subscribed = home.mqdeck(&[&["--profile", profile], &receive[..], &["1s"]].concat()).output().expect("it runs");
    assert!(subscribed.status.success(), "{}", String::from_utf8_lossy(&subscribed.stderr));
    for _ in 0..MESSAGES {
        publish.publish(&channel["mqtt/".len()..], large(&[("qos", "1")])).await.expect("taken");
    }
    stays_small(profile, &[&[&receive[..], &["5s"], decision].concat()]);
}
