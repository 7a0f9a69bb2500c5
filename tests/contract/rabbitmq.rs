//! RabbitMQ: what its channels are and say, live and kept messages, publishing, requests, with another language's client as the other side.

use crate::support::clients::run;
use crate::support::program::Home;
use crate::support::rabbitmq::{self, done, letter, queue, set};
use crate::support::subjects::{Listener, connect, header, read};
use crate::support::until;
use crate::support::{SOON, unique};
use mqdeck::adapters::session::Session;
use mqdeck::domain::channel::{Channel, Description};
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::{Message, Outgoing, Stamp};
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::tail::TailEvent;
use mqdeck::domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

const WHOLE: Range = Range { start: Bound::Earliest, end: Bound::Latest };

fn bodies(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

/// Runs another language's client while what was started here goes on.
async fn beside(command: std::process::Command) -> Vec<u8> {
    tokio::task::spawn_blocking(move || run(command)).await.expect("it ended")
}

fn value<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.iter().find(|h| h.name == name).and_then(|h| std::str::from_utf8(h.value.as_deref()?).ok())
}

async fn publish(session: &Session, channel: &str, message: Outgoing) -> Receipt {
    session.publish.as_ref().expect("RabbitMQ takes messages").publish(channel, message).await.expect("published")
}

async fn listed(session: &Session, name: &str) -> Channel {
    let channels = session.inspect.channels().await.expect("a list");
    channels.into_iter().find(|channel| &*channel.name == name).unwrap_or_else(|| panic!("{name} is not listed"))
}

