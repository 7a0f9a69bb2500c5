//! One reader under one flood: both as processes, what the reader saw, and what it took.

use super::flood;
use super::process::Usage;
use super::rows::Row;
use super::support::program::Home;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nothing comes for so long: what was sent before has come.
pub(super) const QUIET: Duration = Duration::from_millis(250);
/// Nothing comes for so long: nothing will.
pub(super) const SILENCE: Duration = Duration::from_secs(2);
/// How long a single message may take to be seen, less than which another one is not sent.
const PROBE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked what a program has written.
const LOOK: Duration = Duration::from_millis(2);
/// A program that does nothing for so long has started.
const STARTED: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// The system's own tool, else the bytes of the socket.
    Raw,
    Client,
    /// The console without its screen.
    Console,
    /// `mqdeck tail --json >/dev/null`.
    Json,
}

/// What one reader saw of one flood.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) came: u64,
    /// Said to be lost.
    pub(super) lost: u64,
    /// Said that an unknown number was lost.
    pub(super) unknown: bool,
    took: Duration,
    /// Of the reader, from the first message sent.
    pub(super) cpu: Duration,
    /// Resident memory at most, in MB.
    pub(super) peak: f64,
}

impl Seen {
    pub(super) fn rate(&self) -> f64 {
        self.came as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Messages that were neither seen nor said to be lost.
    pub(super) fn missing(&self, sent: u64) -> i64 {
        sent as i64 - self.came as i64 - self.lost as i64
    }
}

impl Reader {
    pub(super) fn title(self, row: &Row) -> &'static str {
        match self {
            Self::Raw => row.tool.as_ref().map_or("bytes of the socket", |tool| tool.program),
            Self::Client => "client crate alone",
            Self::Console => "console",
            Self::Json => "mqdeck tail --json",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Client => "client",
            Self::Console => "console",
            Self::Json => "json",
        }
    }

    /// Whether it is this program again, which tells what it saw; others are watched from outside.
    fn tells(self, row: &Row) -> bool {
        match self {
            Self::Raw => row.tool.is_none(),
            Self::Client | Self::Console => true,
            Self::Json => false,
        }
    }
}

pub(super) fn run(row: &Row, address: &str, reader: Reader, messages: u64, home: &Home) -> Seen {
    if reader.tells(row) { told(row, address, reader, messages) } else { watched(row, address, reader, messages, home) }
}

