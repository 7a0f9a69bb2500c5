//! MQTT under a flood: what is shown and what is said to be missing are together what was sent, whoever is too slow.

use crate::support::mosquitto::{Mosquitto, Peer, own};
use crate::support::program::Home;
use crate::support::{SOON, unique};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the tail holds for a slow output, and some more.
const BEYOND: u64 = 300_000;
const MANY: u64 = 150_000;
/// `mqdeck tail --json` of a topic, with everything that it prints.
struct Tail {
    _home: Home,
    child: Child,
    shown: Arc<AtomicU64>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Tail {
    /// Starts it and waits until it is live. Its output is read when `read` is called, and not before.
    async fn start(broker: &Mosquitto, topic: &str) -> (Self, impl FnOnce() + use<>) {
        let home = Home::new();
        let url = format!("mqtt://{}", broker.at("PLAIN"));
        let address = format!("{}/{topic}/#", home.integration(&url));
        let mut command = home.mqdeck(&["--url", &url, "tail", &address, "--json"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let (shown, said) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (mut lines, errors) = (BufReader::new(child.stdout.take().expect("a pipe")).lines(), child.stderr.take().expect("a pipe"));
        let notes = said.clone();
        std::thread::spawn(move || BufReader::new(errors).lines().for_each(|line| notes.lock().expect("unharmed").extend(line)));
        // Once it has seen something it is live.
        let (live, session) = (Arc::new(AtomicBool::new(false)), broker.session(&[]).await);
        let first = live.clone();
        let (ready, begin) = std::sync::mpsc::sync_channel::<()>(1);
        let count = shown.clone();
        std::thread::spawn(move || {
            let line = lines.next().expect("a line").expect("text");
            assert!(line.contains("/probe\""), "{line}");
            first.store(true, Ordering::SeqCst);
            if begin.recv().is_ok() {
                let flood = lines.map_while(Result::ok).filter(|line| line.contains("/flood\""));
                for _ in flood {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        while !live.load(Ordering::SeqCst) {
            let probe = mqdeck::domain::message::Outgoing { payload: Some("x".into()), ..Default::default() };
            session.publish.as_ref().expect("publish").publish(&format!("{topic}/probe"), probe).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let read = move || ready.send(()).expect("the reader waits");
        (Self { _home: home, child, shown, said }, read)
    }

    /// The sum of the numbers in what it said with these words.
    fn told(&self, words: &str) -> u64 {
        let said = self.said.lock().expect("unharmed");
        let number = |line: &String| -> u64 { line.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number") };
        said.iter().filter(|line| line.contains(words)).map(number).sum()
    }

    /// Waits until everything is accounted for: shown, skipped here, dropped by the broker.
    async fn accounts(&self, sent: u64) -> (u64, u64, u64) {
        let began = Instant::now();
        loop {
            let (ours, theirs) = (self.told("skipped: more comes than is taken here"), self.told("the system dropped"));
            let shown = self.shown.load(Ordering::SeqCst);
            if shown + ours + theirs == sent {
                return (shown, ours, theirs);
            }
            let said = self.said.lock().expect("unharmed").clone();
            assert!(began.elapsed() < SOON && shown + ours + theirs < sent, "{shown} shown, {ours} skipped, {theirs} dropped: {said:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn flood(broker: &Mosquitto, topic: &str, qos: &str, sent: u64) -> Option<()> {
    let mut peer = Peer::start(&["flood", broker.port(), &format!("{topic}/flood"), &sent.to_string(), qos])?;
    assert_eq!(peer.line(), sent.to_string());
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_taken_from_the_broker_as_fast_as_it_comes() {
    let Some(broker) = own(&[]) else { return };
    let topic = unique("read");
    let (tail, read) = Tail::start(&broker, &topic).await;
    read();
    if flood(&broker, &topic, "0", MANY).is_some() {
        let (shown, _, theirs) = tail.accounts(MANY).await;
        assert_eq!(theirs, 0, "what comes is read as fast as it comes; {shown} were shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_output_cannot_take_is_skipped_here_and_counted() {
    let Some(broker) = own(&[]) else { return };
    let topic = unique("slow");
    let (tail, read) = Tail::start(&broker, &topic).await;
    if flood(&broker, &topic, "0", BEYOND).is_some() {
        read();
        let (shown, ours, theirs) = tail.accounts(BEYOND).await;
        assert!(ours > 0 && theirs == 0, "{shown} shown, {ours} skipped, {theirs} dropped by the broker");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_drops_for_a_slow_reader_is_told_by_its_own_count() {
    // At QoS 1 twenty messages are under way to a reader at a time, and so many more wait for it.
    let Some(broker) = own(&["--queue", "100"]) else { return };
    let topic = unique("dropped");
    let (tail, read) = Tail::start(&broker, &topic).await;
    read();
    if flood(&broker, &topic, "1", MANY).is_some() {
        let (shown, ours, theirs) = tail.accounts(MANY).await;
        assert!(theirs > 0, "{shown} shown, {ours} skipped, {theirs} dropped by the broker");
    }
}
