//! Core NATS against a real server and another client: requests and replies, services, queue groups.

use crate::support::program::Home;
use crate::support::subjects::{connect, header, manage};
use crate::support::{SOON, clients, nats, unique};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::delivery::{Effect, Settlement, Ticket};
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::group::Halt;
use mqdeck::domain::message::{Message, Outgoing};
use mqdeck::domain::receipt::Receipt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;
use tokio::time::timeout;

/// Longer than any test: what ends with the first reply, or because nobody is there, does not wait for it.
const WAIT: Duration = SOON.saturating_mul(60);

/// A service in Python; dropping it ends it.
struct Service {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Service {
    fn start(address: &str, name: &str, group: &[&str]) -> Option<Self> {
        let mut arguments = vec![address, name];
        arguments.extend(group);
        let mut command = clients::script("nats/service.py", &arguments)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script runs");
        let mut service = Self { out: BufReader::new(child.stdout.take().expect("piped")), child };
        assert_eq!(service.line(), "ready");
        Some(service)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("the script speaks");
        line.trim().to_owned()
    }

    /// Ends it; how many messages of the queue group it was given.
    fn end(mut self) -> u64 {
        drop(self.child.stdin.take());
        self.line().parse().expect("a number")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.stdin.take().map(|mut input| input.flush());
        self.child.wait().expect("the script ends");
    }
}

async fn ask(session: &Session, channel: &str, request: Outgoing) -> Result<Vec<Message>, Fault> {
    let asked = async {
        let replies = session.call.as_ref().expect("NATS has requests").call(channel, request, WAIT).await?;
        replies.collect::<Vec<_>>().await.into_iter().collect()
    };
    tokio::time::timeout(SOON, asked).await.expect("the first reply ends it")
}

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_another_client_is_found_and_answers() {
    let Some(nats) = nats::shared() else { return };
    let name = unique("echo").replace('.', "-");
    let (Some(_one), Some(_two)) = (Service::start(nats.address(), &name, &[]), Service::start(nats.address(), &name, &[])) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let listed = session.inspect.channels().await.expect("a list");
    let row = |channel: &str| listed.iter().find(|row| *row.name == *channel).unwrap_or_else(|| panic!("{channel} is not listed"));
    let service = row(&format!("service:{name}"));
    let told: Vec<(&str, &str)> = service.attributes.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect();
    assert_eq!(told, [("instances", "2"), ("version", "1.2.3"), ("about", "tells back")]);
    assert!(service.can.call && row(&format!("{name}.echo")).can.call, "both can be asked");
    let described = session.inspect.describe(&format!("service:{name}")).await.expect("a description");
    assert_eq!(described.tables[0].rows.len(), 4, "two endpoints of two instances: {described:?}");

    let request = Outgoing { headers: vec![header("trace", Some(b"7"))], ..text("漢字") };
    let replies = ask(&session, &format!("{name}.echo"), request).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!((replies.len(), replies[0].payload.as_deref()), (1, Some("漢字".as_bytes())));
    assert_eq!(replies[0].headers, [header("trace", Some(b"7"))]);
    let all = Outgoing { options: vec![("replies", "0".to_owned())], ..text("") };
    let session_call = session.call.as_ref().expect("requests");
    let replies = session_call.call(&format!("$SRV.PING.{name}"), all, WAIT).await.expect("asked");
    let two = tokio::time::timeout(SOON, replies.take(2).collect::<Vec<_>>()).await.expect("each instance replies");
    assert!(two.iter().all(Result::is_ok), "{two:?}");
    // A service's own error is a reply, and no success.
    let failing = format!("{name}.fail");
    let replies = session_call.call(&failing, text("x"), WAIT).await.expect("asked");
    let replies: Vec<Result<Message, Fault>> = tokio::time::timeout(SOON, replies.collect()).await.expect("the first reply ends it");
    let [Ok(reply), Err(fault)] = &replies[..] else { panic!("{replies:?}") };
    assert!(reply.headers.contains(&header("Nats-Service-Error-Code", Some(b"500"))), "{reply:?}");
    assert!(fault.kind == Kind::Rejected && fault.cause.as_str().contains("500 it always fails"), "{fault}");
    let (home, url) = (Home::new(), format!("nats://{}", nats.address()));
    let done = home.mqdeck(&["--url", &url, "rpc", "call", &format!("nats/{failing}"), "x"]).output().expect("the program runs");
    assert!(!done.status.success() && String::from_utf8_lossy(&done.stderr).contains("500 it always fails"), "{done:?}");
    let both = format!("nats/$SRV.PING.{name}");
    for (arguments, lines) in [(&["--replies", "2"][..], 2), (&["--replies", "0", "--wait", "5s"], 2), (&[], 1)] {
        let arguments = [&["--url", &url, "rpc", "call", &both, "--json"], arguments].concat();
        let done = home.mqdeck(&arguments).output().expect("the program runs");
        assert!(done.status.success(), "{done:?}");
        assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), lines, "{arguments:?}: {done:?}");
    }

    let fault = ask(&session, &format!("service:{name}"), text("x")).await.expect_err("two endpoints");
    assert!(fault.kind == Kind::Usage && fault.next.as_str().contains(&format!("{name}.echo, {name}.fail")), "{fault}");
    let fault = ask(&session, &format!("{name}.nobody"), text("x")).await.expect_err("nobody");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
    let reader = connect(nats.as_user("reader")).await.expect("connected");
    let fault = ask(&reader, &format!("{name}.echo"), text("x")).await.expect_err("forbidden");
    assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_group_gives_no_more_than_was_asked_for_and_says_that_it_is_gone() {
    let Some(nats) = nats::shared() else { return };
    let name = unique("work").replace('.', "-");
    let Some(member) = Service::start(nats.address(), &name, &["--group", &format!("{name}.>"), "workers"]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let (hold, channel) = (session.hold.as_ref().expect("receiving"), format!("queue:{name}.>/workers"));
    let described = session.inspect.describe(&channel).await.expect("a description");
    assert!(described.channel.attributes.iter().any(|attribute| attribute.name.as_str() == "warning"), "{described:?}");
    assert_eq!((hold.verbs(&channel), hold.ack_timeout(&channel).await), (&[][..], Ok(None)));
    assert!(session.tail.as_ref().expect("a tail").tail(&[channel.as_str().into()]).await.is_err(), "looking takes nothing");
    let mut holding = hold.hold(&channel, 3).await.unwrap_or_else(|fault| panic!("{fault}"));
    for n in 0..200 {
        let publish = session.publish.as_ref().expect("publishing");
        assert_eq!(publish.publish(&format!("{name}.a"), text(&n.to_string())).await, Ok(Receipt::Accepted));
    }
    for _ in 0..3 {
        let delivery = holding.next().await.expect("three").unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!((delivery.ticket, &*delivery.message.channel), (None, format!("{name}.a").as_str()));
    }
    assert!(holding.next().await.is_none(), "no more than three");
    let settlement = Settlement { effect: Effect::Ack, arguments: Vec::new() };
    assert!(holding.settle(Ticket { epoch: 1, id: 1 }, &settlement).await.is_err());
    assert_eq!(
        holding.release().await.as_deref(),
        Ok("nothing was left unsettled; 3 messages taken from the queue group, which does not get them back")
    );
    assert_eq!(member.end(), 197, "the others went to the other member");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_messages_are_acknowledged_than_are_held_at_a_time() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:MANY", "stream.create", &[]).await;
    manage(&session, "nats/stream:MANY", "consumer.create", &[("name", "worker")]).await;
    let publish = session.publish.as_ref().expect("publishing");
    let sent = (0..350).map(|n| publish.publish("stream:MANY", text(&n.to_string())));
    for receipt in futures::future::join_all(sent).await {
        receipt.unwrap_or_else(|fault| panic!("{fault}"));
    }
    let (home, url) = (Home::new(), format!("nats://{}", nats.address()));
    let arguments = ["--url", &url, "receive", "nats/consumer:MANY/worker", "--ack", "--limit", "300"];
    let done = home.mqdeck(&arguments).output().expect("the program runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("300 received, 300 settled"), "{said}");
    assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_given_nothing_says_why() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:WORK", "stream.create", &[]).await;
    let config = r#"{"stream_name":"WORK","config":{"durable_name":"few","ack_policy":"explicit","max_ack_pending":2}}"#;
    let made = ask(&session, "$JS.API.CONSUMER.DURABLE.CREATE.WORK.few", text(config)).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(!String::from_utf8_lossy(made[0].payload.as_deref().unwrap_or_default()).contains("error"), "{made:?}");
    manage(&session, "nats/stream:WORK", "consumer.create", &[("name", "resting")]).await;
    manage(&session, "nats/group:WORK/resting", "consumer.pause", &[]).await;
    for n in 0..4 {
        session.publish.as_ref().expect("publishing").publish("stream:WORK", text(&n.to_string())).await.expect("stored");
    }
    let mut holding = session.hold.as_ref().expect("receiving").hold("consumer:WORK/few", 2).await.expect("held");
    for _ in 0..2 {
        holding.next().await.expect("it goes on").unwrap_or_else(|fault| panic!("{fault}"));
    }
    let listed = session.groups.as_ref().expect("groups").groups().await.expect("a list");
    let halts: Vec<(&str, Option<Halt>)> = listed.groups.iter().map(|group| (&*group.name, group.halt.clone())).collect();
    let [few, (resting, Some(Halt::Paused { .. }))] = halts.as_slice() else { panic!("{halts:?}") };
    assert_eq!((few, *resting), (&("WORK/few", Some(Halt::Unacknowledged(2))), "WORK/resting"));
    holding.release().await.expect("given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_empty_because_jetstream_is_off_says_so() {
    let Some(nats) = nats::own(&["--no-jetstream"]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let listed = session.inspect.channels().await.expect("a list");
    let [row] = &listed[..] else { panic!("{listed:?}") };
    assert!(row.fault.as_ref().is_some_and(|fault| fault.cause.as_str().contains("JetStream is not enabled")), "{row:?}");
    // With something to list it is no fault of the list.
    assert_eq!(session.publish.as_ref().expect("publishing").publish("a.b", text("x")).await, Ok(Receipt::Accepted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_whose_stream_is_not_answered_for_holds_up_no_other() {
    let Some(nats) = nats::shared() else { return };
    let (address, mut unanswered) = nats.without("STREAM.NAMES", "slow.").await;
    let mut integration = Integration::new("nats", "nats", vec![address]);
    // Longer than the test waits.
    integration.timeout = SOON * 10;
    let session = connect(integration).await.expect("NATS is there");
    let publish = session.publish.clone().expect("it takes messages");
    let text = || Outgoing { payload: Some("x".into()), ..Outgoing::default() };
    let [slow, quick] = ["slow", "quick"].map(unique);
    let waiting = tokio::spawn({
        let (publish, message) = (publish.clone(), text());
        async move { publish.publish(&slow, message).await }
    });
    timeout(SOON, unanswered.wait_for(|count| *count > 0)).await.expect("it is asked for").expect("the way is open");
    for _ in 0..3 {
        timeout(SOON, publish.publish(&quick, text())).await.expect("it waits for nothing of another subject").expect("sent");
    }
    assert!(!waiting.is_finished(), "the other one is not answered all the time");
    waiting.abort();
}
