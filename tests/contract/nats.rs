//! NATS and JetStream against a real server: every way in, every fault with its own cause, and what no other system has.

use super::history::WHOLE;
use crate::support::nats::{self, Nats};
use crate::support::nats_operator::Operator;
use crate::support::subjects::{Listener, connect, header, manage, read, session};
use crate::support::{SOON, clients, unique};
use futures::StreamExt;
use mqdeck::adapters::find;
use mqdeck::adapters::session::Session;
use mqdeck::adapters::wirelog::WireLog;
use mqdeck::config::profile::{Auth, Integration, Profile, Seed, Tls, TokenSource};
use mqdeck::config::secret::Secret;
use mqdeck::domain::address::Address;
use mqdeck::domain::delivery::{Effect, Given, Settlement, Settles};
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::operation::{Change, Plan, Request};
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::safety::Safety;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::hold::HoldEvent;
use std::sync::Arc;
use std::time::Duration;

fn name(of: &str) -> String {
    unique(of).replace('.', "-")
}

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

fn keyed(subject: &str, payload: &str) -> Outgoing {
    Outgoing { key: Some(subject.to_owned().into()), ..text(payload) }
}

async fn publish(session: &Session, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
    session.publish.as_ref().expect("NATS takes messages").publish(channel, message).await
}

async fn refused(integration: Integration) -> Fault {
    match connect(integration).await {
        Ok(_) => panic!("it connected"),
        Err(fault) => fault,
    }
}

