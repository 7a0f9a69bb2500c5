//! RabbitMQ: messages looked at and given back, held and settled, and what the queue and another language's client see of it.

use crate::console::console;
use crate::support::clients::run;
use crate::support::program::Home;
use crate::support::rabbitmq::{self, Rabbit, done, letter, queue};
use crate::support::subjects::session;
use crate::support::until;
use crate::support::{SOON, unique};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Profile;
use mqdeck::domain::address::Address;
use mqdeck::domain::channel::Cost;
use mqdeck::domain::delivery::{Delivery, Effect, Given, Settlement, Settles, Ticket};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::operation::Plan;
use mqdeck::domain::safety::Safety;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::hold::Tickets;
use mqdeck::gateway::hold::{Held, HoldEvent};

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message.payload.as_deref().unwrap_or_default()).into_owned()
}

async fn fill(session: &Session, queue: &str, bodies: &[&str]) {
    for body in bodies {
        session.publish.as_ref().expect("RabbitMQ takes messages").publish(queue, letter(None, body)).await.expect("published");
    }
}

async fn peek(session: &Session, queue: &str, most: usize) -> Vec<Delivery> {
    session.peek.as_ref().expect("RabbitMQ has queues").peek(queue, most).await.expect("peeked").deliveries
}

async fn hold(session: &Session, queue: &str) -> Tickets {
    session.hold.as_ref().expect("RabbitMQ holds").hold(queue, 10).await.expect("received")
}

async fn next(holding: &mut Tickets) -> Delivery {
    let came = tokio::time::timeout(SOON, holding.next()).await.expect("in time");
    came.expect("the receiving goes on").expect("a delivery")
}

fn by(effect: Effect) -> Settlement {
    Settlement { effect, arguments: Vec::new() }
}

/// The next message as another language's client gets it; it takes it out.
fn got(rabbit: &Rabbit, queue: &str) -> Option<serde_json::Value> {
    Some(serde_json::from_slice(&run(rabbit.other(&["get", queue])?)).expect("JSON"))
}

