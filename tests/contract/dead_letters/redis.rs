//! Redis: entries that were given out too often, seen without claiming them, and what deletes them.

use super::{findings, gaps, letters, map, paths};
use crate::support::resp::{Reply, Resp};
use crate::support::server::Server;
use crate::support::subjects::connect;
use crate::support::unique;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Auth, Integration};
use mqdeck::config::secret::Secret;
use mqdeck::domain::dead_letter::place::{Assumptions, Found, Letter};
use mqdeck::domain::fault::Kind;

fn integration(server: &Server) -> Integration {
    Integration::new("cache", "redis", server.addresses())
}

/// A stream with entries 1-0 to COUNT-0, given to a consumer of a group.
fn given(direct: &mut Resp, stream: &[u8], group: &[u8], count: u64) {
    for n in 1..=count {
        direct.call(&[b"XADD", stream, format!("{n}-0").as_bytes(), b"data", n.to_string().as_bytes()]);
    }
    direct.call(&[b"XGROUP", b"CREATE", stream, group, b"0"]);
    direct.call(&[b"XREADGROUP", b"GROUP", group, b"worker", b"STREAMS", stream, b">"]);
}

/// Sets how often an entry was given out, and how long ago, as a consumer can.
fn counted(direct: &mut Resp, stream: &[u8], group: &[u8], id: &str, deliveries: &str, idle: &str) {
    let words: [&[u8]; 10] =
        [b"XCLAIM", stream, group, b"worker", b"0", id.as_bytes(), b"IDLE", idle.as_bytes(), b"RETRYCOUNT", deliveries.as_bytes()];
    let Reply::List(claimed) = direct.call(&words) else { panic!("it is claimed") };
    assert_eq!(claimed.len(), 1);
}

fn pending(direct: &mut Resp, stream: &[u8], group: &[u8]) -> Vec<Reply> {
    let rows = direct.call(&[b"XPENDING", stream, group, b"-", b"+", b"1000"]).items();
    // Without how long it is idle.
    rows.into_iter()
        .map(|row| Reply::List(row.items().into_iter().enumerate().filter(|(at, _)| *at != 2).map(|(_, word)| word).collect()))
        .collect()
}

/// What a letter says, in a line.
fn told(letter: &Letter) -> String {
    let message = match &letter.message {
        Found::Message(message) => String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned(),
        Found::Gone(why) => why.to_string(),
        Found::Unread(fault) => panic!("{fault}"),
    };
    let deliveries = letter.deliveries.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let who = letter.consumer.as_ref().map_or_else(String::new, ToString::to_string);
    format!("{}#{} {} {who} {} {deliveries}: {message}", letter.channel, letter.position, letter.group, letter.reason)
}

