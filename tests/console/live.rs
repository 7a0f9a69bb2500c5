//! The console on a real Kafka: live traffic, hostile text, and a broker that dies.

use super::{SOON, console};
use crate::support::program::Home;
use crate::support::subjects::{connect, header, outgoing};
use crate::support::terminal::Terminal;
use crate::support::{kafka, topics};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::message::Outgoing;

async fn session(address: &str) -> Session {
    connect(Integration::new("events", "kafka", vec![address.to_owned()])).await.expect("Kafka is there")
}

/// The console on the live traffic of a topic.
fn traffic(home: &Home, bootstrap: &str, topic: &str, size: (u16, u16)) -> Terminal {
    let mut terminal = console(home, &["--url", &format!("kafka://{bootstrap}")], size);
    terminal.wait_for("127.0.0.1", SOON);
    terminal.press("2");
    assert!(terminal.comes_to_show("› Channels", SOON), "a key pressed at once is lost; the screen:\n{}", terminal.screen());
    terminal.press("/");
    terminal.press(topic);
    terminal.press("\r");
    terminal.wait_until("the one topic is listed", SOON, |screen| screen.matches(topic).count() >= 2 || screen.contains("shown 1 of"));
    terminal.press("\r");
    // Until then the ends of the partitions are being looked up.
    terminal.wait_for("● live", SOON);
    terminal
}

#[tokio::test(flavor = "multi_thread")]
async fn live_traffic_is_shown_small_and_wide() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "screen", 2, 1, &[]).await;
    let publish = session(kafka.plain()).await.publish.expect("Kafka takes messages");
    for size in [(80, 24), (160, 45)] {
        let home = Home::new();
        let mut terminal = traffic(&home, kafka.plain(), &topic, size);
        for n in 0..40 {
            let payload = format!("{{\"id\":\"o-{n}\",\"total\":129.90}}");
            publish.publish(&topic, outgoing(n % 2, Some(&format!("c-{n}")), Some(&payload))).await.expect("stored");
        }
        terminal.wait_for("seen 40", SOON);
        terminal.wait_until("the newest message", SOON, |screen| screen.contains("c-39") && screen.contains("129.90"));
        terminal.press("\r");
        terminal.wait_until("the detail", SOON, |screen| screen.contains("total") && screen.contains("JSON"));
        terminal.press("\x03\x03");
        terminal.wait_exit(SOON);
        assert!(terminal.is_restored());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_came_from_outside_reaches_the_terminal_as_it_is() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "hostile", 1, 1, &[]).await;
    let publish = session(kafka.plain()).await.publish.expect("Kafka takes messages");
    // Each carries a word of its own, so that it can be seen that it was shown at all.
    let hostile = |word: &str| format!("{word}\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\u{ad}\u{e0041}\r\n\t\0\x08");
    let message = Outgoing {
        headers: vec![header(&hostile("hname"), Some(hostile("hvalue").as_bytes())), header("raw", Some(b"\x1b[31m\xff\x9b2J"))],
        ..outgoing(0, Some(&hostile("hkey")), Some(&hostile("hbody")))
    };
    let json = format!("{{\"{}\":\"{}\"}}", "jname\\u001b[2J\\u202e", "jvalue\\u001b]52;c;b3duZWQ=\\u0007");
    let home = Home::new();
    let mut terminal = traffic(&home, kafka.plain(), &topic, (160, 45));
    let mark = terminal.count();
    publish.publish(&topic, message).await.expect("stored");
    terminal.wait_until("the message", SOON, |screen| screen.contains("hkey") && screen.contains("seen 1"));
    terminal.press("\r");
    terminal.wait_until("its headers", SOON, |screen| screen.contains("hname") && screen.contains("hbody"));
    publish.publish(&topic, outgoing(0, Some("k"), Some(&json))).await.expect("stored");
    terminal.wait_until("the second message", SOON, |screen| screen.contains("seen 2") || screen.contains("1 new"));
    for _ in ["whole lines", "and back"] {
        let before = terminal.count();
        terminal.press("w");
        assert!(terminal.byte_after(before, SOON).is_some(), "nothing was drawn");
    }
    // What is drawn for the last key is written before what is drawn for a later one.
    terminal.press("?");
    terminal.wait_for("Half a page up", SOON);

    let raw = terminal.raw().split_off(mark);
    let text = String::from_utf8(raw).expect("what leaves is UTF-8");
    for c in ['\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{ad}', '\u{e0041}', '\0', '\x08', '\x07'] {
        assert!(!text.contains(c), "{c:?} left the program");
    }
    for sequence in ["\x1b]0;", "\x1b]52", "\x1b[2J"] {
        assert!(!text.contains(sequence), "{sequence:?} left the program");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_is_shown_and_so_is_its_return() {
    let Some(mut kafka) = kafka::own(&[]) else { return };
    let topic = topics::create(kafka.plain(), "dies", 1, 1, &[]).await;
    let home = Home::new();
    let mut terminal = traffic(&home, kafka.plain(), &topic, (120, 40));
    terminal.press("1");
    terminal.wait_until("the broker is shown as well", SOON, |screen| screen.contains("ok") && !screen.contains("down"));
    kafka.kill(1);
    terminal.wait_for("down", SOON);
    kafka.restart();
    terminal.wait_until("the broker is shown as well again", SOON, |screen| screen.contains("ok") && !screen.contains("down"));
    terminal.press("\x03\x03");
    terminal.wait_exit(SOON);
}
