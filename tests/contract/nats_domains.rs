//! JetStream that is not under `$JS.API`: in another domain behind a leaf node, and in another account that lends its API under a prefix.

use super::history::WHOLE;
use crate::support::nats::{self, Nats};
use crate::support::program::Home;
use crate::support::subjects::{Listener, connect, manage, read, set};
use crate::support::{SOON, until};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Auth, Integration};
use mqdeck::config::secret::Secret;
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::Position;
use mqdeck::domain::receipt::Receipt;
use std::time::Duration;

fn text(body: &str) -> Outgoing {
    Outgoing { payload: Some(body.to_owned().into()), ..Outgoing::default() }
}

/// A server with this configuration beside its addresses.
fn server(home: &Home, name: &str, configuration: &str) -> Option<Nats> {
    let data = home.write(&format!("{name}.data"), "");
    let data = data.with_extension("store");
    let path = home.write(&format!("{name}.conf"), &configuration.replace("STORE", data.to_str().expect("a path")));
    nats::own(&["--accounts", path.to_str().expect("a path")])
}

/// Everything that is done with a stream.
async fn works(title: &str, integration: Integration) {
    let session = connect(integration).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    let publish = session.publish.as_ref().expect("it takes messages");
    manage(&session, "nats/stream:ORDERS", "stream.create", &[("subjects", "orders.>")]).await;
    manage(&session, "nats/stream:ORDERS", "consumer.create", &[("name", "billing")]).await;
    let mut tail = Listener::start(&session, &["stream:ORDERS".into()]).await;
    assert_eq!(publish.publish("stream:ORDERS", keyed("a", "0")).await, Ok(Receipt::Stored(Position::Sequence(1))), "{title}");
    // What a stream keeps of a subject is checked as well.
    assert_eq!(publish.publish("orders.b", text("1")).await, Ok(Receipt::Accepted), "{title}");
    tail.until("both of them", SOON, |tail| tail.messages.len() == 2).await;
    // Idle for a while it is looked seldom, where what comes can be heard.
    tail.for_a_while(Duration::from_secs(3)).await;
    publish.publish("orders.c", text("2")).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    tail.until("another one", SOON / 2, |tail| tail.messages.len() == 3).await;
    let listed = session.inspect.channels().await.expect("a list");
    let row = |name: &str| listed.iter().find(|row| &*row.name == name).unwrap_or_else(|| panic!("{title}: {listed:?}"));
    assert_eq!((row("stream:ORDERS").depth, row("consumer:ORDERS/billing").depth), (Amount::Exactly(3), Amount::Exactly(3)), "{title}");
    assert_eq!(row("orders.>").kept_by.as_deref(), Some("stream:ORDERS"), "{title}");
    session.inspect.describe("stream:ORDERS").await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    let kept = read(&session, "stream:ORDERS", WHOLE).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    let subjects: Vec<_> = kept.iter().filter_map(|message| message.key.clone()).collect();
    assert_eq!(subjects, ["orders.a", "orders.b", "orders.c"], "{title}");
    lags(title, &session, 3).await;
    let looked = session.peek.as_ref().expect("consumers are looked at").peek("consumer:ORDERS/billing", 5).await.expect("a look");
    assert_eq!(looked.deliveries.len(), 3, "{title}");
    let mut holding = session.hold.as_ref().expect("receiving").hold("consumer:ORDERS/billing", 3).await.expect("held");
    for (at, subject) in ["orders.a", "orders.b", "orders.c"].into_iter().enumerate() {
        let delivery = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on");
        let delivery = delivery.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let place = (delivery.message.position, delivery.message.key.clone(), delivery.deliveries);
        assert_eq!(place, (Position::Sequence(at as u64 + 1), Some(subject.into()), Some(1)), "{title}");
        let ack = Settlement { effect: Effect::Ack, arguments: Vec::new() };
        holding.settle(delivery.ticket.expect("a ticket"), &ack).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    }
    holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    lags(title, &session, 0).await;
    manage(&session, "nats/stream:ORDERS", "stream.delete", &[]).await;
}

fn keyed(word: &str, body: &str) -> Outgoing {
    Outgoing { key: Some(format!("orders.{word}").into()), ..text(body) }
}