async fn read(session: &Session, place: &str, assumed: &Assumptions) -> Vec<String> {
    let (found, faults) = letters(session, place, assumed).await;
    assert_eq!(faults, []);
    found.iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_entries_over_the_limit_is_a_place_and_looking_at_it_changes_nothing() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let mut direct = Resp::open(&server.addresses()[0]);
    given(&mut direct, b"jobs", b"workers", 6);
    for (id, deliveries, idle) in
        [("1-0", "5", "7200000"), ("2-0", "9223372036854775807", "7200000"), ("3-0", "4", "0"), ("5-0", "9", "7200000")]
    {
        counted(&mut direct, b"jobs", b"workers", id, deliveries, idle);
    }
    given(&mut direct, b"fresh", b"workers", 3);
    counted(&mut direct, b"fresh", b"workers", "2-0", "6", "0");
    given(&mut direct, b"fine", b"workers", 3);
    given(&mut direct, b"done", b"workers", 1);
    direct.say(&["XACK", "done", "workers", "1-0"]);
    direct.say(&["XADD", "dead", "*", "data", "x"]);
    // Deleted while it is pending, before the others and between them.
    direct.say(&["XDEL", "jobs", "5-0"]);
    given(&mut direct, b"trimmed", b"workers", 4);
    counted(&mut direct, b"trimmed", b"workers", "3-0", "5", "0");
    direct.say(&["XTRIM", "trimmed", "MAXLEN", "2"]);
    let before = pending(&mut direct, b"jobs", b"workers");
    let session = connect(integration(&server)).await.expect("Redis is there");
    let assumed = Assumptions { channels: vec!["stream:dead".into()], ..Assumptions::default() };
    let found = map(&session, &assumed).await.expect("a map");
    let expected = [
        "stream:fresh (fresh/workers) → pending of stream:fresh/workers [1] when deliveries by deliveries=≥ 5",
        "stream:jobs (jobs/workers) → pending of stream:jobs/workers [3] when deliveries by deliveries=≥ 5",
        "stream:trimmed (trimmed/workers) → pending of stream:trimmed/workers [1] when deliveries by deliveries=≥ 5",
    ];
    assert_eq!((paths(&found), gaps(&found)), (expected.map(str::to_owned).to_vec(), Vec::new()));
    let expected = [
        "loses: deleted stream:jobs (jobs/workers)",
        "loses: deleted stream:trimmed (trimmed/workers)",
        "may lose: trimmed stream:jobs (jobs/workers)",
        "may lose: trimmed stream:trimmed (trimmed/workers)",
        "notice: unread stream:dead",
        "notice: unclaimed stream:jobs (jobs/workers)",
    ];
    assert_eq!(findings(&found), expected);
    let expected = [
        "stream:jobs#1-0 jobs/workers worker deliveries 5: 1",
        "stream:jobs#2-0 jobs/workers worker fatal ?: 2",
        "stream:jobs#5-0 jobs/workers worker deliveries 9: it was deleted from the stream while it was pending",
    ];
    assert_eq!(read(&session, "stream:jobs/workers", &assumed).await, expected);
    let stricter = Assumptions { deliveries: 1, ..assumed.clone() };
    assert_eq!(read(&session, "stream:jobs/workers", &stricter).await.len(), 6);
    assert_eq!(read(&session, "stream:done/workers", &stricter).await, [""; 0]);
    assert_eq!(pending(&mut direct, b"jobs", b"workers"), before, "nobody was given anything, and nothing was taken off the list");
    // A stream that nothing is left of.
    direct.say(&["XTRIM", "trimmed", "MAXLEN", "0"]);
    let found = map(&session, &assumed).await.expect("a map");
    assert!(
        found.findings.iter().any(|one| &*one.channel == "stream:trimmed" && one.detail.as_str().starts_with("4 entries were deleted"))
    );
    for (wrong, kind) in [("stream:jobs/nobody", Kind::NotFound), ("stream:none/workers", Kind::NotFound), ("key:jobs", Kind::Usage)] {
        let dead_letters = session.dead_letters.as_ref().expect("Redis has dead letters");
        assert!(dead_letters.letters(wrong, &assumed).await.is_err_and(|fault| fault.kind == kind), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_every_name_are_read_by_the_name_that_the_map_has_for_them() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let mut direct = Resp::open(&server.addresses()[0]);
    let odd: [(&[u8], &[u8]); 6] = [
        (b"a/b", b"g"),
        (b"c", b"d/g"),
        (b"\xac\xed", b"g\xff"),
        (b"\x1b[31m", b"line\r\nend"),
        (b"stream:x", b" g "),
        ("größe".as_bytes(), b"x#1-0"),
    ];
    for (stream, group) in odd {
        given(&mut direct, stream, group, 700);
        for id in ["1-0", "600-0"] {
            counted(&mut direct, stream, group, id, "8", "0");
        }
    }
    let session = connect(integration(&server)).await.expect("Redis is there");
    let found = map(&session, &Assumptions::default()).await.expect("a map");
    assert_eq!((found.paths.len(), gaps(&found)), (odd.len(), Vec::new()), "{found:?}");
    for path in &found.paths {
        let place = path.to.name().expect("a place");
        let (letters, faults) = letters(&session, place, &Assumptions::default()).await;
        assert_eq!((letters.len(), faults.len()), (2, 0), "{place}");
        for letter in &letters {
            assert_eq!((&letter.channel, Some(&letter.group)), (&path.from, path.group.as_ref()), "{place}");
            assert!(
                matches!(&letter.message, Found::Message(message) if message.channel == path.from && message.position == letter.position)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_ask_is_unknown_and_not_none() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let mut direct = Resp::open(&server.addresses()[0]);
    given(&mut direct, b"jobs", b"workers", 2);
    counted(&mut direct, b"jobs", b"workers", "1-0", "8", "0");
    for (refused, is_listed) in [("-xpending", false), ("-xinfo", false), ("-scan", false), ("-xclaim", true)] {
        let name = unique("limited");
        direct.say(&["ACL", "SETUSER", &name, "on", ">secret", "~*", "&*", "+@all", refused]);
        let auth = Auth::Basic { username: name, password: Secret::new("secret".to_owned()) };
        let session = connect(Integration { auth, ..integration(&server) }).await.expect("Redis is there");
        let found = map(&session, &Assumptions::default()).await.expect("a map");
        assert_eq!((found.paths.len() == 1, found.gaps.is_empty()), (is_listed, is_listed), "{refused}: {found:?}");
    }
}
