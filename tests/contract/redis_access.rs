//! Redis: what a user with few rights sees, and what a cluster shows that does not tell all of itself.

use super::redis::{fill, integration, plan, publish, user};
use crate::contract::history::WHOLE;
use crate::support::resp::Resp;
use crate::support::server::Server;
use crate::support::subjects::{Listener, connect, read};
use crate::support::{SOON, unique};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{ChannelPattern, Integration};
use mqdeck::domain::address::Address;
use mqdeck::domain::channel::Channel;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::tail::TailEvent;

/// Makes a user who may not do these; who that is.
fn limited(server: &Server, nodes: &[&str], rules: &[&str]) -> Integration {
    let name = unique("limited");
    for node in nodes {
        let mut words = vec!["ACL", "SETUSER", &name, "on", ">limited", "~*", "&*", "+@all"];
        words.extend(rules);
        Resp::open(server.fact(node)).say(&words);
    }
    user(integration(server), &name, "limited")
}

/// What stands in the list for what cannot be seen.
fn gap(listed: &[Channel]) -> Option<&str> {
    listed.iter().find(|row| &*row.name == "key:*")?.fault.as_ref().map(|fault| fault.cause.as_str())
}

async fn streams(session: &Session, prefix: &str) -> (usize, Vec<Channel>) {
    let listed = session.inspect.channels().await.expect("a list");
    (listed.iter().filter(|row| row.name.starts_with(&format!("stream:{prefix}"))).count(), listed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_ping_xinfo_scan_and_cluster_sees_what_it_may() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let named = "jobs";
    let ops = connect(integration(&server)).await.expect("ops may");
    fill(&ops, named, 3).await;
    fill(&ops, "unnamed", 1).await;
    let mut direct = Resp::open(server.fact("ADDRESS"));
    direct.say(&["XGROUP", "CREATE", named, "g", "0"]);
    let mut rules = limited(&server, &["N1"], &["-ping", "-xinfo", "-scan", "-cluster", "-pubsub"]);
    rules.channels = vec![ChannelPattern { pattern: named.to_owned(), tenant: None, prefer: Vec::new(), slack: None }];
    let session = connect(rules).await.expect("a server that refuses PING has answered");
    session.inspect.ping().await.expect("it is there");
    let listed = session.inspect.channels().await.expect("a list");
    let row = listed.iter().find(|row| &*row.name == "stream:jobs").expect("the profile names it");
    assert_eq!((row.depth, row.consumers, &row.fault), (Amount::Exactly(3), None, &None));
    assert!(gap(&listed).is_some_and(|cause| cause.contains("SCAN") || cause.contains("scan")), "{listed:?}");
    assert!(listed.iter().any(|row| &*row.name == "channel:*" && row.fault.is_some()), "{listed:?}");
    let described = session.inspect.describe("stream:jobs").await.expect("a description");
    assert_eq!((described.channel.depth, described.channel.consumers), (Amount::Exactly(3), None));
    assert!(described.tables[0].as_remark().is_some(), "its groups are unknown, not none: {described:?}");
    assert_eq!(read(&session, "stream:jobs", WHOLE).await.expect("history").len(), 3);
    let mut tail = Listener::start(&session, &["stream:jobs".into()]).await;
    let more = Outgoing { payload: Some("more".into()), ..Outgoing::default() };
    publish(&session, "stream:jobs", more).await.expect("it may write");
    tail.until("the entry", SOON, |tail| !tail.messages.is_empty()).await;
    let groups = session.groups.as_ref().expect("groups").groups().await.expect("a list");
    assert_eq!(groups.groups, []);
    assert!(!groups.gaps.is_empty(), "none is not the same as unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_name_its_hosts_is_seen_whole_and_one_that_is_not_told_says_so() {
    const STREAMS: usize = 30;
    const NODES: &[&str] = &["N1", "N2", "N3", "N4"];
    let Some(server) = Server::own("redis", "Redis cluster", &["--cluster"]) else { return };
    let session = connect(integration(&server)).await.expect("the cluster is there");
    for n in 0..STREAMS {
        fill(&session, &format!("jobs{n}"), 1).await;
    }
    for node in NODES {
        Resp::open(server.fact(node)).say(&["CONFIG", "SET", "cluster-preferred-endpoint-type", "unknown-endpoint"]);
    }
    let one = |integration: Integration| Integration {
        endpoint: Integration::new("cache", "redis", vec![server.fact("N2").to_owned()]).endpoint,
        ..integration
    };
    let session = connect(one(integration(&server))).await.expect("one of them is enough");
    let (found, listed) = streams(&session, "jobs").await;
    assert_eq!((found, gap(&listed)), (STREAMS, None), "{listed:?}");
    assert_eq!(session.inspect.describe("key:jobs*").await.expect("keys").channel.depth, Amount::Exactly(STREAMS as u64));
    assert!(listed.iter().all(|row| row.depth == Amount::Exactly(1)), "{listed:?}");

    let rules = limited(&server, NODES, &["-cluster"]);
    let session = connect(one(rules.clone())).await.expect("it may connect");
    let (found, listed) = streams(&session, "jobs").await;
    assert!(found > 0 && found < STREAMS, "{found} are on that server");
    assert!(gap(&listed).is_some_and(|cause| cause.contains("does not tell its servers")), "{listed:?}");
    let described = session.inspect.describe("key:jobs*").await.expect("keys");
    assert!(matches!(described.channel.depth, Amount::AtLeast(n) if n < STREAMS as u64), "{:?}", described.channel.depth);
    let refused = plan(&session, "key.delete", Address::new("cache", "key:jobs*"), &[]).await.expect_err("not all of them are seen");
    assert!(refused.cause.as_str().contains("not every server"), "{refused}");
    assert!(!session.groups.as_ref().expect("groups").groups().await.expect("groups").gaps.is_empty());
    // With all of them named nothing is missing; that there are no others cannot be known.
    let session = connect(rules).await.expect("it may connect");
    let (found, listed) = streams(&session, "jobs").await;
    assert_eq!(found, STREAMS);
    assert!(gap(&listed).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_keys_are_tailed_only_where_the_server_tells_of_any() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let session = connect(integration(&server)).await.expect("Redis is there");
    let mut direct = Resp::open(server.fact("ADDRESS"));
    let tail = session.tail.as_ref().expect("a tail");
    for flags in ["", "K", "KEm", "EA"] {
        direct.say(&["CONFIG", "SET", "notify-keyspace-events", flags]);
        let fault = tail.tail(&["key:*".into()]).await.err().unwrap_or_else(|| panic!("`{flags}` tells nothing"));
        assert!(fault.kind == Kind::Rejected && fault.next.as_str().contains("CONFIG SET"), "{flags}: {fault}");
    }
    direct.say(&["CONFIG", "SET", "notify-keyspace-events", "K$"]);
    let mut events = tail.tail(&["key:*".into()]).await.expect("it tells of some");
    let first = tokio::time::timeout(SOON, events.next()).await.expect("in time");
    assert!(matches!(&first, Some(TailEvent::Waits(Some(why))) if why.as_str().contains("deletes")), "{first:?}");
    direct.say(&["SET", "a", "1"]);
    direct.say(&["DEL", "a"]);
    direct.say(&["SET", "b", "1"]);
    let mut told = Vec::new();
    while told.len() < 2 {
        match tokio::time::timeout(SOON, events.next()).await.expect("in time") {
            Some(TailEvent::Messages(messages)) => told.extend(messages.into_iter().map(|message| message.channel.to_string())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["key:a", "key:b"]);
    for flags in ["KA", "AKE", "Kg$lshzxet"] {
        direct.say(&["CONFIG", "SET", "notify-keyspace-events", flags]);
        let mut tail = Listener::start(&session, &["key:*".into()]).await;
        direct.say(&["SET", "c", "1"]);
        tail.until("the change", SOON, |tail| !tail.messages.is_empty()).await;
        assert_eq!(tail.said, [], "{flags}");
    }
}
