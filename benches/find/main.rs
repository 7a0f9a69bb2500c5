//! Search, side by side with what people use: `mqdeck find`, `kcat | rg` and `kcat | jq` on the same topics in one go.
//!
//! `cargo bench --bench find` prints it; nothing is judged but that all of them found the same. Kafka is the harness's own;
//! `MQDECK_BENCH_MESSAGES` (5,000,000) and `MQDECK_BENCH_ROUNDS` (3) say how much. Everything is read once before it is timed.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod fill;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use fill::{Facts, NEEDLE, RARE_TOTAL};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::kafka::{self, Kafka};
use support::program::Home;
use support::topics;

const PARTITIONS: u64 = 6;
const CODECS: [&str; 3] = ["none", "lz4", "zstd"];

/// One way to find something.
struct Row {
    name: &'static str,
    tool: Tool,
    expected: u64,
}

enum Tool {
    /// A query of ours.
    Mqdeck(String),
    /// What stands behind `kcat |`; it prints a count.
    Kcat(String),
}

/// What a run took.
struct Run {
    time: Duration,
    /// Resident memory at most, in MB; of ours only.
    peak: f64,
    found: u64,
    /// What our own report says.
    report: Option<serde_json::Value>,
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn main() {
    let Some(kafka) = kafka::own(&["--measured"]) else { return };
    let (messages, rounds) = (number("MQDECK_BENCH_MESSAGES", 5_000_000), number("MQDECK_BENCH_ROUNDS", 3));
    let has = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    // Without ripgrep the next best is said to be it.
    let grep = if has("rg") { "rg" } else { "grep" };
    let (kcat, jq) = (has("kcat"), has("jq"));
    println!("{} cores shared with the broker, {messages} messages, {PARTITIONS} partitions, {rounds} rounds, `{grep}`", cores());
    for codec in CODECS {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let topic = runtime.block_on(topics::create(kafka.plain(), codec, PARTITIONS as i32, 1, &[]));
        let facts = fill::fill(kafka.plain(), &topic, codec, messages, PARTITIONS);
        let mut rows = rows(&facts, grep, jq && codec == "none");
        rows.retain(|row| kcat || matches!(row.tool, Tool::Mqdeck(_)));
        if kcat {
            check_kcat(&kafka, &topic, &facts);
        }
        measure(&kafka, &topic, codec, &facts, &rows, rounds);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn rows(facts: &Facts, grep: &str, jq: bool) -> Vec<Row> {
    let count = if grep == "rg" { "rg -c" } else { "grep -c" };
    let extended = if grep == "rg" { "rg -c" } else { "grep -cE" };
    let mqdeck = |name, query: &str, expected| Row { name, tool: Tool::Mqdeck(query.to_owned()), expected };
    let piped = |name, command: String, expected| Row { name, tool: Tool::Kcat(command), expected };
    let mut rows = vec![
        piped("kcat | rg literal", format!("{count} -F {NEEDLE}"), facts.needles),
        piped("kcat | rg regex", format!("{extended} 'user-0000[0-9]{{2}}\"'"), facts.first_users),
    ];
    if jq {
        rows.push(piped("kcat | jq predicate", format!("jq -c 'select(.order.total > {RARE_TOTAL})' | wc -l"), facts.rare_totals));
    }
    rows.extend([
        mqdeck("find literal", NEEDLE, facts.needles),
        mqdeck("find literal, any case", &NEEDLE.to_lowercase(), facts.needles),
        mqdeck("find literal + path", &format!("value.status == \"{NEEDLE}\""), facts.needles),
        mqdeck("find predicate", &format!("value.order.total > {RARE_TOTAL}"), facts.rare_totals),
        mqdeck("find regex", "value matches /user-0000[0-9]{2}\"/", facts.first_users),
        mqdeck("find jq", &format!("jq '.order.total > {RARE_TOTAL}'"), facts.rare_totals),
    ]);
    rows
}

/// That kcat reads as many messages and bytes as were published.
fn check_kcat(kafka: &Kafka, topic: &str, facts: &Facts) {
    let script = format!(
        "kcat -C -q -e -o beginning -b {} -t {topic} -f '%K %S\\n' | awk '{{n++; b+=$1+$2}} END {{printf \"%d %d\", n, b}}'",
        kafka.plain()
    );
    let done = Command::new("sh").args(["-c", &script]).output().expect("kcat runs");
    assert_eq!(String::from_utf8_lossy(&done.stdout), format!("{} {}", facts.messages, facts.bytes), "kcat reads something else");
}

fn measure(kafka: &Kafka, topic: &str, codec: &str, facts: &Facts, rows: &[Row], rounds: u64) {
    let mut runs: Vec<Vec<Run>> = rows.iter().map(|_| Vec::new()).collect();
    // Side by side, round by round: what else the machine does falls on all of them.
    for _ in 0..rounds {
        for (row, runs) in rows.iter().zip(&mut runs) {
            let run = run(kafka, topic, &row.tool);
            assert_eq!(run.found, row.expected, "{}: found something else", row.name);
            if let Some(report) = &run.report {
                assert_eq!(
                    (report["scanned"].as_u64(), report["bytes"].as_u64()),
                    (Some(facts.messages), Some(facts.bytes)),
                    "{}",
                    row.name
                );
            }
            runs.push(run);
        }
    }
    println!("\n{codec}: {} messages, {:.2} GB of keys and payloads", facts.messages, facts.bytes as f64 / 1e9);
    let middle = |runs: &[Run]| {
        let mut times: Vec<f64> = runs.iter().map(|run| run.time.as_secs_f64()).collect();
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let of = |name: &str| rows.iter().position(|row| row.name == name).map(|index| middle(&runs[index]));
    let (rg, jq) = (of("kcat | rg literal"), of("kcat | jq predicate"));
    for (row, runs) in rows.iter().zip(&runs) {
        let times: Vec<String> = runs.iter().map(|run| format!("{:.2}", run.time.as_secs_f64())).collect();
        let middle = middle(runs);
        let mut line = format!("{:<24} {middle:>6.2} s  ({})", row.name, times.join(" "));
        if let Tool::Mqdeck(_) = row.tool {
            let peak = runs.iter().map(|run| run.peak).fold(0.0, f64::max);
            let against = |other: Option<f64>, name: &str| other.map_or(String::new(), |other| format!("  {:.1} x {name}", other / middle));
            line += &format!("{}{}  peak {peak:.0} MB", against(rg, "kcat|rg"), against(jq, "kcat|jq"));
            line += &runs.last().and_then(|run| run.report.as_ref()).map_or(String::new(), |report| format!("  {}", report["paths"]));
        }
        println!("{line}");
    }
}

fn run(kafka: &Kafka, topic: &str, tool: &Tool) -> Run {
    let home = Home::new();
    let mut command = match tool {
        Tool::Mqdeck(query) => {
            let address = format!("kafka/{topic}");
            home.mqdeck(&["--url", &format!("kafka://{}", kafka.plain()), "find", "--json", &address, query])
        }
        Tool::Kcat(rest) => {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("kcat -C -q -e -o beginning -b {} -t {topic} | {rest}", kafka.plain())]);
            command
        }
    };
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool runs");
    let watcher = {
        let status = format!("/proc/{}/status", child.id());
        std::thread::spawn(move || peak(&status))
    };
    let done = child.wait_with_output().expect("the tool ends");
    let time = began.elapsed();
    let peak = watcher.join().unwrap_or_default();
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    match tool {
        Tool::Mqdeck(query) => {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.success(), "{query}: {said}");
            let report = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
            Run { time, peak, found: printed.lines().count() as u64, report }
        }
        Tool::Kcat(_) => Run { time, peak, found: printed.trim().parse().unwrap_or(0), report: None },
    }
}

/// The most that a process had resident, looked at as long as it lives: the kernel keeps the maximum (proc(5), `VmHWM`).
fn peak(status: &str) -> f64 {
    let mut most = 0.0_f64;
    while let Ok(text) = std::fs::read_to_string(status) {
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        most = most.max(line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1_000.0);
        std::thread::sleep(Duration::from_millis(10));
    }
    most
}
