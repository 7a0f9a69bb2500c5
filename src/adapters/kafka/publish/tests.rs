//! What publishing promises, against a Kafka inside the process.

use super::*;
use crate::adapters::kafka::embedded::{Embedded, Topic};
use crate::domain::message::{Header, Message};
use crate::domain::time::Timestamp;
use bytes::Bytes;
use futures::future::join_all;
use std::net::TcpListener;

/// What is sure to come.
const SOON: Duration = Duration::from_secs(60);

fn cluster() -> Embedded {
    Embedded::start(vec![Topic { name: "orders".into(), partitions: 2 }]).expect("an embedded Kafka")
}

fn publisher(addresses: Vec<String>) -> Publisher {
    let mut integration = Integration::new("events", "kafka", addresses);
    integration.timeout = Duration::from_secs(1);
    Publisher::new(&integration, None, WireLog::default()).expect("a publisher")
}

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

fn to_partition(mut message: Outgoing, partition: i32) -> Outgoing {
    message.options.push(("partition", partition.to_string()));
    message
}

async fn read(cluster: &Embedded, count: usize) -> Vec<Message> {
    let member = cluster.member("reader", &["orders"]).expect("a member");
    let mut messages = Vec::new();
    while messages.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(60), member.next()).await;
        messages.push(next.unwrap_or_else(|_| panic!("{} of {count} messages came", messages.len())).expect("a message"));
    }
    messages
}

#[tokio::test]
async fn messages_arrive_byte_for_byte() {
    let cluster = cluster();
    let publisher = publisher(cluster.addresses());
    let header = |name: &'static str, value: Option<&'static [u8]>| Header { name: name.into(), value: value.map(Bytes::from_static) };
    let rich = Outgoing {
        key: Some(Bytes::from_static(b"\x00k\xff")),
        headers: vec![header("b", Some(b"1")), header("a", Some(b"\x00\xfe")), header("b", None), header("", Some(b""))],
        payload: Some(Bytes::from_static(b"{\"n\":9007199254740993}\n")),
        timestamp: Some(Timestamp(1_700_000_000_123)),
        options: Vec::new(),
    };
    let empty = Outgoing { key: Some(Bytes::new()), payload: Some(Bytes::new()), ..Outgoing::default() };
    let given = [rich, empty, Outgoing::default()];
    for (offset, message) in (0..).zip(&given) {
        let receipt = publisher.publish("orders", to_partition(message.clone(), 1)).await.expect("stored");
        assert_eq!(receipt, Receipt::Stored(Position::Offset { partition: 1, offset }));
    }
    for (sent, got) in given.iter().zip(read(&cluster, given.len()).await) {
        assert_eq!((&sent.key, &sent.headers, &sent.payload), (&got.key, &got.headers, &got.payload));
        assert!(sent.timestamp.is_none() || sent.timestamp == got.timestamp);
    }
}

#[tokio::test]
async fn concurrent_calls_keep_their_order_whatever_their_compression() {
    let cluster = cluster();
    let publisher = publisher(cluster.addresses());
    let calls = (0..60).map(|n| {
        let mut message = to_partition(text(&n.to_string()), 0);
        message.options.push(("compression", ["none", "lz4", "zstd", "gzip", "snappy"][n / 12].to_owned()));
        publisher.publish("orders", message)
    });
    for (offset, receipt) in (0..).zip(join_all(calls).await) {
        assert_eq!(receipt, Ok(Receipt::Stored(Position::Offset { partition: 0, offset })));
    }
}

#[tokio::test]
async fn what_can_be_known_before_is_refused_before() {
    let cluster = cluster();
    let publisher = publisher(cluster.addresses());
    let not_utf8 = Header { name: Bytes::from_static(b"\xff"), value: None };
    for (channel, message, kind, cause) in [
        ("nothing", text("x"), Kind::NotFound, "there is no such topic; nothing was sent"),
        (
            "orders",
            to_partition(text("x"), 2),
            Kind::NotFound,
            "there is no partition 2: the topic has 2, counted from 0; nothing was sent",
        ),
        (
            "orders",
            to_partition(text("x"), -1),
            Kind::Rejected,
            "Partition: `-1` is not a whole number from 0 to 2147483647; nothing was sent",
        ),
        (
            "orders",
            Outgoing { headers: vec![not_utf8], ..text("x") },
            Kind::Rejected,
            "the name of header 1 is not UTF-8, which Kafka demands; nothing was sent",
        ),
        (
            "orders",
            Outgoing { timestamp: Some(Timestamp(0)), ..text("x") },
            Kind::Rejected,
            "the timestamp 0 cannot be sent: it has to be after 1970-01-01T00:00:00Z; nothing was sent",
        ),
    ] {
        let fault = publisher.publish(channel, message).await.expect_err(cause);
        assert_eq!((fault.kind, fault.cause.as_str()), (kind, cause));
        assert_eq!(fault.target.as_str(), format!("events/{channel}"));
    }
    publisher.publish("orders", text("x")).await.expect("good messages still go");
}

#[tokio::test]
async fn a_message_beyond_the_clients_limit_names_its_size() {
    let cluster = cluster();
    let publisher = publisher(cluster.addresses());
    let huge = Outgoing { payload: Some(vec![b'x'; settings::LARGEST_MESSAGE + 1].into()), ..Outgoing::default() };
    let fault = publisher.publish("orders", huge).await.expect_err("too large");
    assert_eq!(fault.kind, Kind::Rejected);
    assert!(fault.cause.as_str().starts_with("the message has 100,000,001 bytes, which is more than is taken here"), "{fault}");
    publisher.publish("orders", text("x")).await.expect("the next message goes");
}

