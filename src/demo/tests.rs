//! The demo starts without waiting for anything, has a past, and goes on.

use super::*;
use crate::domain::message::Message;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use tokio::time::timeout;

/// Long enough for a busy machine; only what hangs takes so long.
const LIMIT: Duration = Duration::from_secs(60);

/// What is in the process alone.
async fn alone() -> Demo {
    Demo::start_with(OsStr::new("")).await.expect("a demo")
}

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
async fn it_starts_with_a_past_and_goes_on() {
    let began = now();
    let demo = alone().await;

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

    let end = tokio::task::spawn_blocking(move || drop(demo));
    timeout(LIMIT, end).await.expect("it ends").expect("without a panic");
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_no_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let never = folder.path().join("redis-server");
    std::fs::write(&never, "#!/bin/sh\nexec sleep 1000\n").expect("a program");
    std::fs::set_permissions(&never, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    let demo = timeout(LIMIT, Demo::start_with(folder.path().as_os_str())).await.expect("it does not wait").expect("a demo");
    read(&demo, &[topics::EVENTS], |read| !read.is_empty()).await;
    let profile = demo.profile();
    let cache = profile.integrations.iter().find(|integration| &*integration.name == "cache").expect("it is named");
    assert!(cache.absent.is_none() && !cache.warm_up.is_zero(), "it is starting");
    assert!(TcpStream::connect(&cache.endpoint.addresses[0]).is_err(), "and nobody listens there");
    let absent: Vec<&str> = profile.integrations.iter().filter(|i| i.absent.is_some()).map(|i| &*i.name).collect();
    let others: Vec<&str> = SERVERS.iter().map(|(recipe, _)| recipe.name).filter(|name| *name != "cache").collect();
    assert_eq!(absent, others, "what is not installed is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_say_where_they_died_in_springs_words() {
    let demo = alone().await;
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
    let demo = alone().await;
    let profile = demo.profile();
    let integration = &profile.integrations[0];
    assert_eq!(integration.tenant_of("grey.tasks.acme"), Some("acme"));
    let text = demo.profile_hcl();
    for address in &integration.endpoint.addresses {
        assert!(text.contains(address), "{text}");
    }
    text.parse::<hcl_edit::structure::Body>().expect("HCL");
}
