//! A transaction that stays open: consumers get nothing of what is written behind it, and whoever watches is told why.

use crate::support::clients::{self, Talk};
use crate::support::program::Home;
use crate::support::subjects::{Listener, connect, outgoing};
use crate::support::{SOON, kafka, topics};
use mqdeck::config::profile::Integration;
use mqdeck::domain::tail::TailEvent;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_behind_an_open_transaction_says_so_and_gives_everything_when_it_is_over() {
    let Some(kafka) = kafka::shared() else { return };
    for (end, given) in [("commit", vec!["0", "1", "2", "behind"]), ("abort", vec!["behind"])] {
        let topic: Arc<str> = topics::create(kafka.plain(), "held", 1, 1, &[]).await.into();
        let Some(script) = clients::script("kafka/groups.py", &[kafka.plain(), "transaction", &topic, "0"]) else { return };
        let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
        let mut tail = Listener::start(&session, std::slice::from_ref(&topic)).await;
        let mut open = Talk::start(script);
        open.hears("open");
        session.publish.expect("Kafka takes messages").publish(&topic, outgoing(0, None, Some("behind"))).await.expect("stored");
        tail.until("the reason", SOON, |tail| tail.said.iter().any(|event| matches!(event, TailEvent::Waits(Some(_))))).await;
        let TailEvent::Waits(Some(why)) = &tail.said[0] else { panic!("{:?}", tail.said) };
        assert!(why.as_str().contains(&format!("an open transaction holds back {topic} partition 0 from offset 0 on")), "{why}");
        assert!(tail.messages.is_empty(), "{:?}", tail.messages);
        open.say(end);
        open.hears("over");
        tail.until("the end of it", SOON, |tail| tail.said.contains(&TailEvent::Waits(None))).await;
        let values: Vec<_> = tail.messages.iter().filter_map(|m| m.payload.as_deref()).map(String::from_utf8_lossy).collect();
        assert_eq!(values, given, "{end}");
        assert_eq!(tail.said.len(), 2, "{:?}", tail.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_and_the_console_say_what_holds_messages_back() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "held", 1, 1, &[]).await;
    let Some(script) = clients::script("kafka/groups.py", &[kafka.plain(), "transaction", &topic, "0"]) else { return };
    let (home, url) = (Home::new(), format!("kafka://{}", kafka.plain()));
    let mut open = Talk::start(script);
    open.hears("open");
    // Both begin while the transaction is open already.
    let address = format!("{}/{topic}", home.integration(&url));
    let mut command = home.mqdeck(&["--url", &url, "tail", &address, "--limit", "1"]);
    let mut command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let tape = format!(
        "Set Width 160\nSet Height 30\nSet WaitTimeout 15s\nWait /1 of 1 ok/\nType \"2\"\nWait /› Channels/\nType \"/{topic}\"\nEnter\n\
         Wait /shown 1 of/\nEnter\nWait /● live/\nWait /▲ Waits: an open transaction holds back {topic}/\n"
    );
    let tape = home.write("held.tape", &tape);
    let tape = home.mqdeck(&["--url", &url, "play", &tape.to_string_lossy()]).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut said = BufReader::new(command.stderr.take().expect("its complaints")).lines();
    let line = said.next().expect("a line").expect("text");
    assert!(line.contains("waits: an open transaction holds back") && line.contains("3 offsets"), "{line}");
    let played = tape.wait_with_output().expect("the tape ends");
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    open.say("commit");
    open.hears("over");
    assert!(command.wait_with_output().expect("it ends at its limit").status.success());
}