fn table(description: &Description, title: &str) -> Vec<String> {
    let found = description.tables.iter().filter(|table| table.title.starts_with(title));
    found.flat_map(|table| &table.rows).map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_topology_is_declared_and_described_with_the_path_of_its_dead_letters() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let tenant = unique("tenant").replace('.', "-");
    let made = done(&session, "tenant.declare", &tenant, &[]).await;
    let words: Vec<String> = made.parts.iter().map(|(what, _)| what.to_string()).collect();
    assert!(words.contains(&format!("queue:grey.tasks.{tenant}")) && words.contains(&"queue:grey.dlq".to_owned()), "{words:?}");
    // Again: what is there is left as it is.
    done(&session, "tenant.declare", &tenant, &[]).await;

    let name = format!("queue:grey.tasks.{tenant}");
    publish(&session, "exchange:grey.tasks", letter(Some(&format!("tasks.{tenant}")), "{}")).await;
    let row = until("the count", SOON, async || Some(listed(&session, &name).await).filter(|row| row.depth == Amount::Exactly(1))).await;
    assert_eq!((row.kind, row.can.words()), ("queue", vec!["tail", "peek", "publish", "hold", "call"]));
    assert_eq!(row.dead_letters_to.as_ref().map(ToString::to_string).as_deref(), Some("queue:grey.dlq"));
    let description = session.inspect.describe(&name).await.expect("described");
    assert_eq!(table(&description, "arguments"), ["x-dead-letter-exchange | grey.dlx", "x-max-priority | 10", "x-message-ttl | 3600000"]);
    let fed = table(&description, "fed by");
    assert!(fed.contains(&format!("exchange:grey.tasks | tasks.{tenant}")), "{fed:?}");
    let dead = table(&description, "dead letters");
    assert_eq!(dead[..2], ["by | exchange:grey.dlx", "to | queue:grey.dlq"]);
    assert!(dead[2].starts_with("lossy | at-most-once"), "{dead:?}");
    let seen = table(&description, "a live tail");
    assert!(seen[0] == format!("sees | exchange:grey.tasks, key tasks.{tenant}") && seen[1].contains("default exchange"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_consumes_and_how_fast_is_told_where_it_is_known() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let (busy, idle) = (queue(&session, "busy", "quorum").await, queue(&session, "idle", "classic").await);
    let (busy, idle) = (format!("queue:{busy}"), format!("queue:{idle}"));
    let mut holding = session.hold.as_ref().expect("RabbitMQ holds").hold(&busy, 50).await.expect("received");
    let told = async || {
        publish(&session, &busy, letter(None, "x")).await;
        let delivery = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on").expect("a delivery");
        let acked = Settlement { effect: Effect::Ack, arguments: Vec::new() };
        holding.settle(delivery.ticket.expect("it is held"), &acked).await.expect("acknowledged");
        let row = listed(&session, &busy).await;
        (row.consumers == Some(1) && row.rate_out.is_some_and(|rate| rate > 0.0)).then_some(row)
    };
    // The server samples every five seconds, and says 0 in between when it was told nothing new.
    until("its consumer and the rate", SOON * 4, told).await;
    let row =
        until("the idle one's figures", SOON, async || Some(listed(&session, &idle).await).filter(|row| row.consumers.is_some())).await;
    assert_eq!((row.consumers, row.rate_out), (Some(0), None), "the server counts no deliveries before there was one");
    assert_eq!(listed(&session, "exchange:amq.topic").await.consumers, None, "an exchange has bindings");
    // The command has them too, and without the management API what AMQP tells.
    let (home, target) = (Home::new(), format!("rabbitmq/{busy}"));
    for (management, rated) in [(rabbit.fact("MANAGEMENT"), true), ("none", false)] {
        let url = format!("amqp://guest:guest@{}?management_url={management}", rabbit.fact("AMQP"));
        let done = home.mqdeck(&["--url", &url, "channels", &target, "--json"]).output().expect("the program runs");
        let row: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one line of JSON");
        assert_eq!((row["consumers"].as_u64(), row["rate_out"].is_number()), (Some(1), rated), "{row}");
    }
    holding.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_sees_what_an_exchange_routes_and_takes_nothing_from_its_queues() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let tenant = unique("tap").replace('.', "-");
    done(&session, "tenant.declare", &tenant, &[]).await;
    let (key, queue) = (format!("tasks.{tenant}"), format!("queue:grey.tasks.{tenant}"));
    let channels: Vec<Arc<str>> = vec![queue.as_str().into()];
    let mut listener = Listener::start(&session, &channels).await;
    let Some(other) = rabbit.other(&["publish", "grey.tasks", &key, "1000"]) else { return };
    beside(other).await;
    publish(&session, &queue, letter(None, "by the default exchange")).await;
    publish(&session, "exchange:grey.tasks", letter(Some(&key), "last")).await;
    listener.until("the last message", SOON, |listener| bodies(&listener.messages).last().is_some_and(|body| body == "last")).await;
    let expected: Vec<String> = (0..1000).map(|n| format!("message {n}")).chain(["last".to_owned()]).collect();
    assert_eq!(bodies(&listener.messages), expected, "in order, and nothing else");
    let first = &listener.messages[0];
    assert_eq!((&*first.channel, first.position, first.key.as_deref()), (queue.as_str(), Position::Arrival(1), Some(key.as_bytes())));
    assert_eq!((first.stamp, first.timestamp), (Stamp::Created, Some(Timestamp(1_700_000_000_000))));
    let values = ["amqp_exchange", "amqp_message_id", "amqp_priority", "tenant", "retries", "dry"].map(|name| value(first, name));
    assert_eq!(values, [Some("grey.tasks"), Some("from-python"), Some("3"), Some("a"), Some("2"), Some("true")]);
    assert_eq!(listener.said, []);
    let held = until("the count", SOON, async || listed(&session, &queue).await.depth.number().filter(|n| *n == 1002)).await;
    assert_eq!(held, 1002, "the queue has all of them");

    drop(listener);
    until("our queue to be gone", SOON, async || {
        let channels = session.inspect.channels().await.expect("a list");
        (!channels.iter().any(|channel| channel.name.contains("mqdeck.tap."))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_of_every_type_are_tapped_or_say_why_not() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    for (kind, key) in [("fanout", ""), ("headers", ""), ("topic", "a.b"), ("direct", "known")] {
        let name = unique(kind);
        done(&session, "exchange.declare", &format!("exchange:{name}"), &[("type", kind)]).await;
        let channels: Vec<Arc<str>> = vec![format!("exchange:{name}").into()];
        if kind == "direct" {
            let tail = session.tail.as_ref().expect("RabbitMQ has a tail");
            let fault = tail.tail(&channels).await.err().expect("nothing is bound");
            assert!(fault.kind == Kind::Rejected && fault.to_string().contains("no key is bound"), "{fault}");
            let bound = queue(&session, "bound", "classic").await;
            done(&session, "binding.create", &format!("queue:{bound}"), &[("exchange", &name), ("routing_key", key)]).await;
        }
        let mut listener = Listener::start(&session, &channels).await;
        let free = Outgoing { options: vec![("mandatory", "no".into())], ..letter(Some(key), kind) };
        let receipt = publish(&session, &channels[0], free).await;
        assert_eq!(receipt, Receipt::Accepted, "without `mandatory` nobody knows");
        listener.until(kind, SOON, |listener| bodies(&listener.messages) == [kind]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_by_offset_and_time_and_tailed_from_its_end() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let bare = queue(&session, "stream", "stream").await;
    let stream = format!("stream:{bare}");
    assert_eq!(bodies(&read(&session, &stream, WHOLE).await.expect("history")), Vec::<String>::new());
    let Some(other) = rabbit.other(&["publish", "", &bare, "1200"]) else { return };
    run(other);
    let channels: Vec<Arc<str>> = vec![stream.as_str().into()];
    let mut listener = Listener::start(&session, &channels).await;
    let all = read(&session, &stream, WHOLE).await.expect("history");
    assert_eq!(all.len(), 1200);
    assert!(all.iter().zip(0..).all(|(message, n)| message.position == Position::Sequence(n)), "every offset once, in order");
    assert_eq!(value(&all[7], "x-stream-offset"), None, "the position is no header");
    for (start, end, expected) in [
        (Bound::Each(100), Bound::Each(103), 100..103),
        (Bound::BeforeEnd(5), Bound::Latest, 1195..1200),
        (Bound::At(Position::Sequence(1199)), Bound::Each(5_000), 1199..1200),
        (Bound::Time(Timestamp(0)), Bound::Each(2), 0..2),
        (Bound::Each(5_000), Bound::Latest, 0..0),
    ] {
        let found = read(&session, &stream, Range { start, end }).await.expect("history");
        assert_eq!(bodies(&found), expected.map(|n| format!("message {n}")).collect::<Vec<_>>(), "{start} to {end}");
    }
    publish(&session, &stream, letter(None, "live")).await;
    listener.until("the live one", SOON, |listener| !listener.messages.is_empty()).await;
    assert_eq!((bodies(&listener.messages), listener.messages[0].position), (vec!["live".to_owned()], Position::Sequence(1200)));
    assert_eq!(listed(&session, &stream).await.can.words(), ["tail", "history", "publish"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_from_one_language_is_published_as_it_was_for_another() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let (from, to) = (queue(&session, "from", "classic").await, queue(&session, "to", "classic").await);
    let Some(other) = rabbit.other(&["publish", "", &from, "1"]) else { return };
    run(other);
    let peek = session.peek.as_ref().expect("RabbitMQ has queues");
    let read = peek.peek(&from, 1).await.expect("peeked").deliveries.remove(0).message;
    let again = Outgoing { key: None, headers: read.headers, payload: read.payload, timestamp: read.timestamp, options: Vec::new() };
    assert_eq!(publish(&session, &to, again).await, Receipt::Routed);
    let got = |name: &str| run(rabbit.other(&["get", name]).expect("a client"));
    let json = |bytes: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON");
    let (original, copy) = (json(got(&from)), json(got(&to)));
    assert_eq!(original["properties"], copy["properties"], "with the types of its headers");
    assert_eq!(copy["properties"]["headers"], serde_json::json!({"dry": true, "retries": 2, "tenant": "a"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_published_at_once_those_that_no_queue_takes_are_told() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = unique("routes");
    done(&session, "exchange.declare", &format!("exchange:{name}"), &[("type", "direct")]).await;
    let bound = queue(&session, "bound", "classic").await;
    done(&session, "binding.create", &format!("queue:{bound}"), &[("exchange", &name), ("routing_key", "yes")]).await;
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    let exchange = format!("exchange:{name}");
    let sent = (0..400).map(|n| publish.publish(&exchange, letter(Some(if n % 7 == 3 { "no" } else { "yes" }), &n.to_string())));
    for (n, outcome) in futures::future::join_all(sent).await.into_iter().enumerate() {
        match outcome {
            Ok(receipt) => assert!(receipt == Receipt::Routed && n % 7 != 3, "{n}: {receipt}"),
            Err(fault) => assert!(n % 7 == 3 && fault.to_string().contains("no queue is bound for the key `no`"), "{n}: {fault}"),
        }
    }
    let peek = session.peek.as_ref().expect("RabbitMQ has queues").peek(&bound, 1_000).await.expect("peeked").deliveries;
    let expected: Vec<String> = (0..400).filter(|n| n % 7 != 3).map(|n| n.to_string()).collect();
    assert_eq!(peek.iter().map(|d| bodies(std::slice::from_ref(&d.message)).remove(0)).collect::<Vec<_>>(), expected, "in order");

    // An exchange that is not there takes only its own with it.
    let nowhere = format!("exchange:{}", unique("nowhere"));
    let (good, bad, after) = tokio::join!(
        publish.publish(&exchange, letter(Some("yes"), "a")),
        publish.publish(&nowhere, letter(None, "b")),
        publish.publish(&exchange, letter(Some("yes"), "c")),
    );
    assert_eq!((good, after), (Ok(Receipt::Routed), Ok(Receipt::Routed)));
    assert_eq!(bad.expect_err("it is not there").kind, Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_sent_as_it_stands_is_refused_with_the_reason() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "strict", "classic").await;
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    for (message, word) in [
        (letter(Some("another"), "x"), "by its own name"),
        (Outgoing { payload: None, ..letter(None, "x") }, "have a body"),
        (Outgoing { headers: vec![header("a", Some(b"1")), header("a", Some(b"2"))], ..letter(None, "x") }, "there twice"),
        (Outgoing { options: vec![("message_id", "x".repeat(300))], ..letter(None, "x") }, "255 bytes"),
    ] {
        let fault = publish.publish(&name, message).await.expect_err(word);
        assert!(fault.kind == Kind::Usage && fault.to_string().contains(word), "{fault}");
    }
    let fault = publish.publish(&format!("queue:{}", unique("missing")), letter(None, "x")).await.expect_err("no such queue");
    assert!(fault.kind == Kind::NotFound && fault.to_string().contains("312 NO_ROUTE"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_by_direct_reply_to_or_told_that_nobody_does() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "rpc", "classic").await;
    let Some(mut server) = rabbit.other(&["serve", &name]) else { return };
    let mut server = server.stdout(std::process::Stdio::null()).spawn().expect("the client runs");
    let call = session.call.as_ref().expect("RabbitMQ calls");
    let mut replies = call.call(&format!("queue:{name}"), letter(None, "ping"), SOON).await.expect("routed");
    let reply = futures::StreamExt::next(&mut replies).await.expect("a reply").expect("no fault");
    assert_eq!((bodies(std::slice::from_ref(&reply)), value(&reply, "status")), (vec!["PING".to_owned()], Some("ok")));
    assert!(futures::StreamExt::next(&mut replies).await.is_none(), "a queue's request has one reply");
    server.kill().expect("it runs");
    server.wait().expect("it ended");

    let lonely = queue(&session, "lonely", "classic").await;
    let mut silent = call.call(&lonely, letter(None, "ping"), Duration::from_millis(300)).await.expect("routed");
    let fault = futures::StreamExt::next(&mut silent).await.expect("an end").expect_err("nobody serves it");
    assert_eq!(fault.kind, Kind::Timeout, "{fault}");
    let fault = call.call(&format!("queue:{}", unique("missing")), letter(None, "ping"), SOON).await.err().expect("no such queue");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_management_api_channels_are_looked_at_one_by_one_and_what_is_missing_is_said() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let admin = rabbit.session().await;
    let name = queue(&admin, "alone", "classic").await;
    publish(&admin, &format!("queue:{name}"), letter(None, "one")).await;
    let mut off = rabbit.integration("guest");
    set(&mut off, "management_url", "none");
    let mut closed = rabbit.integration("guest");
    set(&mut closed, "management_url", "http://127.0.0.1:1");
    // `app` may use AMQP, and the management API does not let it in.
    for (integration, why) in
        [(off, "the profile says that there is none"), (closed, "refused"), (rabbit.integration("app"), "does not let this user in")]
    {
        let mut integration = integration;
        integration.channels = [format!("queue:{name}"), format!("queue:{name}-missing")]
            .map(|pattern| mqdeck::config::profile::ChannelPattern { pattern, ..Default::default() })
            .into();
        let session = connect(integration).await.expect("AMQP is there");
        let row = listed(&session, &format!("queue:{name}")).await;
        assert_eq!(row.depth, Amount::AtLeast(1), "what consumers hold is not known");
        let missing = listed(&session, &format!("queue:{name}-missing")).await;
        assert_eq!(missing.fault.map(|fault| fault.kind), Some(Kind::NotFound));
        let short = listed(&session, "vhost:/").await.fault.expect("that the list is short");
        assert!(short.cause.as_str().contains("only what the profile names is listed") && short.cause.as_str().contains(why), "{short}");
        let description = session.inspect.describe(&format!("queue:{name}")).await.expect("described");
        let told = table(&description, "not known without the management API");
        assert!(told.len() == 7 && told.iter().all(|row| row.contains(why)), "{told:?}");
        let bare = session.inspect.describe(&name).await.expect("a bare name is found too");
        assert_eq!(&*bare.channel.name, format!("queue:{name}"));
        let tail = session.tail.as_ref().expect("RabbitMQ has a tail");
        let fault = tail.tail(&[format!("queue:{name}").into()]).await.err().expect("what feeds it is not known");
        assert!(fault.to_string().contains("the management API is not there"), "{fault}");
        let standard = tail.tail(&["exchange:amq.topic".into()]).await;
        assert!(standard.is_ok(), "the standard exchanges' types are known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_queue_and_an_exchange_share_has_to_be_said_with_its_kind() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "both", "classic").await;
    done(&session, "exchange.declare", &format!("exchange:{name}"), &[]).await;
    let fault = session.inspect.describe(&name).await.expect_err("ambiguous");
    assert!(fault.kind == Kind::Usage && fault.to_string().contains(&format!("queue:{name} or exchange:{name}")), "{fault}");
    let fault = session.inspect.describe(&unique("nowhere")).await.expect_err("missing");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_nobody_reads_is_bounded_and_says_how_many_messages_it_could_not_hold() {
    const SENT: u64 = 150_000;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = unique("flood");
    let exchange = format!("exchange:{name}");
    done(&session, "exchange.declare", &exchange, &[("type", "fanout"), ("durable", "no")]).await;
    let mut listener = Listener::start(&session, &[exchange.as_str().into()]).await;
    let Some(other) = rabbit.other(&["flood", &name, &SENT.to_string()]) else { return };
    beside(other).await;
    // Nobody has read so far: so many wait here, and the rest was dropped here and counted.
    let skipped = |listener: &Listener| {
        let count = |event: &TailEvent| if let TailEvent::Skipped { count, .. } = event { count.unwrap_or(0) } else { 0 };
        listener.said.iter().map(count).sum::<u64>()
    };
    listener.until("all", SOON, |listener| listener.messages.len() as u64 + skipped(listener) >= SENT).await;
    assert_eq!(listener.messages.len() as u64 + skipped(&listener), SENT, "{:?}", listener.said);
    assert!(skipped(&listener) > 0, "what waits is bounded");
}
