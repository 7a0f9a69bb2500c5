//! What the broker refuses: too large, not allowed.

use crate::support::subjects::{connect, outgoing, read};
use crate::support::{kafka, topics};
use mqdeck::config::profile::{Auth, Integration, ScramMechanism, Setting};
use mqdeck::config::secret::Secret;
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::position::{Bound, Range};

const WHOLE: Range = Range { start: Bound::Earliest, end: Bound::Latest };
const LARGE: usize = 50_000_000;

fn integration(address: &str) -> Integration {
    Integration::new("events", "kafka", vec![address.to_owned()])
}

fn user(address: &str, name: &str) -> Integration {
    let (username, password) = (name.to_owned(), Secret::new(format!("{name}-secret")));
    Integration { auth: Auth::Scram { mechanism: ScramMechanism::Sha512, username, password }, ..integration(address) }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_are_refused_with_the_limit_and_pass_where_they_may() {
    let Some(kafka) = kafka::shared() else { return };
    let small = topics::create(kafka.plain(), "small", 1, 1, &[]).await;
    let mut wide = integration(kafka.plain());
    wide.settings.insert("message.max.bytes".to_owned(), Setting { value: Secret::new("100000000".to_owned()), line: 1 });
    let session = connect(wide).await.expect("Kafka is there");
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    let payload: String = (0..LARGE / 10).map(|n| format!("{n:09}\n")).collect();
    let large = || outgoing(0, Some("large"), Some(&payload));
    let fault = publish.publish(&small, large()).await.expect_err("it is too large");
    assert_eq!(fault.kind, Kind::Rejected, "{fault}");
    assert!(fault.to_string().contains(&small) && fault.to_string().contains("50,000,005 bytes"), "{fault}");
    publish.publish(&small, outgoing(0, None, Some("after it"))).await.expect("the rest goes on");

    let big = topics::create(kafka.plain(), "big", 1, 1, &[("max.message.bytes", "64000000")]).await;
    publish.publish(&big, outgoing(0, None, Some("before"))).await.expect("stored");
    publish.publish(&big, large()).await.expect("stored");
    publish.publish(&big, outgoing(0, None, Some("after"))).await.expect("stored");
    let found = read(&session, &big, WHOLE).await.expect("history");
    let sizes: Vec<usize> = found.iter().map(|message| message.payload.as_ref().map_or(0, bytes::Bytes::len)).collect();
    assert_eq!(sizes, [6, LARGE, 5]);
    assert!(found[1].payload.as_deref() == Some(payload.as_bytes()), "the bytes are others");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_is_forbidden_and_the_rest_goes_on() {
    let Some(kafka) = kafka::shared() else { return };
    let Some(address) = kafka.listener("SASL") else { return };
    let topic = topics::create(kafka.plain(), "rights", 1, 1, &[]).await;
    let (alice, bob) = (connect(user(address, "alice")).await.expect("alice"), connect(user(address, "bob")).await.expect("bob"));
    let forbidden = |what: &str, fault: Option<Fault>, topic: &str| {
        let fault = fault.unwrap_or_else(|| panic!("{what} was allowed"));
        assert_eq!(fault.kind, Kind::Forbidden, "{what}: {fault}");
        assert!(fault.target.as_str().contains(topic) && fault.next.as_str().contains("ACL"), "{what}: {fault}");
    };
    let publish = |of: &mqdeck::adapters::session::Session| of.publish.clone().expect("Kafka takes messages");
    let message = || outgoing(0, None, Some("v"));

    forbidden("alice describes", alice.inspect.describe("forbidden").await.err(), "forbidden");
    forbidden("alice reads", read(&alice, "forbidden", WHOLE).await.err(), "forbidden");
    forbidden("alice publishes", publish(&alice).publish("forbidden", message()).await.err(), "forbidden");
    forbidden("alice tails", alice.tail.as_ref().expect("a tail").tail(&["forbidden".into()]).await.err(), "forbidden");
    let listed = alice.inspect.channels().await.expect("a list");
    assert!(listed.iter().any(|channel| *channel.name == topic) && !listed.iter().any(|channel| &*channel.name == "forbidden"));
    publish(&alice).publish(&topic, message()).await.expect("alice may");

    let carol = connect(user(address, "carol")).await.expect("carol");
    let listed = carol.inspect.channels().await.expect("a list");
    assert!(listed.iter().any(|channel| *channel.name == topic && channel.ends.is_some()), "carol may describe it, with its ends");
    carol.inspect.describe(&topic).await.expect("carol may describe");
    forbidden("carol reads", read(&carol, &topic, WHOLE).await.err(), &topic);
    forbidden("carol tails", carol.tail.as_ref().expect("a tail").tail(&[topic.as_str().into()]).await.err(), &topic);

    forbidden("bob publishes", publish(&bob).publish(&topic, message()).await.err(), &topic);
    assert_eq!(read(&bob, &topic, WHOLE).await.expect("bob may read").len(), 1);
}
