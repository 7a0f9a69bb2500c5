//! What every system offers is in one table; what a channel does not offer is refused by one and the same fault, and what is not there is
//! not found by any handle. All of it by the gateway, which is the way of the console and of the commands.

use crate::support::SOON;
use crate::support::offers::{OFFERED, Offer, WHOLE, offers};
use mqdeck::adapters::ADAPTERS;
use mqdeck::adapters::session::Session;
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::operation::{Plan, Request};
use mqdeck::domain::position::{Bound, Range};
use mqdeck::gateway::Gateway;
use mqdeck::gateway::filter::Filter;
use mqdeck::gateway::find::Search;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The handles that are about a channel.
const HANDLES: [&str; 6] = ["tail", "history", "peek", "publish", "hold", "call"];

/// The handles that a session has.
fn had(session: &Session) -> BTreeSet<&'static str> {
    let Session { inspect: _, tail, history, peek, groups, dead_letters, publish, transact, hold, call, manage } = session;
    let all = [
        ("tail", tail.is_some()),
        ("history", history.is_some()),
        ("peek", peek.is_some()),
        ("groups", groups.is_some()),
        ("dead_letters", dead_letters.is_some()),
        ("publish", publish.is_some()),
        ("transact", transact.is_some()),
        ("hold", hold.is_some()),
        ("call", call.is_some()),
        ("manage", manage.is_some()),
    ];
    all.into_iter().filter(|(_, had)| *had).map(|(name, _)| name).collect()
}

