//! Publishing while the broker is away: waited for as long as the time-out lets, and then stored once, or failed with its cause.

use crate::support::program::Home;
use crate::support::subjects::{connect, read};
use crate::support::{kafka, topics};
use mqdeck::config::profile::Integration;
use mqdeck::domain::position::{Bound, Range};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// `mqdeck publish --lines`, fed line by line.
struct Feed {
    child: Child,
    input: Option<ChildStdin>,
    receipts: Lines<BufReader<ChildStdout>>,
}

impl Feed {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.mqdeck(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let receipts = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { input: child.stdin.take(), child, receipts }
    }

    fn send(&mut self, numbers: std::ops::Range<u32>) {
        let input = self.input.as_mut().expect("its input");
        input.write_all(lines(numbers).as_bytes()).and_then(|()| input.flush()).expect("it reads");
    }

    fn stored(&mut self, count: usize) {
        let came = self.receipts.by_ref().take(count).filter(|line| line.as_ref().is_ok_and(|line| line.contains("stored"))).count();
        assert_eq!(came, count);
    }

    /// Ends the input and waits: whether all went well, and what was said.
    fn end(mut self) -> (bool, String) {
        drop(self.input.take());
        self.receipts.by_ref().for_each(drop);
        let done = self.child.wait_with_output().expect("it ends");
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("{{\"key\":\"{n}\",\"value\":{n}}}\n")).collect()
}

/// How often each number is in the topic.
async fn found(bootstrap: &str, topic: &str) -> BTreeMap<u32, u32> {
    let session = connect(Integration::new("events", "kafka", vec![bootstrap.to_owned()])).await.expect("Kafka is there");
    let all = read(&session, topic, Range { start: Bound::Earliest, end: Bound::Latest }).await.expect("read");
    let mut found = BTreeMap::new();
    for message in all {
        let number = String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).parse().expect("a number");
        *found.entry(number).or_default() += 1;
    }
    found
}

fn profile(home: &Home, bootstrap: &str, timeout: &str, message_ms: u32) -> String {
    let text = format!(
        "integration \"events\" {{\n  type = \"kafka\"\n  timeout = \"{timeout}\"\n  endpoint {{ address = \"{bootstrap}\" }}\n  \
         config {{ librdkafka = {{ \"message.timeout.ms\" = {message_ms} }} }}\n}}\n"
    );
    home.write("away.hcl", &text).to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_back_in_time_is_waited_for_and_each_line_is_stored_once() {
    let Some(mut kafka) = kafka::own(&[]) else { return };
    let topic = topics::create(kafka.plain(), "away", 3, 1, &[]).await;
    let home = Home::new();
    let profile = profile(&home, kafka.plain(), "90s", 90_000);
    let address = format!("events/{topic}");
    let mut feed = Feed::start(&home, &["--profile", &profile, "publish", &address, "--lines", "--json"]);
    feed.send(0..100);
    feed.stored(100);
    kafka.kill(1);
    // These find out on their own that the broker is gone; the later ones are told before they are sent.
    feed.send(100..150);
    kafka.restart();
    feed.send(150..200);
    feed.stored(100);
    kafka.stop(1);
    feed.send(200..250);
    kafka.restart();
    let (well, said) = feed.end();
    assert!(well && said.contains("250 messages published"), "{said}");
    assert_eq!(found(kafka.plain(), &topic).await, (0..250).map(|n| (n, 1)).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stays_away_fails_with_its_cause_and_the_line_to_go_on_from() {
    let Some(mut kafka) = kafka::own(&[]) else { return };
    let topic = topics::create(kafka.plain(), "away", 3, 1, &[]).await;
    let home = Home::new();
    let profile = profile(&home, kafka.plain(), "2s", 2_000);
    let address = format!("events/{topic}");
    let arguments = ["--profile", &profile, "publish", &address, "--lines", "--json"];
    let mut feed = Feed::start(&home, &arguments);
    feed.send(0..100);
    feed.stored(100);
    kafka.kill(1);
    feed.send(100..200);
    let (well, said) = feed.end();
    let skip: usize = said.rsplit_once("--skip ").and_then(|(_, rest)| rest.trim().parse().ok()).expect("the resume point");
    assert!(!well && (100..200).contains(&skip) && said.contains(&format!("stopped at line {}", skip + 1)), "{said}");
    let mut unknown = Vec::new();
    for line in said.lines().filter(|line| line.contains(": publish to ")) {
        assert!(line.contains(&address) && (line.contains("nothing was sent") || line.contains("unknown")), "{line}");
        let (_, rest) = line.split_once("line").expect("its lines");
        let (numbers, _) = rest.trim_start_matches('s').split_once(':').expect("its lines");
        let mut numbers = numbers.split(" to ").map(|number| number.trim().parse::<u32>().expect("a number") - 1);
        let first = numbers.next().expect("a line");
        if line.contains("unknown") {
            unknown.extend(first..=numbers.next().unwrap_or(first));
        }
    }
    kafka.restart();
    let skip = skip.to_string();
    let mut again = Feed::start(&home, &[&arguments[..], &["--skip", &skip]].concat());
    again.send(0..200);
    let (well, said) = again.end();
    assert!(well, "{said}");
    let found = found(kafka.plain(), &topic).await;
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), (0..200).collect::<Vec<_>>(), "nothing is missing");
    let doubled: Vec<_> = found.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect();
    assert!(doubled.iter().all(|number| unknown.contains(number)), "{doubled:?} came twice, unknown were {unknown:?}");
}
