//! A RabbitMQ whose memory runs out: it takes nothing from publishers, and everything else goes on.

use crate::support::program::{self, Home};
use crate::support::rabbitmq::{self, letter, queue};
use crate::support::{SOON, until};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::receipt::Receipt;
use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_named_ends_every_publish_and_keeps_nobody_from_reading() {
    let Some(rabbit) = rabbitmq::own() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "alarm", "classic").await;
    let channel = format!("queue:{name}");
    let publish = session.publish.clone().expect("RabbitMQ takes messages");
    publish.publish(&channel, letter(None, "before")).await.expect("published");
    let node = rabbit.ctl(&["eval", "node()."]).trim().trim_matches('\'').to_owned();

    rabbit.ctl(&["set_vm_memory_high_watermark", "0.0001"]);
    for body in ["small".to_owned(), "x".repeat(6_000_000), "small again".to_owned()] {
        let letter = letter(None, &body);
        let publishing = tokio::time::timeout(SOON, publish.publish(&channel, letter));
        // What is read comes by another connection, also while a publish waits.
        let (published, looked, there) =
            tokio::join!(publishing, session.peek.as_ref().expect("RabbitMQ has queues").peek(&channel, 10), session.inspect.ping());
        let fault = published.expect("in time").expect_err("blocked");
        assert!(matches!(fault.kind, Kind::Timeout | Kind::Rejected), "{fault}");
        let words = format!("the server blocks publishers (low on memory), and has not confirmed it: memory alarm of {node}");
        assert!(fault.cause.as_str().contains(&words), "{fault}");
        assert!(looked.expect("a look").deliveries.iter().any(|delivery| delivery.message.payload.as_deref() == Some(b"before")));
        there.expect("it is there");
    }
    let listed = session.inspect.channels().await.expect("a list");
    let row = listed.iter().find(|channel| &*channel.name == "vhost:/").expect("its row");
    let fault = row.fault.as_ref().expect("the alarm");
    assert_eq!(fault.cause.as_str(), format!("publishers are blocked: memory alarm of {node}"));
    assert!(row.blocks);

    let call = session.call.as_ref().expect("RabbitMQ takes requests");
    let called = tokio::time::timeout(SOON, call.call(&channel, letter(None, "request"), SOON)).await.expect("in time");
    let fault = called.err().expect("blocked");
    assert!(fault.cause.as_str().contains(&format!("memory alarm of {node}")), "{fault}");

    rabbit.ctl(&["set_vm_memory_high_watermark", "0.6"]);
    let taken = async || publish.publish(&channel, letter(None, "after")).await.ok();
    assert_eq!(until("publishing to go on", SOON, taken).await, Receipt::Routed);
    let listed = session.inspect.channels().await.expect("a list");
    assert!(listed.iter().all(|channel| !channel.blocks), "the alarm is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_command_ends_with_the_alarm_s_name() {
    let Some(rabbit) = rabbitmq::own() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "alarm", "classic").await;
    let node = rabbit.ctl(&["eval", "node()."]).trim().trim_matches('\'').to_owned();
    rabbit.ctl(&["set_vm_memory_high_watermark", "0.0001"]);
    let home = Home::new();
    let url = format!("amqp://guest:guest@{}?management_url={}", rabbit.fact("AMQP"), rabbit.fact("MANAGEMENT"));
    let (large, lines) = (home.write("large", &"x".repeat(6_000_000)), home.write("lines", &lines()));
    let from = format!("@{}", large.to_str().expect("a path"));
    let target = format!("rabbitmq/queue:{name}");
    let single = home.mqdeck(&["--url", &url, "publish", &target, &from]);
    let mut many = home.mqdeck(&["--url", &url, "publish", &target, "--lines"]);
    many.stdin(Stdio::from(std::fs::File::open(&lines).expect("the lines")));
    for mut command in [single, many] {
        let (text, status) = ended(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs")).await;
        assert!(!status.success() && text.contains(&format!("memory alarm of {node}")), "{status} {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_command_whose_server_takes_nothing_more() {
    let Some(rabbit) = rabbitmq::own() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "alarm", "classic").await;
    let home = Home::new();
    let url = format!("amqp://guest:guest@{}?management_url={}", rabbit.fact("AMQP"), rabbit.fact("MANAGEMENT"));
    let target = format!("rabbitmq/queue:{name}");
    let alarm = || _ = rabbit.ctl(&["set_vm_memory_high_watermark", "0.0001"]);
    let over = || _ = rabbit.ctl(&["set_vm_memory_high_watermark", "0.6"]);
    let (frozen, thawed) = (|| rabbit.freeze(), || rabbit.thaw());
    let cases: [[&dyn Fn(); 2]; 2] = [[&alarm, &over], [&frozen, &thawed]];
    for [stop, go] in cases {
        let mut publish = home.mqdeck(&["--url", &url, "publish", &target, "--lines", "--json"]);
        let mut child = publish.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut input = child.stdin.take().expect("its input");
        let stored = program::lines(child.stdout.take().expect("its output"));
        input.write_all(b"{\"value\":1}\n").expect("it reads");
        stored.recv_timeout(SOON).expect("stored");
        stop();
        // More than a pipe holds: when all is written, it has read the first lines. It may have ended over them by then.
        let _ = lines().lines().take(5).try_for_each(|line| writeln!(input, "{line}"));
        kill("-TERM", child.id());
        let (text, status) = ended(child).await;
        go();
        assert!(!status.success(), "{status} {text}");
    }
}

fn lines() -> String {
    let value = "x".repeat(20_000);
    (0..2_000).map(|n| format!("{{\"value\":\"{n} {value}\"}}\n")).collect()
}

/// Waits for the end of a command; what it said, and how it ended.
async fn ended(child: Child) -> (String, ExitStatus) {
    let id = child.id();
    let waited = tokio::task::spawn_blocking(move || child.wait_with_output());
    match tokio::time::timeout(SOON, waited).await {
        Ok(output) => {
            let output = output.expect("it was waited for").expect("it ended");
            (String::from_utf8_lossy(&output.stderr).into_owned(), output.status)
        }
        Err(_) => {
            kill("-KILL", id);
            panic!("the command has not ended within {SOON:?}")
        }
    }
}

fn kill(signal: &str, id: u32) {
    let _ = Command::new("kill").args([signal, &id.to_string()]).status();
}
