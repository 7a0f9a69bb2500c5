//! A connection that is lost is tried again as often as the profile's `reconnect` allows: every tail and every receiving ends with why.

use crate::support::subjects::{connect, manage};
use crate::support::{SOON, kafka, mosquitto, nats, rabbitmq, server::Server, topics, until};
use futures::StreamExt;
use mqdeck::config::profile::{HealthCheck, Integration, Profile, Reconnect};
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::health::Link;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::safety::Safety;
use mqdeck::domain::tail::TailEvent;
use mqdeck::domain::time::Timestamp;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::hold::{HoldEvent, Tickets};
use std::time::Duration;
use tokio::time::timeout;

const NEVER: &str = "reconnect.enabled = false";
const THREE: &str = "3 attempts to reconnect failed, which is all the profile allows (reconnect.max_attempts)";

fn policies() -> [(Reconnect, &'static str); 2] {
    let soon = Reconnect { delay: Duration::from_millis(20), max_delay: Duration::from_millis(40), ..Reconnect::default() };
    [(Reconnect { enabled: false, ..soon.clone() }, NEVER), (Reconnect { max_attempts: Some(3), ..soon }, THREE)]
}

/// What a tail says last of why it was interrupted; it has to end.
async fn last_of_tail(mut events: impl futures::Stream<Item = (std::sync::Arc<str>, TailEvent)> + Unpin) -> Option<Fault> {
    let mut last = None;
    while let Some((_, event)) = events.next().await {
        if let TailEvent::Interrupted(fault) = event {
            last = Some(fault);
        }
    }
    last
}

/// The same of a receiving, listened to as the gateway does.
async fn last_of_holding(holding: &mut Tickets) -> Option<Fault> {
    let mut last = None;
    while let Some(event) = holding.event().await {
        last = if let HoldEvent::Interrupted { fault, .. } = event { Some(fault) } else { None };
    }
    last
}

/// Begins as soon as a server that has just been started has found its channels.
async fn ready<T>(channel: &str, mut begin: impl AsyncFnMut() -> Result<T, Fault>) -> T {
    let beginning = until(channel, SOON, async || match begin().await {
        Err(fault) if fault.kind.is_transient() => None,
        begun => Some(begun),
    });
    beginning.await.unwrap_or_else(|fault| panic!("{channel}: {fault}"))
}

/// Ends everything that goes on at a server by stopping it, and starts it again: it stays ended.
async fn ends<S>(
    server: &mut S,
    integration: impl Fn(&S) -> Integration,
    (tails, holds): (&[&str], &[&str]),
    stop: fn(&S),
    restart: fn(&mut S),
) {
    for (reconnect, reason) in policies() {
        let health = HealthCheck { enabled: true, interval: Duration::from_millis(100) };
        let integration = Integration { reconnect, health, ..integration(server) };
        let name = integration.name.clone();
        let session = connect(integration.clone()).await.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let profile = Profile { name: "p".into(), path: None, safety: Safety::default(), integrations: vec![integration] };
        let gateway = Gateway::open(profile, false);
        let mut said = Vec::new();
        for channel in tails {
            let address = [Address::new(&name, channel)];
            let events = ready(channel, async || gateway.tail(&address).await).await;
            said.push((format!("the tail of {name}/{channel}"), tokio::spawn(last_of_tail(events))));
        }
        for channel in holds {
            let hold = session.hold.as_ref().expect("it receives");
            let mut holding = ready(channel, async || hold.hold(channel, 5).await).await;
            let ended = tokio::spawn(async move { last_of_holding(&mut holding).await });
            said.push((format!("the receiving from {name}/{channel}"), ended));
        }
        stop(server);
        for (what, ended) in said {
            let last = timeout(SOON, ended).await.unwrap_or_else(|_| panic!("{what} goes on")).expect("no panic");
            let fault = last.unwrap_or_else(|| panic!("{what} ended without a word"));
            assert!(fault.kind == Kind::Unreachable && fault.cause.as_str().ends_with(&closing(reason)), "{what}: {fault}");
        }
        let mut link = gateway.link(&name).expect("the integration");
        let failed = link.wait_for(|link| matches!(link, Link::Down { fault, .. } if fault.cause.as_str().contains(reason)));
        timeout(SOON, failed).await.unwrap_or_else(|_| panic!("{name} is not told as failed")).expect("the gateway is there");
        restart(server);
        assert!(
            matches!(&*link.borrow(), Link::Down { retry_at: Timestamp(i64::MAX), .. }),
            "{name}: there is no next attempt: {:?}",
            *link.borrow()
        );
        let fault = gateway.check(&name).await.expect_err("a connection that is over is not used");
        assert!(fault.cause.as_str().contains(reason), "{fault}");
    }
}

/// How a cause ends that says why it is the last one, once.
fn closing(reason: &str) -> String {
    if reason == NEVER { format!("; it is not tried again, as the profile says ({NEVER})") } else { format!("; {THREE}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_tried_again_only_as_often_as_the_profile_says() {
    let Some(mut server) = nats::own(&[]) else { return };
    let session = connect(server.integration()).await.expect("connected");
    manage(&session, "nats/stream:KEPT", "stream.create", &[]).await;
    manage(&session, "nats/stream:KEPT", "consumer.create", &[("name", "worker")]).await;
    let channels = (&["live", "stream:KEPT"][..], &["consumer:KEPT/worker", "queue:live/workers"][..]);
    ends(&mut server, nats::Nats::integration, channels, |nats| nats.kill(1), nats::Nats::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_tried_again_only_as_often_as_the_profile_says() {
    let Some(mut server) = Server::own("redis", "Redis", &[]) else { return };
    let integration = |server: &Server| Integration::new("redis", "redis", server.addresses());
    let session = connect(integration(&server)).await.expect("connected");
    let first = Outgoing { payload: Some("first".into()), ..Outgoing::default() };
    session.publish.as_ref().expect("publish").publish("stream:jobs", first).await.expect("stored");
    manage(&session, "redis/stream:jobs", "group.create", &[("group", "workers")]).await;
    let channels = (&["stream:jobs", "channel:news"][..], &["stream:jobs/workers"][..]);
    ends(&mut server, integration, channels, |redis| redis.kill("n1"), Server::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_is_tried_again_only_as_often_as_the_profile_says() {
    let Some(mut server) = mosquitto::own(&[]) else { return };
    let integration = |broker: &mosquitto::Mosquitto| broker.integration("PLAIN", &[]);
    ends(&mut server, integration, (&["crash/#"], &["jobs/#"]), mosquitto::Mosquitto::kill, mosquitto::Mosquitto::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_is_tried_again_only_as_often_as_the_profile_says() {
    let Some(mut server) = rabbitmq::own() else { return };
    let session = server.session().await;
    let log = format!("stream:{}", rabbitmq::queue(&session, "log", "stream").await);
    let work = format!("queue:{}", rabbitmq::queue(&session, "work", "classic").await);
    let channels = (&["exchange:amq.topic", &log][..], &[&*work][..]);
    let integration = |rabbit: &rabbitmq::Rabbit| rabbit.integration("guest");
    ends(&mut server, integration, channels, rabbitmq::Rabbit::halt, rabbitmq::Rabbit::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_tried_again_only_as_often_as_the_profile_says() {
    let Some(mut server) = kafka::own(&[]) else { return };
    let topic = topics::create(server.plain(), "kept", 2, 1, &[]).await;
    let integration = |kafka: &kafka::Kafka| Integration::new("events", "kafka", vec![kafka.plain().to_owned()]);
    ends(&mut server, integration, (&[&topic], &[]), |kafka| kafka.kill(1), kafka::Kafka::restart).await;
}