fn again(part: &str, row: &Row, address: &str, messages: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.args([part, row.name, address, &messages.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The lines that a process says.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = sync_channel(16);
    let output = BufReader::new(child.stdout.take().expect("its output"));
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

/// The flood at its beginning, and the moment of that.
fn begin(row: &Row, address: &str, messages: u64) -> (Child, Receiver<String>, Duration) {
    let mut flood = again("flood", row, address, messages).spawn().expect("the flood");
    let said = lines(&mut flood);
    let began = said.recv_timeout(PATIENCE).expect("it begins").parse::<u64>().expect("a moment");
    (flood, said, Duration::from_micros(began))
}

/// Floods with one message after the other until something shows that it was seen.
fn probe(row: &Row, address: &str, mut seen: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        (row.flood)(address, 1, &mut || {});
        let next = Instant::now() + PROBE;
        while Instant::now() < next {
            if seen() {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
    panic!("{}: nothing was seen within {PATIENCE:?}", row.name);
}

/// A reader of this program: it says `ready` behind the first message, and at its end what it saw.
fn told(row: &Row, address: &str, reader: Reader, messages: u64) -> Seen {
    let mut child = again(reader.word(), row, address, messages).spawn().expect("the reader");
    let said = lines(&mut child);
    probe(row, address, || said.try_recv().is_ok_and(|line| line == "ready"));
    let before = Usage::of(child.id()).cpu;
    let (mut flood, _said, began) = begin(row, address, messages);
    let line = said.recv_timeout(PATIENCE * 10).expect("what it saw");
    let usage = Usage::of(child.id());
    let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
    let [came, lost, unknown, last] = numbers[..] else { panic!("{line}") };
    flood.wait().expect("the flood ends");
    kill(&child, Signal::KILL);
    child.wait().expect("the reader ends");
    let took = Duration::from_micros(last).saturating_sub(began);
    Seen { came, lost, unknown: unknown > 0, took, cpu: usage.cpu.saturating_sub(before), peak: usage.peak }
}

/// A program that writes what it sees to nowhere: the kernel counts the bytes.
fn watched(row: &Row, address: &str, reader: Reader, messages: u64, home: &Home) -> Seen {
    let mut command = match &row.tool {
        Some(tool) if reader == Reader::Raw => {
            let (host, port) = address.rsplit_once(':').expect("host:port");
            let mut command = Command::new(tool.program);
            command.args(tool.arguments.iter().map(|word| match *word {
                "HOST" => host,
                "PORT" => port,
                word => word,
            }));
            command
        }
        _ => {
            let url = (row.url)(address);
            let name = home.integration(&url);
            home.mqdeck(&["--url", &url, "tail", &format!("{name}/{}", row.channel), "--json"])
        }
    };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the reader runs");
    let pid = child.id();
    // It says much when it loses much, and must not wait for us.
    let mut errors = child.stderr.take().expect("its errors");
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        errors.read_to_string(&mut said).map(|_| said)
    });
    quiet(pid, STARTED);
    let mut before = written(pid);
    probe(row, address, || grew(pid, &mut before));
    quiet(pid, QUIET);
    let base = written(pid);
    let before = Usage::of(pid).cpu;
    let (mut flood, _said, began) = begin(row, address, messages);
    let mut last = None;
    loop {
        let ended = flood.try_wait().expect("the flood").is_some();
        last = quiet(pid, SILENCE).or(last);
        if ended {
            break;
        }
    }
    let usage = Usage::of(pid);
    kill(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    let bytes = written(pid) - base;
    // It has its own goodbye to say.
    let until = Instant::now() + GOODBYE;
    while child.try_wait().expect("the reader").is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(&child, Signal::KILL);
    child.wait().expect("the reader ends");
    let said = said.join().expect("no panic").expect("text");
    let (came, lost, unknown) = match &row.tool {
        Some(tool) if reader == Reader::Raw => (bytes / (flood::PAYLOAD.len() + tool.around) as u64, 0, false),
        _ => notes(&said),
    };
    let took = last.unwrap_or_default().saturating_sub(began);
    Seen { came, lost, unknown, took, cpu: usage.cpu.saturating_sub(before), peak: usage.peak }
}

/// How long a reader may take to end by itself.
const GOODBYE: Duration = Duration::from_secs(5);

/// What `mqdeck tail` said on standard error: messages printed less the one it was probed with, and messages lost.
fn notes(said: &str) -> (u64, u64, bool) {
    let number = |line: &str, before: &str| {
        let (_, rest) = line.split_once(before)?;
        rest.split(' ').next()?.replace(',', "").parse::<u64>().ok()
    };
    let came = said
        .lines()
        .find_map(|line| number(line, "stopped after "))
        .unwrap_or_else(|| panic!("it does not say how many it printed: {said}"));
    let dropped = |line: &str| {
        let (before, _) = line.split_once(" messages skipped").or_else(|| line.split_once(" messages for slow readers"))?;
        before.rsplit(' ').next()?.replace(',', "").parse::<u64>().ok()
    };
    let lost = said.lines().filter_map(|line| number(line, " goes on, ").or_else(|| dropped(line))).sum();
    (came.saturating_sub(1), lost, said.contains("an unknown number of messages lost"))
}

/// Waits until a process has written no message for a while; when it wrote the last.
fn quiet(pid: u32, time: Duration) -> Option<Duration> {
    let (mut before, mut last, mut changed) = (written(pid), None, Instant::now());
    while changed.elapsed() < time {
        std::thread::sleep(LOOK);
        if grew(pid, &mut before) {
            (last, changed) = (Some(moment()), Instant::now());
        }
    }
    last
}

/// Whether a process has written a message since it was looked last: less is a program waking its own threads.
fn grew(pid: u32, before: &mut u64) -> bool {
    let now = written(pid);
    now >= std::mem::replace(before, now) + flood::PAYLOAD.len() as u64
}

/// Bytes that a process has written so far (proc(5), `wchar`), also when it has just ended.
fn written(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("wchar: ")).and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

fn kill(child: &Child, signal: Signal) {
    // It may have ended by itself.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Now, since 1970: processes compare it.
pub(super) fn moment() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// Runs a flood that says when it begins.
pub(super) fn announced(flood: impl FnOnce(&mut dyn FnMut())) {
    flood(&mut || println!("{}", moment().as_micros()));
}

/// What a reader of this program counts.
#[derive(Default)]
pub(super) struct Count {
    /// Since it was ready.
    came: u64,
    lost: u64,
    unknown: bool,
    ready: bool,
    last: Duration,
}

impl Count {
    pub(super) fn came(&mut self, more: u64) {
        self.came += more;
        self.last = moment();
    }

    pub(super) fn lost(&mut self, more: Option<u64>) {
        self.lost += more.unwrap_or(0);
        self.unknown |= more.is_none();
        self.last = moment();
    }

    /// How long a silence has to be to mean something.
    pub(super) fn patience(&self) -> Duration {
        if self.ready { SILENCE } else { QUIET }
    }

    /// Takes note of a silence, or of nothing; whether it is all over.
    pub(super) fn is_over(&mut self, silent: bool, messages: u64) -> bool {
        if !self.ready {
            if silent && self.came > 0 {
                println!("ready");
                *self = Self { ready: true, ..Self::default() };
            }
            return false;
        }
        let started = self.came + self.lost > 0;
        let over = self.came + self.lost >= messages || (silent && started);
        if over {
            println!("{} {} {} {}", self.came, self.lost, u64::from(self.unknown), self.last.as_micros());
            // Until it was looked at what this process took.
            std::thread::sleep(SILENCE);
        }
        over
    }
}