#[tokio::test]
async fn without_brokers_a_call_fails_soon_and_says_that_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let publisher = publisher(vec![closed.to_string()]);
    for fault in join_all((0..20).map(|_| publisher.publish("orders", text("x")))).await {
        let fault = fault.expect_err("nobody is there");
        assert_eq!(fault.kind, Kind::Unreachable);
        assert!(fault.cause.as_str().contains("refused") && fault.cause.as_str().ends_with("nothing was sent"), "{fault}");
    }

    // Someone listens there who never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let publisher = self::publisher(vec![silent.local_addr().expect("an address").to_string()]);
    let fault = publisher.publish("orders", text("x")).await.expect_err("no answer");
    assert!(matches!(fault.kind, Kind::Timeout | Kind::Unreachable) && fault.cause.as_str().ends_with("nothing was sent"), "{fault}");
}

/// Makes a call, and gives it up when its message is under way.
async fn give_up(publisher: &Publisher, message: Outgoing) {
    let under_way = async {
        while !publisher.desk.try_lock().is_ok_and(|desk| desk.producers.iter().any(|(_, producer)| producer.is_busy())) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        answer = publisher.publish("orders", message) => panic!("it was answered: {answer:?}"),
        () = under_way => {}
    }
}

#[tokio::test]
async fn a_call_that_was_given_up_is_still_delivered_by_flush() {
    let cluster = cluster();
    let publisher = publisher(cluster.addresses());
    publisher.publish("orders", to_partition(text("first"), 0)).await.expect("stored");
    cluster.delay(Duration::from_millis(300));
    give_up(&publisher, to_partition(text("second"), 0)).await;
    publisher.flush().await.expect("everything is delivered");
    cluster.delay(Duration::ZERO);
    assert_eq!(read(&cluster, 2).await[1].payload.as_deref(), Some(b"second".as_slice()));
}

#[tokio::test]
async fn dropping_the_publisher_returns_at_once_and_loses_nothing() {
    let cluster = cluster();
    let publisher = publisher(cluster.addresses());
    publisher.publish("orders", to_partition(text("first"), 0)).await.expect("stored");
    let (answered, began) = (Duration::from_secs(3), Instant::now());
    cluster.delay(answered);
    give_up(&publisher, to_partition(text("second"), 0)).await;
    drop(publisher);
    // A thread of its own waits for the answer, which has not come yet.
    assert!(began.elapsed() < answered, "it waited for the answer: {:?}", began.elapsed());
    cluster.delay(Duration::ZERO);
    assert_eq!(read(&cluster, 2).await[1].payload.as_deref(), Some(b"second".as_slice()));
}

#[tokio::test]
async fn a_message_whose_answer_never_came_is_of_unknown_outcome() {
    let cluster = cluster();
    let publisher = publisher(cluster.addresses());
    publisher.publish("orders", text("first")).await.expect("stored");
    cluster.delay(Duration::from_secs(60));
    let fault = publisher.publish("orders", text("second")).await.expect_err("no answer");
    assert_eq!(fault.kind, Kind::Timeout);
    assert!(fault.cause.as_str().ends_with("whether the message was stored is unknown"), "{fault}");
    assert!(fault.next.as_str().contains("before you send it again"), "{fault}");
}

#[tokio::test]
async fn a_topic_whose_broker_is_slow_holds_up_no_other_whose_compression_changes() {
    let topics = ["slow", "quick"].map(|name| Topic { name: name.to_owned(), partitions: 2 });
    let cluster = Embedded::start(topics.to_vec()).expect("an embedded Kafka");
    let mut integration = Integration::new("events", "kafka", cluster.addresses());
    integration.timeout = SOON * 10;
    let publisher = Arc::new(Publisher::new(&integration, None, WireLog::default()).expect("a publisher"));
    assert!(!std::ptr::eq(publisher.turn("slow"), publisher.turn("quick")), "two names that share a turn wait for each other");
    let compressed = |partition, compression: &str| {
        let mut message = to_partition(text("x"), partition);
        message.options.push(("compression", compression.to_owned()));
        message
    };
    // What each topic needs to be looked up for is known before.
    for message in [compressed(1, "none"), compressed(1, "gzip")] {
        publisher.publish("quick", message).await.expect("stored");
    }
    publisher.publish("slow", compressed(0, "none")).await.expect("stored");
    cluster.delay_of(1, SOON * 10);
    let slow = tokio::spawn({
        let (publisher, message) = (publisher.clone(), compressed(0, "none"));
        async move { publisher.publish("slow", message).await }
    });
    let mut under_way = publisher.turn("slow").under_way.subscribe();
    tokio::time::timeout(SOON, under_way.wait_for(|count| *count == 1)).await.expect("in time").expect("a publisher");
    for compression in ["none", "gzip", "none"] {
        let stored = tokio::time::timeout(SOON, publisher.publish("quick", compressed(1, compression))).await;
        stored.expect("it waits for nothing of another topic").expect("stored");
    }
    assert!(!slow.is_finished() && *under_way.borrow() == 1, "the other one is on its way all the time");
    slow.abort();
}