/// The same, once there is one: a quorum queue takes back a moment later than it says.
async fn comes(rabbit: &Rabbit, queue: &str) -> serde_json::Value {
    until("a message for another client", SOON, async || got(rabbit, queue).filter(|got| !got.is_null())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_gives_everything_back_in_its_order_and_its_price_is_said() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    for kind in ["classic", "quorum"] {
        let name = queue(&session, kind, kind).await;
        let cost = session.peek.as_ref().expect("RabbitMQ has queues").cost(&name).await;
        assert!(matches!(cost, Ok(Cost::Marks(words)) if words.contains("redelivered")), "{cost:?}");
        assert_eq!(peek(&session, &name, 5).await, [], "{kind}");
        fill(&session, &name, &["a", "b", "c", "d"]).await;
        let first = peek(&session, &name, 3).await;
        assert_eq!(first.iter().map(body).collect::<Vec<_>>(), ["a", "b", "c"], "{kind}");
        assert!(first.iter().all(|d| d.ticket.is_none() && !d.redelivered), "{kind}: nobody had them before");
        let again = peek(&session, &name, 10).await;
        assert_eq!(again.len(), 4, "{kind}: all are there");
        assert!(again.iter().filter(|d| d.redelivered).count() >= 3, "{kind}: the mark of the look");
        if kind == "classic" {
            assert_eq!(again.iter().map(body).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        } else {
            // Each look spends a delivery here (RabbitMQ before 4.3), and one look only one.
            let counted = again.iter().filter_map(|d| d.deliveries).max();
            assert_eq!(counted, Some(2), "{again:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_is_done_requeued_or_a_dead_letter() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let dead = queue(&session, "dead", "classic").await;
    let name = unique("work");
    let arguments = [("dead_letter_exchange", "amq.direct"), ("dead_letter_routing_key", dead.as_str())];
    done(&session, "queue.declare", &format!("queue:{name}"), &arguments).await;
    done(&session, "binding.create", &format!("queue:{dead}"), &[("exchange", "amq.direct"), ("routing_key", &dead)]).await;
    fill(&session, &name, &["good", "later", "bad"]).await;

    let mut holding = hold(&session, &name).await;
    let (good, later, bad) = (next(&mut holding).await, next(&mut holding).await, next(&mut holding).await);
    assert_eq!([&good, &later, &bad].map(body), ["good", "later", "bad"]);
    let ticket = |delivery: &Delivery| delivery.ticket.expect("it is held");
    holding.settle(ticket(&good), &by(Effect::Ack)).await.expect("acknowledged");
    holding.settle(ticket(&later), &by(Effect::Requeue)).await.expect("requeued");
    holding.settle(ticket(&bad), &by(Effect::Reject)).await.expect("rejected");
    let again = next(&mut holding).await;
    assert_eq!((body(&again).as_str(), again.redelivered), ("later", true));
    for wrong in [ticket(&good), Ticket { epoch: ticket(&good).epoch + 1_000, id: 1 }] {
        assert_eq!(holding.settle(wrong, &by(Effect::Ack)).await.expect_err("lost").kind, Kind::Lost);
    }
    assert_eq!(holding.settle(ticket(&again), &by(Effect::Extend)).await.expect_err("not here").kind, Kind::Usage);
    let words = holding.release().await.expect("released");
    assert!(words.starts_with("1 unsettled message is given back to the queue, marked as redelivered"), "{words}");

    let Some(left) = got(rabbit, &name) else { return };
    assert_eq!((left["body"].as_str(), left["redelivered"].as_bool()), (Some("later"), Some(true)));
    let letter = got(rabbit, &dead).expect("a client");
    assert_eq!(letter["body"], "bad");
    assert_eq!(letter["properties"]["headers"]["x-first-death-reason"], "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_while_it_is_held_goes_back_and_spends_no_more_than_a_nack() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "dropped", "classic").await;
    fill(&session, &name, &["a", "b"]).await;
    let mut holding = hold(&session, &name).await;
    next(&mut holding).await;
    next(&mut holding).await;
    drop(holding);
    let back = until("both to be back", SOON, async || Some(peek(&session, &name, 5).await).filter(|back| back.len() == 2)).await;
    assert_eq!(back.iter().map(body).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_on_top_is_somebody_elses_at_once_when_it_is_enough_and_what_is_held_stays_held() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    if rabbit.other(&[]).is_none() {
        return;
    }
    for kind in ["classic", "quorum"] {
        let name = queue(&session, "enough", kind).await;
        fill(&session, &name, &["a", "b", "c", "d", "e"]).await;
        let mut holding = session.hold.as_ref().expect("RabbitMQ holds").hold(&name, 4).await.expect("received");
        let (a, b) = (next(&mut holding).await, next(&mut holding).await);
        assert_eq!([&a, &b].map(body), ["a", "b"]);
        holding.stop_receiving().await.expect("told");
        // Three of them, though only one was never given to us; and no more come when a place is free.
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(comes(rabbit, &name).await["body"].as_str().expect("a text").to_owned());
        }
        others.sort();
        assert_eq!(others, ["c", "d", "e"], "{kind}");
        fill(&session, &name, &["f"]).await;
        holding.settle(a.ticket.expect("it is held"), &by(Effect::Ack)).await.expect("acknowledged");
        assert_eq!(comes(rabbit, &name).await["body"], "f", "{kind}");
        assert!(!holding.is_lost(b.ticket.expect("it is held")));
        let words = holding.release().await.expect("released");
        assert!(words.starts_with("1 unsettled message is given back to the queue, marked as redelivered"), "{kind}: {words}");
        assert_eq!(comes(rabbit, &name).await["body"], "b", "{kind}");
        assert!(got(rabbit, &name).expect("a client").is_null(), "{kind}: nothing else is there");
    }
}

/// The next message of a receiving.
async fn taken(held: &mut Held) -> Delivery {
    match tokio::time::timeout(SOON, held.next()).await.expect("in time") {
        Some(HoldEvent::Message(delivery)) => *delivery,
        other => panic!("no message: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_requeued_is_for_others_and_does_not_come_straight_back() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let profile = Profile { name: "test".into(), path: None, safety: Safety::default(), integrations: vec![rabbit.integration("guest")] };
    let gateway = Gateway::open(profile, false);
    let session = session(&gateway, "rabbit").await;
    if rabbit.other(&[]).is_none() {
        return;
    }
    for (kind, times) in [("classic", None), ("quorum", Some(2))] {
        let name = queue(&session, "requeued", kind).await;
        fill(&session, &name, &["a", "b", "c"]).await;
        let address = Address::new("rabbit", &name);
        let mut held = gateway.hold(&address, 10, 10).await.expect("held");
        let (a, b, c) = (taken(&mut held).await, taken(&mut held).await, taken(&mut held).await);
        let decide = async |delivery: &Delivery, effect: Effect| {
            let tickets = delivery.ticket.into_iter().collect();
            let settles = gateway.settles(&address, effect, &[Given::from(delivery)]).await.expect("it is known what that does");
            let plan = Plan::Settle { address: address.clone(), hold: held.id, tickets, settlement: by(effect), settles };
            let done = gateway.execute(plan).await.expect("the receiving is there").done.expect("parts");
            assert!(done.parts.iter().all(|(_, part)| part.is_ok()), "{kind}: {done:?}");
        };
        decide(&b, Effect::Requeue).await;
        let back = comes(rabbit, &name).await;
        assert_eq!((back["body"].as_str(), back["redelivered"].as_bool()), (Some("b"), Some(true)), "{kind}");
        fill(&session, &name, &["d"]).await;
        assert_eq!(comes(rabbit, &name).await["body"], "d", "{kind}: what is new is for others too");
        decide(&a, Effect::Ack).await;
        decide(&c, Effect::Requeue).await;
        assert!(tokio::time::timeout(SOON, held.next()).await.expect("in time").is_none(), "{kind}: nothing more is taken");
        assert_eq!(gateway.release(held.id).await.expect("ended"), "nothing was left unsettled", "{kind}");
        // It says of itself that somebody had it.
        let mut again = gateway.hold(&address, 10, 10).await.expect("held");
        let c = taken(&mut again).await;
        assert_eq!((body(&c).as_str(), c.redelivered, c.deliveries), ("c", true, times), "{kind}");
        gateway.release(again.id).await.expect("ended");
    }
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_requeues_each_message_once_and_says_which_had_come_before() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "many", "classic").await;
    let bodies: Vec<String> = (0..130).map(|n| n.to_string()).collect();
    fill(&session, &name, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (home, url) = (Home::new(), format!("amqp://guest:guest@{}?management_url=none", rabbit.fact("AMQP")));
    let target = format!("rabbitmq/queue:{name}");
    // More are wanted than there are, and more are there than are decided on at a time otherwise.
    for (redelivered, times) in [(false, 1), (true, 2)] {
        let done =
            home.mqdeck(&["--url", &url, "receive", &target, "--limit", "300", "--wait", "1s", "--requeue"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && said.contains("130 received, 130 settled; nothing was left unsettled"), "{times}: {said}");
        let lines: Vec<serde_json::Value> =
            String::from_utf8_lossy(&done.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut came: Vec<String> = lines.iter().map(|line| line["value"].to_string().trim_matches('"').to_owned()).collect();
        came.sort_by_key(|body| body.parse::<u32>().expect("a number"));
        assert_eq!(came, bodies, "{times}");
        assert!(lines.iter().all(|line| line["redelivered"] == redelivered && line["deliveries"].is_null()), "{times}: {:?}", lines[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_an_operator_closes_takes_what_was_held_with_it_and_that_is_told() {
    let Some(rabbit) = rabbitmq::own() else { return };
    let profile = Profile { name: "test".into(), path: None, safety: Safety::default(), integrations: vec![rabbit.integration("guest")] };
    let gateway = Gateway::open(profile, false);
    let session = session(&gateway, "rabbit").await;
    let name = queue(&session, "closed", "classic").await;
    fill(&session, &name, &["a", "b", "c"]).await;
    let address = Address::new("rabbit", &name);
    // One receiving has everything that it wants, the other still waits for more.
    let mut full = gateway.hold(&address, 2, 2).await.expect("held");
    let mut tickets = Vec::new();
    while let Some(HoldEvent::Message(delivery)) = full.next().await {
        tickets.extend(delivery.ticket);
    }
    assert_eq!(tickets.len(), 2);
    let mut waiting = gateway.hold(&address, 20, 20).await.expect("held");
    assert!(matches!(waiting.next().await, Some(HoldEvent::Message(delivery)) if body(&delivery) == "c"));

    // And a person with the command asks herself what to do with hers.
    let (home, held) = (Home::new(), queue(&session, "asked", "classic").await);
    fill(&session, &held, &["d", "e"]).await;
    let url = format!("amqp://guest:guest@{}?management_url=none", rabbit.fact("AMQP"));
    let target = format!("rabbitmq/queue:{held}");
    let mut terminal = console(&home, &["--url", &url, "receive", &target, "--limit", "5", "--spend", "--wait", "500ms"], (100, 24));
    terminal.wait_for("2 unsettled; ack, requeue, reject NUMBERS|all, or leave:", SOON);
    fill(&session, &held, &["f"]).await;
    assert_eq!(comes(&rabbit, &held).await["body"], "f", "what is published while it is asked is for others");

    rabbit.close_connections();
    terminal.wait_for("2 of those shown were lost with the connection", SOON);
    assert_eq!(terminal.wait_exit(SOON), 1);
    assert!(terminal.screen().contains("2 received, 2 could not be settled; nothing was left unsettled"), "{}", terminal.screen());
    let told = tokio::time::timeout(SOON, full.later()).await.expect("in time");
    let Some(HoldEvent::Interrupted { fault, lost }) = told else { panic!("{told:?}") };
    assert!(fault.kind == Kind::Unreachable && fault.cause.as_str().contains("CONNECTION_FORCED"), "{fault}");
    assert_eq!(lost, tickets);
    // Until its own connection is closed as well it may be given what the other lost.
    let lost = loop {
        match tokio::time::timeout(SOON, waiting.next()).await.expect("in time").expect("goes on") {
            HoldEvent::Message(delivery) => assert!(delivery.redelivered, "{delivery:?}"),
            HoldEvent::Interrupted { lost, .. } => break lost,
            HoldEvent::Resumed => {}
        }
    };
    assert!((1..=3).contains(&lost.len()), "{lost:?}");
    // Whoever still wants some gets them all again, marked.
    let mut again = Vec::new();
    while again.len() < 3 {
        if let Some(HoldEvent::Message(delivery)) = tokio::time::timeout(SOON, waiting.next()).await.expect("in time") {
            assert!(delivery.redelivered, "{delivery:?}");
            again.push(body(&delivery));
        }
    }
    again.sort();
    assert_eq!(again, ["a", "b", "c"]);
    let (settlement, settles) = (by(Effect::Ack), Settles::usual("done"));
    let plan = Plan::Settle { address: address.clone(), hold: full.id, tickets: tickets.clone(), settlement, settles };
    let done = gateway.execute(plan).await.expect("the receiving is there").done.expect("parts");
    assert!(done.parts.iter().all(|(_, part)| part.as_ref().is_err_and(|fault| fault.kind == Kind::Lost)), "{done:?}");
    let said = gateway.release(full.id).await.expect("ended");
    assert!(said.starts_with("nothing was left unsettled; ") && said.ends_with(" went with a connection that broke"), "{said}");
    assert!(gateway.release(waiting.id).await.expect("ended").starts_with("3 unsettled messages: each is given back"));
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_is_the_queues_own_timeout_if_it_says_one() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let hold = session.hold.as_ref().expect("RabbitMQ holds");
    let name = queue(&session, "patient", "classic").await;
    assert_eq!(hold.ack_timeout(&name).await, Ok(None), "the server's own cannot be asked");
    assert_eq!(
        hold.verbs(&format!("queue:{name}")).iter().map(|verb| verb.effect).collect::<Vec<_>>(),
        [Effect::Ack, Effect::Requeue, Effect::Reject]
    );
    assert!(hold.verbs("exchange:amq.topic").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_part_of_a_quorum_queue_loses_nothing_and_its_order_is_what_was_said() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = queue(&session, "part", "quorum").await;
    let cost = session.peek.as_ref().expect("RabbitMQ has queues").cost(&name).await.expect("it is known");
    assert!(matches!(cost, Cost::Marks(words) if words.contains("a quorum queue may put them at its end")), "{cost:?}");
    fill(&session, &name, &["a", "b", "c", "d"]).await;
    let looked = session.peek.as_ref().expect("RabbitMQ has queues").peek(&name, 2).await.expect("peeked");
    assert_eq!(looked.deliveries.iter().map(body).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(looked.ready, Some((4, 4)));
    if rabbit.other(&[]).is_none() {
        return;
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(comes(rabbit, &name).await["body"].as_str().expect("a text").to_owned());
    }
    // What was looked at may come last, and in another order: the server gives it back by its consumers, of which a look has several.
    let untouched: Vec<&String> = order.iter().filter(|body| !["a", "b"].contains(&body.as_str())).collect();
    assert_eq!(untouched, ["c", "d"], "{order:?}");
    order.sort();
    assert_eq!(order, ["a", "b", "c", "d"], "each is there once");
}
