//! RabbitMQ: messages as other clients make them, whatever bytes those put into them: read, and sent again as they were.

use crate::support::clients::run;
use crate::support::program::Home;
use crate::support::rabbitmq::{self, done, letter};
use crate::support::{SOON, unique, until};
use mqdeck::domain::delivery::{Delivery, Effect, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::{Header, Message, Outgoing, Stamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

fn header<'a>(message: &'a Message, name: &[u8]) -> Option<&'a [u8]> {
    message.headers.iter().find(|header| header.name == name)?.value.as_deref()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_of_one_message_keep_anybody_from_its_neighbours() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let Some(queue) = rabbit.declared("odd", &json!({})) else { return };
    let Some(odd) = rabbit.exact(&["odd", &queue]) else { return };
    run(odd);
    let session = rabbit.session().await;
    let channel = format!("queue:{queue}");
    let looked = session.peek.as_ref().expect("RabbitMQ has queues").peek(&channel, 20).await.expect("a look");
    assert_eq!(looked.deliveries.len(), 8);
    let mut holding = session.hold.as_ref().expect("RabbitMQ holds").hold(&channel, 20).await.expect("received");
    let mut messages = BTreeMap::new();
    while messages.len() < 8 {
        let came = tokio::time::timeout(SOON, holding.next()).await.expect("in time");
        let Delivery { ticket, message, redelivered, .. } = came.expect("it goes on").expect("a delivery");
        assert!(redelivered, "they were looked at");
        let settlement = Settlement { effect: Effect::Ack, arguments: Vec::new() };
        holding.settle(ticket.expect("a ticket"), &settlement).await.expect("acknowledged");
        messages.insert(String::from_utf8_lossy(message.payload.as_deref().expect("a body")).into_owned(), message);
    }
    let of = |body: &str, name: &[u8]| header(&messages[body], name).map(<[u8]>::to_vec);
    assert_eq!(of("correlation id", b"amqp_correlation_id"), Some(b"\x00\xff\xfe\x80".to_vec()));
    assert_eq!(of("type", b"amqp_type"), Some(b"caf\xe9".to_vec()));
    assert_eq!((of("header name", b"n\xff"), of("header name", b"n")), (Some(b"value".to_vec()), Some(b"7".to_vec())));
    assert_eq!(of("nested name", b"t"), Some(br#"{"n\\xff":true}"#.to_vec()));
    assert!(of("deep", b"n").is_some_and(|value| value.starts_with(b"[[[[")), "as deep as it is shown");
    assert_eq!(messages["routing key"].key.as_deref(), Some(&b"k\xff\xfe"[..]));
    assert_eq!(of("routing key", b"amqp_exchange"), Some(queue.as_bytes().to_vec()));
    assert_eq!(messages["plain"].stamp, Stamp::Seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_the_server_that_are_cut_in_a_character_are_read() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    // One of them is cut there.
    for begin in ["", "x"] {
        let name = format!("exchange:{begin}{}", "ö".repeat(120));
        let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
        let fault = publish.publish(&name, letter(Some("k"), "x")).await.expect_err("there is none");
        assert!(fault.kind == Kind::NotFound && fault.cause.as_str().contains("no exchange"), "{fault}");
        session.inspect.ping().await.expect("the connection stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_sent_to_another_queue_with_all_that_they_have() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = unique("dead");
    let arguments = json!({"x-dead-letter-exchange": "amq.topic", "x-dead-letter-routing-key": format!("dead.{name}"), "x-message-ttl": 1});
    let (Some(from), Some(dead)) = (rabbit.declared("from", &arguments), rabbit.declared("dead", &json!({}))) else { return };
    let again = rabbit.declared("again", &json!({})).expect("the same client");
    done(&session, "binding.create", &format!("queue:{dead}"), &[("exchange", "amq.topic"), ("routing_key", &format!("dead.{name}"))])
        .await;
    let seed = fastrand::u32(..).to_string();
    run(rabbit.exact(&["random", &from, &seed, "5"]).expect("the same client"));
    until("dead letters", SOON, async || {
        let rows = session.inspect.channels().await.expect("a list");
        rows.iter().find(|row| *row.name == *format!("queue:{dead}")).filter(|row| row.depth == Amount::Exactly(5)).map(|_| ())
    })
    .await;
    let home = Home::new();
    let url = format!("amqp://guest:guest@{}?management_url={}", rabbit.fact("AMQP"), rabbit.fact("MANAGEMENT"));
    let looked = home
        .mqdeck(&["--url", &url, "peek", &format!("rabbitmq/queue:{dead}"), "--limit", "5", "--yes", "--json"])
        .output()
        .expect("it runs");
    assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
    published(&home, &url, &format!("rabbitmq/queue:{again}"), &looked.stdout, &seed);
    let sent = by_body(&run(rabbit.exact(&["typed", &again]).expect("the same client")));
    let was = by_body(&run(rabbit.exact(&["typed", &dead]).expect("the same client")));
    assert_eq!((was.len(), &sent), (5, &was), "seed {seed}");
    assert!(was.values().all(|properties| properties["headers"].to_string().contains(&hex("x-death"))), "{was:?}");
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends lines that were printed.
fn published(home: &Home, url: &str, target: &str, lines: &[u8], seed: &str) {
    let mut publish = home.mqdeck(&["--url", url, "publish", target, "--lines"]);
    let mut publish = publish.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // It may end before it has read all; then it says why.
    let _ = publish.stdin.take().expect("its input").write_all(lines);
    let done = publish.wait_with_output().expect("it ends");
    assert!(done.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_s_user_id_is_not_dropped_in_silence() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let channel = format!("queue:{}", rabbitmq::queue(&session, "user", "classic").await);
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    let given = Outgoing { options: vec![("user_id", "somebody".to_owned())], ..letter(None, "given") };
    let fault = publish.publish(&channel, given).await.expect_err("refused by the server");
    assert!(fault.kind == Kind::Rejected && fault.cause.as_str().contains("user_id property set to 'somebody'"), "{fault}");
    let header = Header { name: "amqp_user_id".into(), value: Some("somebody".into()) };
    let copied = Outgoing { headers: vec![header], ..letter(None, "copied") };
    let fault = publish.publish(&channel, copied.clone()).await.expect_err("refused here");
    assert!(fault.cause.as_str().contains("`-o user_id=` leaves it out"), "{fault}");
    let without = Outgoing { options: vec![("user_id", String::new())], ..copied };
    publish.publish(&channel, without).await.expect("published");
    let ours = Outgoing { options: vec![("user_id", "guest".to_owned())], ..letter(None, "ours") };
    publish.publish(&channel, ours).await.expect("published");
    let looked = session.peek.as_ref().expect("RabbitMQ has queues").peek(&channel, 10).await.expect("a look");
    let users: Vec<_> = looked.deliveries.iter().map(|delivery| header_of(&delivery.message)).collect();
    assert_eq!(users, [None, Some(&b"guest"[..])]);
}

fn header_of(message: &Message) -> Option<&[u8]> {
    header(message, b"amqp_user_id")
}

/// The lines that are printed of messages, by their bodies.
fn by_body(lines: &[u8]) -> BTreeMap<String, Value> {
    let line = |line: &str| {
        let [body, properties]: [Value; 2] = serde_json::from_str(line).expect("a pair");
        (body.as_str().expect("a body").to_owned(), properties)
    };
    String::from_utf8_lossy(lines).lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_published_with_the_same_properties_and_types() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let (Some(from), Some(to)) = (rabbit.declared("from", &json!({})), rabbit.declared("to", &json!({}))) else { return };
    let seed = fastrand::u32(..).to_string();
    let Some(random) = rabbit.exact(&["random", &from, &seed, "200"]) else { return };
    let written = by_body(&run(random));
    assert_eq!(written.len(), 200);
    let home = Home::new();
    let url = format!("amqp://guest:guest@{}?management_url=none", rabbit.fact("AMQP"));
    let target = |queue: &str| format!("rabbitmq/queue:{queue}");
    let taken = home.mqdeck(&["--url", &url, "receive", &target(&from), "--limit", "200", "--ack", "--json"]).output().expect("it runs");
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    published(&home, &url, &target(&to), &taken.stdout, &seed);
    let Some(typed) = rabbit.exact(&["typed", &to]) else { return };
    let read = by_body(&run(typed));
    for (body, properties) in &written {
        assert_eq!(read.get(body), Some(properties), "seed {seed}, {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_no_text_are_published_and_what_the_server_cannot_read_is_not() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    let queue = rabbitmq::queue(&session, "keys", "classic").await;
    let word = queue.replace('.', "-");
    done(&session, "binding.create", &format!("queue:{queue}"), &[("exchange", "amq.topic"), ("routing_key", &format!("{word}.*"))]).await;
    let key = |end: &[u8]| Some([word.as_bytes(), b".", end].concat().into());
    let binary = Outgoing { key: key(b"k\xff\xfe"), ..letter(None, "binary") };
    let plain = Outgoing { key: key(b"k"), ..letter(None, "plain") };
    // A number that is none, which ends the connection of who sends it.
    let headers = [("n", "NaN"), ("amqp_types", r#"{"n":"d"}"#)];
    let headers = headers.map(|(name, value)| Header { name: name.into(), value: Some(value.into()) }).to_vec();
    let senseless = Outgoing { headers, key: key(b"n"), ..letter(None, "senseless") };
    let sent = futures::future::join_all([binary, senseless, plain].map(|message| publish.publish("exchange:amq.topic", message))).await;
    assert!(sent[0].is_ok() && sent[2].is_ok(), "{sent:?}");
    let fault = sent[1].as_ref().expect_err("refused here");
    assert!(fault.kind == Kind::Usage && fault.cause.as_str().contains("would close the connection"), "{fault}");
    let unbound = Outgoing { key: Some(b"k\xff".as_slice().into()), ..letter(None, "nobody's") };
    let fault = publish.publish("exchange:amq.topic", unbound).await.expect_err("no queue is bound");
    assert!(fault.kind == Kind::Rejected && fault.cause.as_str().contains(r"for the key `k\xff`"), "{fault}");
    let looked = session.peek.as_ref().expect("RabbitMQ has queues").peek(&format!("queue:{queue}"), 10).await.expect("a look");
    let keys: Vec<_> = looked.deliveries.iter().filter_map(|delivery| delivery.message.key.clone()).collect();
    assert_eq!(keys, [key(b"k\xff\xfe"), key(b"k")].map(Option::unwrap_or_default));
}
