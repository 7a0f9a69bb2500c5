//! Live messages: from the end on, of several channels at once, each once and in order.

use crate::support::SOON;
use crate::support::offers::{offers, payloads};
use crate::support::subjects::{Listener, outgoing, places, subjects};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_sees_what_comes_and_nothing_that_was_there() {
    for subject in subjects("tail", 3).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        publish.publish(&subject.topic, outgoing(0, None, Some("before"))).await.expect("stored");
        let mut tail = Listener::start(&subject.session, std::slice::from_ref(&subject.topic)).await;
        for n in 0..30 {
            publish.publish(&subject.topic, outgoing(n % 3, None, Some(&n.to_string()))).await.expect("stored");
        }
        tail.until("30 messages", SOON, |tail| tail.messages.len() >= 30).await;
        tail.for_a_while(Duration::from_millis(200)).await;
        let found = places(&tail.messages);
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [(0, (1..11).collect()), (1, (0..10).collect::<Vec<i64>>()), (2, (0..10).collect())]
        );
        assert_eq!(tail.said, [], "{}", subject.system);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_sees_what_comes_in_several_channels_and_nothing_that_was_there_and_disturbs_no_other() {
    for offer in offers("tail", |row| row.can.contains(&"tail") && row.can.contains(&"publish")).await {
        let (title, publish) = (&offer.title, offer.session.publish.as_ref().expect("the system takes messages"));
        // Nobody may be there to take it, which is said.
        let _ = publish.publish(&offer.name, offer.text("before")).await;
        let mut both = Listener::start(&offer.session, &[offer.name.clone(), offer.other.clone()]).await;
        let mut one = Listener::start(&offer.session, std::slice::from_ref(&offer.name)).await;
        let gone = Listener::start(&offer.session, std::slice::from_ref(&offer.name)).await;
        for n in 0..30 {
            offer.publish(&offer.into[n % 2], &n.to_string()).await;
        }
        drop(gone);
        for n in 30..60 {
            offer.publish(&offer.into[n % 2], &n.to_string()).await;
        }
        both.until("60 messages", SOON, |tail| tail.messages.len() >= 60).await;
        one.until("30 messages", SOON, |tail| tail.messages.len() >= 30).await;
        let every_second = |first: usize| (first..60).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>();
        for (name, first) in [(&offer.name, 0), (&offer.other, 1)] {
            let of_one: Vec<_> = both.messages.iter().filter(|message| message.channel == *name).cloned().collect();
            assert_eq!(payloads(&of_one), every_second(first), "{title}: each once, in order, by its channel's name");
        }
        assert_eq!(payloads(&one.messages), every_second(0), "{title}");
        assert_eq!((&one.said[..], &both.said[..]), (&[][..], &[][..]), "{title}");
    }
}
