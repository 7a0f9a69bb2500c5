//! Redis, by a real server: streams, pub/sub channels, keys, groups, what is held and what is administered.

use crate::contract::history::WHOLE;
use crate::support::clients;
use crate::support::program::Home;
use crate::support::server::Server;
use crate::support::subjects::{Listener, connect, header, read};
use crate::support::{SOON, unique};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Auth, Integration, Setting, Tls};
use mqdeck::config::secret::Secret;
use mqdeck::domain::address::Address;
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::{Message, Outgoing, Stamp};
use mqdeck::domain::operation::{Change, Done, Request};
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use crate::support::redis::{integration, shared};

pub(crate) fn said(text: &str) -> Outgoing {
    Outgoing { payload: Some(text.to_owned().into()), ..Outgoing::default() }
}

pub(crate) fn payloads(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

pub(crate) async fn publish(session: &Session, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
    session.publish.as_ref().expect("Redis takes messages").publish(channel, message).await
}

pub(crate) async fn fill(session: &Session, stream: &str, count: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    for n in 0..count {
        match publish(session, &format!("stream:{stream}"), said(&n.to_string())).await {
            Ok(Receipt::Stored(position)) => positions.push(position),
            other => panic!("{other:?}"),
        }
    }
    positions
}

pub(crate) async fn plan(session: &Session, id: &str, address: Address, arguments: &[(&str, &str)]) -> Result<Change, Fault> {
    let manage = session.manage.as_ref().expect("Redis can be administered");
    let spec = manage.operations().iter().find(|spec| spec.id == id).expect("the operation");
    let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
    let request = Request { spec, address, arguments };
    request.check().expect("a request");
    manage.plan(request).await
}

pub(crate) async fn apply(session: &Session, change: &Change) -> Done {
    let done = session.manage.as_ref().expect("manage").apply(change).await.expect("carried out");
    assert!(done.parts.iter().all(|(_, outcome)| outcome.is_ok()), "{done:?}");
    done
}

pub(crate) async fn lag(session: &Session, group: &str) -> Amount {
    let groups = session.groups.as_ref().expect("Redis has groups");
    let group_offsets = groups.group_offsets(&[group.into()]).await.expect("standings");
    group_offsets[0].as_ref().expect("this group's")[0].lag
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_client_adds_comes_by_tail_and_by_history_exactly() {
    let Some((server, session)) = shared().await else { return };
    let stream = unique("entries");
    let channel: Arc<str> = format!("stream:{stream}").into();
    let mut tail = Listener::start(&session, std::slice::from_ref(&channel)).await;
    let Some(writer) = clients::script("redis/traffic.py", &["stream", &server.addresses()[0], &stream, "0", "3000"]) else { return };
    tokio::task::spawn_blocking(|| clients::run(writer)).await.expect("written");
    tail.until("3,000 entries", SOON, |tail| tail.messages.len() >= 3_000).await;
    let found = read(&session, &channel, WHOLE).await.expect("history");
    assert_eq!(found, tail.messages);
    for (n, message) in (0_u64..).zip(&found) {
        assert_eq!(message.payload.as_deref(), Some(format!(r#"{{"n": {n}, "big": {}}}"#, (1_u64 << 63) + n).as_bytes()));
        let place = header("redis-payload", Some(b"1 data"));
        assert_eq!(message.headers, [place, header("trace", Some(format!("t-{n}").as_bytes())), header("raw", Some(b"\xff\x00"))]);
        let Position::Entry { millis, .. } = message.position else { panic!("{:?}", message.position) };
        assert_eq!((message.stamp, message.timestamp), (Stamp::Stored, i64::try_from(millis).ok().map(Timestamp)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_by_id_by_time_and_from_the_end() {
    let Some((_, session)) = shared().await else { return };
    let stream = unique("ranges");
    let channel = format!("stream:{stream}");
    for n in 0..20 {
        let options = vec![("id", format!("{}-{}", 1_000 + n / 2, n % 2))];
        let told = publish(&session, &channel, Outgoing { options, ..said(&n.to_string()) }).await;
        assert_eq!(told, Ok(Receipt::Stored(Position::Entry { millis: 1_000 + n / 2, number: n % 2 })));
    }
    let entry = |millis, number| Bound::At(Position::Entry { millis, number });
    for (start, end, expected) in [
        (Bound::Earliest, Bound::Latest, 0..20),
        (entry(1_003, 1), Bound::Latest, 7..20),
        (entry(1_003, 1), entry(1_005, 0), 7..10),
        (Bound::Time(Timestamp(1_004)), Bound::Time(Timestamp(1_006)), 8..12),
        (Bound::BeforeEnd(3), Bound::Latest, 17..20),
        (Bound::BeforeEnd(500), Bound::BeforeEnd(15), 0..5),
        (Bound::Latest, Bound::Latest, 0..0),
        (entry(2_000, 0), Bound::Latest, 0..0),
    ] {
        let found = read(&session, &channel, Range { start, end }).await.expect("history");
        assert_eq!(payloads(&found), expected.map(|n| n.to_string()).collect::<Vec<_>>(), "{start} to {end}");
    }
    let wrong = read(&session, &channel, Range { start: Bound::Each(3), end: Bound::Latest }).await.expect_err("no place");
    assert_eq!(wrong.kind, Kind::Usage);
    let old = publish(&session, &channel, Outgoing { options: vec![("id", "5-0".to_owned())], ..said("old") }).await;
    assert_eq!(old.expect_err("ids rise").kind, Kind::Rejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pub_sub_says_how_many_received_it_and_keeps_nothing() {
    let Some((server, session)) = shared().await else { return };
    let name = unique("news");
    let channel = format!("channel:{name}");
    assert_eq!(publish(&session, &channel, said("nobody")).await, Ok(Receipt::Handed(0)));
    let mut one = Listener::start(&session, &[channel.as_str().into()]).await;
    let mut pattern = Listener::start(&session, &[format!("channel:{name}*").as_str().into()]).await;
    let listed = session.inspect.channels().await.expect("a list");
    let row = listed.iter().find(|row| *row.name == channel).expect("somebody listens to it");
    assert!(row.can.tail && row.can.publish && !row.can.history, "{row:?}");
    assert_eq!((row.consumers, row.rate_out), (Some(1), None), "{row:?}");
    assert_eq!(publish(&session, &channel, said("two")).await, Ok(Receipt::Handed(2)));
    let Some(writer) = clients::script("redis/traffic.py", &["channel", &server.addresses()[0], &name, "0", "2000"]) else { return };
    tokio::task::spawn_blocking(|| clients::run(writer)).await.expect("written");
    for tail in [&mut one, &mut pattern] {
        tail.until("2,001 messages", SOON, |tail| tail.messages.len() >= 2_001).await;
        assert!(tail.messages.iter().all(|m| *m.channel == channel && m.stamp == Stamp::Seen), "by their own channel");
        assert_eq!(payloads(&tail.messages[..2]), ["two", r#"{"n": 0, "big": 9223372036854775808}"#]);
        assert_eq!(tail.said, []);
    }
    let fault = read(&session, &channel, WHOLE).await.expect_err("it keeps nothing");
    assert_eq!(fault.kind, Kind::Usage);
    let keyed = Outgoing { key: Some("k".into()), ..said("v") };
    assert_eq!(publish(&session, &channel, keyed).await.expect_err("no keys here").kind, Kind::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_watched_and_listed_with_the_time_they_live() {
    let Some((server, session)) = shared().await else { return };
    let prefix = unique("policy");
    let pattern = format!("key:{prefix}:*");
    let mut tail = Listener::start(&session, &[pattern.as_str().into()]).await;
    let client = redis_cli(&server);
    client(&["SET", &format!("{prefix}:a"), "1", "EX", "1000"]);
    client(&["SET", &format!("{prefix}:b"), "1"]);
    client(&["DEL", &format!("{prefix}:b")]);
    tail.until("five changes", SOON, |tail| tail.messages.len() >= 4).await;
    let seen: Vec<String> = tail
        .messages
        .iter()
        .map(|m| format!("{} {}", m.channel, String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default())))
        .collect();
    let (a, b) = (format!("key:{prefix}:a"), format!("key:{prefix}:b"));
    assert_eq!(seen, [format!("{a} set"), format!("{a} expire"), format!("{b} set"), format!("{b} del")]);
    let described = session.inspect.describe(&pattern).await.expect("a description");
    assert_eq!(described.channel.depth, Amount::Exactly(1));
    let row: Vec<&str> = described.tables[0].rows[0].iter().map(mqdeck::domain::text::SafeText::as_str).collect();
    assert_eq!((row[0], row[1]), (format!("{prefix}:a").as_str(), "string"));
    assert!(row[2].starts_with("16 m"), "{row:?}");

    let change = plan(&session, "key.delete", Address::new("cache", &pattern), &[]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(1));
    apply(&session, &change).await;
    assert_eq!(session.inspect.describe(&pattern).await.expect("a description").channel.depth, Amount::Exactly(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_has_its_own_streams_and_keys_and_only_its_changes_are_told() {
    let Some((server, zero)) = shared().await else { return };
    let mut third = integration(&server);
    third.settings.insert("db".to_owned(), Setting { value: Secret::new("3".to_owned()), line: 1 });
    let third = connect(third).await.expect("there are 16");
    let (name, client) = (unique("database"), redis_cli(&server));
    let (stream, pattern): (Arc<str>, Arc<str>) = (format!("stream:{name}").into(), format!("key:{name}:*").into());
    let mut entries = Listener::start(&third, std::slice::from_ref(&stream)).await;
    let mut keys = Listener::start(&third, std::slice::from_ref(&pattern)).await;
    for database in ["0", "3"] {
        client(&["-n", database, "XADD", &name, "*", "data", database]);
        client(&["-n", database, "SET", &format!("{name}:{database}"), "x"]);
    }
    publish(&third, &stream, said("published")).await.expect("stored");
    entries.until("two entries", SOON, |entries| entries.messages.len() >= 2).await;
    keys.until("a change", SOON, |keys| !keys.messages.is_empty()).await;
    for tail in [&mut entries, &mut keys] {
        tail.for_a_while(Duration::from_millis(300)).await;
    }
    assert_eq!(payloads(&entries.messages), ["3", "published"]);
    let told: Vec<_> = keys.messages.iter().map(|m| (m.channel.to_string(), payloads(std::slice::from_ref(m)))).collect();
    assert_eq!(told, [(format!("key:{name}:3"), vec!["set".to_owned()])], "no other database's");
    assert_eq!(read(&third, &stream, WHOLE).await.expect("history"), entries.messages);
    assert_eq!(third.inspect.describe(&pattern).await.expect("a description").channel.depth, Amount::Exactly(1));
    for (session, length) in [(&zero, 1), (&third, 2)] {
        let listed = session.inspect.channels().await.expect("a list");
        assert_eq!(listed.iter().find(|row| row.name == stream).expect("listed").depth, Amount::Exactly(length));
    }
    let change = plan(&third, "group.create", Address::new("cache", &stream), &[("group", "g"), ("to", "earliest")]).await;
    apply(&third, &change.expect("a plan")).await;
    let mut held = third.hold.as_ref().expect("hold").hold(&format!("{stream}/g"), 1).await.expect("it holds");
    let delivery = held.next().await.expect("open").expect("a delivery");
    assert_eq!(payloads(&[delivery.message]), ["3"]);
    held.release().await.expect("released");
    assert_eq!(client(&["-n", "3", "XPENDING", &name, "g"]).lines().next(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_named_by_an_address_and_by_a_url() {
    let Some((server, _)) = shared().await else { return };
    let (name, client, home) = (unique("named"), redis_cli(&server), Home::new());
    let address = &server.addresses()[0];
    let profile =
        home.write("p.hcl", &format!("integration \"cache\" {{\n  type = \"redis\"\n  endpoint {{ address = \"{address}\" }}\n}}\n"));
    let by_address = (["--profile", profile.to_str().expect("UTF-8")], format!("cache@3/stream:{name}"));
    let by_url = (["--url", &*format!("redis://{address}/3")], format!("redis/stream:{name}"));
    for (at, (opened, address)) in [by_address, by_url].iter().enumerate() {
        let mqdeck = |arguments: &[&str]| {
            let done = home.mqdeck(&[&opened[..], arguments].concat()).output().expect("the program runs");
            assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
            let lines = String::from_utf8(done.stdout).expect("UTF-8");
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<serde_json::Value>>()
        };
        mqdeck(&["publish", address, &at.to_string(), "--json"]);
        assert_eq!(client(&["-n", "3", "XLEN", &name]), (at + 1).to_string());
        let shown = mqdeck(&["tail", address, "--from", "earliest", "--until", "latest", "--json"]);
        assert_eq!((shown.len(), &shown[at]["address"], &shown[at]["value"]), (at + 1, &address.as_str().into(), &at.into()));
        let listed = mqdeck(&["channels", address.split('/').next().expect("its integration"), "--json"]);
        assert!(listed.iter().any(|row| row["address"] == address.as_str()), "{listed:?}");
    }
    assert_eq!(client(&["EXISTS", &name]), "0", "nothing of it in database 0");
}

/// A command of the server's own tool.
pub(crate) fn redis_cli(server: &Server) -> impl Fn(&[&str]) -> String {
    let (host, port) = server.addresses()[0].rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).expect("host:port");
    move |arguments| {
        let done = std::process::Command::new("redis-cli").args(["-h", &host, "-p", &port]).args(arguments).output().expect("redis-cli");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_lag_is_the_servers_or_counted_and_never_zero_by_ignorance() {
    let Some((server, session)) = shared().await else { return };
    let (stream, client) = (unique("lag"), redis_cli(&server));
    let group = format!("{stream}/workers");
    let positions = fill(&session, &stream, 1_500).await;
    let address = Address::new("cache", &format!("stream:{stream}"));
    let change = plan(&session, "group.create", address, &[("group", "workers"), ("to", "earliest")]).await.expect("a plan");
    apply(&session, &change).await;
    assert_eq!(lag(&session, &group).await, Amount::Exactly(1_500));
    let Some(reader) = clients::script("redis/traffic.py", &["group", &server.addresses()[0], &stream, "workers", "100"]) else { return };
    tokio::task::spawn_blocking(|| clients::run(reader)).await.expect("read");
    assert_eq!(lag(&session, &group).await, Amount::Exactly(1_400));
    // A hole ahead of the group: the server's own lag is nil from now on.
    client(&["XDEL", &stream, &positions[700].to_string()]);
    assert!(client(&["XINFO", "GROUPS", &stream]).ends_with("lag"), "the server does not know it any more");
    assert_eq!(lag(&session, &group).await, Amount::AtLeast(1_000));
    let to = positions[1_000].to_string();
    let change = plan(&session, "group.reset", Address::group("cache", &group), &[("to", &to)]).await.expect("a plan");
    apply(&session, &change).await;
    assert_eq!(lag(&session, &group).await, Amount::Exactly(500));
    client(&["XREADGROUP", "GROUP", "workers", "c", "COUNT", "1000", "STREAMS", &stream, ">"]);
    assert_eq!(lag(&session, &group).await, Amount::Exactly(0));
    let listed = session.groups.as_ref().expect("groups").groups().await.expect("a list");
    let row = listed.groups.iter().find(|row| *row.name == group).expect("listed");
    assert_eq!(row.members, Some(2));
    let described = session.groups.as_ref().expect("groups").describe(&group).await.expect("a description");
    assert!(described.members.iter().any(|m| m.id.as_str() == "c" && m.client.as_str().starts_with("500 pending")), "{described:?}");
    let stream = session.inspect.describe(&format!("stream:{stream}")).await.expect("a description");
    assert_eq!((stream.channel.consumers, stream.channel.rate_out), (Some(1), None), "its groups are told, not what they are given");
    let pending = stream.tables.iter().find(|table| table.title == "pending").expect("what is pending");
    assert_eq!((pending.rows.len(), pending.rows[0][4].as_str()), (100, "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_put_back_and_taken_back_unless_it_has_moved() {
    let Some((server, session)) = shared().await else { return };
    let (stream, client) = (unique("reset"), redis_cli(&server));
    let positions = fill(&session, &stream, 20).await;
    client(&["XGROUP", "CREATE", &stream, "g", "$"]);
    let group = Address::group("cache", &format!("{stream}/g"));
    let stands = || client(&["XINFO", "GROUPS", &stream]).lines().nth(7).unwrap_or_default().to_owned();
    let change = plan(&session, "group.reset", group.clone(), &[("to", "end-5")]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(5));
    apply(&session, &change).await;
    // Right before the entry that comes next: at the one before, or at the last id before it.
    let at = |text: &str| match text.parse() {
        Ok(Position::Entry { millis, number }) => (millis, number),
        other => panic!("{text}: {other:?}"),
    };
    let (before, next) = (at(&positions[14].to_string()), at(&positions[15].to_string()));
    assert!((before..next).contains(&at(&stands())), "{} is not between {before:?} and {next:?}", stands());
    let undo = session.manage.as_ref().expect("manage").plan(change.undo.clone().expect("an undo")).await.expect("a plan");
    apply(&session, &undo).await;
    assert_eq!(stands(), positions[19].to_string());
    let stale = session.manage.as_ref().expect("manage").apply(&undo).await.expect_err("it has moved");
    assert_eq!(stale.kind, Kind::Rejected);
    let again = plan(&session, "group.create", Address::new("cache", &format!("stream:{stream}")), &[("group", "g")]).await;
    assert_eq!(again.expect_err("it is there").kind, Kind::Rejected);
    let change = plan(&session, "group.delete", group.clone(), &[]).await.expect("a plan");
    apply(&session, &change).await;
    assert_eq!(plan(&session, "group.delete", group.clone(), &[]).await.expect_err("it is gone").kind, Kind::NotFound);
    let undo = session.manage.as_ref().expect("manage").plan(change.undo.expect("nothing was pending")).await.expect("a plan");
    apply(&session, &undo).await;
    assert_eq!(stands(), positions[19].to_string());
    let made_back = session.manage.as_ref().expect("manage").plan(undo.undo.expect("an undo")).await.expect("a plan");
    apply(&session, &made_back).await;
    client(&["XGROUP", "CREATE", &stream, "g", "0"]);
    client(&["XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", &stream, ">"]);
    let change = plan(&session, "group.delete", group, &[]).await.expect("a plan");
    assert!(change.undo.is_none() && change.notes[0].as_str().contains("2 pending entries are forgotten"), "{:?}", change.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_trimmed_and_loses_single_entries_exactly_as_planned() {
    let Some((_, session)) = shared().await else { return };
    let stream = unique("trim");
    let address = || Address::new("cache", &format!("stream:{stream}"));
    let positions = fill(&session, &stream, 20).await;
    let change = plan(&session, "stream.trim", address(), &[("before", "end-15")]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(5));
    fill(&session, &stream, 3).await;
    apply(&session, &change).await;
    let left = read(&session, &address().within(), WHOLE).await.expect("history");
    assert_eq!((left.len(), left[0].position), (18, positions[5]), "what was planned, and nothing that came since");
    let ids = format!("{},{}", positions[6], positions[8]);
    let change = plan(&session, "entry.delete", address(), &[("ids", &ids)]).await.expect("a plan");
    apply(&session, &change).await;
    assert_eq!(read(&session, &address().within(), WHOLE).await.expect("history").len(), 16);
    assert_eq!(plan(&session, "entry.delete", address(), &[("ids", &ids)]).await.expect_err("gone").kind, Kind::NotFound);
    let change = plan(&session, "key.delete", address(), &[]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(16));
    apply(&session, &change).await;
    assert_eq!(read(&session, &address().within(), WHOLE).await.expect_err("gone").kind, Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_received_is_acknowledged_or_stays_pending_and_that_is_said() {
    let Some((server, session)) = shared().await else { return };
    let (stream, client) = (unique("hold"), redis_cli(&server));
    fill(&session, &stream, 10).await;
    let hold = session.hold.as_ref().expect("Redis gives messages to hold");
    let channel = format!("stream:{stream}");
    assert_eq!(hold.hold(&channel, 3).await.err().expect("no group").kind, Kind::NotFound);
    client(&["XGROUP", "CREATE", &stream, "workers", "0"]);
    let mut held = hold.hold(&channel, 3).await.expect("it holds");
    let mut tickets = Vec::new();
    for n in 0..3 {
        let delivery = held.next().await.expect("open").expect("a delivery");
        assert_eq!((payloads(std::slice::from_ref(&delivery.message)), delivery.deliveries), (vec![n.to_string()], Some(1)));
        tickets.push(delivery.ticket.expect("a ticket"));
    }
    assert!(tokio::time::timeout(Duration::from_millis(500), held.next()).await.is_err(), "three at a time");
    let of = |effect| Settlement { effect, arguments: Vec::new() };
    held.settle(tickets[0], &of(Effect::Ack)).await.expect("acknowledged");
    assert_eq!(held.settle(tickets[0], &of(Effect::Ack)).await.expect_err("settled").kind, Kind::Lost);
    held.settle(tickets[1], &of(Effect::Extend)).await.expect("its time begins again");
    assert_eq!(held.settle(tickets[1], &of(Effect::Requeue)).await.expect_err("not here").kind, Kind::Usage);
    let fourth = tokio::time::timeout(SOON, held.next()).await.expect("there is room").expect("open").expect("a delivery");
    assert_eq!(payloads(&[fourth.message]), ["3"]);
    let said = held.release().await.expect("released");
    assert!(said.starts_with("3 unsettled messages: each stays pending"), "{said}");
    assert_eq!(client(&["XPENDING", &stream, "workers"]).lines().next(), Some("3"));

    let group = Address::group("cache", &format!("{stream}/workers"));
    let change = plan(&session, "pending.claim", group.clone(), &[("consumer", "other"), ("idle", "0")]).await.expect("a plan");
    assert_eq!(change.touches, Amount::Exactly(3));
    apply(&session, &change).await;
    let pending = client(&["XPENDING", &stream, "workers", "-", "+", "10"]);
    assert_eq!(pending.lines().filter(|line| *line == "other").count(), 3, "{pending}");
    let first = pending.lines().next().unwrap_or_default().to_owned();
    let change = plan(&session, "pending.ack", group.clone(), &[("ids", &first)]).await.expect("a plan");
    apply(&session, &change).await;
    let change = plan(&session, "consumer.delete", group, &[("consumer", "other")]).await.expect("a plan");
    assert!(change.notes.iter().any(|note| note.as_str().starts_with("2 entries are pending")), "{:?}", change.notes);
    apply(&session, &change).await;
    assert_eq!(client(&["XPENDING", &stream, "workers"]).lines().next(), Some("0"));

    let mut held = hold.hold(&format!("stream:{stream}/workers"), 1).await.expect("it holds");
    let delivery = held.next().await.expect("open").expect("a delivery");
    held.settle(delivery.ticket.expect("a ticket"), &of(Effect::Ack)).await.expect("acknowledged");
    for _ in 5..10 {
        let delivery = tokio::time::timeout(SOON, held.next()).await.expect("in time").expect("open").expect("a delivery");
        held.settle(delivery.ticket.expect("a ticket"), &of(Effect::Ack)).await.expect("acknowledged");
    }
    assert_eq!(held.release().await.expect("released"), "nothing was left unsettled; our consumer is gone again");
    let consumers = client(&["XINFO", "CONSUMERS", &stream, "workers"]);
    assert_eq!(consumers.lines().filter(|line| line.starts_with("mqdeck-")).count(), 1, "only the one that had left some pending");
}

pub(crate) fn user(integration: Integration, name: &str, password: &str) -> Integration {
    Integration { auth: Auth::Basic { username: name.to_owned(), password: Secret::new(password.to_owned()) }, ..integration }
}

async fn refused(what: &str, integration: Integration, kind: Kind, word: &str) {
    let fault = connect(integration).await.err().unwrap_or_else(|| panic!("{what} was let in"));
    let text = fault.to_string();
    assert!(fault.kind == kind && text.contains(word) && !fault.next.as_str().is_empty(), "{what}: {:?} {text}", fault.kind);
    assert!(!text.contains("hush"), "a secret in {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_be_refused_says_its_cause() {
    let Some(server) = Server::own("redis", "Redis with a log-in", &["--login"]) else { return };
    let at = || integration(&server);
    refused("nobody", Integration::new("cache", "redis", vec!["127.0.0.1:1".to_owned()]), Kind::Unreachable, "refused").await;
    refused("no log-in", at(), Kind::Unauthorized, "log-in").await;
    refused("a wrong password", user(at(), "ops", "hush"), Kind::Unauthorized, "WRONGPASS").await;
    refused("a disabled user", user(at(), "gone", "gone"), Kind::Unauthorized, "disabled").await;
    let mut database = user(at(), "ops", "ops");
    database.settings.insert("db".to_owned(), Setting { value: Secret::new("99".to_owned()), line: 1 });
    refused("a database that is not there", database, Kind::Rejected, "DB index").await;

    let ops = connect(user(at(), "ops", "ops")).await.expect("ops may");
    fill(&ops, "app:jobs", 3).await;
    fill(&ops, "secret", 3).await;
    let app = connect(user(at(), "app", "app")).await.expect("app may");
    assert_eq!(read(&app, "stream:app:jobs", WHOLE).await.expect("its own").len(), 3);
    let reader = connect(user(at(), "reader", "reader")).await.expect("reader may");
    for (what, fault) in [
        ("app reads", read(&app, "stream:secret", WHOLE).await.err()),
        ("app publishes", publish(&app, "stream:secret", said("x")).await.err()),
        ("app listens", app.tail.as_ref().expect("a tail").tail(&["channel:secret".into()]).await.err()),
        ("reader publishes", publish(&reader, "channel:app:news", said("x")).await.err()),
        ("reader adds", publish(&reader, "stream:secret", said("x")).await.err()),
    ] {
        let fault = fault.unwrap_or_else(|| panic!("{what}: allowed"));
        assert!(fault.kind == Kind::Forbidden && fault.next.as_str().contains("ACL"), "{what}: {fault}");
    }
    assert_eq!(read(&reader, "stream:missing", WHOLE).await.expect_err("not there").kind, Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked_and_each_mistake_told_apart() {
    let Some(good) = Server::own("redis", "Redis with TLS", &["--mtls"]) else { return };
    let with = |server: &Server, tls: Tls| {
        let mut integration = integration(server);
        integration.endpoint.tls = Some(tls);
        integration
    };
    let ca = |server: &Server| Tls { ca_cert: Some(server.file("CA")), ..Tls::default() };
    let client = |name: &str| Tls { client: Some((good.file(name), good.file(&format!("{name}_KEY")))), ..ca(&good) };
    connect(with(&good, client("CLIENT"))).await.expect("our certificate is known").inspect.ping().await.expect("an answer");
    refused("no certificate", with(&good, ca(&good)), Kind::Unauthorized, "certificate").await;
    refused("a stranger", with(&good, client("STRANGER")), Kind::Unauthorized, "certificate").await;
    refused("another CA", with(&good, Tls { ca_cert: Some(good.file("OTHER_CA")), ..Tls::default() }), Kind::Unauthorized, "authority")
        .await;
    refused("plain text", integration(&good), Kind::Unreachable, "TLS").await;
    let Some(expired) = Server::own("redis", "Redis with an expired certificate", &["--tls", "expired"]) else { return };
    refused("an expired one", with(&expired, ca(&expired)), Kind::Unauthorized, "expired").await;
    let Some(other) = Server::own("redis", "Redis with another host's certificate", &["--tls", "wronghost"]) else { return };
    refused("another host's", with(&other, ca(&other)), Kind::Unauthorized, "broker.example").await;
}
