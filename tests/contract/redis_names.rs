//! Redis: names and fields are bytes. What is printed reads back to the same name, and what is read is written back as it was.

use super::redis::{apply, plan, publish, shared};
use crate::contract::history::WHOLE;
use crate::support::program::Home;
use crate::support::resp::{Reply, Resp};
use crate::support::server::Server;
use crate::support::subjects::{Listener, read};
use crate::support::{SOON, unique};
use mqdeck::adapters::session::Session;
use mqdeck::domain::address::Address;
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::{Message, Outgoing};
use mqdeck::domain::receipt::Receipt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names that are no UTF-8, patterns, kinds, groups, positions and what escapes are made of, each behind a prefix of its own.
fn names(prefix: &str) -> Vec<Vec<u8>> {
    let odd: &[&[u8]] = &[
        b"\xac\xed\x00\x05t",
        b"\xac\xee\x00\x05t",
        b"a*b",
        b"a?b",
        b"a[bc]",
        b"a]b",
        b"a\\b",
        b"a\\*b",
        b"a\\x41",
        b"\\xac",
        b"stream:x",
        b"with/slash",
        b"x#17-0",
        b" blank ",
        b"\x1b[31mred",
        b"line\r\nend",
        "größe".as_bytes(),
        b"ends with \\",
    ];
    odd.iter().map(|name| [prefix.as_bytes(), name].concat()).collect()
}

fn said(text: &str) -> Outgoing {
    Outgoing { payload: Some(text.to_owned().into()), ..Outgoing::default() }
}

/// The addresses of a kind that are listed under a prefix.
async fn listed(session: &Session, kind: &str, prefix: &str) -> Vec<Arc<str>> {
    let begins = format!("{kind}:{prefix}");
    let channels = session.inspect.channels().await.expect("a list");
    channels.into_iter().map(|row| row.name).filter(|name| name.starts_with(&begins)).collect()
}

