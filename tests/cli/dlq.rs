//! `mqdeck dlq` on real servers: where letters lie, what they died of, one of them whole, and what will lose them.

use crate::support::program::Home;
use crate::support::subjects::{connect, header, manage, outgoing};
use crate::support::{kafka, nats, redis, topics, unique};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::message::Outgoing;
use serde_json::{Value, json};
use std::process::Output;

/// A dead letter as Spring Kafka writes it.
fn letter(topic: &str, offset: i64, exception: &str, message: &str, line: u32) -> Outgoing {
    let stack = format!("{exception}: {message}\n\tat com.shop.Orders.read(Orders.java:{line})\n\tat com.shop.Main.run(Main.java:7)");
    let headers = vec![
        header("kafka_dlt-original-topic", Some(topic.as_bytes())),
        header("kafka_dlt-original-partition", Some(&3_i32.to_be_bytes())),
        header("kafka_dlt-original-offset", Some(&offset.to_be_bytes())),
        header("kafka_dlt-original-consumer-group", Some(b"payments")),
        header("kafka_dlt-exception-fqcn", Some(exception.as_bytes())),
        header("kafka_dlt-exception-message", Some(message.as_bytes())),
        header("kafka_dlt-exception-stacktrace", Some(stack.as_bytes())),
    ];
    Outgoing { headers, ..outgoing(0, Some("k"), Some("{\"total\":1}")) }
}

