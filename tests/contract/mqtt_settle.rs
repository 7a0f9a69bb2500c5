//! MQTT by a real Mosquitto: holding messages, and requests with their answers.

use crate::support::mosquitto::{Peer, own, shared};
use crate::support::program::{Home, lines};
use crate::support::{SOON, unique};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::domain::delivery::{Delivery, Effect, Settlement};
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::message::{Message, Outgoing};
use mqdeck::domain::receipt::Receipt;
use mqdeck::gateway::hold::Tickets;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::time::timeout;

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

fn ack() -> Settlement {
    Settlement { effect: Effect::Ack, arguments: Vec::new() }
}

fn payload(message: &Message) -> String {
    String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
}

async fn publish(session: &Session, topic: &str, qos: &str, payload: &str) {
    let message = Outgoing { options: vec![("qos", qos.to_owned())], ..text(payload) };
    session.publish.as_ref().expect("MQTT takes messages").publish(topic, message).await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_if_the_session_is_kept() {
    let Some(broker) = shared() else { return };
    for version in ["5", "3.1.1"] {
        let id = unique("keeper");
        let topic = unique("held");
        let session = broker.session(&[("version", version), ("client_id", &id), ("clean_session", "false")]).await;
        let hold = session.hold.as_ref().expect("MQTT holds");
        assert_eq!(hold.verbs(&topic).iter().map(|verb| verb.effect).collect::<Vec<_>>(), [Effect::Ack]);
        let mut held = hold.hold(&topic, 10).await.expect("receiving");
        for (qos, number) in [("1", "one"), ("2", "two"), ("1", "three"), ("0", "loose")] {
            publish(&session, &topic, qos, number).await;
        }
        let mut got = Vec::new();
        while got.len() < 4 {
            got.push(timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect("a delivery"));
        }
        let ticket = |number: &str| got.iter().find(|delivery| payload(&delivery.message) == number).expect(number).ticket;
        assert!(got.iter().all(|delivery| !delivery.redelivered));
        assert_eq!(ticket("loose"), None, "QoS 0 cannot be held");
        let early = held.settle(ticket("three").expect("a ticket"), &ack()).await.expect_err("one came before it");
        assert!(early.kind == Kind::Rejected && early.cause.as_str().contains("2 before it"), "{early}");
        for number in ["one", "two"] {
            held.settle(ticket(number).expect("a ticket"), &ack()).await.expect("acknowledged");
        }
        let again = held.settle(ticket("one").expect("a ticket"), &ack()).await.expect_err("acknowledged already");
        assert_eq!(again.kind, Kind::Lost, "{again}");
        let reject = Settlement { effect: Effect::Reject, arguments: Vec::new() };
        let fault = held.settle(ticket("three").expect("a ticket"), &reject).await.expect_err("MQTT cannot reject");
        assert_eq!(fault.kind, Kind::Usage, "{fault}");
        let said = held.release().await.expect("released");
        assert!(said.starts_with("1 unsettled message is kept"), "{said}");

        publish(&session, &topic, "1", "while away").await;
        let mut held = hold.hold(&topic, 10).await.expect("receiving");
        let mut again = Vec::new();
        while again.len() < 2 {
            let delivery = timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect("a delivery");
            held.settle(delivery.ticket.expect("a ticket"), &ack()).await.expect("acknowledged");
            let number = payload(&delivery.message);
            assert!(delivery.redelivered || number != "three", "{version}");
            again.push(number);
        }
        again.sort();
        assert_eq!(again, ["three", "while away"], "{version}");
        assert!(held.release().await.expect("released").starts_with("nothing was left unsettled"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_given_out_than_was_asked_for_until_something_is_acknowledged() {
    let Some(broker) = shared() else { return };
    for version in ["5", "3.1.1"] {
        let topic = unique("most");
        let session = broker.session(&[("version", version)]).await;
        let mut held = session.hold.as_ref().expect("MQTT holds").hold(&topic, 2).await.expect("receiving");
        for n in 0..5 {
            publish(&session, &topic, "1", &n.to_string()).await;
        }
        let mut tickets = Vec::new();
        for n in 0..2 {
            let delivery = timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect("a delivery");
            assert_eq!(payload(&delivery.message), n.to_string());
            tickets.push(delivery.ticket.expect("a ticket"));
        }
        assert!(timeout(Duration::from_millis(300), held.next()).await.is_err(), "{version}: a third was given out");
        held.settle(tickets[0], &ack()).await.expect("acknowledged");
        let third = timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect("a delivery");
        assert_eq!(payload(&third.message), "2", "{version}");
        assert!(held.release().await.expect("released").starts_with("2 unsettled messages"));
    }
}

async fn take(held: &mut Tickets) -> Delivery {
    timeout(SOON, held.next()).await.expect("in time").expect("goes on").expect("a delivery")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_enough_the_others_of_the_group_get_everything_and_what_is_held_is_still_acknowledged() {
    let Some(broker) = shared() else { return };
    for version in ["5", "3.1.1"] {
        let (topic, session) = (unique("enough"), broker.session(&[("version", version)]).await);
        let (share, hold) = (format!("$share/team/{topic}"), session.hold.as_ref().expect("MQTT holds"));
        let mut one = hold.hold(&share, 10).await.expect("one");
        for n in 0..2 {
            publish(&session, &topic, "1", &format!("held {n}")).await;
        }
        let (first, second) = (take(&mut one).await, take(&mut one).await);
        one.stop_receiving().await.expect("told");
        let mut other = hold.hold(&share, 10).await.expect("the other");
        for n in 0..5 {
            publish(&session, &topic, "1", &n.to_string()).await;
        }
        for n in 0..5 {
            assert_eq!(payload(&take(&mut other).await.message), n.to_string(), "{version}");
        }
        assert!(!one.is_lost(first.ticket.expect("a ticket")));
        one.settle(first.ticket.expect("a ticket"), &ack()).await.expect("acknowledged");
        one.settle(second.ticket.expect("a ticket"), &ack()).await.expect("acknowledged");
        assert!(one.release().await.expect("released").starts_with("nothing was left unsettled"), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_kept_goes_on_collecting_after_enough() {
    let Some(broker) = shared() else { return };
    for version in ["5", "3.1.1"] {
        let (id, topic) = (unique("collector"), unique("enough"));
        let session = broker.session(&[("version", version), ("client_id", &id), ("clean_session", "false")]).await;
        let hold = session.hold.as_ref().expect("MQTT holds");
        let mut held = hold.hold(&topic, 1).await.expect("receiving");
        for n in 0..3 {
            publish(&session, &topic, "1", &n.to_string()).await;
        }
        let first = take(&mut held).await;
        held.stop_receiving().await.expect("told");
        held.settle(first.ticket.expect("a ticket"), &ack()).await.expect("acknowledged");
        publish(&session, &topic, "1", "later").await;
        held.release().await.expect("released");
        let mut held = hold.hold(&topic, 10).await.expect("receiving");
        let mut rest = Vec::new();
        for _ in 0..3 {
            let delivery = take(&mut held).await;
            rest.push(payload(&delivery.message));
            held.settle(delivery.ticket.expect("a ticket"), &ack()).await.expect("acknowledged");
        }
        assert_eq!(rest, ["1", "2", "later"], "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_by_whoever_serves_it() {
    let Some(broker) = shared() else { return };
    let topic = unique("service");
    let Some(_service) = Peer::start(&["answer", broker.port(), &topic]) else { return };
    let session = broker.session(&[]).await;
    let call = session.call.as_ref().expect("MQTT 5 has requests");
    for number in ["a", "b"] {
        let mut replies = call.call(&topic, text(number), SOON).await.expect("a request");
        for n in 1..=2 {
            let reply = timeout(SOON, replies.next()).await.expect("in time").expect("a reply").expect("no fault");
            assert_eq!(payload(&reply), format!("{n}: {number}"));
            assert!(reply.channel.contains("/replies/"), "{}", reply.channel);
        }
    }
    // Who asks does not know how many replies there are: the time ends it, with those that came.
    let replies = call.call(&topic, text("c"), Duration::from_millis(300)).await.expect("a request");
    let came = timeout(SOON, replies.filter(|reply| std::future::ready(reply.is_ok())).count()).await.expect("it ends");
    assert!(came <= 2, "{came}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_serves_is_told_at_once() {
    // Not the broker that others use: whoever listens to all topics of it is somebody.
    let Some(broker) = own(&[]) else { return };
    let session = broker.session(&[]).await;
    let call = session.call.as_ref().expect("MQTT 5 has requests");
    let topic = unique("nobody");
    let asked = call.call(&topic, text("x"), SOON * 60);
    let fault = timeout(SOON, asked).await.expect("at once").err().expect("nobody is there");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
    assert!(broker.session(&[("version", "3.1.1")]).await.call.is_none(), "3.1.1 cannot say where an answer is to go");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_of_a_group_takes_and_does_not_acknowledge_no_other_gets_and_that_is_said() {
    let Some(broker) = shared() else { return };
    for (version, clean) in [("5", true), ("3.1.1", true), ("5", false), ("3.1.1", false)] {
        let (topic, id) = (unique("taken"), unique("member"));
        let share = format!("$share/team/{topic}");
        let session =
            broker.session(&[("version", version), ("client_id", &id), ("clean_session", if clean { "true" } else { "false" })]).await;
        let hold = session.hold.as_ref().expect("MQTT holds");
        let others = broker.session(&[("version", version)]).await;
        assert_eq!(hold.warning(&topic), None, "a subscription of one's own takes nothing away");
        let warning = hold.warning(&share).expect("it takes from others");
        assert!(warning.contains(if clean { "lost to them" } else { "our client id alone" }), "{warning}");
        let mut one = hold.hold(&share, 10).await.expect("one");
        for (qos, number) in [("1", "a"), ("2", "b"), ("0", "c"), ("1", "d")] {
            publish(&others, &topic, qos, number).await;
        }
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(take(&mut one).await);
        }
        let done = taken.iter().find(|delivery| payload(&delivery.message) == "a").and_then(|delivery| delivery.ticket);
        one.settle(done.expect("a ticket"), &ack()).await.expect("acknowledged");
        let mut other = others.hold.as_ref().expect("MQTT holds").hold(&share, 10).await.expect("the other");
        let said = one.release().await.expect("released");
        let fate = if clean { "Mosquitto does not" } else { "for no other member of the group" };
        assert!(said.starts_with("2 unsettled messages: ") && said.contains(fate), "{version} {clean}: {said}");
        assert!(said.ends_with("1 of QoS 0 were taken from the group for good"), "{version} {clean}: {said}");
        let given = timeout(Duration::from_millis(700), other.next()).await;
        assert!(
            given.is_err(),
            "{version} {clean}: this broker gives them to nobody else, and what is said is not true any more: {given:?}"
        );
        let mut again = hold.hold(&share, 10).await.expect("one again");
        for number in if clean { &[][..] } else { &["b", "d"][..] } {
            assert_eq!(payload(&take(&mut again).await.message), *number, "{version} {clean}");
        }
        assert!(timeout(Duration::from_millis(300), again.next()).await.is_err(), "{version} {clean}: more came");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_warns_before_it_takes_from_a_group() {
    let Some(broker) = shared() else { return };
    let session = broker.session(&[]).await;
    let (topic, url, home) = (unique("warned"), format!("mqtt://{}", broker.at("PLAIN")), Home::new());
    let share = format!("mqtt/$share/team/{topic}");
    let mut command = home.mqdeck(&["--url", &url, "receive", &share, "--limit", "1", "--wait", "60s", "--json"]);
    let mut receiving = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let said = lines(receiving.stderr.take().expect("its errors"));
    let first = said.recv_timeout(SOON).expect("a warning");
    assert!(first.contains("the group's other members do not get"), "{first}");
    // It subscribes a moment later: what nobody is there for is dropped.
    let until = Instant::now() + SOON;
    while receiving.try_wait().expect("it runs").is_none() && Instant::now() < until {
        publish(&session, &topic, "1", "x").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let last = said.iter().last().unwrap_or_default();
    assert!(last.contains("1 received; 1 unsettled message is given to the group only if"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_subscription_takes_part_of_the_messages() {
    let Some(broker) = shared() else { return };
    let session = broker.session(&[]).await;
    let topic = unique("work");
    let share = format!("$share/team/{topic}");
    let hold = session.hold.as_ref().expect("MQTT holds");
    let (mut one, mut two) = (hold.hold(&share, 100).await.expect("one"), hold.hold(&share, 100).await.expect("two"));
    for n in 0..10 {
        publish(&session, &topic, "1", &n.to_string()).await;
    }
    let mut seen = Vec::new();
    let mut parts = [0, 0];
    while seen.len() < 10 {
        let next = async {
            tokio::select! {
                delivery = one.next() => (0, delivery),
                delivery = two.next() => (1, delivery),
            }
        };
        let (who, delivery) = timeout(SOON, next).await.expect("in time");
        seen.push(payload(&delivery.expect("goes on").expect("a delivery").message));
        parts[who] += 1;
    }
    assert!(parts.iter().all(|part| *part > 0), "each has a part of them: {parts:?}");
    seen.sort();
    assert_eq!(seen, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    let receipt = session.publish.as_ref().expect("publish").publish(&topic, text("x")).await;
    assert_eq!(receipt, Ok(Receipt::Accepted));
}

/// Takes what comes to both until one of them is told for good that it is over: which one, and why. Each time either is interrupted is counted.
async fn until_one_gives_up(both: &mut [Tickets; 2], interrupted: &mut [u32; 2]) -> (usize, Fault) {
    loop {
        let [one, two] = both;
        let next = async {
            tokio::select! {
                next = one.next() => (0, next),
                next = two.next() => (1, next),
            }
        };
        let (who, next) = timeout(SOON, next).await.expect("in time");
        match next.expect("nobody has given up yet") {
            Ok(_) => {}
            Err(fault) if fault.kind.is_transient() => interrupted[who] += 1,
            Err(fault) => return (who, fault),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_receivers_by_one_client_id_one_gives_up_and_says_why_and_the_other_goes_on() {
    let Some(broker) = shared() else { return };
    for version in ["5", "3.1.1"] {
        let (id, topic) = (unique("twin"), unique("twins"));
        let settings = [("version", version), ("client_id", &id), ("clean_session", "false")];
        let sessions = [broker.session(&settings).await, broker.session(&settings).await];
        let hold = |at: usize| sessions[at].hold.as_ref().expect("MQTT holds").hold(&topic, 10);
        let mut first = hold(0).await.expect("receiving");
        for n in 0..2 {
            publish(&sessions[0], &topic, "1", &n.to_string()).await;
        }
        for n in 0..2 {
            assert_eq!(payload(&take(&mut first).await.message), n.to_string(), "{version}");
        }
        let mut both = [first, hold(1).await.expect("receiving")];
        let mut interrupted = [0; 2];
        let (who, fault) = until_one_gives_up(&mut both, &mut interrupted).await;
        assert!(fault.kind == Kind::Rejected && fault.to_string().contains("client id"), "{version}: {fault}");
        assert!(fault.next.as_str().contains("of its own"), "{version}: {fault}");
        assert!(interrupted.iter().all(|count| *count < 3), "{version}: {interrupted:?}");
        assert!(both[who].next().await.is_none(), "{version}: whoever took the place keeps it");
        let [one, two] = both;
        let (over, mut other) = if who == 0 { (one, two) } else { (two, one) };
        let said = over.release().await.expect("released");
        assert!(
            said.starts_with("nothing was left unsettled; ") && said.ends_with(" deliveries went with a connection that broke"),
            "{said}"
        );
        // The session is the other's now, with what was not acknowledged.
        publish(&sessions[0], &topic, "1", "after").await;
        loop {
            let delivery = match timeout(SOON, other.next()).await.expect("in time").expect("it goes on") {
                Ok(delivery) => delivery,
                Err(fault) => {
                    assert!(fault.kind.is_transient(), "{version}: {fault}");
                    continue;
                }
            };
            if payload(&delivery.message) == "after" {
                break;
            }
        }
    }
}
