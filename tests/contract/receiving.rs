//! Receiving, looking and asking: the same of every channel that offers it.

use crate::support::SOON;
use crate::support::offers::{Left, Offer, offers};
use futures::StreamExt;
use mqdeck::domain::channel::Cost;
use mqdeck::domain::delivery::{Delivery, Effect, Settlement, Ticket};
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::gateway::hold::Tickets;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

fn by(effect: Effect) -> Settlement {
    Settlement { effect, arguments: Vec::new() }
}

async fn hold(offer: &Offer, most: u32) -> Tickets {
    let hold = offer.session.hold.as_ref().expect("it is received from");
    hold.hold(&offer.name, most).await.unwrap_or_else(|fault| panic!("{}: {fault}", offer.title))
}

async fn next(offer: &Offer, holding: &mut Tickets) -> Delivery {
    let next = timeout(SOON, holding.next()).await.unwrap_or_else(|_| panic!("{}: no message comes", offer.title));
    next.expect("it goes on").unwrap_or_else(|fault| panic!("{}: {fault}", offer.title))
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message.payload.as_deref().unwrap_or_default()).into_owned()
}

fn ticket(delivery: &Delivery) -> Ticket {
    delivery.ticket.expect("a message that is held has a ticket")
}

/// Receives from here on: some systems give only what comes while somebody receives.
async fn receive(offer: &Offer, most: u32, payloads: &[&str]) -> (Tickets, Vec<Delivery>) {
    let mut holding = hold(offer, most).await;
    offer.fill(payloads.iter().map(|payload| (*payload).to_owned())).await;
    let mut came = Vec::new();
    for _ in 0..payloads.len().min(most as usize) {
        came.push(next(offer, &mut holding).await);
    }
    (holding, came)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_gone_and_what_is_not_goes_where_the_system_says() {
    for offer in offers("held", |row| row.is.held.is_some()).await {
        let title = &offer.title;
        let (mut holding, came) = receive(&offer, 5, &["1", "2", "3"]).await;
        assert_eq!(came.iter().map(text).collect::<Vec<_>>(), ["1", "2", "3"], "{title}");
        assert_eq!(came.iter().map(ticket).collect::<BTreeSet<_>>().len(), 3, "{title}: each has a ticket of its own");
        assert!(came.iter().all(|delivery| !delivery.redelivered && delivery.deliveries.is_none_or(|count| count == 1)), "{title}");
        holding.settle(ticket(&came[0]), &by(Effect::Ack)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let twice = holding.settle(ticket(&came[0]), &by(Effect::Ack)).await.expect_err("it is settled");
        assert_eq!(twice.kind, Kind::Lost, "{title}: {twice}");
        let said = holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        assert!(!said.is_empty() && !offer.session.hold.as_ref().expect("held").unsettled_fate(&offer.name).is_empty(), "{title}");

        let (mut holding, mut expected) = (hold(&offer, 5).await, vec!["4"]);
        offer.fill(["4".to_owned()]).await;
        if offer.row.is.held == Some(Left::GoesBack) {
            expected = vec!["2", "3", "4"];
        }
        let mut again = Vec::new();
        for _ in &expected {
            again.push(next(&offer, &mut holding).await);
        }
        again.sort_by_key(text);
        assert_eq!(again.iter().map(text).collect::<Vec<_>>(), expected, "{title}");
        for delivery in &again {
            assert_eq!(delivery.redelivered, text(delivery) != "4", "{title}: {}", text(delivery));
            holding.settle(ticket(delivery), &by(Effect::Ack)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        }
        holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_given_than_may_be_held_until_one_is_settled() {
    for offer in offers("held", |row| row.is.held.is_some()).await {
        let title = &offer.title;
        let (mut holding, came) = receive(&offer, 2, &["1", "2", "3"]).await;
        assert!(timeout(Duration::from_millis(300), holding.next()).await.is_err(), "{title}: two are held");
        holding.settle(ticket(&came[0]), &by(Effect::Ack)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let third = next(&offer, &mut holding).await;
        assert_eq!(text(&third), "3", "{title}");
        for delivery in [&came[1], &third] {
            holding.settle(ticket(delivery), &by(Effect::Ack)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        }
        holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_the_system_does_not_have_is_refused_and_the_message_stays_held() {
    for offer in offers("held", |row| row.is.held.is_some()).await {
        let title = &offer.title;
        let (mut holding, came) = receive(&offer, 1, &["1"]).await;
        let verbs = offer.session.hold.as_ref().expect("held").verbs(&offer.name);
        assert!(verbs.iter().any(|verb| verb.effect == Effect::Ack), "{title}");
        for effect in [Effect::Requeue, Effect::Reject, Effect::Extend] {
            if verbs.iter().all(|verb| verb.effect != effect) {
                let refused = holding.settle(ticket(&came[0]), &by(effect)).await.expect_err("it has no such decision");
                assert_eq!(refused.kind, Kind::Usage, "{title}: {refused}");
            }
        }
        holding.settle(ticket(&came[0]), &by(Effect::Ack)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_it_is_enough_others_have_the_rest_at_once_and_what_is_held_stays_held() {
    for offer in offers("held", |row| row.is.held == Some(Left::GoesBack)).await {
        let title = &offer.title;
        let mut one = hold(&offer, 5).await;
        offer.fill(["1", "2", "3"].map(str::to_owned)).await;
        let first = next(&offer, &mut one).await;
        one.stop_receiving().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let mut other = hold(&offer, 5).await;
        let mut rest = Vec::new();
        for _ in 0..2 {
            rest.push(next(&offer, &mut other).await);
        }
        assert_eq!(rest.iter().map(text).collect::<BTreeSet<_>>(), BTreeSet::from(["2".to_owned(), "3".to_owned()]), "{title}");
        one.settle(ticket(&first), &by(Effect::Ack)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        for holding in [one, other] {
            holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_has_its_price_said_and_gives_everything_back_in_its_order() {
    for offer in offers("peeked", |row| row.works("peek")).await {
        let title = &offer.title;
        let peek = offer.session.peek.as_ref().expect("it is looked into");
        assert!(matches!(peek.cost(&offer.name).await, Ok(Cost::Marks(_) | Cost::Nothing)), "{title}");
        offer.fill(["1", "2", "3"].map(str::to_owned)).await;
        for (most, expected) in [(0, 0), (2, 2), (10, 3), (1, 1)] {
            let looked = peek.peek(&offer.name, most).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            assert_eq!(looked.deliveries.iter().map(text).collect::<Vec<_>>(), ["1", "2", "3"][..expected], "{title}: {most}");
            assert!(looked.deliveries.iter().all(|delivery| delivery.ticket.is_none()), "{title}: nothing is held");
            assert!(most == 0 || looked.ready == Some((3, 3)), "{title}: {:?}", looked.ready);
        }
        let mut holding = hold(&offer, 5).await;
        for expected in ["1", "2", "3"] {
            let delivery = next(&offer, &mut holding).await;
            assert_eq!(text(&delivery), expected, "{title}");
            holding.settle(ticket(&delivery), &by(Effect::Ack)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        }
        holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_serves_ends_with_a_fault_and_no_reply() {
    for offer in offers("asked", |row| row.works("call") && row.kind != "service").await {
        let call = offer.session.call.as_ref().expect("it is asked");
        let asked = async {
            let mut replies = call.call(&offer.name, offer.text("x"), Duration::from_millis(300)).await?;
            let mut all = Vec::new();
            while let Some(reply) = replies.next().await {
                all.push(reply?);
            }
            Ok::<_, Fault>(all)
        };
        let answered = timeout(SOON, asked).await.unwrap_or_else(|_| panic!("{}: it goes on", offer.title));
        let fault = answered.expect_err(&offer.title);
        assert!(matches!(fault.kind, Kind::NotFound | Kind::Timeout | Kind::Rejected), "{}: {fault}", offer.title);
    }
}
