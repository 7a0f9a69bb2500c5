//! The lag table of a large cluster: how long it takes and how many requests, and whether anybody else waits for it.
//!
//! `cargo bench --bench groups` fills three brokers of its own with 10,000 topics of 4 partitions and 2,000 groups of 50 positions
//! (`-- TOPICS GROUPS` for less, `-- BOOTSTRAP` for a cluster that is filled already) and prints the figures; nothing is judged here.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use mqdeck::adapters::find;
use mqdeck::adapters::session::Session;
use mqdeck::adapters::wirelog::WireLog;
use mqdeck::config::profile::Integration;
use mqdeck::domain::group::{GroupOffset, Mark};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{clients, kafka};

const REFRESHES: usize = 5;
const SETTLING: Duration = Duration::from_secs(20);
/// As many rows as a large screen shows.
const SHOWN: usize = 60;

fn main() {
    // `--bench` comes from cargo.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let [bootstrap] = &arguments[..] {
        return runtime.block_on(figures(bootstrap));
    }
    let number = |at: usize, usual: &str| arguments.get(at).map_or(usual, String::as_str).to_owned();
    let Some(kafka) = kafka::own(&["--brokers", "3", "--measured"]) else { return };
    let Some(filling) = clients::script("kafka/groups.py", &[kafka.plain(), "fill", &number(0, "10000"), &number(1, "2000")]) else {
        return;
    };
    clients::run(filling);
    // The brokers still write and compile for a while what the filling has left behind.
    std::thread::sleep(SETTLING);
    runtime.block_on(figures(kafka.plain()));
}

async fn figures(bootstrap: &str) {
    let log = WireLog::default();
    let integration = Integration::new("events", "kafka", bootstrap.split(',').map(str::to_owned).collect());
    let adapter = find("kafka").expect("this build speaks Kafka");
    let began = Instant::now();
    let session = (adapter.connect)(integration, log.clone()).await.expect("the cluster is there");
    let mut watch = Watch { log, seen: 0 };
    println!("connect                 {:>7.1} ms, {}", millis(began), watch.requests());
    let rows = table(&session, &mut watch, "first lag table").await;
    for _ in 0..REFRESHES {
        table(&session, &mut watch, "refresh").await;
    }
    timestamps(&session, &mut watch, &rows).await;
    stall(&session).await;
    for _ in 0..3 {
        let began = Instant::now();
        let channels = session.inspect.channels().await.expect("listed");
        println!("channel list            {:>7.1} ms, {}, {} channels", millis(began), watch.requests(), channels.len());
    }
}

/// Lists the groups and reads the positions of all.
async fn table(session: &Session, watch: &mut Watch, what: &str) -> Vec<GroupOffset> {
    let handle = session.groups.as_ref().expect("Kafka has groups");
    let began = Instant::now();
    let listing = handle.groups().await.expect("listed");
    let listed = millis(began);
    assert!(listing.gaps.is_empty(), "{:?}", listing.gaps);
    let names: Vec<Arc<str>> = listing.groups.iter().map(|group| Arc::clone(&group.name)).collect();
    let group_offsets = handle.group_offsets(&names).await.expect("read");
    let whole = millis(began);
    let rows: Vec<GroupOffset> = group_offsets.into_iter().flat_map(|group_offsets| group_offsets.expect("a group's positions")).collect();
    let failed = rows.iter().filter(|row| row.fault.is_some() || row.end.is_none()).count();
    println!(
        "{what:<23} {whole:>7.1} ms (list {listed:.1} ms), {}, {} groups, {} rows, {failed} failed",
        watch.requests(),
        names.len(),
        rows.len()
    );
    rows
}

async fn timestamps(session: &Session, watch: &mut Watch, rows: &[GroupOffset]) {
    let handle = session.groups.as_ref().expect("Kafka has groups");
    let mark = |row: &GroupOffset| Some(Mark::offset(Arc::clone(&row.channel), row.partition?, row.committed?));
    let marks: Vec<Mark> = rows.iter().filter_map(mark).take(SHOWN).collect();
    let began = Instant::now();
    let timestamps = handle.timestamps(&marks).await;
    let known = timestamps.iter().filter(|stamp| matches!(stamp, Ok(Some(_)))).count();
    println!("stamps of {SHOWN} rows       {:>7.1} ms, {}, {known} with a time", millis(began), watch.requests());
}

/// How long a ping takes while tables are made one after the other.
async fn stall(session: &Session) {
    let busy = session.clone();
    let tables = tokio::spawn(async move {
        let handle = busy.groups.as_ref().expect("Kafka has groups");
        for _ in 0..REFRESHES {
            let names: Vec<_> = handle.groups().await.expect("listed").groups.into_iter().map(|group| group.name).collect();
            handle.group_offsets(&names).await.expect("read");
        }
    });
    let mut pings = Vec::new();
    while !tables.is_finished() {
        let began = Instant::now();
        session.inspect.ping().await.expect("answered");
        pings.push(millis(began));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tables.await.expect("tables are made");
    pings.sort_by(f64::total_cmp);
    let worst = pings.last().copied().unwrap_or_default();
    println!("ping meanwhile          {:>7.1} ms median, {worst:.1} ms at most, {} pings", pings[pings.len() / 2], pings.len());
}

/// Counts the requests on the wire.
struct Watch {
    log: WireLog,
    seen: u64,
}

impl Watch {
    fn requests(&mut self) -> String {
        let lines = self.log.since(self.seen);
        self.seen = lines.last().map_or(self.seen, |line| line.number);
        if std::env::var_os("MQDECK_BENCH_REQUESTS").is_some() {
            for line in &lines {
                println!("    {} {}: {}, {:?}", line.peer, line.request, line.outcome, line.took);
            }
        }
        let asked = lines.iter().filter(|line| line.request.as_str() != "connect" && !line.request.as_str().starts_with("ApiVersions"));
        format!("{} requests", asked.count())
    }
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1_000.0
}
