//! The test stand itself: a real broker comes up, another language's client reaches it, a crash and a restart work.

use crate::support::{clients, kafka, topics};

#[tokio::test]
async fn a_real_kafka_answers_our_client_and_another_languages() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "stand", 3, 1, &[]).await;
    let Some(script) = clients::script("kafka/topics.py", &[kafka.plain()]) else { return };
    let listed = String::from_utf8(clients::run(script)).expect("text");
    assert!(listed.lines().any(|line| line == format!("{topic} 3")), "{listed}");
}
