//! What looking costs a Redis server, and what large entries cost the program.

use super::redis::integration;
use crate::support::program::{Home, measured};
use crate::support::resp::{Reply, Resp};
use crate::support::server::Server;
use crate::support::subjects::connect;
use mqdeck::adapters::session::Session;
use mqdeck::domain::figure::Amount;
use std::sync::Arc;

/// What the server has been asked and has answered since it was told to forget it.
struct Spent {
    bytes: u64,
    calls: Vec<(String, u64)>,
}

impl Spent {
    fn of(server: &mut Resp) -> Self {
        let stats = server.say(&["INFO", "stats"]).text();
        let bytes = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:")).expect("it is told").trim();
        let commands = server.say(&["INFO", "commandstats"]).text();
        let calls = commands.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        Self { bytes: bytes.parse().expect("a number"), calls: calls.collect() }
    }

    fn calls(&self, name: &str) -> u64 {
        self.calls.iter().filter(|(known, _)| known == name).map(|(_, calls)| calls).sum()
    }
}

/// What a console does as long as nobody touches it.
async fn look(session: &Session) -> usize {
    let listed = session.inspect.channels().await.expect("a list").len();
    let groups = session.groups.as_ref().expect("groups");
    let names: Vec<Arc<str>> = groups.groups().await.expect("groups").groups.into_iter().map(|group| group.name).collect();
    for group_offset in groups.group_offsets(&names).await.expect("standings") {
        group_offset.expect("this group's");
    }
    listed
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_lists_reads_no_entry() {
    const STREAMS: usize = 20;
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let mut direct = Resp::open(server.fact("ADDRESS"));
    let large = vec![b'x'; 512 * 1024];
    for n in 0..STREAMS {
        let name = format!("large{n}");
        direct.say(&["XGROUP", "CREATE", &name, "ahead", "$", "MKSTREAM"]);
        direct.say(&["XGROUP", "CREATE", &name, "behind", "0"]);
        for _ in 0..3 {
            direct.call(&[b"XADD", name.as_bytes(), b"*", b"data", &large]);
        }
        direct.say(&["XREADGROUP", "GROUP", "ahead", "c", "STREAMS", &name, ">"]);
    }
    let session = connect(integration(&server)).await.expect("Redis is there");
    direct.say(&["CONFIG", "RESETSTAT"]);
    for _ in 0..10 {
        assert_eq!(look(&session).await, STREAMS);
    }
    let spent = Spent::of(&mut direct);
    assert!(spent.bytes < 512 * 1024, "{} bytes, more than one entry", spent.bytes);
    for never in ["xinfo|stream", "xrange", "xrevrange", "xread"] {
        assert_eq!(spent.calls(never), 0, "{never}");
    }
    let listed = session.inspect.channels().await.expect("a list");
    assert!(listed.iter().all(|row| row.depth == Amount::Exactly(3) && row.ends == Some(3) && row.consumers == Some(2)), "{listed:?}");
    // Where entries are gone the lag is looked up once, not at each look.
    direct.say(&["XTRIM", "large0", "MAXLEN", "2"]);
    direct.say(&["CONFIG", "RESETSTAT"]);
    for _ in 0..10 {
        look(&session).await;
    }
    let spent = Spent::of(&mut direct);
    assert!(spent.bytes < 3 * 512 * 1024, "{} bytes, each entry once and not ten times", spent.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_streams_are_gone_around_slowly() {
    const STREAMS: usize = 2_000;
    const LOOKS: u64 = 10;
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let mut direct = Resp::open(server.fact("ADDRESS"));
    for n in 0..STREAMS {
        direct.say(&["XADD", &format!("s{n}"), "*", "data", "x"]);
    }
    let session = connect(integration(&server)).await.expect("Redis is there");
    direct.say(&["CONFIG", "RESETSTAT"]);
    for _ in 0..LOOKS {
        assert_eq!(session.inspect.channels().await.expect("a list").len(), STREAMS);
    }
    let asked = |name: &str, spent: &Spent| spent.calls(name) as usize;
    let spent = Spent::of(&mut direct);
    // Two whole looks; how long the ten took says how much more may be asked.
    let most = 2 * STREAMS + 2_000;
    assert!(asked("xlen", &spent) < most && asked("xinfo|groups", &spent) < most, "{:?}", spent.calls);
    assert_eq!(spent.calls("xinfo|stream"), 0);
    let listed = session.inspect.channels().await.expect("a list");
    assert!(listed.iter().all(|row| row.depth == Amount::Exactly(1)), "what was seen is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_entries_are_read_in_small_answers() {
    const ENTRIES: u64 = 100;
    /// What the program has at most for messages on their way, beside itself.
    const BOUND: u64 = 96 * 1024 * 1024;
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let mut direct = Resp::open(server.fact("ADDRESS"));
    let large = vec![b'x'; 2 * 1024 * 1024];
    for n in 1..=ENTRIES {
        let id = format!("{n}-0");
        let Reply::Text(_) = direct.call(&[b"XADD", b"large", id.as_bytes(), b"data", &large]) else { panic!("it is stored") };
    }
    direct.say(&["XGROUP", "CREATE", "large", "g", "0"]);
    direct.say(&["XGROUP", "CREATE", "large", "half", "50-0"]);
    direct.say(&["XDEL", "large", "90-0"]);
    let home = Home::new();
    let url = format!("redis://{}", server.fact("ADDRESS"));
    let run = |arguments: &[&str]| {
        let (output, most) = measured(home.mqdeck(&[&["--url", &url], arguments].concat()));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        (output.stdout, most)
    };
    let (_, itself) = run(&["status"]);
    for arguments in [
        &["tail", "redis/stream:large", "--from", "earliest", "--until", "latest", "--limit", "1", "--json"][..],
        &["tail", "redis/stream:large", "--from", "end-40", "--until", "latest", "--limit", "1", "--json"],
        &["find", "redis/stream:large", "where key == \"none\""],
        &["lag", "redis/group:large/half"],
        &["receive", "redis/stream:large/g", "--limit", "5", "--json"],
    ] {
        let (_, most) = run(arguments);
        assert!(most < itself + BOUND, "{arguments:?}: {} MB, {} MB of them for itself", most >> 20, itself >> 20);
    }
    let (lines, _) = run(&["tail", "redis/stream:large", "--from", "88-0", "--until", "93-0", "--json"]);
    assert_eq!(String::from_utf8_lossy(&lines).lines().count(), 4, "and all of them are read");
}
