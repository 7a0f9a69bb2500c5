//! Live tails in a flood: each system's raw subscriber, its client crate, the console's way to the screen and `mqdeck tail --json`, one after
//! the other in one go, behind the same publisher in a process of its own.
//!
//! `cargo bench --bench tail` runs every row, `cargo bench --bench tail -- mqtt` those whose names begin so. It prints, and judges only that
//! nothing is missing: what was sent was seen, or said to be lost. `MQDECK_BENCH_MESSAGES` and `MQDECK_BENCH_ROUNDS` (3) say how much.
//!
//! A rate is the messages that a reader saw, by the time from the first that was sent to the last that it saw.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod amqp;
mod bare;
mod clients;
mod flood;
mod ours;
#[path = "../console/process.rs"]
#[expect(dead_code, reason = "the console's bench uses more of it")]
mod process;
mod resp;
mod rows;
mod run;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use rows::{Row, rows};
use run::{Reader, Seen};
use support::program::Home;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn main() {
    // `--bench` comes from cargo.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let rows = rows();
    // The other processes are this program again.
    if let [part, row, address, messages] = words[..]
        && let Some(row) = rows.iter().find(|known| known.name == row)
    {
        let messages = messages.parse().expect("a number");
        return match part {
            "flood" => run::announced(|begun| (row.flood)(address, messages, begun)),
            "raw" => (row.bare.expect("the row has one"))(address, messages),
            "client" => (row.client)(address, messages),
            "console" => ours::console(&(row.url)(address), row.channel, messages),
            other => panic!("there is no {other}"),
        };
    }
    let wanted = words.first().copied().unwrap_or_default();
    println!("{} cores shared with server and publisher, messages of {} bytes", cores(), flood::PAYLOAD.len());
    for row in rows.iter().filter(|row| row.name.starts_with(wanted)) {
        measure(row);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn measure(row: &Row) {
    let Some(server) = (row.server)() else { return };
    let messages = number("MQDECK_BENCH_MESSAGES", row.messages);
    println!("\n{}, {messages} messages, {}", row.name, row.note);
    let home = Home::new();
    let readers = [Reader::Raw, Reader::Client, Reader::Console, Reader::Json];
    let mut runs: Vec<Vec<Seen>> = readers.iter().map(|_| Vec::new()).collect();
    // Side by side, round by round: what else the machine does falls on all of them.
    for _ in 0..number("MQDECK_BENCH_ROUNDS", 3) {
        for (reader, runs) in readers.iter().zip(&mut runs) {
            runs.push(run::run(row, server.address(), *reader, messages, &home));
        }
    }
    let mut raw = None;
    for (reader, mut runs) in readers.iter().zip(runs) {
        let exact = runs.iter().all(|seen| seen.missing(messages) == 0);
        let missing: Vec<String> = runs.iter().map(|seen| seen.missing(messages).to_string()).collect();
        let peak = runs.iter().map(|seen| seen.peak).fold(0.0, f64::max);
        let all: Vec<String> = runs.iter().map(|seen| format!("{:.0}", seen.rate() / 1_000.0)).collect();
        runs.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
        let middle = &runs[runs.len() / 2];
        let raw = *raw.get_or_insert(middle.rate());
        println!(
            "  {:<26} {:>7.0} k/s {:>4.0} %  ({})  said lost {:>7}{}  {}  CPU {:>5.2} µs each  peak {:>4.0} MB",
            reader.title(row),
            middle.rate() / 1_000.0,
            100.0 * middle.rate() / raw,
            all.join(", "),
            middle.lost,
            if middle.unknown { " and unknown" } else { "" },
            if exact { "exact".to_owned() } else { format!("unaccounted {}", missing.join(", ")) },
            middle.cpu.as_secs_f64() * 1e6 / messages as f64,
            peak,
        );
    }
}
