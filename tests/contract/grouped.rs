//! Groups of every system that has them: who has read a part of a channel is behind by the rest, whatever reading and acknowledging is there.

use crate::support::offers::{Offer, offers, payloads};
use crate::support::{SOON, until};
use mqdeck::adapters::session::Groups;
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::group::{GroupOffset, Mark, Source};
use mqdeck::domain::position::Position;
use std::sync::Arc;
use std::time::Duration;

fn groups(offer: &Offer) -> &dyn Groups {
    &**offer.session.groups.as_ref().expect("the system has groups")
}

/// Channels that groups read, each with a group that has done nothing yet or will be there with its first position.
async fn read_by_groups(name: &str) -> Vec<Offer> {
    let has_groups = |system: &str| crate::support::offers::WHOLE.iter().any(|(one, whole)| *one == system && whole.contains(&"groups"));
    offers(name, |row| has_groups(row.system) && row.is.log).await
}

/// Lets the group read on: takes so many messages and is done with them.
async fn read_on(offer: &Offer, group: &str, count: usize) {
    let title = &offer.title;
    match &offer.session.transact {
        Some(transact) => {
            let source = Source { group: group.into(), channels: vec![offer.name.clone()] };
            // By one name: who comes again by it takes up its place in the group at once.
            let mut transaction = transact.begin(group, Some(source)).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            let mut taken = Vec::new();
            while taken.len() < count {
                let more = transaction.take(count - taken.len(), Duration::from_secs(1)).await;
                taken.extend(more.unwrap_or_else(|fault| panic!("{title}: {fault}")));
            }
            assert_eq!(payloads(&taken).len(), count, "{title}");
            transaction.commit().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            transaction.end().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        }
        None => {
            let hold = offer.session.hold.as_ref().expect("it is received from");
            let options = hold.receive_options(&offer.name).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            let option = options.iter().find(|option| &*option.name == group).unwrap_or_else(|| panic!("{title}: {options:?}"));
            let mut holding = hold.hold(&option.channel, count as u32).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            let mut tickets = Vec::new();
            for _ in 0..count {
                let came = tokio::time::timeout(SOON, holding.next()).await.unwrap_or_else(|_| panic!("{title}: no message comes"));
                let delivery = came.expect("it goes on").unwrap_or_else(|fault| panic!("{title}: {fault}"));
                tickets.push(delivery.ticket.expect("it is held"));
            }
            // Else the next one is handed out as soon as there is room for it.
            holding.stop_receiving().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            for ticket in tickets {
                let ack = Settlement { effect: Effect::Ack, arguments: Vec::new() };
                holding.settle(ticket, &ack).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            }
            holding.release().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        }
    }
}

/// The group by the name that lists of groups have for it, and by the one that it is received by.
fn group_of(offer: &Offer) -> (Arc<str>, Arc<str>) {
    let bare = offer.name.split_once(':').map_or(&*offer.name, |(_, bare)| bare);
    match offer.row.system {
        "nats" => (format!("{bare}/worker").into(), "worker".into()),
        "redis" => (format!("{bare}/workers").into(), "workers".into()),
        _ => (format!("{bare}-readers").into(), format!("{bare}-readers").into()),
    }
}

async fn offsets(offer: &Offer, group: &str) -> Vec<GroupOffset> {
    let answers = groups(offer).group_offsets(&[group.into()]).await.unwrap_or_else(|fault| panic!("{}: {fault}", offer.title));
    let [rows] = <[_; 1]>::try_from(answers).expect("one answer for one group");
    rows.unwrap_or_else(|fault| panic!("{}: {fault}", offer.title))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_a_part_is_behind_by_the_rest_and_no_more_when_all_is_read() {
    for offer in read_by_groups("grouped").await {
        let title = &offer.title;
        let (listed, received) = group_of(&offer);
        offer.fill(["1", "2", "3"].map(str::to_owned)).await;
        for (count, left) in [(2, 1), (1, 0)] {
            read_on(&offer, &received, count).await;
            let behind = async || {
                let rows = offsets(&offer, &listed).await;
                rows.into_iter().find(|row| row.channel == offer.name && row.lag == Amount::Exactly(left))
            };
            let row = until(&format!("{title} to be {left} behind"), SOON, behind).await;
            assert!(row.fault.is_none() && row.pending.is_none_or(|pending| pending == 0), "{title}: {row:?}");
            assert!(row.committed.is_some() && row.committed <= row.end.or(row.committed), "{title}: {row:?}");
            if left > 0 {
                let next = row.next.unwrap_or_else(|| panic!("{title}: where it reads on is not known: {row:?}"));
                assert_next_is_the_third(&offer, next).await;
            }
        }
    }
}

/// Reading on from where a group is gives what it has not read.
async fn assert_next_is_the_third(offer: &Offer, next: Position) {
    use mqdeck::domain::position::{Bound, Range};
    let range = Range { start: Bound::At(next), end: Bound::Latest };
    let rest = crate::support::subjects::read(&offer.session, &offer.name, range).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(payloads(&rest), ["3"], "{}: {next}", offer.title);
    // When it was made is asked for by the same place.
    let marks = [Mark { channel: offer.name.clone(), position: next }];
    let stamped = groups(offer).timestamps(&marks).await;
    assert_eq!(stamped.len(), 1, "{}", offer.title);
    let stamp = stamped[0].clone().unwrap_or_else(|fault| panic!("{}: {fault}", offer.title));
    assert!(stamp.is_some() && stamp == rest[0].timestamp, "{}: {stamp:?} for {:?}", offer.title, rest[0].timestamp);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_listed_in_order_and_described_and_one_that_is_not_there_is_not_made_up() {
    for offer in read_by_groups("grouped").await {
        let title = &offer.title;
        let (name, received) = group_of(&offer);
        offer.fill(["1"].map(str::to_owned)).await;
        read_on(&offer, &received, 1).await;
        let listing = groups(&offer).groups().await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        assert!(listing.gaps.is_empty() && listing.groups.is_sorted_by(|one, other| one.name < other.name), "{title}: {listing:?}");
        let row = listing.groups.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{title}: {name} is not listed"));
        assert!(!row.named && row.fault.is_none(), "{title}: {row:?}");
        let described = groups(&offer).describe(&name).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        assert_eq!((&described.group.name, &described.group.kind), (&row.name, &row.kind), "{title}");
        let nobody: Arc<str> = name.replace("worker", "nobody").replace("readers", "nobody").into();
        // Asked for in any order, and twice.
        let asked = [name.clone(), nobody, name.clone()];
        let answers = groups(&offer).group_offsets(&asked).await.unwrap_or_else(|fault| panic!("{title}: {fault}"));
        let rows: Vec<_> = answers.iter().map(|rows| rows.as_ref().map_or(0, Vec::len)).collect();
        assert!(rows.len() == 3 && rows[0] > 0 && rows[0] == rows[2], "{title}: {rows:?}");
        match &answers[1] {
            Ok(rows) => assert_eq!(rows.len(), 0, "{title}"),
            Err(fault) => assert_eq!(fault.kind, Kind::NotFound, "{title}: {fault}"),
        }
    }
}
