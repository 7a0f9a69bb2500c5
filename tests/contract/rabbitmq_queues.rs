//! RabbitMQ: messages looked at and given back, held and settled, and what the queue and another language's client see of it.

use crate::support::clients::run;
use crate::support::rabbitmq::{self, Rabbit, done, letter, queue, until};
use crate::support::unique;
use mqdeck::adapters::session::{Cost, Holding, Session};
use mqdeck::domain::delivery::{Delivery, Effect, Settlement, Ticket};
use mqdeck::domain::fault::Kind;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message.payload.as_deref().unwrap_or_default()).into_owned()
}

async fn fill(session: &Session, queue: &str, bodies: &[&str]) {
    for body in bodies {
        session.publish.as_ref().expect("RabbitMQ takes messages").publish(queue, letter(None, body)).await.expect("published");
    }
}

async fn peek(session: &Session, queue: &str, most: usize) -> Vec<Delivery> {
    session.peek.as_ref().expect("RabbitMQ has queues").peek(queue, most).await.expect("peeked")
}

async fn hold(session: &Session, queue: &str) -> Box<dyn Holding> {
    session.hold.as_ref().expect("RabbitMQ holds").hold(queue, 10).await.expect("received")
}

async fn next(holding: &mut Box<dyn Holding>) -> Delivery {
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

#[tokio::test]
async fn a_look_gives_everything_back_in_its_order_and_its_price_is_said() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let cost = session.peek.as_ref().expect("RabbitMQ has queues").cost("queue:any");
    assert!(matches!(cost, Cost::Marks(words) if words.contains("redelivered")), "{cost:?}");
    for kind in ["classic", "quorum"] {
        let name = queue(&session, kind, kind).await;
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

#[tokio::test]
async fn a_look_at_what_is_no_queue_is_refused() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let peek = session.peek.as_ref().expect("RabbitMQ has queues");
    for (channel, kind) in [("exchange:amq.topic".to_owned(), Kind::Rejected), (format!("queue:{}", unique("missing")), Kind::NotFound)] {
        assert_eq!(peek.peek(&channel, 1).await.expect_err(&channel).kind, kind);
    }
}

#[tokio::test]
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
    assert_eq!(holding.settle(ticket(&again), &by(Effect::Extend)).await.expect_err("not here").kind, Kind::Rejected);
    let words = holding.release().await.expect("released");
    assert_eq!(words, "1 message went back to the queue, marked as redelivered");

    let Some(left) = got(rabbit, &name) else { return };
    assert_eq!((left["body"].as_str(), left["redelivered"].as_bool()), (Some("later"), Some(true)));
    let letter = got(rabbit, &dead).expect("a client");
    assert_eq!(letter["body"], "bad");
    assert_eq!(letter["properties"]["headers"]["x-first-death-reason"], "rejected");
}

#[tokio::test]
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

#[tokio::test]
async fn patience_is_the_queues_own_timeout_if_it_says_one() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let hold = session.hold.as_ref().expect("RabbitMQ holds");
    let name = queue(&session, "patient", "classic").await;
    assert_eq!(hold.patience(&name).await, Ok(None), "the server's own cannot be asked");
    assert_eq!(
        hold.verbs(&format!("queue:{name}")).iter().map(|verb| verb.effect).collect::<Vec<_>>(),
        [Effect::Ack, Effect::Requeue, Effect::Reject]
    );
    assert!(hold.verbs("exchange:amq.topic").is_empty());
}