/// As a person copies it: printed with its integration, and read again.
fn copied(name: &str) -> Address {
    let address = Address::new("cache", name);
    let read: Address = address.to_string().parse().expect("an address");
    assert_eq!(read, address);
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_every_name_are_listed_read_received_managed_and_deleted_each_for_itself() {
    let Some((server, session)) = shared().await else { return };
    let (prefix, mut direct) = (unique("bytes"), Resp::open(&server.addresses()[0]));
    let names = names(&prefix);
    for (n, name) in names.iter().enumerate() {
        let n = n.to_string();
        direct.call(&[b"XADD", name, b"1-0", b"data", n.as_bytes()]);
        direct.call(&[b"XGROUP", b"CREATE", name, b"g\xff/1", b"0"]);
    }
    let found = listed(&session, "stream", &prefix).await;
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), names.len(), "each once: {found:?}");
    let mut seen = BTreeSet::new();
    for name in &found {
        let channel = copied(name).within();
        let [message] = &read(&session, &channel, WHOLE).await.expect("history")[..] else { panic!("{channel}: one entry") };
        seen.insert(message.payload.clone().expect("a payload"));
        assert_eq!(message.channel, *name, "messages name it as the list does");
        let described = session.inspect.describe(&channel).await.expect("a description");
        assert_eq!((described.channel.depth, &described.channel.name), (Amount::Exactly(1), name));
        let mut tail = Listener::start(&session, std::slice::from_ref(&channel)).await;
        let stored = publish(&session, &channel, said("more")).await;
        assert!(matches!(stored, Ok(Receipt::Stored(_))), "{stored:?}");
        tail.until("the entry", SOON, |tail| !tail.messages.is_empty()).await;
        assert_eq!(tail.messages[0].channel, *name);
        let mut held = session.hold.as_ref().expect("hold").hold(&channel, 1).await.expect("it has one group");
        let delivery = held.next().await.expect("open").expect("a delivery");
        held.settle(delivery.ticket.expect("a ticket"), &Settlement { effect: Effect::Ack, arguments: Vec::new() }).await.expect("done");
        held.release().await.expect("released");
    }
    assert_eq!(seen.len(), names.len(), "each is another one");

    let groups = session.groups.as_ref().expect("groups");
    let all = groups.groups().await.expect("a list");
    assert_eq!(all.gaps, []);
    let ours: Vec<Arc<str>> = all.groups.into_iter().map(|group| group.name).filter(|name| name.starts_with(&prefix)).collect();
    assert_eq!(ours.len(), names.len());
    for (group, group_offset) in ours.iter().zip(groups.group_offsets(&ours).await.expect("standings")) {
        let group_offset = group_offset.unwrap_or_else(|fault| panic!("{group}: {fault}"));
        assert!(found.contains(&group_offset[0].channel), "{group} is of {}", group_offset[0].channel);
        assert_eq!(groups.describe(group).await.expect("a description").group.name, *group);
        let change = plan(&session, "group.delete", Address::group("cache", group), &[]).await.expect("a plan");
        apply(&session, &change).await;
    }
    for (n, name) in found.iter().enumerate() {
        let change = plan(&session, "key.delete", copied(name), &[]).await.expect("a plan");
        apply(&session, &change).await;
        let left = names.iter().filter(|name| direct.call(&[b"EXISTS", name]) == Reply::Int(1)).count();
        assert_eq!(left, names.len() - n - 1, "{name} and no other");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pub_sub_channels_and_keys_of_every_name_are_taken_literally_where_they_are_printed() {
    let Some((server, session)) = shared().await else { return };
    let (prefix, mut direct) = (unique("literal"), Resp::open(&server.addresses()[0]));
    let names = names(&prefix);
    let mut subscriber = Resp::open(&server.addresses()[0]);
    for name in &names {
        subscriber.call(&[b"SUBSCRIBE", name]);
        direct.call(&[b"SET", name, b"x"]);
    }
    let found = listed(&session, "channel", &prefix).await;
    assert_eq!(found.len(), names.len(), "{found:?}");
    let mut tail = Listener::start(&session, &found).await;
    for name in &found {
        let channel = copied(name).within();
        assert_eq!(session.inspect.describe(&channel).await.expect("a description").channel.consumers, Some(2), "{name}");
        assert_eq!(publish(&session, &channel, said(name)).await, Ok(Receipt::Handed(2)), "{name}");
    }
    tail.until("one of each", SOON, |tail| tail.messages.len() >= names.len()).await;
    for message in &tail.messages {
        assert_eq!(message.payload.as_deref(), Some(message.channel.as_bytes()), "by the name that it was published to");
    }
    assert!(publish(&session, &format!("channel:{prefix}*"), said("x")).await.is_err(), "a pattern");

    let mut keys = Listener::start(&session, &[format!("key:{prefix}*").as_str().into()]).await;
    for name in &names {
        direct.call(&[b"SET", name, b"y"]);
    }
    keys.until("a change of each", SOON, |keys| keys.messages.len() >= names.len()).await;
    let told: BTreeSet<Arc<str>> = keys.messages.iter().map(|message| message.channel.clone()).collect();
    assert_eq!(told.len(), names.len());
    assert_eq!(keys.messages.iter().filter_map(|message| message.key.clone()).collect::<BTreeSet<_>>().len(), names.len());
    for (n, name) in told.iter().enumerate() {
        let change = plan(&session, "key.delete", copied(name), &[]).await.expect("a plan");
        assert_eq!(change.touches, Amount::Exactly(1), "{name}");
        apply(&session, &change).await;
        let left = names.iter().filter(|name| direct.call(&[b"EXISTS", name]) == Reply::Int(1)).count();
        assert_eq!(left, names.len() - n - 1, "{name} and no other");
    }
}

/// Entries of random fields, with what payloads are named, duplicates, empty ones and bytes that are no text.
fn entries(seed: u64, count: usize) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let pieces: &[&[u8]] = &[
        b"data",
        b"payload",
        b"event",
        b"redis-payload",
        b"*",
        b"0 data",
        b"a",
        b"trace",
        b"\xff",
        b"\x00",
        b"\"",
        b"\\",
        b"{\"n\": 1}",
        b"9007199254740993",
        b"",
        b" ",
        "\u{2028}é".as_bytes(),
        b"\xac\xed\x00\x05t",
    ];
    let text = |random: &mut fastrand::Rng| -> Vec<u8> {
        (0..random.usize(0..3)).flat_map(|_| pieces[random.usize(..pieces.len())].to_vec()).collect()
    };
    let mut one = || (0..random.usize(1..6)).map(|_| (text(&mut random), text(&mut random))).collect();
    (0..count).map(|_| one()).collect()
}