/// Does what a handle is there for, and what came of it if nothing did.
async fn attempt(offer: &Offer, gateway: &Gateway, handle: &str, address: &Address) -> Option<Fault> {
    let message = offer.text("x");
    match handle {
        "tail" => gateway.tail(std::slice::from_ref(address)).await.err(),
        "history" => {
            let range = Range { start: Bound::Earliest, end: Bound::Latest };
            gateway.find(Search { range, ..Search::new(vec![address.clone()], Filter::parse("").expect("a query")) }).await.err()
        }
        "peek" => gateway.peek(address, 1, true).await.err(),
        "publish" => match gateway.execute(Plan::Publish { address: address.clone(), messages: vec![message] }).await {
            Ok(outcome) => outcome.single().err(),
            Err(fault) => Some(fault),
        },
        "hold" => gateway.hold(address, 1, 1).await.err(),
        "call" => gateway.call(address, message, Duration::from_millis(100)).await.err(),
        "describe" => gateway.describe(address).await.err(),
        other => panic!("{other} is no handle"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_handle_of_every_system_and_every_kind_of_channel_is_in_the_table() {
    for adapter in ADAPTERS {
        let rows: Vec<_> = OFFERED.iter().filter(|row| row.system == adapter.name).collect();
        let kinds: BTreeSet<&str> = rows.iter().map(|row| row.kind).collect();
        // A vhost is a part of a server, in which channels are.
        let missing: Vec<_> = adapter.kinds.iter().filter(|kind| **kind != "vhost" && !kinds.contains(*kind)).collect();
        assert!(missing.is_empty(), "{}: {missing:?} are in no row", adapter.name);
        let whole = WHOLE.iter().find(|(system, _)| *system == adapter.name).expect("the system's own handles").1;
        let expected: BTreeSet<&str> = rows.iter().flat_map(|row| row.can).chain(whole).copied().collect();
        let first = kinds.first().expect("a row");
        for offer in offers("table", |row| row.system == adapter.name && row.kind == *first).await {
            assert_eq!(had(&offer.session), expected, "{}", offer.title);
            let read_only = had(&offer.session.read_only());
            let changes = ["publish", "transact", "hold", "call", "manage"];
            let reads: BTreeSet<&str> = expected.iter().filter(|handle| !changes.contains(handle)).copied().collect();
            assert_eq!(read_only, reads, "{}: for reading only", offer.title);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_described_by_its_name_and_listed_with_what_it_can() {
    for offer in offers("described", |row| row.is.made).await {
        let (title, can) = (&offer.title, offer.row.can);
        offer.session.inspect.ping().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let described = offer.session.inspect.describe(&offer.name).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let without = |words: Vec<&'static str>| words.into_iter().filter(|word| !offer.row.also.contains(word)).collect::<Vec<_>>();
        assert_eq!((&described.channel.name, without(described.channel.can.words())), (&offer.name, can.to_vec()), "{title}");
        for table in &described.tables {
            let is_remark = table.as_remark().is_some();
            assert!(is_remark || table.rows.iter().all(|row| row.len() == table.columns.len()), "{title}: {}", table.title);
        }
        // What is there only while somebody uses it need not be in a list. A server's list has a channel a moment after it was made.
        let listed = async {
            loop {
                let listed = offer.session.inspect.channels().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
                assert!(listed.iter().map(|channel| &channel.name).is_sorted(), "{title}");
                match listed.into_iter().find(|channel| channel.name == offer.name) {
                    None if offer.row.is.found => tokio::time::sleep(Duration::from_millis(50)).await,
                    found => return found,
                }
            }
        };
        if let Some(row) = tokio::time::timeout(SOON, listed).await.unwrap_or_else(|_| panic!("{title} is not listed")) {
            assert_eq!((row.kind, without(row.can.words()), row.internal), (described.channel.kind, can.to_vec(), false), "{title}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_channel_does_not_offer_is_refused_by_the_same_fault_in_every_system() {
    for offer in offers("refused", |_| true).await {
        let gateway = offer.gateway();
        let address = offer.address(&offer.name);
        for handle in HANDLES.into_iter().filter(|handle| !offer.row.works(handle)) {
            let title = format!("{}: {handle}", offer.title);
            let attempted = tokio::time::timeout(SOON, attempt(&offer, &gateway, handle, &address)).await;
            let fault = attempted.unwrap_or_else(|_| panic!("{title} is not refused")).unwrap_or_else(|| panic!("{title} is done"));
            assert_eq!(fault.kind, Kind::Usage, "{title}: {fault}");
            assert!(!fault.cause.as_str().is_empty() && !fault.op.is_empty(), "{title}: {fault}");
        }
        gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found_by_any_handle() {
    for offer in offers("missing", |row| row.is.found).await {
        let gateway = offer.gateway();
        let address = offer.address(&offer.missing);
        // The first entry makes a stream of Redis, so that one may be waited for.
        let comes = |handle: &&str| offer.row.system == "redis" && ["tail", "publish"].contains(handle);
        for handle in offer.row.can.iter().copied().chain(["describe"]).filter(|handle| !comes(handle)) {
            let title = format!("{}: {handle}", offer.title);
            let fault = attempt(&offer, &gateway, handle, &address).await.unwrap_or_else(|| panic!("{title} finds what is not there"));
            assert_eq!(fault.kind, Kind::NotFound, "{title}: {fault}");
            assert!(fault.target.as_str().contains("no-such-channel"), "{title}: {fault}");
        }
        gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_what_is_deleted_is_found_no_more() {
    for offer in offers("deleted", |row| row.delete.is_some()).await {
        let (title, gateway, address) = (&offer.title, offer.gateway(), offer.address(&offer.name));
        let spec =
            gateway.operation(&address, offer.row.delete.expect("the operation")).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let plan = async || gateway.plan(Request { spec, address: address.clone(), arguments: Vec::new() }).await;
        let change = plan().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        assert_eq!((&change.refused, change.steps.is_empty()), (&None, false), "{title}");
        gateway.describe(&address).await.unwrap_or_else(|fault| panic!("{title}: a plan changes nothing: {fault}"));
        let outcome = gateway.execute(Plan::Change(Arc::new(change))).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let counts = outcome.counts();
        assert_eq!((counts.done, counts.failed), (1, 0), "{title}");
        // A server's other parts hear of it a moment later.
        let gone = async {
            while !matches!(gateway.describe(&address).await, Err(Fault { kind: Kind::NotFound, .. })) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(SOON, gone).await.unwrap_or_else(|_| panic!("{title} is still there"));
        let again = plan().await.err().unwrap_or_else(|| panic!("{title}: what is gone is to be deleted"));
        assert_eq!(again.kind, Kind::NotFound, "{title}: {again}");
        gateway.shutdown().await;
    }
}