fn plain(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

async fn publish(session: &Session, channel: &str, message: Outgoing) {
    session.publish.as_ref().expect("it takes messages").publish(channel, message).await.expect("stored");
}

fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_kafka_are_found_grouped_shown_and_audited() {
    let Some(kafka) = kafka::shared() else { return };
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    let origin = topics::create(kafka.plain(), &unique("orders"), 4, 1, &[]).await;
    let dead = format!("{origin}.dlt");
    manage(&session, &format!("events/{dead}"), "topic.create", &[("partitions", "1"), ("settings", "retention.ms=3600000")]).await;
    for n in 0..3 {
        // Another line of another build: it is the same failure.
        publish(&session, &dead, letter(&origin, 17 + n, "com.shop.SchemaMismatch", "field \"currency\" missing", 40 + n as u32)).await;
    }
    publish(&session, &dead, letter(&origin, 99, "java.net.SocketTimeoutException", "connect billing:443", 40)).await;
    publish(&session, &dead, outgoing(0, None, Some("of no library"))).await;
    let (home, url) = (Home::new(), format!("kafka://{}", kafka.plain()));
    let run = |arguments: &[&str]| home.mqdeck(&[&["--url", &url, "dlq"], arguments].concat()).output().expect("it runs");
    let address = format!("{}/{dead}", home.integration(&url));
    let from = format!("{}/{origin}", home.integration(&url));

    let channels = objects(&run(&["channels", "--json"]));
    let row = channels.iter().find(|row| row["address"] == *address).expect("it is found");
    assert_eq!((&row["found_by"], &row["from"][0]["address"]), (&json!("name"), &json!(from)), "{row}");
    assert_eq!((&row["depth_at_most"], &row["depth"]), (&json!(5), &Value::Null), "a bound is a bound: {row}");

    let output = run(&["groups", &address, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let groups = objects(&output);
    let seen: Vec<_> =
        groups.iter().map(|group| (group["failure"].as_str().expect("words"), group["count"].as_u64().expect("a count"))).collect();
    assert_eq!(
        seen,
        [
            ("SchemaMismatch: field \"currency\" missing", 3),
            ("unknown: no dialect is on these letters", 1),
            ("SocketTimeoutException: connect billing:443", 1),
        ]
    );
    assert_eq!((&groups[0]["from"], &groups[0]["to"]), (&json!([origin]), &json!([address])));
    let listed = objects(&run(&["ls", "--json"]));
    assert!(listed.iter().any(|group| group["id"] == groups[0]["id"] && group["count"].as_u64() >= Some(3)), "it is one of all");
    let one = objects(&run(&["groups", &address, "--json", "--where", "headers.kafka_dlt-exception-message contains \"billing\""]));
    assert_eq!((one.len(), &one[0]["count"]), (1, &json!(1)));
    let by = objects(&run(&["groups", &address, "--json", "--by", "headers.kafka_dlt-original-offset"]));
    assert_eq!(by.len(), 5, "each letter has its own offset, and one has none: {by:?}");

    let shown = run(&["show", &format!("{address}#0@0")]);
    let text = String::from_utf8(shown.stdout).expect("text");
    for line in [
        "exception   com.shop.SchemaMismatch",
        "consumer    payments",
        "told by     spring-kafka",
        &format!("from        {origin}#3@17"),
        "{\"total\":1}",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let shown = objects(&run(&["show", &format!("{address}#0@3"), "--json"]));
    assert_eq!(shown[0]["failure"]["exception"], "java.net.SocketTimeoutException");
    assert_eq!((&shown[0]["position"], &shown[0]["value"]["total"]), (&json!("0@3"), &json!(1)));

    let audit = run(&["audit", "--json"]);
    assert_eq!(audit.status.code(), Some(5));
    let expires = objects(&audit).into_iter().find(|row| row["address"] == *address && row["finding"] == "expires");
    assert_eq!(expires.expect("an hour is less than a window")["severity"], "loses");
    let missing = run(&["groups", &format!("{address}.none")]);
    assert_eq!(missing.status.code(), Some(1), "what could not be read is no success: {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_are_entries_of_a_redis_stream_are_grouped_like_others() {
    let Some((server, session)) = redis::shared().await else { return };
    let stream = unique("jobs");
    for n in 0..2 {
        publish(&session, &format!("stream:{stream}"), plain(&format!("job {n}"))).await;
    }
    let address = server.fact("ADDRESS").to_owned();
    let client = ::redis::Client::open(format!("redis://{address}")).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
    let mut command = async |words: &[&str]| {
        let mut command = ::redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        command.query_async::<::redis::Value>(&mut connection).await.expect("done")
    };
    command(&["XGROUP", "CREATE", &stream, "workers", "0"]).await;
    command(&["XREADGROUP", "GROUP", "workers", "w1", "STREAMS", &stream, ">"]).await;
    for _ in 0..6 {
        command(&["XCLAIM", &stream, "workers", "w2", "0", "0-0"]).await;
        command(&["XAUTOCLAIM", &stream, "workers", "w2", "0", "0", "COUNT", "1"]).await;
    }
    let (home, url) = (Home::new(), format!("redis://{address}"));
    let run = |arguments: &[&str]| home.mqdeck(&[&["--url", &url, "dlq"], arguments].concat()).output().expect("it runs");
    let channels = objects(&run(&["channels", "--json"]));
    let row = channels.iter().find(|row| row["address"].as_str().is_some_and(|address| address.contains(&stream))).expect("it is found");
    assert_eq!(
        (&row["found_by"], &row["place"], &row["from"][0]["group"]),
        (&json!("topology"), &json!("pending"), &json!(format!("{stream}/workers"))),
        "{row}"
    );
    let output = run(&["groups", row["address"].as_str().expect("text"), "--json"]);
    let groups = objects(&output);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((groups.len(), &groups[0]["count"], &groups[0]["known"]), (1, &json!(1), &json!(true)), "{groups:?}");
    assert_eq!(groups[0]["from"], json!([format!("stream:{stream}")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_looked_into_only_if_somebody_wants_it() {
    let Some(rabbit) = crate::support::rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let queue = crate::support::rabbitmq::queue(&session, "mail.dlq", "classic").await;
    let dead = Outgoing {
        headers: vec![header("x-exception-message", Some(b"no such user")), header("x-original-exchange", Some(b"mail"))],
        ..crate::support::rabbitmq::letter(None, "x")
    };
    publish(&session, &format!("queue:{queue}"), dead).await;
    let (home, amqp) = (Home::new(), rabbit.fact("AMQP").split(',').next().expect("an address").to_owned());
    let url = format!("amqp://guest:guest@{amqp}/?management_url={}", rabbit.fact("MANAGEMENT"));
    let address = format!("{}/queue:{queue}", home.integration(&url));
    let run = |arguments: &[&str]| {
        home.mqdeck(&[&["--url", &url, "dlq", "groups", &address, "--json"], arguments].concat()).output().expect("it runs")
    };
    let output = run(&[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("--look") && objects(&output).is_empty(), "{said}");
    let groups = objects(&run(&["--look"]));
    assert_eq!((groups.len(), &groups[0]["message"]), (1, &json!("no such user")), "{groups:?}");
    assert_eq!((&groups[0]["first"], &groups[0]["last"]), (&Value::Null, &Value::Null), "when it was looked at is not when it died");
    manage(&session, &format!("rabbit/queue:{queue}"), "queue.delete", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_jetstream_consumer_gave_up_is_grouped_by_its_advisories() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("NATS is there");
    let name = unique("ADV").replace('.', "-");
    manage(&session, &format!("nats/stream:{name}"), "stream.create", &[("subjects", &format!("{name}.>"))]).await;
    let advisory = |seq: u64, deliveries: u64| {
        let value = json!({
            "type": "io.nats.jetstream.advisory.v1.max_deliver", "id": "x", "timestamp": "2026-02-05T10:00:00Z", "stream": "ORDERS",
            "consumer": "payments", "stream_seq": seq, "deliveries": deliveries,
        });
        plain(&value.to_string())
    };
    for seq in 1..=3 {
        publish(&session, &format!("{name}.a"), advisory(seq, 5)).await;
    }
    let (home, url) = (Home::new(), format!("nats://{}", nats.address().split(',').next().expect("an address")));
    let address = format!("{}/stream:{name}", home.integration(&url));
    let output = home.mqdeck(&["--url", &url, "dlq", "groups", &address, "--json"]).output().expect("it runs");
    let groups = objects(&output);
    assert_eq!((groups.len(), &groups[0]["count"], &groups[0]["reason"]), (1, &json!(3), &json!("max_deliver")), "{groups:?}");
    assert_eq!(groups[0]["from"], json!(["stream:ORDERS"]));
    manage(&session, &format!("nats/stream:{name}"), "stream.delete", &[]).await;
}
