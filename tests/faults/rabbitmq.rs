//! RabbitMQ refuses, hangs and dies: each cause is told apart, tails and held messages say what became of them.

use crate::support::rabbitmq::{self, done, letter, password, queue, set};
use crate::support::subjects::{Listener, connect, everything, kept};
use crate::support::{SOON, until, until_resumed};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Auth, Integration};
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::search::Scope;
use mqdeck::domain::tail::TailEvent;
use std::sync::Arc;
use std::time::Duration;
use tokio::join;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

async fn refused(integration: Integration) -> Fault {
    connect(integration).await.err().expect("it is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_for_not_connecting_is_told_apart_with_a_next_step_and_no_password() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let plain = || rabbit.integration("guest");
    let secure = || rabbit.encrypted("guest");
    let with = |mut integration: Integration, change: &dyn Fn(&mut Integration)| {
        change(&mut integration);
        integration
    };
    let tls = |integration: &mut Integration, change: &dyn Fn(&mut mqdeck::config::profile::Tls)| {
        change(integration.endpoint.tls.as_mut().expect("TLS"));
    };
    for (what, integration, kind, words) in [
        ("closed port", with(plain(), &|i| i.endpoint.addresses = vec!["127.0.0.1:1".into()]), Kind::Unreachable, "nothing listens"),
        (
            "unknown host",
            with(plain(), &|i| i.endpoint.addresses = vec!["no.such.host.invalid:5672".into()]),
            Kind::Unreachable,
            "resolved",
        ),
        ("wrong password", with(plain(), &|i| i.auth = password("guest", "hunter2")), Kind::Unauthorized, "ACCESS_REFUSED"),
        ("no such vhost", with(plain(), &|i| set(i, "vhost", "nowhere")), Kind::NotFound, "vhost nowhere not found"),
        (
            "vhost not permitted",
            with(plain(), &|i| i.auth = password("stranger", "stranger")),
            Kind::Forbidden,
            "refused for user 'stranger'",
        ),
        ("unknown authority", with(secure(), &|i| tls(i, &|tls| tls.ca_cert = None)), Kind::Unauthorized, "not trusted"),
        (
            "another authority",
            with(secure(), &|i| tls(i, &|tls| tls.ca_cert = Some(rabbit.fact("OTHER_CA").into()))),
            Kind::Unauthorized,
            "not trusted",
        ),
        (
            "wrong host",
            with(secure(), &|i| tls(i, &|tls| tls.server_name = Some("rabbit.example".into()))),
            Kind::Unauthorized,
            "not for rabbit.example",
        ),
        ("TLS on a plain port", with(secure(), &|i| i.endpoint.addresses = vec![rabbit.fact("AMQP").into()]), Kind::Protocol, "not TLS"),
        ("wrong setting", with(plain(), &|i| set(i, "vhosts", "x")), Kind::Usage, "no setting `vhosts`"),
    ] {
        let fault = refused(integration).await;
        assert_eq!(fault.kind, kind, "{what}: {fault}");
        assert!(fault.to_string().contains(words) && !fault.next.as_str().is_empty(), "{what}: {fault}");
        assert!(!fault.to_string().contains("hunter2"), "{what}: {fault}");
    }
    // A plain client on the TLS port is cut off, a stranger's certificate is refused after the handshake.
    let fault = refused(with(plain(), &|i| i.endpoint.addresses = vec![rabbit.fact("AMQPS").into()])).await;
    assert!(matches!(fault.kind, Kind::Unreachable | Kind::Protocol | Kind::Timeout), "{fault}");
    let files = (rabbit.fact("OTHER_CERT").into(), rabbit.fact("OTHER_KEY").into());
    let fault = refused(with(secure(), &|i| tls(i, &|tls| tls.client = Some(files.clone())))).await;
    assert!(matches!(fault.kind, Kind::Unreachable | Kind::Unauthorized), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_certificates_vhosts_and_several_hosts_connect() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let by_password = connect(rabbit.encrypted("guest")).await.expect("TLS with a password");
    assert!(by_password.inspect.channels().await.is_ok_and(|channels| channels.iter().any(|c| &*c.name == "exchange:amq.topic")));
    let mut certificate = rabbit.encrypted("guest");
    certificate.auth = Auth::None;
    let files = (rabbit.fact("CERT").into(), rabbit.fact("KEY").into());
    certificate.endpoint.tls.as_mut().expect("TLS").client = Some(files);
    let by_certificate = connect(certificate).await.expect("the certificate alone says who it is");
    by_certificate.inspect.describe("exchange:amq.topic").await.expect("described");
    let mut several = rabbit.integration("guest");
    several.endpoint.addresses.insert(0, "127.0.0.1:1".into());
    connect(several).await.expect("the second host answers");
    let mut vhost = rabbit.integration("guest");
    set(&mut vhost, "vhost", "tenant-a");
    let session = connect(vhost).await.expect("the other vhost");
    let name = queue(&session, "elsewhere", "classic").await;
    let fault = rabbit.session().await.inspect.describe(&format!("queue:{name}")).await.expect_err("it is in the other vhost");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
}

fn down(listener: &Listener) -> bool {
    listener.said.iter().any(|event| matches!(event, TailEvent::Interrupted(_)))
}

fn back(listener: &Listener) -> bool {
    listener.said.iter().any(|event| matches!(event, TailEvent::Resumed { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_told_and_a_tap_goes_on_when_it_is_back() {
    let Some(mut rabbit) = rabbitmq::own() else { return };
    let session = rabbit.session().await;
    done(&session, "tenant.declare", "t1", &[]).await;
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    let mut tap = Listener::start(&session, &["exchange:grey.tasks".into()]).await;
    let mut holding = session.hold.as_ref().expect("RabbitMQ holds").hold("queue:grey.tasks.t1", 5).await.expect("received");
    publish.publish("exchange:grey.tasks", letter(Some("tasks.t1"), "one")).await.expect("published");
    tap.until("a message", SOON, |listener| listener.messages.len() == 1).await;
    let held = holding.next().await.expect("it goes on").expect("a delivery");

    rabbit.kill();
    tap.until("the interruption", SOON, down).await;
    let fault = publish.publish("exchange:grey.tasks", letter(Some("tasks.t1"), "x")).await.expect_err("nobody is there");
    assert_eq!(fault.kind, Kind::Unreachable, "{fault}");
    let fault = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("the receiving goes on");
    let fault = fault.expect_err("the connection is gone");
    assert!(fault.kind.is_transient() && fault.cause.as_str().contains("; 1 unsettled message is given back"), "{fault}");
    assert!(holding.is_lost(held.ticket.expect("it is held")));
    let lost = holding.settle(held.ticket.expect("it is held"), &Settlement { effect: Effect::Ack, arguments: Vec::new() }).await;
    assert_eq!(lost.expect_err("the ticket went with the connection").kind, Kind::Lost);

    rabbit.restart();
    tokio::time::timeout(SOON, until_resumed(&mut holding)).await.expect("in time").expect("it goes on").expect("the connection is there");
    let again = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on").expect("a delivery");
    assert!(again.redelivered && again.message.payload == held.message.payload, "the unsettled one comes again: {again:?}");
    assert!(!holding.is_lost(again.ticket.expect("it is held")) && holding.is_lost(held.ticket.expect("it was held")));
    let said = holding.release().await.expect("released");
    assert!(said.starts_with("1 unsettled message is given back to the queue, marked as redelivered"), "{said}");
    assert!(said.ends_with("1 delivery went with a connection that broke"), "{said}");
    tap.until("the resumption", SOON, back).await;
    assert_eq!(tap.said.last(), Some(&TailEvent::Resumed { lost: None }), "what went by is not known");
    publish.publish("exchange:grey.tasks", letter(Some("tasks.t1"), "two")).await.expect("published");
    tap.until("the next message", SOON, |listener| listener.messages.len() == 2).await;
    let again = session.peek.as_ref().expect("RabbitMQ has queues").peek("queue:grey.tasks.t1", 5).await.expect("peeked").deliveries;
    assert!(again[0].redelivered && again.len() == 2, "the unsettled one is there again: {again:?}");
}

/// In an orderly way: after a crash of its only node RabbitMQ 3.10 does not bring a stream back.
#[tokio::test(flavor = "multi_thread")]
async fn the_tail_of_a_stream_goes_on_where_it_was_when_the_server_comes_back() {
    let Some(mut rabbit) = rabbitmq::own() else { return };
    let session = rabbit.session().await;
    let stream: Arc<str> = format!("stream:{}", queue(&session, "stream", "stream").await).into();
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    publish.publish(&stream, letter(None, "before")).await.expect("published");
    let mut tail = Listener::start(&session, std::slice::from_ref(&stream)).await;
    publish.publish(&stream, letter(None, "one")).await.expect("published");
    tail.until("a message", SOON, |listener| listener.messages.len() == 1).await;
    rabbit.halt();
    tail.until("the interruption", SOON, down).await;
    rabbit.restart();
    tail.until("the resumption", SOON, back).await;
    assert_eq!(tail.said.last(), Some(&TailEvent::Resumed { lost: Some(0) }), "a stream keeps everything");
    publish.publish(&stream, letter(None, "two")).await.expect("published");
    tail.until("the next message", SOON, |listener| listener.messages.len() == 2).await;
    assert_eq!(tail.messages[1].payload.as_deref(), Some(&b"two"[..]), "none twice");
    is_read_on_where_its_connection_broke(&rabbit, &session, &stream).await;
}

/// As it does for whoever takes messages so slowly that the server could send nothing for half a minute.
async fn is_read_on_where_its_connection_broke(rabbit: &rabbitmq::Rabbit, session: &Session, stream: &str) {
    const LARGE: usize = 60;
    let (publish, history) =
        (session.publish.as_ref().expect("it takes messages"), session.history.as_ref().expect("a stream has history"));
    for _ in 0..LARGE {
        publish.publish(stream, letter(None, &"x".repeat(600 * 1024))).await.expect("stored");
    }
    let all = Range { start: Bound::Earliest, end: Bound::Latest };
    let mut scan = history.scan(stream, &Scope::of(all), everything()).await.expect("a search");
    let lane = scan.lanes.first_mut().expect("the one there is");
    let mut offsets = Vec::new();
    let mut is_cut = false;
    while let Some(batch) = timeout(SOON, lane.batches.next()).await.expect("it goes on") {
        offsets.extend(kept(batch.expect("nothing is said of it")).map(|message| message.position));
        if !std::mem::replace(&mut is_cut, true) {
            rabbit.close_connections();
        }
    }
    let expected: Vec<Position> = (0..LARGE as u64 + 3).map(Position::Sequence).collect();
    assert_eq!(offsets, expected, "each once, in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_given_up_by_its_missing_heartbeat() {
    let Some(rabbit) = rabbitmq::own() else { return };
    let mut integration = rabbit.integration("guest");
    set(&mut integration, "heartbeat", "1");
    integration.timeout = Duration::from_secs(2);
    let session = connect(integration.clone()).await.expect("RabbitMQ is there");
    let mut tap = Listener::start(&session, &["exchange:amq.topic".into()]).await;
    rabbit.freeze();
    // Its threads stop one after the other.
    let fault = until("the silence", SOON, async || session.inspect.ping().await.err()).await;
    assert!(matches!(fault.kind, Kind::Timeout | Kind::Unreachable), "{fault}");
    let fault = refused(integration).await;
    assert_eq!(fault.kind, Kind::Timeout, "{fault}");
    tap.until("the interruption", SOON, |listener| !listener.said.is_empty()).await;
    rabbit.thaw();
    tap.until("the resumption", SOON, |listener| listener.said.len() >= 2).await;
    assert!(session.inspect.ping().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_never_answers_keeps_no_command_waiting_for_it() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut integration = rabbit.integration("guest");
    integration.endpoint.addresses.insert(0, silent.local_addr().expect("its address").to_string());
    // Longer than the test waits: whoever waited for the silent one would be noticed.
    integration.timeout = SOON * 10;
    let (accepted, mut count) = watch::channel(0);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            open.push(stream);
            accepted.send_replace(open.len());
        }
    });
    let session = timeout(SOON, connect(integration)).await.expect("the next address is tried beside it").expect("RabbitMQ is there");
    assert!(*count.borrow() > 0, "it is the first that is tried");
    // Each of these needs a connection: the one of short requests, the one of publishing, and one of its own.
    let queue = timeout(SOON, queue(&session, "beside", "classic")).await.expect("declared");
    let address = format!("queue:{queue}");
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    let hold = session.hold.as_ref().expect("RabbitMQ holds");
    let all = async { join!(session.inspect.ping(), publish.publish(&address, letter(None, "x")), hold.hold(&address, 1)) };
    let (ping, published, held) = timeout(SOON, all).await.expect("none waits for the silent address");
    ping.expect("it answers");
    published.expect("stored");
    let mut held = held.expect("received");
    let came = timeout(SOON, held.next()).await.expect("in time").expect("it goes on").expect("a delivery");
    assert_eq!(came.message.payload.as_deref(), Some(&b"x"[..]));
    held.settle(came.ticket.expect("a ticket"), &Settlement { effect: Effect::Ack, arguments: Vec::new() }).await.expect("acknowledged");
    held.release().await.expect("ended");
    timeout(SOON, count.wait_for(|count| *count >= 3)).await.expect("each began with it").expect("it listens");
    timeout(SOON, done(&session, "queue.delete", &address, &[])).await.expect("deleted");
}