fn basic(user: &str, password: &str) -> Auth {
    Auth::Basic { username: user.into(), password: Secret::new(password.into()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_log_in_works_and_every_wrong_one_says_what_to_check() {
    let Some(nats) = nats::own(&["--login"]) else { return };
    let Some(with_token) = nats::own(&["--token"]) else { return };
    let token = |text: &str| Auth::Token(TokenSource::Fixed(Secret::new(text.into())));
    let stranger = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";
    for (server, auth, refusal) in [
        (&nats, basic("app", "app"), None),
        (&nats, Auth::Nkey(Seed::File(nats.file("NKEY"))), None),
        (&with_token, token("test-token"), None),
        // As nats://test-token@host says it.
        (&with_token, basic("test-token", ""), None),
        (&nats, basic("app", "wrong secret"), Some("check user and password")),
        (&nats, basic("nobody", "wrong secret"), Some("check user and password")),
        (&nats, Auth::None, Some("write an auth block")),
        (&nats, Auth::Nkey(Seed::Fixed(Secret::new(stranger.into()))), Some("public key")),
        (&with_token, token("wrong secret"), Some("check the token")),
    ] {
        let integration = Integration { auth: auth.clone(), ..server.integration() };
        match refusal {
            None => {
                let session = connect(integration).await.unwrap_or_else(|fault| panic!("{auth:?}: {fault}"));
                session.inspect.ping().await.unwrap_or_else(|fault| panic!("{auth:?}: {fault}"));
            }
            Some(next) => {
                let fault = refused(integration).await;
                assert_eq!(fault.kind, Kind::Unauthorized, "{fault}");
                assert!(fault.cause.as_str().contains("Authorization Violation") && fault.next.as_str().contains(next), "{fault}");
                assert!(!fault.to_string().contains("wrong secret") && !fault.to_string().contains("SUANQD"), "no secret in {fault}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creds_files_log_in_as_long_as_their_user_is_valid() {
    let operator = Operator::new();
    let accounts = operator.accounts();
    let Some(nats) = nats::own(&["--accounts", accounts.to_str().expect("UTF-8")]) else { return };
    let as_user = |creds| Integration { auth: Auth::Creds(creds), ..nats.integration() };
    let session = connect(as_user(operator.user("alice", None))).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(publish(&session, "a", text("x")).await, Ok(Receipt::Accepted));
    let empty = operator.accounts().with_extension("creds");
    std::fs::write(&empty, "nothing").expect("written");
    for (creds, kind, next) in [
        (operator.user("bob", Some(1_700_000_001)), Kind::Unauthorized, "the user's JWT expired on 2023-11-14"),
        (operator.accounts().with_extension("missing"), Kind::Usage, "the auth block names this file"),
        (empty, Kind::Usage, "nsc generate creds"),
    ] {
        let fault = refused(as_user(creds)).await;
        assert!(fault.kind == kind && fault.next.as_str().contains(next), "{next}: {fault}");
    }
    let other = Operator::new();
    let fault = refused(as_user(other.user("mallory", None))).await;
    assert!(fault.kind == Kind::Unauthorized && fault.next.as_str().contains("another operator"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_of_tls_has_its_own_cause() {
    let servers = [&["--mtls"][..], &["--tls", "expired"], &["--tls", "wronghost"]];
    let Some(mutual) = nats::own(servers[0]) else { return };
    let (Some(expired), Some(wrong_host), Some(plain)) = (nats::own(servers[1]), nats::own(servers[2]), nats::shared()) else { return };
    let tls = |nats: &Nats, ca: &str, client: Option<&str>| {
        let client = client.map(|who| (nats.file(&format!("CERT_{who}")), nats.file(&format!("KEY_{who}"))));
        Some(Tls { ca_cert: Some(nats.file(ca)), client, ..Tls::default() })
    };
    for (nats, tls, kind, cause) in [
        (&mutual, tls(&mutual, "CA", None), Kind::Unauthorized, "certificate"),
        (&mutual, tls(&mutual, "CA", Some("STRANGER")), Kind::Unauthorized, "certificate"),
        (&mutual, tls(&mutual, "OTHER_CA", Some("CLIENT")), Kind::Unauthorized, "authority that is not trusted"),
        // A server that demands TLS gets it, checked against the system's authorities.
        (&mutual, None, Kind::Unauthorized, "authority that is not trusted"),
        (&expired, tls(&expired, "CA", None), Kind::Unauthorized, "expired"),
        (&wrong_host, tls(&wrong_host, "CA", None), Kind::Unauthorized, "it is for broker.example"),
        (plain, tls(&mutual, "CA", None), Kind::Protocol, "not TLS"),
    ] {
        let mut integration = nats.integration();
        integration.endpoint.tls = tls;
        let fault = refused(integration).await;
        assert!(fault.kind == kind && fault.cause.as_str().contains(cause) && !fault.next.as_str().is_empty(), "{cause}: {fault}");
    }
    let mut integration = mutual.integration();
    integration.endpoint.tls = tls(&mutual, "CA", Some("CLIENT"));
    let session = connect(integration).await.unwrap_or_else(|fault| panic!("{fault}"));
    session.inspect.channels().await.unwrap_or_else(|fault| panic!("{fault}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_nats_is_told_from_one_without_anything() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string();
    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let web_address = web.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = web.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for (address, kind, cause) in [
        (nobody.as_str(), Kind::Unreachable, "connection refused"),
        ("no-such-host.invalid:4222", Kind::Unreachable, "cannot be resolved"),
        (web_address.as_str(), Kind::Protocol, "HTTP/1.1 400"),
    ] {
        let fault = refused(Integration::new("nats", "nats", vec![address.to_owned()])).await;
        assert!(fault.kind == kind && fault.cause.as_str().contains(cause), "{address}: {fault}");
    }
    let Some(nats) = nats::shared() else { return };
    let mut both = nats.integration();
    both.endpoint.addresses.insert(0, nobody);
    connect(both).await.unwrap_or_else(|fault| panic!("{fault}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_is_told_at_once_and_by_its_subject() {
    let Some(nats) = nats::shared() else { return };
    let stream = name("forbidden");
    let app = connect(nats.integration()).await.expect("connected");
    manage(&app, &format!("nats/stream:{stream}"), "stream.create", &[]).await;
    // A refused publish does not wait for its time to run out.
    let patient = Integration { timeout: SOON * 60, ..nats.as_user("reader") };
    let reader = connect(patient).await.unwrap_or_else(|fault| panic!("{fault}"));
    let channel = format!("stream:{stream}");
    reader.inspect.describe(&channel).await.unwrap_or_else(|fault| panic!("{fault}"));
    read(&reader, &channel, WHOLE).await.unwrap_or_else(|fault| panic!("{fault}"));
    for target in [channel.as_str(), "some.subject"] {
        let fault = tokio::time::timeout(SOON, publish(&reader, target, text("x"))).await.expect("at once").expect_err("forbidden");
        assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
        assert!(fault.cause.as_str().contains("Permissions Violation for Publish"), "{fault}");
    }
    let fault = refused(nats.as_user("deaf")).await;
    assert!(fault.kind == Kind::Forbidden && fault.next.as_str().contains("inbox_prefix"), "{fault}");
    // Without JetStream subjects work, and streams are told to be missing for a reason.
    let without = connect(nats.as_user("nojs")).await.unwrap_or_else(|fault| panic!("{fault}"));
    without.inspect.channels().await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(publish(&without, "a.b", text("x")).await, Ok(Receipt::Accepted));
    let fault = without.inspect.describe(&channel).await.expect_err("no JetStream");
    assert!(fault.cause.as_str().contains("JetStream is not enabled"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn subjects_are_tailed_by_patterns_and_become_known() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let root = name("core");
    let channels: Vec<Arc<str>> = vec![format!("{root}.*").into(), format!("{root}.>").into(), format!("{root}.a").into()];
    let mut tail = Listener::start(&session, &channels).await;
    for (subject, payload) in [("a", "1"), ("b", "2"), ("c.d", "3")] {
        let message =
            Outgoing { headers: vec![header("b", Some(b"1")), header("a", Some(b"2")), header("b", Some(b"3"))], ..text(payload) };
        assert_eq!(publish(&session, &format!("{root}.{subject}"), message).await, Ok(Receipt::Accepted));
    }
    publish(&session, &format!("not-{root}.a"), text("4")).await.expect("taken");
    publish(&session, &format!("{root}.last"), text("5")).await.expect("taken");
    tail.until("the last message", SOON, |tail| tail.messages.last().is_some_and(|m| m.channel.ends_with(".last"))).await;
    let subjects: Vec<&str> = tail.messages.iter().map(|m| m.channel.strip_prefix(&format!("{root}.")).expect("ours")).collect();
    assert_eq!(subjects, ["a", "b", "c.d", "last"], "each once, in order");
    let headers: Vec<_> = tail.messages[0].headers.iter().map(|h| (&h.name[..], h.value.as_deref().expect("a value"))).collect();
    assert_eq!(headers, [(&b"b"[..], &b"1"[..]), (b"a", b"2"), (b"b", b"3")], "headers in their order, duplicates kept");
    let listed = session.inspect.channels().await.expect("a list");
    let row = listed.iter().find(|channel| *channel.name == *format!("{root}.c.d")).expect("a subject that was seen");
    assert_eq!((row.kind, row.can.words(), row.depth), ("subject", vec!["tail", "publish"], Amount::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_streams_and_consumers_are_told_and_read() {
    let Some(nats) = nats::shared() else { return };
    let stream = name("python");
    let Some(script) = clients::script("nats/produce.py", &[nats.address(), &stream, "1200"]) else { return };
    clients::run(script);
    let session = connect(nats.integration()).await.expect("connected");
    let channel = format!("stream:{stream}");
    // This stream allows no direct get, its bucket does.
    let messages = read(&session, &channel, WHOLE).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(messages.len(), 1_200);
    for (n, message) in messages.iter().enumerate() {
        assert_eq!(message.position, Position::Sequence(n as u64 + 1));
        assert_eq!(message.key.as_deref(), Some(format!("{stream}.{}", n % 3).as_bytes()));
        assert_eq!(message.payload.as_deref(), Some(format!("{{\"n\":{n}}}").as_bytes()));
        assert_eq!(message.headers, [header("trace", Some(format!("t-{n}").as_bytes()))]);
    }
    let bucket = read(&session, &format!("stream:KV_{stream}"), WHOLE).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(bucket.iter().map(|m| m.payload.as_deref()).collect::<Vec<_>>(), [Some(&b"value"[..])]);
    assert_eq!(bucket[0].headers, [], "what the server writes beside a message is not one of its headers");

    let group: Arc<str> = format!("{stream}/python").into();
    let groups = session.groups.as_ref().expect("groups");
    let listed = groups.groups().await.expect("a list");
    assert!(listed.groups.iter().any(|found| found.name == group && found.kind.as_str() == "pull"), "{listed:?}");
    let group_offsets = groups.group_offsets(std::slice::from_ref(&group)).await.expect("standings");
    let group_offset = &group_offsets[0].as_ref().expect("a standing")[0];
    assert_eq!((&*group_offset.channel, group_offset.committed, group_offset.end), (&*channel, Some(2), Some(1_201)));
    assert_eq!((group_offset.lag, group_offset.pending), (Amount::Exactly(1_198), Some(1)));
    let fault = groups.describe(&format!("{stream}/nobody")).await.expect_err("no such consumer");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
    let described = session.inspect.describe(&channel).await.expect("a description");
    let subjects = described.tables.iter().find(|table| table.title == "subjects").expect("counts by subject");
    assert_eq!(subjects.rows.len(), 3, "{subjects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_message_that_was_stored_is_a_success() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let (one, two) = (name("one"), name("two"));
    manage(&session, &format!("nats/stream:{one}"), "stream.create", &[("subjects", &format!("{one}.>"))]).await;
    manage(&session, &format!("nats/stream:{two}"), "stream.create", &[]).await;
    let channel = format!("stream:{one}");
    let with = |options: &[(&'static str, &str)]| Outgoing {
        options: options.iter().map(|(id, value)| (*id, (*value).to_owned())).collect(),
        ..keyed(&format!("{one}.a"), "x")
    };
    assert_eq!(publish(&session, &channel, with(&[("id", "7")])).await, Ok(Receipt::Stored(Position::Sequence(1))));
    for (message, kind, cause) in [
        (with(&[("id", "7")]), Kind::Rejected, "nothing was stored: a message with this id is there already, at 1"),
        (with(&[("expected", "9")]), Kind::Rejected, "10071"),
        (keyed(&two, "x"), Kind::Rejected, "does not take the subject"),
        (keyed("nobody.takes.this", "x"), Kind::NotFound, "does not take the subject"),
        (text("x"), Kind::Usage, "takes many subjects"),
        (Outgoing { payload: None, ..keyed(&format!("{one}.a"), "") }, Kind::Rejected, "without a payload"),
        (Outgoing { headers: vec![header("a", None)], ..keyed(&format!("{one}.a"), "x") }, Kind::Rejected, "has no value"),
        (
            Outgoing { payload: Some(vec![0; 2 << 20].into()), ..keyed(&format!("{one}.a"), "") },
            Kind::Rejected,
            "more than the server takes",
        ),
    ] {
        let fault = publish(&session, &channel, message).await.expect_err(cause);
        assert!(fault.kind == kind && fault.cause.as_str().contains(cause), "{cause}: {fault}");
    }
    assert_eq!(publish(&session, &channel, with(&[("expected", "1")])).await, Ok(Receipt::Stored(Position::Sequence(2))));
    assert_eq!(publish(&session, &format!("{one}.*"), text("x")).await.expect_err("a pattern").kind, Kind::Usage);
}

fn settle(effect: Effect, arguments: &[(&str, &str)]) -> Settlement {
    Settlement { effect, arguments: arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_messages_are_settled_one_by_one_and_what_is_left_goes_back() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let stream = name("hold");
    let Some(script) = clients::script("nats/produce.py", &[nats.address(), &stream, "0"]) else { return };
    clients::run(script);
    let channel = format!("stream:{stream}");
    for n in 0..6 {
        publish(&session, &channel, keyed(&format!("{stream}.a"), &n.to_string())).await.unwrap_or_else(|fault| panic!("{fault}"));
    }
    let hold = session.hold.as_ref().expect("messages can be held");
    assert_eq!(hold.ack_timeout(&channel).await, Ok(Some(Duration::from_secs(30))));
    let mut holding = hold.hold(&format!("consumer:{stream}/python"), 5).await.unwrap_or_else(|fault| panic!("{fault}"));
    let mut held = Vec::new();
    for n in 1..=5 {
        let delivery = holding.next().await.expect("it goes on").unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!((delivery.message.position, delivery.deliveries, delivery.redelivered), (Position::Sequence(n), Some(1), false));
        held.push(delivery.ticket.expect("a ticket"));
    }
    assert!(tokio::time::timeout(Duration::from_millis(300), holding.next()).await.is_err(), "five are held: it waits");
    holding.settle(held[0], &settle(Effect::Ack, &[])).await.unwrap_or_else(|fault| panic!("{fault}"));
    holding.settle(held[1], &settle(Effect::Requeue, &[])).await.unwrap_or_else(|fault| panic!("{fault}"));
    holding.settle(held[2], &settle(Effect::Reject, &[("reason", "not JSON")])).await.unwrap_or_else(|fault| panic!("{fault}"));
    holding.settle(held[3], &settle(Effect::Extend, &[])).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(holding.settle(held[0], &settle(Effect::Ack, &[])).await.expect_err("settled already").kind, Kind::Lost);
    let mut again = Vec::new();
    for _ in 0..2 {
        let delivery = holding.next().await.expect("it goes on").unwrap_or_else(|fault| panic!("{fault}"));
        again.push((delivery.message.position, delivery.redelivered));
    }
    again.sort();
    assert_eq!(again, [(Position::Sequence(2), true), (Position::Sequence(6), false)]);
    let said = holding.release().await.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(said.starts_with("4 unsettled messages: each is given back (nak)"), "{said}");
    let groups = session.groups.as_ref().expect("groups");
    let group_offsets = groups.group_offsets(&[format!("{stream}/python").into()]).await.expect("standings");
    let group_offset = &group_offsets[0].as_ref().expect("a standing")[0];
    assert_eq!(group_offset.committed, Some(2), "the first is acknowledged, the second is not: {group_offset:?}");
}

fn gateway(nats: &Nats) -> Gateway {
    Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations: vec![nats.integration()] }, false)
}

/// A stream with a consumer `python` and messages in it.
async fn consumed(nats: &Nats, session: &Session, messages: u32) -> Option<String> {
    let stream = name("consumed");
    clients::run(clients::script("nats/produce.py", &[nats.address(), &stream, "0"])?);
    for n in 0..messages {
        publish(session, &format!("stream:{stream}"), keyed(&format!("{stream}.a"), &n.to_string())).await.expect("stored");
    }
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_is_for_others_at_once_and_does_not_come_straight_back() {
    let Some(nats) = nats::shared() else { return };
    let gateway = gateway(nats);
    let session = session(&gateway, "nats").await;
    let Some(stream) = consumed(nats, &session, 3).await else { return };
    let address: Address = format!("nats/consumer:{stream}/python").parse().expect("an address");
    let mut held = gateway.hold(&address, 10, 10).await.expect("held");
    let mut tickets = Vec::new();
    while tickets.len() < 3 {
        if let Some(HoldEvent::Message(delivery)) = tokio::time::timeout(SOON, held.next()).await.expect("in time") {
            tickets.extend(delivery.ticket);
        }
    }
    let settles = gateway.settles(&address, Effect::Requeue, &[Given::default()]).await.expect("it is known what that does");
    assert_eq!(settles, Settles::usual("1 message redelivered by this consumer"));
    let plan = Plan::Settle { address, hold: held.id, tickets: vec![tickets[1]], settlement: settle(Effect::Requeue, &[]), settles };
    let done = gateway.execute(plan).await.expect("the receiving is there").done.expect("parts");
    assert!(done.parts.iter().all(|(_, part)| part.is_ok()), "{done:?}");
    assert!(tokio::time::timeout(SOON, held.next()).await.expect("in time").is_none(), "nothing more is taken");
    publish(&session, &format!("stream:{stream}"), keyed(&format!("{stream}.a"), "later")).await.expect("stored");
    let mut other = session.hold.as_ref().expect("held").hold(&format!("consumer:{stream}/python"), 5).await.expect("held");
    let mut came = Vec::new();
    for _ in 0..2 {
        // Long before what we hold would be given to somebody else.
        let next = tokio::time::timeout(SOON, other.next()).await.expect("in time");
        let delivery = next.expect("it goes on").unwrap_or_else(|fault| panic!("{fault}"));
        came.push((delivery.message.position, delivery.deliveries, delivery.redelivered));
    }
    came.sort();
    assert_eq!(came, [(Position::Sequence(2), Some(2), true), (Position::Sequence(4), Some(1), false)]);
    assert!(gateway.release(held.id).await.expect("ended").starts_with("2 unsettled messages"));
    other.release().await.expect("released");
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streams_consumers_are_counted_and_what_they_are_given_is_a_rate() {
    let Some(nats) = nats::shared() else { return };
    let gateway = gateway(nats);
    let session = session(&gateway, "nats").await;
    let Some(stream) = consumed(nats, &session, 20).await else { return };
    let idle = name("idle");
    manage(&session, &format!("nats/stream:{idle}"), "stream.create", &[]).await;
    let mut holding = session.hold.as_ref().expect("held").hold(&format!("consumer:{stream}/python"), 20).await.expect("held");
    let look = async |name: String| {
        let listed = gateway.channels("nats").await.expect("a list");
        let row = listed.into_iter().find(|row| *row.name == name).unwrap_or_else(|| panic!("{name} is not listed"));
        (row.consumers, row.rate_out)
    };
    assert_eq!(look(format!("stream:{stream}")).await, (Some(1), None), "a rate needs two looks");
    for _ in 0..20 {
        tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on").unwrap_or_else(|fault| panic!("{fault}"));
    }
    // Looks that follow each other too soon count as one.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (consumers, rate) = look(format!("stream:{stream}")).await;
    assert!(consumers == Some(1) && rate.is_some_and(|rate| rate > 0.0), "{consumers:?} {rate:?}");
    let (consumers, same) = look(format!("consumer:{stream}/python")).await;
    assert_eq!((consumers, same), (None, rate), "who asks as a consumer is not told");
    assert_eq!(look(format!("stream:{idle}")).await, (Some(0), Some(0.0)), "nobody there, nothing given out");
    assert_eq!(look(format!("{stream}.>")).await, (None, None), "of a subject neither is known");
    holding.release().await.expect("released");
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_planned_and_then_carried_out_exactly_so() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:WORK", "stream.create", &[("subjects", "work.>"), ("retention", "workqueue")]).await;
    for n in 0..10 {
        publish(&session, "stream:WORK", keyed(&format!("work.{}", n % 2), &n.to_string())).await.unwrap_or_else(|fault| panic!("{fault}"));
    }
    // A work queue is read without a consumer, which it would not allow beside another.
    let sequences = async || {
        let all = read(&session, "stream:WORK", Range { start: Bound::Earliest, end: Bound::Latest }).await.expect("history");
        all.iter().filter_map(|m| m.position.number()).collect::<Vec<i64>>()
    };
    assert_eq!(sequences().await, (1..=10).collect::<Vec<_>>());
    manage(&session, "nats/stream:WORK", "message.delete", &[("sequence", "3"), ("erase", "yes")]).await;
    let said = manage(&session, "nats/stream:WORK", "stream.purge", &[("subject", "work.1"), ("before", "7")]).await;
    assert_eq!(said, ["purged WORK: 3 messages"]);
    assert_eq!(sequences().await, [1, 5, 7, 8, 9, 10]);
    let said = manage(&session, "nats", "advisories.capture", &[]).await;
    assert_eq!(said, ["created MQDECK_ADVISORIES"]);
    let spec = session.manage.as_ref().expect("manage").operations().iter().find(|spec| spec.id == "advisories.capture").expect("it");
    let again = mqdeck::domain::operation::Request { spec, address: "nats/x".parse().expect("an address"), arguments: Vec::new() };
    let again = session.manage.as_ref().expect("manage").plan(again).await.expect("a plan");
    assert!(again.refused.is_some(), "once is enough");
    manage(&session, "nats/stream:WORK", "stream.delete", &[]).await;
    assert_eq!(session.inspect.describe("stream:WORK").await.expect_err("it is gone").kind, Kind::NotFound);
}

/// Plans what takes a change back; with the plan what it would delete.
async fn undo(session: &Session, change: &Change) -> Change {
    let manage = session.manage.as_ref().expect("manage");
    manage.plan(change.undo.clone().expect("it can be taken back")).await.unwrap_or_else(|fault| panic!("{fault}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_is_taken_back_and_the_plan_says_what_came_since() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let manage = session.manage.as_ref().expect("manage");
    let make = async |address: &str, id: &str, arguments: &[(&str, &str)]| {
        let spec = manage.operations().iter().find(|spec| spec.id == id).expect("the operation");
        let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
        // As the gateway hands it to the adapter.
        let address = address.parse::<Address>().expect("an address").split(&["stream", "group"]);
        let request = Request { spec, address, arguments };
        let change = manage.plan(request).await.unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(change.refused, None);
        manage.apply(&change).await.unwrap_or_else(|fault| panic!("{fault}"));
        change
    };
    // With its kind and without.
    let stream = make("nats/WORK", "stream.create", &[("subjects", "work.>")]).await;
    let consumer = make("nats/stream:WORK", "consumer.create", &[("name", "billing")]).await;
    let paused = make("nats/group:WORK/billing", "consumer.pause", &[("for", "10m")]).await;
    let longer = make("nats/group:WORK/billing", "consumer.pause", &[("for", "20m")]).await;
    assert!(longer.undo.is_none(), "the pause of before could not be brought back");
    let captured = make("nats/x", "advisories.capture", &[]).await;
    for n in 0..3 {
        publish(&session, "stream:WORK", keyed("work.a", &n.to_string())).await.unwrap_or_else(|fault| panic!("{fault}"));
    }
    for (change, operation, touches) in
        [(&paused, "consumer.resume", 0), (&consumer, "consumer.delete", 3), (&stream, "stream.delete", 3), (&captured, "stream.delete", 0)]
    {
        let back = undo(&session, change).await;
        assert_eq!((back.request.spec.id, back.touches), (operation, Amount::Exactly(touches)), "{}", back.summary);
        back.request.check().expect("a request");
        manage.apply(&back).await.unwrap_or_else(|fault| panic!("{fault}"));
    }
    let left = session.inspect.channels().await.expect("a list");
    assert!(left.iter().all(|row| row.kind == "subject"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_kept_by_the_stream_that_takes_it_unless_consumers_empty_that() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:LOG", "stream.create", &[("subjects", "log.>")]).await;
    manage(&session, "nats/stream:WORK", "stream.create", &[("subjects", "work.>"), ("retention", "workqueue")]).await;
    let mut tail = Listener::start(&session, &[">".into()]).await;
    for subject in ["log.a", "work.a", "free"] {
        publish(&session, subject, text("x")).await.unwrap_or_else(|fault| panic!("{fault}"));
        tail.until(subject, SOON, |tail| tail.messages.iter().any(|m| &*m.channel == subject)).await;
    }
    let listed = session.inspect.channels().await.expect("a list");
    for (subject, keeper) in
        [("log.>", Some("stream:LOG")), ("log.a", Some("stream:LOG")), ("work.>", None), ("work.a", None), ("free", None)]
    {
        let row = listed.iter().find(|row| &*row.name == subject).expect(subject);
        assert_eq!(row.kept_by.as_deref(), keeper, "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_paused_resumed_and_deleted() {
    let Some(nats) = nats::shared() else { return };
    let stream = name("pause");
    let Some(script) = clients::script("nats/produce.py", &[nats.address(), &stream, "5"]) else { return };
    clients::run(script);
    let session = connect(nats.integration()).await.expect("connected");
    let group = format!("nats/group:{stream}/python");
    let told = async || {
        let described = session.groups.as_ref().expect("groups").describe(&format!("{stream}/python")).await;
        described.map(|described| described.group.attributes.iter().any(|attribute| attribute.name.as_str() == "paused until"))
    };
    assert_eq!(told().await, Ok(false));
    manage(&session, &group, "consumer.pause", &[("for", "10m")]).await;
    assert_eq!(told().await, Ok(true));
    manage(&session, &group, "consumer.resume", &[]).await;
    assert_eq!(told().await, Ok(false));
    manage(&session, &group, "consumer.delete", &[]).await;
    assert_eq!(told().await.expect_err("it is gone").kind, Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_a_consumer_gave_up_are_told_by_a_stream_of_advisories() {
    let Some(nats) = nats::own(&[]) else { return };
    let Some(script) = clients::script("nats/produce.py", &[nats.address(), "WORK", "0"]) else { return };
    clients::run(script);
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats", "advisories.capture", &[]).await;
    for n in 1..=2 {
        publish(&session, "stream:WORK", keyed("WORK.a", &n.to_string())).await.unwrap_or_else(|fault| panic!("{fault}"));
    }
    let mut holding = session.hold.as_ref().expect("receiving").hold("consumer:WORK/python", 1).await.expect("a hold");
    let mut next = async |effect, arguments: &[(&str, &str)]| {
        let delivery = holding.next().await.expect("it goes on").unwrap_or_else(|fault| panic!("{fault}"));
        let ticket = delivery.ticket.expect("a ticket");
        holding.settle(ticket, &settle(effect, arguments)).await.unwrap_or_else(|fault| panic!("{fault}"));
    };
    next(Effect::Reject, &[("reason", "not JSON")]).await;
    // The consumer gives a message five times; that there is no sixth is noticed when somebody asks for it.
    for _ in 0..5 {
        next(Effect::Requeue, &[]).await;
    }
    assert!(tokio::time::timeout(Duration::from_millis(500), holding.next()).await.is_err(), "nothing is left");
    drop(holding);
    let told: Vec<serde_json::Value> = read(&session, "stream:MQDECK_ADVISORIES", WHOLE)
        .await
        .unwrap_or_else(|fault| panic!("{fault}"))
        .iter()
        .map(|message| serde_json::from_slice(message.payload.as_deref().expect("a payload")).expect("JSON"))
        .collect();
    let brief: Vec<_> = told.iter().map(|a| (a["type"].as_str().unwrap_or(""), &a["stream_seq"], a["reason"].as_str())).collect();
    assert_eq!(brief.len(), 2, "{brief:?}");
    assert!(brief[0].0.ends_with("terminated") && *brief[0].1 == 1 && brief[0].2 == Some("not JSON"), "{brief:?}");
    assert!(brief[1].0.ends_with("max_deliver") && *brief[1].1 == 2, "{brief:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_is_not_asked_and_its_next_message_is_seen_at_once() {
    let Some(nats) = nats::own(&[]) else { return };
    let log = WireLog::default();
    let adapter = find("nats").expect("this build has it");
    let session = (adapter.connect)(nats.integration(), log.clone()).await.expect("connected");
    manage(&session, "nats/stream:KEPT", "stream.create", &[]).await;
    manage(&session, "nats/stream:WORK", "stream.create", &[("retention", "workqueue")]).await;
    // A mirror has no subjects of its own.
    let call = session.call.as_ref().expect("NATS is asked");
    let mirror = text(r#"{"name":"COPY","mirror":{"name":"KEPT"}}"#);
    let mut made = call.call("$JS.API.STREAM.CREATE.COPY", mirror, SOON).await.expect("asked");
    let answer = made.next().await.expect("an answer").unwrap_or_else(|fault| panic!("{fault}"));
    assert!(!String::from_utf8_lossy(answer.payload.as_deref().unwrap_or_default()).contains("error"), "{answer:?}");
    let streams = ["stream:KEPT", "stream:WORK", "stream:COPY"];
    let mut tails = Vec::new();
    for stream in streams {
        tails.push(Listener::start(&session, &[stream.into()]).await);
    }
    // Looks follow upon a start, the last one after two seconds. Then nothing is asked while nothing comes.
    let asked = || log.since(0).last().map_or(0, |line| line.number);
    let (mut before, mut since) = (asked(), std::time::Instant::now());
    let began = since;
    while since.elapsed() < Duration::from_secs(4) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if asked() != before {
            (before, since) = (asked(), std::time::Instant::now());
            assert!(began.elapsed() < SOON, "it goes on asking: {:?}", log.since(before.saturating_sub(3)));
        }
    }
    for n in 1..=3_usize {
        for stream in ["stream:KEPT", "stream:WORK"] {
            publish(&session, stream, text(&n.to_string())).await.unwrap_or_else(|fault| panic!("{fault}"));
        }
        for (tail, stream) in tails.iter_mut().zip(streams) {
            tail.until(stream, SOON, |tail| tail.messages.len() == n).await;
        }
    }
}
