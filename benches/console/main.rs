//! The console's figures, seen from outside: the release program in a real terminal that answers no query, against a real Kafka.
//!
//! `cargo bench --bench console` prints them; nothing is judged here, because a busy machine would judge differently.
//! Times are taken where bytes arrive at the terminal, memory and processor time from `/proc`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod flood;
mod process;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use process::Usage;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::kafka::{self, Kafka};
use support::program::Home;
use support::terminal::Terminal;
use support::topics;

const PATIENCE: Duration = Duration::from_secs(20);
const STARTS: usize = 20;
const KEYS: usize = 200;
const TOPICS: usize = 60;

/// Where and how large.
struct Setup {
    home: Home,
    program: PathBuf,
    url: String,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, bootstrap, topic, rate, seconds] = &arguments[..]
        && word == "flood"
    {
        return flood::run(bootstrap, topic, rate.parse().expect("a rate"), seconds.parse().expect("seconds"));
    }
    let Some(kafka) = kafka::own(&["--measured"]) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let topic = runtime.block_on(async {
        for n in 0..TOPICS {
            topics::create(kafka.plain(), &format!("bench-{n:02}"), 3, 1, &[]).await;
        }
        topics::create(kafka.plain(), "flood", 6, 1, &[]).await
    });
    let stand =
        Setup { home: Home::new(), program: PathBuf::from(env!("CARGO_BIN_EXE_mqdeck")), url: format!("kafka://{}", kafka.plain()) };
    println!("{} cores, {} topics, terminal that answers nothing", std::thread::available_parallelism().map_or(0, usize::from), TOPICS + 1);
    first_frame(&stand, "broker up", &stand.url);
    first_frame(&stand, "broker dead", "kafka://127.0.0.1:9");
    topic_list(&stand);
    idle_and_keys(&stand);
    flooded(&stand, &kafka, &topic);
}

impl Setup {
    fn console(&self, url: &str, size: (u16, u16)) -> Terminal {
        let environment = self.home.environment();
        let environment: Vec<(&str, &Path)> = environment.iter().map(|(name, value)| (*name, value.as_path())).collect();
        Terminal::open(&self.program, &["--url", url], &environment, size)
    }

    /// The console on the list of topics.
    fn channels(&self, size: (u16, u16)) -> Terminal {
        let mut terminal = self.console(&self.url, size);
        open_channels(&mut terminal);
        terminal
    }
}

/// Goes to the list of topics; asks again while the program is still starting.
fn open_channels(terminal: &mut Terminal) {
    terminal.wait_for("Overview", PATIENCE);
    for _ in 0..100 {
        terminal.press("2");
        if terminal.comes_to_show("bench-00", Duration::from_millis(200)) {
            return;
        }
    }
    panic!("there is no list of topics; the screen:\n{}", terminal.screen());
}

/// Whether the screen shows something: 40 characters that are no blanks.
fn painted(screen: &str) -> bool {
    screen.chars().filter(|c| !c.is_whitespace()).count() >= 40
}

fn first_frame(stand: &Setup, what: &str, url: &str) {
    let times = (0..STARTS).map(|_| {
        let began = Instant::now();
        let terminal = stand.console(url, (80, 24));
        terminal.wait_until("a first frame", PATIENCE, painted);
        began.elapsed()
    });
    println!("first frame, {what:<11}  {}", percentiles(times.collect()));
}

