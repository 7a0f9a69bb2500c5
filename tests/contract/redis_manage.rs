//! Redis: what was planned is all that happens, whatever others write between the plan and the act.

use super::redis::{apply, fill, lag, plan, redis_cli, shared};
use crate::support::unique;
use mqdeck::adapters::session::Session;
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::operation::{Change, Done};

async fn act(session: &Session, change: &Change) -> Done {
    session.manage.as_ref().expect("manage").apply(change).await.expect("it starts")
}

/// What was refused because it has changed, or is gone.
async fn refused(session: &Session, change: &Change, kind: Kind) {
    let fault = session.manage.as_ref().expect("manage").apply(change).await.expect_err("it has changed");
    assert!(fault.kind == kind && fault.next.as_str().contains("nothing was done"), "{fault}");
}

/// A stream of ten with a group `g` that was given some of them; its name.
async fn stream(session: &Session, client: &dyn Fn(&[&str]) -> String, given: &str) -> (String, Address, Address) {
    let name = unique("acts");
    for n in 1..=10 {
        client(&["XADD", &name, &format!("{n}-0"), "data", &n.to_string()]);
    }
    client(&["XGROUP", "CREATE", &name, "g", "0"]);
    if given != "0" {
        client(&["XREADGROUP", "GROUP", "g", "first", "COUNT", given, "STREAMS", &name, ">"]);
    }
    let (group, channel) = (Address::group("cache", &format!("{name}/g")), Address::new("cache", &format!("stream:{name}")));
    // The list of streams is kept for a while.
    plan(session, "group.create", channel.clone(), &[("group", "other")]).await.expect("a plan");
    (name, channel, group)
}

