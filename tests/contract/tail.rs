//! Live messages: from the end on, of several channels at once, each once and in order.

use crate::support::SOON;
use crate::support::subjects::{Listener, outgoing, places, subjects};
use std::time::Duration;

#[tokio::test]
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

#[tokio::test]
async fn a_tail_follows_several_channels_at_once() {
    for subject in subjects("several", 2).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        let mut tail = Listener::start(&subject.session, &[subject.topic.clone(), subject.other.clone()]).await;
        for n in 0..20 {
            let (channel, partition) = if n % 2 == 0 { (&subject.topic, 1) } else { (&subject.other, 0) };
            publish.publish(channel, outgoing(partition, None, Some(&n.to_string()))).await.expect("stored");
        }
        tail.until("20 messages", SOON, |tail| tail.messages.len() >= 20).await;
        for channel in [&subject.topic, &subject.other] {
            let of_one: Vec<_> = tail.messages.iter().filter(|message| message.channel == *channel).cloned().collect();
            let offsets: Vec<i64> = places(&of_one).into_values().flatten().collect();
            assert_eq!(offsets, (0..10).collect::<Vec<i64>>(), "{}: {channel}", subject.system);
        }
    }
}

#[tokio::test]
async fn two_tails_do_not_disturb_each_other() {
    for subject in subjects("two", 1).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        let topics = std::slice::from_ref(&subject.topic);
        let mut one = Listener::start(&subject.session, topics).await;
        let mut two = Listener::start(&subject.session, topics).await;
        publish.publish(&subject.topic, outgoing(0, None, Some("first"))).await.expect("stored");
        one.until("the first", SOON, |tail| tail.messages.len() == 1).await;
        drop(one);
        publish.publish(&subject.topic, outgoing(0, None, Some("second"))).await.expect("stored");
        two.until("both", SOON, |tail| tail.messages.len() == 2).await;
    }
}