fn topic_list(stand: &Setup) {
    let times = (0..STARTS).map(|_| {
        let began = Instant::now();
        let mut terminal = stand.console(&stand.url, (140, 40));
        open_channels(&mut terminal);
        began.elapsed()
    });
    println!("start to topic list       {}", percentiles(times.collect()));
    let times = (0..STARTS).map(|_| {
        let began = Instant::now();
        let done = stand.home.mqdeck(&["--url", &stand.url, "channels", "--json"]).output().expect("the program runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        began.elapsed()
    });
    println!("`mqdeck channels --json`  {}", percentiles(times.collect()));
}

fn idle_and_keys(stand: &Setup) {
    let mut terminal = stand.channels((140, 40));
    std::thread::sleep(Duration::from_secs(3));
    let (before, count) = (Usage::of(terminal.pid()), terminal.count());
    std::thread::sleep(Duration::from_secs(20));
    let after = Usage::of(terminal.pid());
    println!(
        "idle 20 s                 {} bytes, {:.2} % of a core, {:.1} wake-ups/s, RSS {:.1} MB",
        terminal.count() - count,
        100.0 * after.cpu.saturating_sub(before.cpu).as_secs_f64() / 20.0,
        (after.wakeups - before.wakeups) as f64 / 20.0,
        after.resident,
    );
    let (times, bytes) = press_keys(&mut terminal);
    println!("cursor key, 140x40        {}, {}", percentiles(times), sizes(bytes));
}

/// Moves the cursor up and down; the time to the first byte, and the bytes, of each key.
fn press_keys(terminal: &mut Terminal) -> (Vec<Duration>, Vec<usize>) {
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for n in 0..KEYS {
        let count = terminal.count();
        let pressed = Instant::now();
        terminal.press(if n / 20 % 2 == 0 { "j" } else { "k" });
        let Some(answered) = terminal.byte_after(count, Duration::from_secs(1)) else { continue };
        times.push(answered - pressed);
        std::thread::sleep(Duration::from_millis(25));
        bytes.push(terminal.count() - count);
    }
    (times, bytes)
}

fn flooded(stand: &Setup, kafka: &Kafka, topic: &str) {
    let mut terminal = stand.channels((200, 50));
    terminal.press("/flood\r");
    terminal.wait_until("the filtered list", PATIENCE, |screen| screen.contains(topic) && !screen.contains("bench-00"));
    terminal.press("\r");
    terminal.wait_for("seen 0", PATIENCE);
    std::thread::sleep(Duration::from_secs(1));
    let (quiet, seconds) = (Usage::of(terminal.pid()), 10);
    let program = std::env::current_exe().expect("our own path");
    let mut writer = std::process::Command::new(program);
    writer.args(["flood", kafka.plain(), topic, "200000", &seconds.to_string()]).stdout(std::process::Stdio::piped());
    let writer = writer.spawn().expect("the flood");
    std::thread::sleep(Duration::from_secs(2));
    let (before, count, began) = (Usage::of(terminal.pid()), terminal.count(), Instant::now());
    let (times, _) = press_keys(&mut terminal);
    let left = Duration::from_secs(seconds - 3).saturating_sub(began.elapsed());
    std::thread::sleep(left);
    let (after, took) = (Usage::of(terminal.pid()), began.elapsed().as_secs_f64());
    let bursts = bursts(&terminal, count);
    println!(
        "flood, 200x50             {:.0} frames/s, {:.0} kB/s to the terminal, {:.0} % of a core; RSS {:.1} MB quiet, {:.1} after 2 s, {:.1} now",
        bursts.len() as f64 / took,
        (terminal.count() - count) as f64 / 1_000.0 / took,
        100.0 * after.cpu.saturating_sub(before.cpu).as_secs_f64() / took,
        quiet.resident,
        before.resident,
        after.resident,
    );
    println!("  a frame's bytes arrive  {}", percentiles(bursts));
    println!("  key to first byte       {}", percentiles(times));
    let written = writer.wait_with_output().expect("the flood ends").stdout;
    let written = String::from_utf8_lossy(&written).trim().to_owned();
    println!("  written: {written}");
    std::thread::sleep(Duration::from_secs(3));
    let screen = terminal.screen();
    let counted = screen.lines().find_map(|line| line.split_once("seen ").map(|(_, rest)| rest)).unwrap_or("not on the screen");
    println!("  on the screen: seen {}", counted.trim());
    println!("  peak memory: {:.1} MB", Usage::of(terminal.pid()).peak);
}

/// How long the bytes of each frame took to arrive: arrivals less than 4 ms apart belong to one frame.
fn bursts(terminal: &Terminal, after: usize) -> Vec<Duration> {
    let mut bursts: Vec<(Instant, Instant)> = Vec::new();
    for when in terminal.arrivals_after(after) {
        match bursts.last_mut() {
            Some((_, last)) if when - *last < Duration::from_millis(4) => *last = when,
            _ => bursts.push((when, when)),
        }
    }
    bursts.into_iter().map(|(first, last)| last - first).collect()
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at =
        |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).copied().unwrap_or_default();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms ({} times)", ms(at(0.5)), ms(at(0.99)), ms(at(1.0)), times.len())
}

fn sizes(mut bytes: Vec<usize>) -> String {
    bytes.sort_unstable();
    format!("{} bytes in the middle, {} at most", bytes.get(bytes.len() / 2).unwrap_or(&0), bytes.last().unwrap_or(&0))
}