/// The fields of every entry of a stream.
fn fields(server: &mut Resp, stream: &str) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let entries = server.say(&["XRANGE", stream, "-", "+"]).items();
    let of = |entry: Reply| {
        let words: Vec<Vec<u8>> = entry.items().swap_remove(1).items().into_iter().map(Reply::bytes).collect();
        words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    };
    entries.into_iter().map(of).collect()
}

/// The first entry that differs is told, and not all of them.
fn same(found: &[Vec<(Vec<u8>, Vec<u8>)>], sent: &[Vec<(Vec<u8>, Vec<u8>)>]) {
    let texts = |entry: &[(Vec<u8>, Vec<u8>)]| -> Vec<(String, String)> {
        entry.iter().map(|(name, value)| (name.escape_ascii().to_string(), value.escape_ascii().to_string())).collect()
    };
    for (found, sent) in found.iter().zip(sent) {
        assert_eq!(texts(found), texts(sent));
    }
    assert_eq!(found.len(), sent.len());
}

fn add(server: &mut Resp, stream: &str, entries: &[Vec<(Vec<u8>, Vec<u8>)>]) {
    for entry in entries {
        let mut words: Vec<&[u8]> = vec![b"XADD", stream.as_bytes(), b"*"];
        words.extend(entry.iter().flat_map(|(name, value)| [&name[..], &value[..]]));
        let Reply::Text(_) = server.call(&words) else { panic!("it is stored") };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_sent_again_field_by_field() {
    let Some((server, session)) = shared().await else { return };
    let (from, to, mut direct) = (unique("from"), unique("to"), Resp::open(&server.addresses()[0]));
    let sent = entries(fastrand::u64(..), 300);
    add(&mut direct, &from, &sent);
    for Message { headers, payload, .. } in read(&session, &format!("stream:{from}"), WHOLE).await.expect("history") {
        assert!(payload.is_some(), "no entry looks like a tombstone: {headers:?}");
        let again = Outgoing { headers, payload, ..Outgoing::default() };
        publish(&session, &format!("stream:{to}"), again).await.expect("stored");
    }
    same(&fields(&mut direct, &to), &sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_stream_write_the_same_stream() {
    let Some((server, _)) = shared().await else { return };
    let (from, to, mut direct) = (unique("from"), unique("to"), Resp::open(&server.addresses()[0]));
    let sent = entries(fastrand::u64(..), 200);
    add(&mut direct, &from, &sent);
    pipe(&server, &format!("redis/stream:{from}"), &format!("redis/stream:{to}"));
    same(&fields(&mut direct, &to), &sent);
    // By the name as it is printed, into a stream whose name is no text.
    let odd = unique("odd");
    pipe(&server, &format!("redis/stream:{to}"), &format!(r"redis/stream:{odd}\xac\xed"));
    let Reply::Int(length) = direct.call(&[b"XLEN", &[odd.as_bytes(), b"\xac\xed"].concat()]) else { panic!("a length") };
    assert_eq!(length, 200);
}

/// `mqdeck tail FROM --json | mqdeck publish TO --lines`.
fn pipe(server: &Server, from: &str, to: &str) {
    let home = Home::new();
    let url = format!("redis://{}", server.addresses()[0]);
    let read = home.mqdeck(&["--url", &url, "tail", from, "--from", "earliest", "--until", "latest", "--json"]).output().expect("it runs");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let lines = home.write("lines", std::str::from_utf8(&read.stdout).expect("UTF-8"));
    let mut publish = home.mqdeck(&["--url", &url, "publish", to, "--lines"]);
    let done = publish.stdin(std::fs::File::open(lines).expect("the lines")).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
