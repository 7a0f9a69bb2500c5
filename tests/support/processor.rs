//! A processing program that can be killed: the test binary itself, started again with its job in the environment.

use mqdeck::config::profile::{Integration, Profile, Setting};
use mqdeck::config::secret::Secret;
use mqdeck::domain::group::Source;
use mqdeck::domain::message::{Message, Outgoing};
use mqdeck::domain::safety::Safety;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::process::{Job, Processed};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const JOB: &str = "MQDECK_TEST_PROCESSOR";

/// The test that is a program when its job is in the environment.
const TEST: &str = "faults::transactions::a_program_that_processes";

/// What a program does: copies every message of one topic to another.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) bootstrap: String,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) group: String,
    pub(crate) name: String,
    /// Messages in one transaction.
    pub(crate) most: usize,
    /// How long it thinks about each message.
    pub(crate) think: Duration,
    /// After so long the broker itself aborts a transaction that is open.
    pub(crate) transaction_timeout: Duration,
    /// After so long without a word the group takes a member for dead.
    pub(crate) session_timeout: Duration,
}

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// What it has said: its progress, line by line.
    pub(crate) lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(order: &Order) -> Self {
        let Order { bootstrap, input, output, group, name, most, think, transaction_timeout, session_timeout } = order;
        let [think, transaction, session] = [think, transaction_timeout, session_timeout].map(|time| time.as_millis().to_string());
        let numbers = [most.to_string(), think, transaction, session];
        let job = [[bootstrap, input, output, group, name].map(String::as_str).join(" "), numbers.join(" ")].join(" ");
        let mut child = Command::new(std::env::current_exe().expect("the test binary"))
            .args(["--exact", TEST, "--nocapture"])
            .env(JOB, job)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test binary starts");
        let (said, lines) = sync_channel(1 << 16);
        let output = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, lines }
    }

    /// Waits until it says something that begins like this; the rest of the line.
    pub(crate) fn says(&self, start: &str, limit: Duration) -> String {
        let until = std::time::Instant::now() + limit;
        let mut said = Vec::new();
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else { panic!("`{start}` was not said within {limit:?}, but {said:#?}") };
            if let Some((_, rest)) = line.split_once(start) {
                return rest.to_owned();
            }
            said.push(line);
        }
    }

    /// Waits until it has consumed so many messages.
    pub(crate) fn consumes(&self, count: u64, limit: Duration) {
        let until = std::time::Instant::now() + limit;
        while self.progress(until.saturating_duration_since(std::time::Instant::now())).0 < count {}
    }

    /// Its next word on its progress: messages consumed, transactions aborted, and the last trouble.
    pub(crate) fn progress(&self, limit: Duration) -> (u64, u64, String) {
        let said = self.says("progress ", limit);
        let mut words = said.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        (number(), number(), words.next().unwrap_or_default().to_owned())
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the program is there");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the program, if the environment says so; it ends with a fault that it says, or never.
#[expect(clippy::print_stdout, reason = "it is how it reports to the test")]
pub(crate) async fn be_one() {
    let Ok(job) = std::env::var(JOB) else { return };
    let parts: Vec<&str> = job.split(' ').collect();
    let [bootstrap, input, output, group, name, most, think, transaction, session] = parts[..] else { panic!("{job}") };
    let addresses = bootstrap.split(',').map(str::to_owned).collect();
    let mut integration = Integration::new("events", "kafka", addresses);
    for (name, value) in [("consumer.session.timeout.ms", session), ("producer.transaction.timeout.ms", transaction)] {
        integration.settings.insert(name.to_owned(), Setting { value: Secret::new(value.to_owned()), line: 1 });
    }
    let gateway =
        Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations: vec![integration] }, false);
    let job = Job {
        integration: "events".to_owned(),
        name: name.to_owned(),
        source: Source { group: group.into(), channels: vec![input.into()] },
        most: most.parse().expect("a number"),
        within: Duration::from_secs(1),
    };
    let think = Duration::from_millis(think.parse().expect("a number"));
    let (progress, mut told) = watch::channel(Processed::default());
    tokio::spawn(async move {
        while told.changed().await.is_ok() {
            let done = told.borrow_and_update().clone();
            println!("progress {} {} {}", done.consumed, done.aborts, done.trouble.map_or_else(String::new, |fault| fault.to_string()));
        }
    });
    let output: std::sync::Arc<str> = output.into();
    let work = |message: Message| {
        let (output, think) = (output.clone(), think);
        async move {
            println!("works");
            tokio::time::sleep(think).await;
            Ok(vec![(output, Outgoing { key: message.key, headers: message.headers, payload: message.payload, ..Outgoing::default() })])
        }
    };
    let outcome = gateway.process(&job, work, CancellationToken::new(), &progress).await;
    println!("over {}", outcome.map_or_else(|fault| fault.to_string(), |()| "in order".to_owned()));
}
