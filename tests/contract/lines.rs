//! What is exported is published again as it was: the lines of every channel whose messages can be read, looked at or received.

use super::history::WHOLE;
use crate::support::SOON;
use crate::support::offers::{Offer, offers};
use crate::support::subjects::{header, read};
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::message::{Header, Message, Outgoing};
use mqdeck::wire::lines;
use std::collections::HashMap;

/// Messages as they are met: no text, empty, text that a terminal would act on, numbers that no double holds, headers.
fn odd(offer: &Offer) -> Vec<Outgoing> {
    let plain = |payload: &[u8]| Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() };
    let headers: Vec<Header> = vec![header("trace", Some(b"1")), header("place", Some("Zürich".as_bytes()))];
    let mut all = vec![
        plain(&(0..=255).collect::<Vec<u8>>()),
        plain("漢字 \u{202e}\u{1b}[2J\r\n".as_bytes()),
        plain(br#"{"a":9007199254740993,"a":1.10,"b":1e400}"#),
        plain(b""),
    ];
    // Where a system has headers at all.
    if !["channel", "key"].contains(&offer.row.kind) {
        all.push(Outgoing { headers, ..plain(b"x") });
    }
    all.into_iter().map(|message| offer.letter(message)).collect()
}

async fn fill(offer: &Offer) -> usize {
    let publish = offer.session.publish.as_ref().expect("the system takes messages");
    let mut stored = 0;
    for message in odd(offer) {
        publish.publish(&offer.into[0], message).await.unwrap_or_else(|fault| panic!("{}: {fault}", offer.title));
        stored += 1;
    }
    stored
}

/// Everything that a channel holds, taken as its system lets it be taken.
async fn exported(offer: &Offer, channel: &str, count: usize) -> Vec<Message> {
    let title = &offer.title;
    if offer.row.works("history") && offer.row.is.log {
        return read(&offer.session, channel, WHOLE).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    }
    let hold = offer.session.hold.as_ref().expect("it is received from");
    let mut holding = hold.hold(channel, count as u32).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    let mut all = Vec::new();
    for _ in 0..count {
        let came = tokio::time::timeout(SOON, holding.next()).await.unwrap_or_else(|_| panic!("{title}: no message comes"));
        let delivery = came.expect("it goes on").unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let ack = Settlement { effect: Effect::Ack, arguments: Vec::new() };
        holding.settle(delivery.ticket.expect("it is held"), &ack).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        all.push(delivery.message);
    }
    holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_as_lines_is_published_again_as_it_was() {
    // A queue that is there whether or not somebody receives, or a log.
    for offer in offers("lines", |row| row.works("publish") && (row.is.log || row.kind == "queue" && row.is.made)).await {
        let title = &offer.title;
        let stored = fill(&offer).await;
        let first = exported(&offer, &offer.name, stored).await;
        assert_eq!(first.len(), stored, "{title}");
        let (gateway, address) = (offer.gateway(), offer.address(&offer.name));
        let publish = offer.session.publish.as_ref().expect("the system takes messages");
        for message in &first {
            let line = lines::write(&address, message, &gateway.decoder(&address));
            assert!(line.bytes().all(|byte| byte >= b' '), "{title}: one line, and nothing that a terminal acts on: {line}");
            let again = lines::read(line.as_bytes()).unwrap_or_else(|fault| panic!("{title}: {fault}: {line}"));
            publish.publish(&offer.into[0], again).await.unwrap_or_else(|fault| panic!("{title}: {fault}: {line}"));
        }
        // A log has both, one behind the other.
        let second = exported(&offer, &offer.name, stored).await;
        let second = &second[second.len().checked_sub(stored).unwrap_or_else(|| panic!("{title}: {second:?}"))..];
        let content = |message: &Message| (message.key.clone(), known_headers(message), message.payload.clone());
        assert!(second.iter().map(content).eq(first.iter().map(content)), "{title}: {second:?} are not {first:?}");
    }
}

/// Its headers and how often each is there, without those that a server adds for the place where it is stored.
fn known_headers(message: &Message) -> HashMap<(Vec<u8>, Option<Vec<u8>>), usize> {
    let mut counted = HashMap::new();
    for Header { name, value } in message.headers.iter().filter(|header| !header.name.starts_with(b"Nats-")) {
        *counted.entry((name.to_vec(), value.as_ref().map(|value| value.to_vec()))).or_default() += 1;
    }
    counted
}
