//! Groups of a real Kafka as other clients see them: the same lag on every partition, the newer kinds of groups, and what is forbidden.

use crate::support::clients::{self, Talk};
use crate::support::kafka::{self, Kafka};
use crate::support::subjects::{connect, outgoing};
use crate::support::{commits, root, topics, unique};
use mqdeck::adapters::kafka::embedded::{Embedded, Topic};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Auth, Integration};
use mqdeck::config::secret::Secret;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::group::{Group, GroupOffset, Mark, State};
use mqdeck::domain::position::Position;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn integration(address: &str) -> Integration {
    Integration::new("events", "kafka", vec![address.to_owned()])
}

async fn group_offsets(session: &Session, group: &str) -> Vec<GroupOffset> {
    let groups = session.groups.as_ref().expect("Kafka has groups");
    let mut told = groups.group_offsets(&[group.into()]).await.expect("told");
    told.remove(0).unwrap_or_else(|fault| panic!("{fault}"))
}

async fn row(session: &Session, group: &str) -> Group {
    let listing = session.groups.as_ref().expect("Kafka has groups").groups().await.expect("listed");
    listing.groups.into_iter().find(|row| *row.name == *group).expect("listed")
}

/// Compares every row with what librdkafka says of the group; how many rows there are.
async fn same_as_librdkafka(kafka: &Kafka, session: &Session, group: &str) -> Option<usize> {
    let theirs = clients::run(clients::script("kafka/groups.py", &[kafka.plain(), "lag", group])?);
    let theirs: Vec<serde_json::Value> =
        String::from_utf8(theirs).expect("text").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ours = group_offsets(session, group).await;
    assert_eq!(ours.len(), theirs.len(), "{ours:?}\n{theirs:?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let number = |name: &str| theirs[name].as_i64();
        assert_eq!((&*ours.channel, ours.partition.map(i64::from)), (theirs["topic"].as_str().expect("a name"), number("partition")));
        assert_eq!((ours.committed, ours.end), (number("committed"), number("end")), "{theirs}");
        let (committed, start, end) = (number("committed").expect("one"), number("start").expect("one"), number("end").expect("one"));
        let lag = if committed > end { Amount::Unknown } else { Amount::Exactly((end - committed.max(start)).unsigned_abs()) };
        assert_eq!(ours.lag, lag, "{theirs}");
        if committed < end {
            assert_eq!(ours.start, Some(start), "{theirs}");
            assert_eq!(ours.held_at.or(ours.end), number("stable"), "{theirs}");
        }
    }
    Some(ours.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_what_librdkafka_finds_under_commits_resets_trims_and_transactions() {
    let Some(kafka) = kafka::shared() else { return };
    let mut all: Vec<String> = Vec::new();
    for _ in 0..3 {
        all.push(topics::create(kafka.plain(), "equal", 5, 1, &[]).await);
    }
    let session = connect(integration(kafka.plain())).await.expect("Kafka is there");
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    for number in 0..150 {
        publish.publish(&all[number % 3], outgoing(number as i32 % 4, None, Some("x"))).await.expect("stored");
    }
    let group = unique("equal");
    for (number, topic) in all.iter().enumerate() {
        let positions: Vec<(i32, i64)> = (0..5).map(|partition| (partition, i64::from(partition) + number as i64)).collect();
        commits::commit(kafka.plain(), &group, topic, &positions[..4 + number % 2]);
    }
    let Some(rows) = same_as_librdkafka(kafka, &session, &group).await else { return };
    assert_eq!(rows, 13);
    commits::commit(kafka.plain(), &group, &all[0], &[(0, 1), (1, 9), (2, 0)]);
    topics::delete_before(kafka.plain(), &all[0], 2, 6).await;
    topics::delete_before(kafka.plain(), &all[1], 1, 12).await;
    same_as_librdkafka(kafka, &session, &group).await;

    let mut open = Talk::start(clients::script("kafka/groups.py", &[kafka.plain(), "transaction", &all[2], "3"]).expect("Python is there"));
    open.hears("open");
    same_as_librdkafka(kafka, &session, &group).await;
    let rows = group_offsets(&session, &group).await;
    let held = rows.iter().find(|row| *row.channel == *all[2] && row.partition == Some(3)).expect("a row");
    let (at, end) = (held.held_at.expect("a transaction is open"), held.end.expect("an end"));
    assert_eq!(end - at, 3);
    let mark = |offset| Mark::offset(Arc::clone(&held.channel), 3, offset);
    let groups = session.groups.as_ref().expect("Kafka has groups");
    assert!(matches!(groups.timestamps(&[mark(at)]).await[..], [Ok(Some(_))]), "what waits in a transaction has a time");
    open.say("abort");
    open.hears("over");
    same_as_librdkafka(kafka, &session, &group).await;
    let rows = group_offsets(&session, &group).await;
    assert!(rows.iter().all(|row| row.held_at.is_none()), "{rows:?}");
    // Behind the three messages stands the mark that ends the transaction, and nothing else.
    assert_eq!(groups.timestamps(&[mark(end)]).await, [Ok(None)]);
    publish.publish(&all[2], outgoing(3, None, Some("behind the mark"))).await.expect("stored");
    assert!(matches!(groups.timestamps(&[mark(end)]).await[..], [Ok(Some(_))]));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_kip_848_show_their_members_and_what_they_read() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "kip848", 3, 1, &[]).await;
    let group = unique("kip848");
    let Some(script) = clients::script("kafka/groups.py", &[kafka.plain(), "member", &group, "consumer", &topic]) else { return };
    let mut member = Talk::start(script);
    member.hears("[0, 1, 2]");
    let session = connect(integration(kafka.plain())).await.expect("Kafka is there");
    let row = row(&session, &group).await;
    assert_eq!((row.kind.as_str(), row.state, row.members, row.fault), ("consumer", State::Stable, Some(1), None));
    let described = session.groups.as_ref().expect("Kafka has groups").describe(&group).await.expect("described");
    let [one] = &described.members[..] else { panic!("{described:?}") };
    assert_eq!((one.client.as_str(), one.host.as_str()), ("python", "127.0.0.1"));
    assert_eq!(one.assignment, [(topic.as_str().into(), vec![0, 1, 2])]);
    let rows = group_offsets(&session, &group).await;
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter().all(|row| row.committed.is_none() && row.lag == Amount::Exactly(0) && row.owner.as_ref() == Some(&one.id)),
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one group after another on the same broker, which takes long to make them")]
async fn share_groups_show_where_they_begin_and_what_the_broker_counts_as_left() {
    let Some(kafka) = kafka::shared() else { return };
    let (topic, group, pinned_group) = (topics::create(kafka.plain(), "share", 2, 1, &[]).await, unique("share"), unique("pinned"));
    let session = connect(integration(kafka.plain())).await.expect("Kafka is there");
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    for number in 0..10 {
        publish.publish(&topic, outgoing(number % 2, None, Some("x"))).await.expect("stored");
    }
    let tool = |arguments: &[&str]| {
        let mut command = Command::new(root().join("tests/servers/kafka/tool"));
        command.args(arguments).stdin(Stdio::null());
        clients::run(command)
    };
    let at = ["--bootstrap-server", kafka.plain()];
    tool(&[&["configs"], &at[..], &["--alter", "--group", &group, "--add-config", "share.auto.offset.reset=earliest"]].concat());
    let read = ["--topic", &topic, "--group", &group, "--max-messages", "6", "--timeout-ms", "30000"];
    tool(&[&["console-share-consumer"], &at[..], &read].concat());
    let row = row(&session, &group).await;
    assert_eq!((row.kind.as_str(), row.state, row.fault), ("share", State::Empty, None));
    let rows = group_offsets(&session, &group).await;
    assert_eq!(rows.iter().map(|row| row.partition).collect::<Vec<_>>(), [Some(0), Some(1)], "{rows:?}");
    assert!(rows.iter().all(|row| row.committed.is_some() && row.end == Some(5) && row.fault.is_none()), "{rows:?}");

    // The broker's own tool knows the truth.
    let theirs = |group: &str| {
        let table = tool(&[&["share-groups"], &at[..], &["--describe", "--group", group, "--offsets"]].concat());
        let table = String::from_utf8(table).expect("text");
        let row = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| cells.get(at)?.parse::<i64>().ok();
            Some((number(2)? as i32, number(3)?, number(4)?))
        };
        let mut rows: Vec<(i32, i64, i64)> = table.lines().filter_map(row).collect();
        rows.sort_unstable();
        rows
    };
    let ours = |rows: Vec<GroupOffset>| -> Vec<(i32, i64, i64)> {
        let row = |row: GroupOffset| {
            let Amount::Exactly(lag) = row.lag else { panic!("{row:?}") };
            (row.partition.expect("one"), row.committed.expect("one"), lag as i64)
        };
        rows.into_iter().map(row).collect()
    };
    let rows = ours(rows);
    assert_eq!(rows, theirs(&group));
    assert_eq!(rows.iter().map(|row| row.2).sum::<i64>(), 4, "six of ten were acknowledged");

    // A member that holds the first messages, because nobody reads what it prints, keeps the start where it is; another one
    // acknowledges those behind them.
    let topic = topics::create(kafka.plain(), "pinned", 1, 1, &[]).await;
    let settings = "share.auto.offset.reset=earliest,share.record.lock.duration.ms=60000";
    tool(&[&["configs"], &at[..], &["--alter", "--group", &pinned_group, "--add-config", settings]].concat());
    let publish = async |count, payload: &str| {
        for _ in 0..count {
            publish.publish(&topic, outgoing(0, None, Some(payload))).await.expect("stored");
        }
    };
    publish(25, &"x".repeat(10_000)).await;
    let mut holder = Command::new(root().join("tests/servers/kafka/tool"));
    holder.args([&["console-share-consumer"], &at[..], &["--topic", &topic, "--group", &pinned_group]].concat());
    let mut holder = holder.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let printed = holder.stdout.take().expect("its output");
    let (printed, came) = tokio::task::spawn_blocking(move || {
        let mut printed = printed;
        let came = std::io::Read::read(&mut printed, &mut [0; 100]).expect("something");
        (printed, came)
    })
    .await
    .expect("read");
    assert!(came > 0, "the first messages came");
    publish(75, "y").await;
    let read = ["--topic", &topic, "--group", &pinned_group, "--max-messages", "75", "--timeout-ms", "50000"];
    tool(&[&["console-share-consumer"], &at[..], &read].concat());
    let pinned = group_offsets(&session, &pinned_group).await;
    let (done, next) = (pinned[0].done, pinned[0].next);
    let rows = ours(pinned);
    assert_eq!(rows, theirs(&pinned_group));
    assert_eq!((rows, done, next), (vec![(0, 0, 25)], Some(75), Some(Position::Offset { partition: 0, offset: 0 })));
    holder.kill().and_then(|()| holder.wait()).expect("it ends");
    drop(printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_may_not_be_seen_is_refused_and_says_what_to_ask_for() {
    let Some(kafka) = kafka::shared() else { return };
    let Some(address) = kafka.listener("SASL") else { return };
    let topic = topics::create(kafka.plain(), "secret", 1, 1, &[]).await;
    commits::commit(kafka.plain(), "forbidden", &topic, &[(0, 0)]);
    let auth = Auth::Basic { username: "alice".into(), password: Secret::new("alice-secret".into()) };
    let named = Integration { auth, groups: vec!["forbidden".into()], ..integration(address) };
    let session = connect(named).await.expect("alice may log in");
    let handle = session.groups.as_ref().expect("Kafka has groups");
    let listing = handle.groups().await.expect("listed");
    let row = listing.groups.iter().find(|row| &*row.name == "forbidden").expect("the profile names it");
    assert!(row.fault.as_ref().is_some_and(|fault| fault.kind == Kind::Forbidden), "{row:?}");
    let told = handle.group_offsets(&["forbidden".into()]).await.expect("told");
    assert!(told[0].as_ref().is_err_and(|fault| fault.kind == Kind::Forbidden && fault.next.as_str().contains("ACL")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_profile_is_watched_where_the_broker_knows_of_no_list() {
    let topics = vec![Topic { name: "orders".into(), partitions: 2 }];
    let Ok(embedded) = Embedded::start(topics) else { panic!("the embedded Kafka starts") };
    let addresses = embedded.addresses();
    let named = Integration { groups: vec!["payments".into()], ..Integration::new("events", "kafka", addresses.clone()) };
    let session = connect(named).await.expect("it is there");
    let publish = session.publish.as_ref().expect("it takes messages");
    for number in 0..6 {
        publish.publish("orders", outgoing(number % 2, None, Some("x"))).await.expect("stored");
    }
    commits::commit(&addresses[0], "payments", "orders", &[(1, 2)]);
    let listing = session.groups.as_ref().expect("Kafka has groups").groups().await.expect("listed");
    let [row] = &listing.groups[..] else { panic!("{listing:?}") };
    assert_eq!((row.named, row.state, row.members, &row.fault), (true, State::Unknown, None, &None));
    assert!(!listing.gaps.is_empty(), "that nothing is listed is said");
    let rows = group_offsets(&session, "payments").await;
    let told: Vec<_> = rows.iter().map(|row| (row.partition, row.committed, row.lag)).collect();
    assert_eq!(told, [(Some(1), Some(2), Amount::Exactly(1))]);

    let session = connect(Integration::new("events", "kafka", addresses)).await.expect("it is there");
    let fault = session.groups.as_ref().expect("Kafka has groups").groups().await.expect_err("nothing is listed and none is named");
    assert!(fault.next.as_str().contains("groups = ["), "{fault}");
}
