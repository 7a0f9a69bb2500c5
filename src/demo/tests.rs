//! The demo starts at once, has a past, and goes on.

use super::*;
use crate::domain::message::Message;
use std::time::Instant;

async fn read(demo: &Demo, topics: &[&str], enough: impl Fn(&[Message]) -> bool) -> Vec<Message> {
    let member = demo.kafka.member("test", topics).expect("a member");
    let mut messages = Vec::new();
    while !enough(&messages) {
        messages.push(member.next().await.expect("a message"));
    }
    messages
}

fn kind(event: &Message) -> &[u8] {
    event.headers.first().and_then(|header| header.value.as_deref()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_at_once_with_a_past_and_goes_on() {
    let began = now();
    let started = Instant::now();
    let demo = Demo::start().await.expect("a demo");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());

    let events = read(&demo, &[topics::EVENTS], |read| {
        let live = read.iter().filter(|message| message.timestamp >= Some(began)).count();
        live > 20
            && read.len() - live >= 1_800
            && read.iter().any(|message| message.timestamp >= Some(began) && kind(message) == b"completed")
    })
    .await;
    let oldest = events.iter().filter_map(|message| message.timestamp).min().expect("events");
    assert!(began.since(oldest) > Duration::from_secs(5 * 3_600));
    for header in ["event_type", "tenant_id", "task_id"] {
        assert!(events.iter().all(|event| event.headers.iter().any(|h| h.name == header.as_bytes() && h.value.is_some())), "{header}");
    }

    let ended = Instant::now();
    drop(demo);
    assert!(ended.elapsed() < Duration::from_secs(2), "{:?}", ended.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_say_where_they_died_in_springs_words() {
    let demo = Demo::start().await.expect("a demo");
    let dead = &read(&demo, &[topics::DEAD_TASKS], |read| !read.is_empty()).await[0];
    let header = |name: &str| {
        let found = dead.headers.iter().find(|header| header.name == name.as_bytes());
        found.and_then(|header| header.value.clone()).unwrap_or_else(|| panic!("{name}"))
    };
    let partition = i32::from_be_bytes(header("kafka_dlt-original-partition")[..].try_into().expect("four bytes"));
    let offset = i64::from_be_bytes(header("kafka_dlt-original-offset")[..].try_into().expect("eight bytes"));
    let topic = String::from_utf8(header("kafka_dlt-original-topic").to_vec()).expect("a name");
    let position = crate::domain::position::Position::Offset { partition, offset };
    let found = |read: &[Message]| read.iter().any(|message| message.position == position);
    let tasks = read(&demo, &[&topic], found).await;
    let original = tasks.iter().find(|message| message.position == position).expect("the original");
    assert_eq!((&original.key, &original.payload), (&dead.key, &dead.payload));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_reaches_it_as_values_and_as_a_file() {
    let demo = Demo::start().await.expect("a demo");
    let profile = demo.profile();
    let integration = &profile.integrations[0];
    assert_eq!(integration.tenant_of("grey.tasks.acme"), Some("acme"));
    let text = demo.profile_hcl();
    for address in &integration.endpoint.addresses {
        assert!(text.contains(address), "{text}");
    }
    text.parse::<hcl_edit::structure::Body>().expect("HCL");
}
