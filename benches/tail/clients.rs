//! The client crates by themselves: what a tail over them could reach at most.

use super::run::Count;
use futures::StreamExt;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
use std::time::Duration;
use tokio::time::timeout;

/// Messages counted together, where they come together.
const TOGETHER: usize = 1_024;

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future);
}

/// Counts what a stream gives, taking together what has come.
async fn counted<T>(stream: impl futures::Stream<Item = T> + Unpin, messages: u64) {
    let (mut stream, mut count) = (stream.ready_chunks(TOGETHER), Count::default());
    loop {
        let came = timeout(count.patience(), stream.next()).await;
        let silent = came.is_err();
        if let Ok(came) = came {
            count.came(came.expect("it goes on").len() as u64);
        }
        if count.is_over(silent, messages) {
            return;
        }
    }
}

pub(super) fn nats(address: &str, messages: u64) {
    run(async {
        // As much room as the tail has: a reader that is too slow loses messages.
        let options = async_nats::ConnectOptions::new().subscription_capacity(128 << 10);
        let client = options.connect(address).await.expect("connected");
        let flooded = client.subscribe("flood").await.expect("subscribed");
        counted(flooded, messages).await;
    });
}

pub(super) fn mqtt_0(address: &str, messages: u64) {
    mqtt(address, messages, QoS::AtMostOnce);
}

pub(super) fn mqtt_1(address: &str, messages: u64) {
    mqtt(address, messages, QoS::AtLeastOnce);
}

fn mqtt(address: &str, messages: u64, qos: QoS) {
    run(async {
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let mut options = MqttOptions::new(format!("bare-{}", std::process::id()), host, port.parse().expect("a port"));
        options.set_keep_alive(Duration::from_secs(60));
        let (client, mut events) = AsyncClient::new(options, 100);
        client.subscribe("flood", qos).await.expect("asked for");
        let mut count = Count::default();
        loop {
            let event = timeout(count.patience(), events.poll()).await;
            let silent = event.is_err();
            if let Ok(Event::Incoming(Incoming::Publish(_))) =
                event.unwrap_or(Ok(Event::Incoming(Incoming::PingResp(rumqttc::v5::mqttbytes::v5::PingResp))))
            {
                count.came(1);
            }
            if count.is_over(silent, messages) {
                return;
            }
        }
    });
}

pub(super) fn redis_pubsub(address: &str, messages: u64) {
    run(async {
        let client = redis::Client::open(format!("redis://{address}/?protocol=resp3")).expect("a URL");
        let mut flooded = client.get_async_pubsub().await.expect("connected");
        flooded.subscribe("flood").await.expect("subscribed");
        counted(flooded.into_on_message(), messages).await;
    });
}

pub(super) fn redis_stream(address: &str, messages: u64) {
    run(async {
        let client = redis::Client::open(format!("redis://{address}/?protocol=resp3")).expect("a URL");
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.expect("connected");
        let (mut after, mut count) = ("$".to_owned(), Count::default());
        loop {
            let mut command = redis::cmd("XREAD");
            // The server's silence ends a little before ours does.
            let wait = count.patience().as_millis() as u64;
            command.arg("COUNT").arg(1_000).arg("BLOCK").arg(wait).arg("STREAMS").arg("flooded").arg(&after);
            let answer: Option<redis::streams::StreamReadReply> = command.query_async(&mut connection).await.expect("an answer");
            let entries = answer.and_then(|mut answer| answer.keys.pop()).map(|stream| stream.ids).unwrap_or_default();
            if let Some(last) = entries.last() {
                after.clone_from(&last.id);
                count.came(entries.len() as u64);
            }
            if count.is_over(entries.is_empty(), messages) {
                return;
            }
        }
    });
}

pub(super) fn rabbitmq(address: &str, messages: u64) {
    use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
    use lapin::types::FieldTable;
    run(async {
        let url = format!("amqp://guest:guest@{address}/%2F");
        let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.expect("connected");
        let channel = connection.create_channel().await.expect("a channel");
        let queue = format!("client-{}", std::process::id());
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), exclusive, FieldTable::default()).await.expect("declared");
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.as_str().into(), "amq.fanout".into(), "".into(), bind, FieldTable::default()).await.expect("bound");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = channel.basic_consume(queue.as_str().into(), "c".into(), options, FieldTable::default()).await.expect("read");
        counted(consumer, messages).await;
    });
}
