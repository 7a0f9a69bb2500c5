//! MQTT when things break: causes told apart, a broker killed or frozen under everything, one that speaks only 3.1.1.

use crate::support::mosquitto::{connect, own, shared};
use crate::support::program::Home;
use crate::support::subjects::{Listener, session};
use crate::support::{SOON, mosquitto::Peer, unique, until_resumed};
use mqdeck::config::profile::{Auth, Integration, Profile};
use mqdeck::config::secret::Secret;
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::health::Link;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::safety::Safety;
use mqdeck::domain::tail::TailEvent;
use mqdeck::gateway::Gateway;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_is_told_apart_with_its_next_step() {
    let Some(broker) = shared() else { return };
    let mut wrong_password = broker.user("ops", &[]);
    wrong_password.auth = Auth::Basic { username: "ops".into(), password: Secret::new("hunter2".into()) };
    let nowhere = Integration::new("iot", "mqtt", vec!["127.0.0.1:1".into()]);
    let no_such_host = Integration::new("iot", "mqtt", vec!["no-such-host.invalid:1883".into()]);
    let no_such_site = Integration::new("iot", "mqtt", vec!["ws://no-such-host.invalid:9001/mqtt".into()]);
    let mut no_such_tls = broker.secure("TLS", "CA");
    no_such_tls.endpoint.addresses = vec!["no-such-host.invalid:8883".into()];
    let mut web_elsewhere = broker.integration("PLAIN", &[]);
    web_elsewhere.endpoint.addresses = vec![format!("ws://{}/mqtt", broker.at("PLAIN"))];
    for (name, integration, kind, cause) in [
        ("unreachable", nowhere, Kind::Unreachable, "nothing listens there"),
        ("no such host", no_such_host, Kind::Unreachable, "cannot be resolved"),
        ("no such host of a websocket", no_such_site, Kind::Unreachable, "the name no-such-host.invalid cannot be resolved"),
        ("no such host with TLS", no_such_tls, Kind::Unreachable, "the name no-such-host.invalid cannot be resolved"),
        ("wrong password", wrong_password, Kind::Unauthorized, "user or password"),
        ("no password", broker.integration("AUTH", &[]), Kind::Unauthorized, "user or password"),
        ("no password, 3.1.1", broker.integration("AUTH", &[("version", "3.1.1")]), Kind::Unauthorized, "user or password"),
        ("unknown CA", broker.secure("TLS", "OTHER_CA"), Kind::Unauthorized, "authority that is not trusted"),
        ("expired", broker.secure("EXPIRED", "CA"), Kind::Unauthorized, "expired on 2021-01-01"),
        ("wrong host", broker.secure("WRONGHOST", "CA"), Kind::Unauthorized, "it is for broker.example"),
        ("no client certificate", broker.secure("MTLS", "CA"), Kind::Unauthorized, "demands a certificate"),
        ("TLS is spoken there", broker.integration("TLS", &[]), Kind::Unreachable, "closed the connection"),
        ("no TLS is spoken there", broker.secure("PLAIN", "CA"), Kind::Unreachable, "closed the connection"),
        ("no websocket", web_elsewhere, Kind::Unreachable, "closed the connection"),
    ] {
        let fault = connect(integration).await.err().unwrap_or_else(|| panic!("{name}: it connects"));
        assert_eq!(fault.kind, kind, "{name}: {fault}");
        assert!(fault.cause.as_str().contains(cause) && !fault.next.as_str().is_empty(), "{name}: {fault}");
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_addresses_the_one_that_answers_is_used() {
    let Some(broker) = shared() else { return };
    let mut integration = broker.integration("PLAIN", &[]);
    integration.endpoint.addresses.insert(0, "127.0.0.1:1".to_owned());
    connect(integration).await.expect("the second answers");
}

async fn link_becomes(gateway: &Gateway, word: &str, limit: Duration) -> Link {
    let mut link = gateway.link("iot").expect("the integration");
    let found = timeout(limit, link.wait_for(|link| link.word() == word)).await;
    found.unwrap_or_else(|_| panic!("the link did not become {word} within {limit:?}")).expect("the gateway lives").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_is_told_at_once_and_everything_goes_on_when_it_is_back() {
    let Some(mut broker) = own(&[]) else { return };
    let integration = broker.integration("PLAIN", &[]);
    let profile = Profile { name: "test".into(), path: None, safety: Safety::default(), integrations: vec![integration] };
    let gateway = Gateway::open(profile, false);
    let session = session(&gateway, "iot").await;
    link_becomes(&gateway, "ok", SOON).await;
    let (publish, hold) = (session.publish.clone().expect("publish"), session.hold.clone().expect("hold"));
    let mut tail = Listener::start(&session, &["crash/#".into()]).await;
    let mut held = hold.hold("crash/held", 10).await.expect("receiving");
    assert_eq!(publish.publish("crash/held", text("before")).await, Ok(Receipt::Accepted));
    tail.until("the first message", SOON, |tail| tail.messages.len() == 1).await;
    let delivery = timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect("a delivery");
    let mut full = hold.hold("crash/full", 1).await.expect("receiving");
    publish.publish("crash/full", text("held")).await.expect("sent");
    let only = timeout(SOON, full.next()).await.expect("in time").expect("goes on").expect("a delivery");
    full.stop_receiving().await.expect("told");
    tail.until("both messages", SOON, |tail| tail.messages.len() == 2).await;

    broker.kill();
    tail.until("the interruption", SOON, |tail| !tail.said.is_empty()).await;
    let TailEvent::Interrupted(fault) = &tail.said[0] else { panic!("{:?}", tail.said) };
    assert_eq!((fault.kind, fault.op), (Kind::Unreachable, "tail"), "{fault}");
    let fault = timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect_err("the connection is gone");
    assert!(fault.cause.as_str().contains("1 unsettled message is forgotten"), "{fault}");
    assert!(held.is_lost(delivery.ticket.expect("a ticket")));
    let fault = timeout(SOON, full.next()).await.expect("in time").expect("goes on").expect_err("the connection is gone");
    assert!(
        fault.kind.is_transient() && full.is_lost(only.ticket.expect("a ticket")),
        "whoever waits for nothing more is told too: {fault}"
    );
    let ack = Settlement { effect: Effect::Ack, arguments: Vec::new() };
    let lost = held.settle(delivery.ticket.expect("a ticket"), &ack).await.expect_err("its ticket is lost");
    assert_eq!(lost.kind, Kind::Lost, "{lost}");
    let fault = publish.publish("crash/held", text("lost")).await.expect_err("nobody is there");
    assert!(fault.kind == Kind::Unreachable && fault.cause.as_str().contains("nothing was sent"), "{fault}");
    let Link::Down { fault, .. } = link_becomes(&gateway, "down", SOON).await else { return };
    assert!(fault.to_string().contains(broker.at("PLAIN")), "{fault}");

    broker.restart();
    tail.until("going on", SOON, |tail| tail.said.len() == 2).await;
    assert_eq!(tail.said[1], TailEvent::Resumed { lost: None }, "nobody knows what was missed");
    let back = timeout(SOON, until_resumed(&mut held)).await.expect("in time").expect("goes on");
    back.unwrap_or_else(|fault| panic!("no message has to come for that: {fault}"));
    let next = tokio::spawn(async move {
        let delivery = timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect("a delivery");
        (held, delivery)
    });
    for n in 0..1_000 {
        publish.publish("crash/held", text(&n.to_string())).await.expect("the broker is back");
    }
    tail.until("all of them", SOON, |tail| tail.messages.len() == 1_002).await;
    // Who receives may have been on its way back until now.
    while !next.is_finished() {
        publish.publish("crash/held", text("once more")).await.expect("the broker is back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut held, again) = next.await.expect("a delivery");
    let (before, after) = (delivery.ticket.expect("a ticket"), again.ticket.expect("a ticket"));
    assert!(after.epoch > before.epoch);
    held.settle(after, &ack).await.expect("a ticket of the new connection is good");
    link_becomes(&gateway, "ok", SOON).await;
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_frozen_leaves_the_outcome_unknown() {
    let Some(broker) = own(&[]) else { return };
    let mut integration = broker.integration("PLAIN", &[]);
    integration.timeout = Duration::from_secs(1);
    let session = connect(integration).await.expect("Mosquitto is there");
    broker.signal("STOP");
    let fault = session.publish.as_ref().expect("publish").publish("frozen", text("x")).await.expect_err("no answer");
    assert!(fault.kind == Kind::Timeout && fault.cause.as_str().contains("unknown"), "{fault}");
    let fault = timeout(SOON, session.inspect.ping()).await.expect("in time").expect_err("no answer");
    assert_eq!(fault.kind, Kind::Timeout, "{fault}");
    broker.signal("CONT");
    let began = Instant::now();
    while session.inspect.ping().await.is_err() {
        assert!(began.elapsed() < SOON);
    }
}

/// A broker that knows MQTT 3.1.1 alone: it refuses other levels with return code 1 and closes (3.1.1, section 3.1.2.2).
async fn old_broker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(old_client(stream));
        }
    });
    address
}

async fn old_client(mut stream: TcpStream) {
    loop {
        // Every packet of these tests is shorter than 128 bytes.
        let mut head = [0; 2];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let mut body = vec![0; usize::from(head[1])];
        stream.read_exact(&mut body).await.expect("a packet");
        let answer = match head[0] >> 4 {
            1 if body[6] == 4 => vec![0x20, 2, 0, 0],
            1 => {
                stream.write_all(&[0x20, 2, 0, 1]).await.expect("refused");
                return;
            }
            8 => vec![0x90, 3, body[0], body[1], 0],
            3 => continue,
            _ => return,
        };
        stream.write_all(&answer).await.expect("answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_speaks_only_3_1_1_is_spoken_to_so() {
    let address = old_broker().await;
    let session = connect(Integration::new("iot", "mqtt", vec![address.clone()])).await.expect("3.1.1 is spoken");
    assert!(session.call.is_none(), "requests need MQTT 5");
    session.inspect.ping().await.expect("an answer");
    let qos_0 = Outgoing { options: vec![("qos", "0".to_owned())], ..text("x") };
    assert_eq!(session.publish.as_ref().expect("publish").publish("a", qos_0).await, Ok(Receipt::Unconfirmed));
    let mut only_5 = Integration::new("iot", "mqtt", vec![address]);
    let five = mqdeck::config::profile::Setting { value: Secret::new("5".into()), line: 1 };
    only_5.settings.insert("version".into(), five);
    let fault = connect(only_5).await.err().expect("MQTT 5 is not spoken");
    assert_eq!(fault.kind, Kind::Unreachable, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_will_is_published_for_a_program_that_is_killed() {
    let Some(broker) = shared() else { return };
    let topic = unique("will");
    let Some(mut peer) = Peer::start(&["take", broker.port(), &topic, "1"]) else { return };
    let home = Home::new();
    let profile = home.write(
        "p.hcl",
        &format!(
            "integration \"iot\" {{\n  type = \"mqtt\"\n  endpoint {{ address = \"{}\" }}\n  config {{\n    will {{\n      topic = \"{topic}\"\n      \
             payload = \"gone\"\n      qos = 1\n    }}\n  }}\n}}\n",
            broker.at("PLAIN")
        ),
    );
    let mut watching = home.mqdeck(&["--profile", &profile.to_string_lossy(), "tail", &format!("iot/{topic}/live"), "--json"]);
    let mut program = watching.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program runs");
    let session = broker.session(&[]).await;
    // Once it has seen something it is connected.
    let mut out = tokio::process::ChildStdout::from_std(program.stdout.take().expect("its output")).expect("a pipe");
    let mut seen = [0; 64];
    loop {
        session.publish.as_ref().expect("publish").publish(&format!("{topic}/live"), text("x")).await.expect("sent");
        if let Ok(Ok(read)) = timeout(Duration::from_millis(100), out.read(&mut seen)).await {
            assert!(read > 0, "the program ended");
            break;
        }
    }
    program.kill().expect("killed");
    program.wait().expect("ended");
    let will: serde_json::Value = serde_json::from_str(&peer.line()).expect("JSON");
    assert_eq!((will["topic"].as_str(), will["payload"].as_str()), (Some(topic.as_str()), Some("676f6e65")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_while_a_connection_is_being_made_waits_for_that_one_and_makes_no_other() {
    let Some(broker) = shared() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut integration = broker.integration("PLAIN", &[]);
    integration.endpoint.addresses = vec![listener.local_addr().expect("bound").to_string()];
    integration.timeout = Duration::from_secs(2);
    let target = broker.at("PLAIN").to_owned();
    let (accepted, mut accepts) = tokio::sync::watch::channel(0_u32);
    let (cut, mut is_cut) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("the first");
        let mut server = TcpStream::connect(target).await.expect("the broker");
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
        drop((client, server));
        // Those that follow are taken, and nothing is said to them.
        let mut silent = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            silent.push(client);
            accepted.send_modify(|count| *count += 1);
        }
    });
    let session = connect(integration).await.expect("a session");
    let publish = session.publish.as_ref().expect("MQTT takes messages");
    cut.send_replace(true);
    // Until it is noticed that the first is gone, messages fail by that; then another is made.
    let noticed = async {
        while *accepts.borrow() == 0 {
            tokio::select! {
                _ = accepts.changed() => {}
                sent = publish.publish("a", text("x")) => assert!(sent.is_err()),
            }
        }
    };
    timeout(SOON, noticed).await.expect("in time");
    let all = futures::future::join_all((0..5).map(|_| publish.publish("a", text("x"))));
    for sent in timeout(SOON, all).await.expect("in time") {
        let fault = sent.expect_err("nobody answers");
        assert!(fault.kind == Kind::Timeout && fault.cause.as_str().contains("nothing was sent"), "{fault}");
    }
    assert_eq!(*accepts.borrow(), 1, "one connection was made for all of them");
}
