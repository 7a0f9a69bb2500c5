//! Names, keys, headers, payloads, groups and consumers that attack a terminal, in real systems that allow them: every command that
//! prints them shows marks or escapes.

use super::hostile::{NAME, clean, shows};
use crate::support::program::Home;
use mqdeck::adapters;
use std::ffi::OsString;
use std::process::{Output, Stdio};

/// The program at one system.
struct At {
    home: Home,
    url: String,
    system: &'static str,
}

impl At {
    fn run(&self, arguments: &[&str]) -> Output {
        let all: Vec<OsString> = [&["--url", &self.url], arguments].concat().into_iter().map(OsString::from).collect();
        self.home.mqdeck(&[]).args(all).stdin(Stdio::null()).output().expect("the program runs")
    }

    /// A command that has to succeed.
    fn done(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        clean(&arguments, &output);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Every command that can print what stands at this address. Those that the system does not have are refused, and name it or not.
    fn read(&self, address: &str, group: &str, lacks: &[&str]) {
        let group_address = format!("{}/group:{group}", self.system);
        for (arguments, shown) in [
            (&["channels"][..], true),
            (&["channels", address], true),
            (&["tail", address, "--from", "earliest", "--until", "latest"], true),
            (&["find", address, "from earliest until latest"], true),
            (&["find", address, "value == 1"], false),
            (&["lag", "--over", "0s"], false),
            (&["lag", &format!("{}/{group}", self.system), "--over", "0s"], true),
            (&["lag", "--over", "0s", "--assert", "lag < 0"], false),
            (&["groups", "reset", address, "--group", group, "--to", "earliest"], true),
            (&["follow", NAME], true),
            (&["receive", address, "--limit", "1", "--wait", "300ms", "--group", group], false),
            (&["peek", address, "--limit", "1", "--yes"], false),
            (&["rpc", "call", address, NAME, "--timeout", "300ms", "-H", NAME], false),
            (&["manage", "ls", address], false),
        ] {
            for json in [&[][..], &["--json"]] {
                let all = [arguments, json].concat();
                let output = self.run(&all);
                clean(&(self.system, &all), &output);
                assert!(
                    !shown || lacks.contains(&arguments[0]) || shows(&output),
                    "{all:?}: {}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
        let adapter = adapters::find(self.system).expect("an adapter");
        for spec in adapter.operations {
            for target in [address, &group_address] {
                // Without its fields many an operation is refused: then the refusal is looked at.
                let fields: Vec<String> = spec.fields.iter().map(|field| format!("{}={NAME}", field.id)).collect();
                for fields in [&[][..], &fields] {
                    let words = ["manage", spec.id, target].into_iter().chain(fields.iter().map(String::as_str)).chain(["--plan"]);
                    let all: Vec<&str> = words.collect();
                    clean(&all, &self.run(&all));
                }
            }
        }
    }
}

#[cfg(feature = "redis")]
#[test]
fn redis_keeps_any_name_and_none_reaches_the_terminal() {
    use crate::support::server::Server;
    use std::io::{Read, Write};
    let Some(server) = Server::shared("redis", "Redis", &[]) else { return };
    let address = server.addresses().remove(0);
    let name = format!("{NAME}.{}", std::process::id());
    let (group, consumer) = (format!("g{NAME}"), format!("c{NAME}"));
    let mut connection = std::net::TcpStream::connect(&address).expect("Redis is there");
    connection.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a limit");
    let mut redis = |words: &[&[u8]]| {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).bytes());
            request.extend(*word);
            request.extend(b"\r\n");
        }
        connection.write_all(&request).expect("sent");
        let mut answer = [0; 4096];
        let read = connection.read(&mut answer).expect("an answer");
        assert_ne!(answer[..read].first(), Some(&b'-'), "{}", String::from_utf8_lossy(&answer[..read]));
    };
    let (name_bytes, hostile) = (name.as_bytes(), NAME.as_bytes());
    redis(&[b"XADD", name_bytes, b"*", b"correlation_id", hostile, hostile, b"\xff\x1b[31m", b"data", hostile]);
    redis(&[b"XGROUP", b"CREATE", name_bytes, group.as_bytes(), b"0"]);
    redis(&[b"XREADGROUP", b"GROUP", group.as_bytes(), consumer.as_bytes(), b"COUNT", b"1", b"STREAMS", name_bytes, b">"]);
    let at = At { home: Home::new(), url: format!("redis://{address}"), system: "redis" };
    at.read(&format!("redis/stream:{name}"), &group, &[]);
    redis(&[b"DEL", name_bytes]);
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread")]
async fn kafka_keeps_any_key_header_and_group_and_none_reaches_the_terminal() {
    use crate::support::{kafka, topics};
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "hostile", 1, 1, &[]).await;
    let at = At { home: Home::new(), url: format!("kafka://{}", kafka.plain()), system: "kafka" };
    let (address, group) = (format!("kafka/{topic}"), format!("g{NAME}.{}", std::process::id()));
    let header = format!("{NAME}={NAME}");
    at.done(&["publish", &address, NAME, "--key", NAME, "-H", &header, "-H", &format!("correlation_id={NAME}")]);
    at.done(&["groups", "reset", &address, "--group", &group, "--to", "earliest", "--execute"]);
    for (arguments, shown) in [
        (&["tail", &address, "--from", "earliest", "--until", "latest"][..], true),
        (&["find", &address, "from earliest until latest"], true),
        (&["lag", "--over", "0s"], true),
        (&["lag", &format!("kafka/{group}"), "--over", "0s"], true),
        (&["lag", "--over", "0s", "--assert", "lag < 0"], true),
        (&["groups", "reset", &address, "--group", &group, "--to", "latest", "--execute"], true),
        (&["follow", NAME], true),
        (&["channels", &address], false),
        (&["manage", "group.delete", &format!("kafka/group:{group}"), "--plan"], true),
    ] {
        for json in [&[][..], &["--json"]] {
            let all = [arguments, json].concat();
            let output = at.run(&all);
            clean(&all, &output);
            assert!(
                !shown || shows(&output),
                "{all:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    let output = at.run(&["manage", "group.delete", &format!("kafka/group:{group}")]);
    clean(&"group.delete", &output);
}

#[cfg(feature = "rabbitmq")]
#[test]
fn rabbitmq_keeps_any_queue_and_routing_key_and_none_reaches_the_terminal() {
    let Some(rabbit) = crate::support::rabbitmq::shared() else { return };
    let management = rabbit.fact("MANAGEMENT").replace(':', "%3A").replace('/', "%2F");
    let at = At {
        home: Home::new(),
        url: format!("amqp://guest:guest@{}/?management_url={management}", rabbit.fact("AMQP")),
        system: "rabbitmq",
    };
    let name = format!("{NAME}.{}", std::process::id());
    let address = format!("rabbitmq/queue:{name}");
    rabbit.ctl(&[
        "eval",
        &format!(
            "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"{}\"/utf8>>), true, false, [], none, <<\"guest\">>).",
            erlang(&name)
        ),
    ]);
    at.done(&["publish", &address, NAME, "-H", &format!("{NAME}={NAME}"), "-o", &format!("correlation_id={NAME}")]);
    for (arguments, shown) in [
        (&["channels"][..], true),
        (&["channels", &address], true),
        (&["peek", &address, "--limit", "1", "--yes"], true),
        (&["receive", &address, "--limit", "1", "--wait", "1s"], true),
        (&["manage", "queue.purge", &address, "--plan"], true),
        (&["lag", "--over", "0s"], false),
        (&["follow", NAME], true),
        (&["tail", &address, "--from", "earliest", "--until", "latest"], true),
    ] {
        for json in [&[][..], &["--json"]] {
            let all = [arguments, json].concat();
            let output = at.run(&all);
            clean(&all, &output);
            assert!(
                !shown || shows(&output),
                "{all:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[cfg(feature = "nats")]
#[tokio::test(flavor = "multi_thread")]
async fn nats_keeps_any_subject_stream_and_consumer_and_none_reaches_the_terminal() {
    let Some(nats) = crate::support::nats::shared() else { return };
    let name = format!("{NAME}-{}", std::process::id());
    // What is JSON in these requests are the names alone.
    let json = |text: &str| serde_json::to_string(text).expect("text");
    let request = |api: String, body: String| format!("PUB {api} {}\r\n{body}\r\n", body.len()).into_bytes();
    let stream = format!("{{\"name\":{0},\"subjects\":[{0}],\"description\":{0}}}", json(&name));
    let consumer = format!(
        "{{\"stream_name\":{},\"config\":{{\"durable_name\":{},\"ack_policy\":\"explicit\",\"description\":{}}}}}",
        json(&name),
        json(NAME),
        json(NAME)
    );
    nats.raw(&request(format!("$JS.API.STREAM.CREATE.{name}"), stream)).await;
    nats.raw(&request(format!("$JS.API.CONSUMER.DURABLE.CREATE.{name}.{NAME}"), consumer)).await;
    let headers = format!("NATS/1.0\r\nx-{NAME}: {NAME}\r\ncorrelation_id: {NAME}\r\n\r\n");
    let message = format!("HPUB {name} {} {}\r\n{headers}{NAME}\r\n", headers.len(), headers.len() + NAME.len());
    nats.raw(message.as_bytes()).await;
    let url = format!("nats://{}", nats.address().split(',').next().expect("an address"));
    let at = At { home: Home::new(), url, system: "nats" };
    at.read(&format!("nats/stream:{name}"), NAME, &["groups"]);
    at.read(&format!("nats/consumer:{name}/{NAME}"), NAME, &["groups"]);
    nats.raw(&request(format!("$JS.API.STREAM.DELETE.{name}"), String::new())).await;
}

#[cfg(feature = "mqtt")]
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_keeps_any_topic_property_and_payload_and_none_reaches_the_terminal() {
    use mqdeck::domain::message::Outgoing;
    let Some(broker) = crate::support::mosquitto::shared() else { return };
    // The protocol forbids control characters in topics and properties, and the broker closes the connection for them.
    let name: String = NAME.chars().filter(|c| !c.is_control()).collect();
    let topic = format!("{name}/{}", std::process::id());
    let session = broker.session(&[]).await;
    let publish = session.publish.as_ref().expect("MQTT takes messages");
    let message = Outgoing {
        payload: Some(NAME.to_owned().into()),
        headers: vec![crate::support::subjects::header(&name, Some(name.as_bytes()))],
        options: vec![("retain", "yes".to_owned()), ("qos", "1".to_owned())],
        ..Outgoing::default()
    };
    publish.publish(&topic, message).await.unwrap_or_else(|fault| panic!("{fault}"));
    let at = At { home: Home::new(), url: format!("mqtt://{}", broker.at("PLAIN")), system: "mqtt" };
    at.read(&format!("mqtt/{topic}"), &name, &["groups", "lag", "follow"]);
    let clear = Outgoing { options: vec![("retain", "yes".to_owned())], payload: Some("".into()), ..Outgoing::default() };
    publish.publish(&topic, clear).await.unwrap_or_else(|fault| panic!("{fault}"));
}

/// The name as Erlang's text: everything hidden by its number.
#[cfg(feature = "rabbitmq")]
fn erlang(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() { c.to_string() } else { format!("\\x{{{:x}}}", u32::from(c)) }).collect()
}