async fn lags(title: &str, session: &Session, lag: u64) {
    let groups = session.groups.as_ref().expect("consumers are groups");
    let listed = groups.groups().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    assert_eq!(listed.groups.iter().map(|group| &*group.name).collect::<Vec<_>>(), ["ORDERS/billing"], "{title}");
    let offsets = groups.group_offsets(&["ORDERS/billing".into()]).await.expect("they are read").remove(0);
    let offsets = offsets.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    assert_eq!(offsets[0].lag, Amount::Exactly(lag), "{title}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_domain_is_worked_with_through_a_leaf_node() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    let hub = format!("jetstream: {{ store_dir: \"STORE\", domain: hub }}\nleafnodes: {{ listen: \"127.0.0.1:{port}\" }}\n");
    let leaf = format!(
        "jetstream: {{ store_dir: \"STORE\", domain: edge }}\nleafnodes: {{ reconnect: 1, remotes: [ {{ urls: [ \"nats-leaf://127.0.0.1:{port}\" ] }} ] }}\n"
    );
    let (Some(hub), Some(leaf)) = (server(&home, "hub", &hub), server(&home, "leaf", &leaf)) else { return };
    let mut there = leaf.integration();
    set(&mut there, "domain", "hub");
    // The leaf node connects a moment after its server is ready.
    until("the hub's JetStream", SOON, async || {
        let session = connect(there.clone()).await.expect("connected");
        session.inspect.channels().await.ok().filter(|rows| rows.iter().all(|row| row.fault.is_none()))
    })
    .await;
    works("domain", there.clone()).await;
    // On both sides one has the same name and subjects, and each answers: ours is the profile's.
    let (far, near) = (connect(there).await.expect("connected"), connect(leaf.integration()).await.expect("connected"));
    manage(&near, "nats/stream:ORDERS", "stream.create", &[("subjects", "orders.>")]).await;
    for _ in 0..3 {
        near.publish.as_ref().expect("it takes messages").publish("stream:ORDERS", keyed("a", "near")).await.expect("stored");
    }
    manage(&far, "nats/stream:ORDERS", "stream.create", &[("subjects", "orders.>")]).await;
    for n in 1..=20 {
        let stored = far.publish.as_ref().expect("it takes messages").publish("stream:ORDERS", keyed("a", "far")).await;
        assert_eq!(stored, Ok(Receipt::Stored(Position::Sequence(n))));
    }
    // Each has its own, and a domain that is not there is no empty list.
    let at_hub = connect(hub.integration()).await.expect("connected");
    manage(&at_hub, "nats/stream:HUB", "stream.create", &[]).await;
    let here = connect(leaf.integration()).await.expect("connected");
    let names = |rows: Vec<mqdeck::domain::channel::Channel>| rows.into_iter().map(|row| row.name.to_string()).collect::<Vec<_>>();
    assert!(!names(here.inspect.channels().await.expect("a list")).contains(&"stream:HUB".to_owned()));
    let mut nowhere = leaf.integration();
    set(&mut nowhere, "domain", "nowhere");
    let session = connect(nowhere).await.expect("connected");
    let rows = session.inspect.channels().await.expect("a list");
    assert!(rows.iter().any(|row| row.fault.as_ref().is_some_and(|fault| fault.cause.as_str().contains("$JS.nowhere.API"))), "{rows:?}");
    let fault = read(&session, "stream:HUB", WHOLE).await.expect_err("nobody answers");
    assert!(fault.kind == Kind::Rejected && fault.cause.as_str().contains("$JS.nowhere.API"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_lends_its_api_under_a_prefix_is_worked_with() {
    let home = Home::new();
    let accounts = r#"
jetstream: { store_dir: "STORE" }
accounts: {
  OWNER: {
    jetstream: enabled
    users: [ { user: owner, password: owner } ]
    exports: [ { service: "$JS.API.>", response_type: stream }, { service: "$JS.ACK.>" }, { service: "orders.>" } ]
  }
  TEAM: {
    users: [ { user: team, password: team } ]
    imports: [
      { service: { account: OWNER, subject: "$JS.API.>" }, to: "team.js.>" }
      { service: { account: OWNER, subject: "$JS.ACK.>" } }
      { service: { account: OWNER, subject: "orders.>" } }
    ]
  }
}
"#;
    let Some(nats) = server(&home, "accounts", accounts) else { return };
    let mut there = nats.integration();
    there.auth = Auth::Basic { username: "team".to_owned(), password: Secret::new("team".to_owned()) };
    set(&mut there, "api_prefix", "team.js");
    works("prefix", there).await;
}