fn pending(client: &dyn Fn(&[&str]) -> String, name: &str) -> Vec<(String, String)> {
    let told = client(&["XPENDING", name, "g", "-", "+", "100"]);
    let lines: Vec<&str> = told.lines().collect();
    lines.chunks(4).filter(|chunk| chunk.len() == 4).map(|chunk| (chunk[0].to_owned(), chunk[1].to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_read_the_last_entry_is_at_the_end_whatever_was_trimmed_before() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    let (name, channel, _) = stream(&session, &client, "0").await;
    let group = format!("{name}/g");
    client(&["XTRIM", &name, "MAXLEN", "7"]);
    assert_eq!(lag(&session, &group).await, Amount::Exactly(7), "three are gone, and nobody is behind what is gone");
    client(&["XREADGROUP", "GROUP", "g", "c", "COUNT", "5", "STREAMS", &name, ">"]);
    assert_eq!(lag(&session, &group).await, Amount::Exactly(2));
    client(&["XREADGROUP", "GROUP", "g", "c", "COUNT", "5", "STREAMS", &name, ">"]);
    assert_eq!(lag(&session, &group).await, Amount::Exactly(0));
    let described = session.inspect.describe(&channel.within()).await.expect("a description");
    assert_eq!(described.tables[0].rows[0][4].as_str(), "0", "{described:?}");
    let receive_options = session.hold.as_ref().expect("hold").receive_options(&channel.within()).await.expect("one way");
    assert!(receive_options[0].about.as_str().starts_with("0 behind"), "{receive_options:?}");
    client(&["XADD", &name, "11-0", "data", "11"]);
    assert_eq!(lag(&session, &group).await, Amount::Exactly(1));
    let listed = session.groups.as_ref().expect("groups");
    assert!(listed.groups().await.expect("a list").groups.iter().any(|row| *row.name == group));
    let group_offset = listed.group_offsets(&[group.as_str().into()]).await.expect("standings");
    assert_eq!(group_offset[0].as_ref().expect("its own")[0].lag, Amount::Exactly(1), "as the list has seen it");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_gone_are_not_claimed_and_stay_pending() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    let (name, _, group) = stream(&session, &client, "5").await;
    client(&["XDEL", &name, "1-0", "3-0", "5-0"]);
    let claim = |fields: &'static [(&'static str, &'static str)]| plan(&session, "pending.claim", group.clone(), fields);
    let change = claim(&[("consumer", "second"), ("idle", "0")]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(2));
    assert!(change.notes.iter().any(|note| note.as_str().starts_with("3 entries are pending though deleted")), "{:?}", change.notes);
    let done = apply(&session, &change).await;
    assert_eq!(done.parts[0].1.as_ref().expect("done").as_str(), "2 claimed");
    let of = |name: &str, ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), name.to_owned())).collect::<Vec<_>>();
    assert_eq!(
        pending(&client, &name),
        [of("first", &["1-0"]), of("second", &["2-0"]), of("first", &["3-0"]), of("second", &["4-0"]), of("first", &["5-0"])].concat()
    );
    let fault = claim(&[("consumer", "third"), ("idle", "0"), ("from", "first")]).await.expect_err("nothing is left of them");
    assert!(fault.kind == Kind::NotFound && fault.next.as_str().contains("pending.ack"), "{fault}");

    // Between the plan and the act one is deleted, one is acknowledged and one is given to somebody else.
    client(&["XREADGROUP", "GROUP", "g", "first", "COUNT", "4", "STREAMS", &name, ">"]);
    let change = claim(&[("consumer", "fourth"), ("idle", "0"), ("from", "first")]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(4));
    client(&["XDEL", &name, "6-0"]);
    client(&["XACK", &name, "g", "7-0"]);
    client(&["XCLAIM", &name, "g", "fifth", "0", "8-0"]);
    client(&["XREADGROUP", "GROUP", "g", "first", "COUNT", "1", "STREAMS", &name, ">"]);
    let done = act(&session, &change).await;
    let said: Vec<String> =
        done.parts.iter().map(|(part, said)| format!("{part} {}", said.as_ref().map_or("not", |said| said.as_str()))).collect();
    assert_eq!(said, ["6-0 to 9-0 1 claimed", "6-0 not", "7-0 not", "8-0 not"]);
    let left: Vec<String> = pending(&client, &name).into_iter().skip(5).map(|(id, of)| format!("{id} {of}")).collect();
    assert_eq!(left, ["6-0 first", "8-0 fifth", "9-0 fourth", "10-0 first"], "what came since is nobody's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_or_deleted_meanwhile_is_told_and_what_came_since_stays() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    let (name, channel, group) = stream(&session, &client, "4").await;
    let change = plan(&session, "pending.ack", group, &[("ids", "1-0, 2-0, 1-0")]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(2), "one that is named twice is one");
    client(&["XACK", &name, "g", "2-0"]);
    let done = act(&session, &change).await;
    assert!(matches!(&done.parts[..], [(_, Err(fault))] if fault.cause.as_str().starts_with("1 of 2 done")), "{done:?}");
    assert_eq!(pending(&client, &name).len(), 2);

    let change = plan(&session, "entry.delete", channel, &[("ids", "5-0,6-0,5-0")]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(2));
    client(&["XDEL", &name, "5-0"]);
    client(&["XADD", &name, "11-0", "data", "11"]);
    let done = act(&session, &change).await;
    assert!(matches!(&done.parts[..], [(_, Err(_)), (_, Ok(_))]), "{done:?}");
    assert_eq!(client(&["XLEN", &name]), "9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_never_reaches_what_was_added_since_or_another_stream_of_the_name() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    for (before, left) in [("latest", 1), ("2100-01-01T00:00:00Z", 1), ("end-3", 4), ("8-0", 4)] {
        let (name, channel, _) = stream(&session, &client, "0").await;
        let change = plan(&session, "stream.trim", channel.clone(), &[("before", before)]).await.expect("a plan");
        assert_eq!(change.touches, Amount::Exactly(11 - left), "{before}");
        client(&["XADD", &name, "11-0", "data", "11"]);
        apply(&session, &change).await;
        assert_eq!(client(&["XLEN", &name]), left.to_string(), "{before}");
        let change = plan(&session, "stream.trim", channel, &[("before", before)]).await.expect("a plan");
        client(&["DEL", &name]);
        refused(&session, &change, Kind::NotFound).await;
        client(&["XADD", &name, "2-5", "data", "another stream"]);
        refused(&session, &change, Kind::Rejected).await;
        assert_eq!(client(&["XLEN", &name]), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_given_something_since_is_neither_reset_nor_deleted() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    let (name, _, group) = stream(&session, &client, "4").await;
    let reset = plan(&session, "group.reset", group.clone(), &[("to", "2100-01-01T00:00:00Z")]).await.expect("a plan");
    assert_eq!(reset.touches, Amount::Exactly(6));
    let delete = plan(&session, "group.delete", group.clone(), &[]).await.expect("a plan");
    client(&["XADD", &name, "11-0", "data", "11"]);
    client(&["XREADGROUP", "GROUP", "g", "first", "COUNT", "1", "STREAMS", &name, ">"]);
    refused(&session, &reset, Kind::Rejected).await;
    refused(&session, &delete, Kind::Rejected).await;
    assert_eq!(pending(&client, &name).len(), 5);
    let reset = plan(&session, "group.reset", group.clone(), &[("to", "2100-01-01T00:00:00Z")]).await.expect("a plan");
    client(&["XADD", &name, "12-0", "data", "12"]);
    apply(&session, &reset).await;
    assert_eq!(lag(&session, &format!("{name}/g")).await, Amount::Exactly(1), "what was added since is not skipped");
    // Fewer are pending than were planned to be forgotten: that does no more than was planned.
    let delete = plan(&session, "group.delete", group, &[]).await.expect("a plan");
    client(&["XACK", &name, "g", "1-0"]);
    apply(&session, &delete).await;
    refused(&session, &delete, Kind::Rejected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_given_more_since_is_not_deleted() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    let (name, _, group) = stream(&session, &client, "4").await;
    let fields = [("consumer", "first")];
    let change = plan(&session, "consumer.delete", group.clone(), &fields).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(4));
    client(&["XACK", &name, "g", "1-0"]);
    client(&["XREADGROUP", "GROUP", "g", "first", "COUNT", "1", "STREAMS", &name, ">"]);
    refused(&session, &change, Kind::Rejected).await;
    assert_eq!(pending(&client, &name).len(), 4);
    let change = plan(&session, "consumer.delete", group, &fields).await.expect("a plan");
    client(&["XACK", &name, "g", "2-0"]);
    client(&["XREADGROUP", "GROUP", "g", "second", "COUNT", "1", "STREAMS", &name, ">"]);
    let done = apply(&session, &change).await;
    assert_eq!(done.parts[0].1.as_ref().expect("done").as_str(), "3 done");
    assert_eq!(pending(&client, &name), [("6-0".to_owned(), "second".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_deleted_only_as_it_was_planned() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    let (name, channel, _) = stream(&session, &client, "0").await;
    let change = plan(&session, "key.delete", channel.clone(), &[]).await.expect("a plan");
    assert!(change.notes.iter().any(|note| note.as_str().contains("groups")), "{:?}", change.notes);
    client(&["XADD", &name, "11-0", "data", "11"]);
    refused(&session, &change, Kind::Rejected).await;
    client(&["XDEL", &name, "1-0"]);
    refused(&session, &change, Kind::Rejected).await;
    let change = plan(&session, "key.delete", channel.clone(), &[]).await.expect("a plan");
    client(&["DEL", &name]);
    refused(&session, &change, Kind::NotFound).await;

    let prefix = unique("keys");
    client(&["MSET", &format!("{prefix}:a"), "1", &format!("{prefix}:b"), "1"]);
    let change = plan(&session, "key.delete", Address::new("cache", &format!("key:{prefix}:*")), &[]).await.expect("a plan");
    client(&["SET", &format!("{prefix}:c"), "1"]);
    client(&["DEL", &format!("{prefix}:b")]);
    client(&["SADD", &format!("{prefix}:b"), "something else"]);
    let done = act(&session, &change).await;
    assert!(matches!(&done.parts[..], [(_, Ok(_)), (_, Err(_))]), "{done:?}");
    let left = ["a", "b", "c"].map(|key| client(&["EXISTS", &format!("{prefix}:{key}")]));
    assert_eq!(left, ["0", "1", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_holds_while_a_writer_is_at_work() {
    let Some((server, session)) = shared().await else { return };
    let client = redis_cli(&server);
    let name = unique("writer");
    let channel = Address::new("cache", &format!("stream:{name}"));
    fill(&session, &name, 50).await;
    let writer = {
        let (session, name) = (session.clone(), name.clone());
        tokio::spawn(async move { fill(&session, &name, 500).await })
    };
    let mut deleted = 0;
    for _ in 0..20 {
        let change = plan(&session, "stream.trim", channel.clone(), &[("before", "latest")]).await.expect("a plan");
        let Amount::Exactly(planned) = change.touches else { panic!("{change:?}") };
        apply(&session, &change).await;
        deleted += planned;
        tokio::task::yield_now().await;
    }
    writer.await.expect("it wrote");
    let left: u64 = client(&["XLEN", &name]).parse().expect("a number");
    assert_eq!(deleted + left, 550, "each entry was planned to be deleted, or is there");
}
