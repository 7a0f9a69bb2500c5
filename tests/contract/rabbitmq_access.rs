//! RabbitMQ: which part of the broker is spoken to, as whom, and within which limits.

use crate::support::SOON;
use crate::support::program::Home;
use crate::support::rabbitmq::{self, Rabbit, done, letter, queue, set};
use crate::support::subjects::{connect, session};
use crate::support::until;
use mqdeck::config::profile::{Auth, Profile, TokenSource};
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::safety::Safety;
use mqdeck::domain::text::SafeText;
use mqdeck::gateway::Gateway;

const EVERYTHING: &[&str] = &["read:*/*", "write:*/*", "configure:*/*", "tag:administrator"];

fn gateway(rabbit: &Rabbit) -> Gateway {
    let integrations = vec![rabbit.integration("guest")];
    Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations }, false)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_vhost_of_the_same_broker_is_said_behind_the_integrations_name() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let gateway = gateway(rabbit);
    let there = session(&gateway, "rabbit@tenant-a").await;
    let name = queue(&there, "elsewhere", "classic").await;
    let address: Address = format!("rabbit@tenant-a/queue:{name}").parse().expect("an address");
    let channel = gateway.named(&address).expect("a queue");
    let receipt = there.publish.as_ref().expect("RabbitMQ takes messages").publish(&channel, letter(None, "x")).await;
    assert_eq!(receipt, Ok(Receipt::Routed));
    let described = gateway.describe(&address).await.expect("described");
    assert!(described.channel.attributes.iter().any(|a| (a.name.as_str(), a.value.as_str()) == ("vhost", "tenant-a")));
    let listed = gateway.channels("rabbit@tenant-a").await.expect("listed");
    assert!(listed.iter().any(|channel| channel.name.ends_with(&name)));
    for here in ["rabbit", "rabbit@%2F"] {
        let listed = gateway.channels(here).await.expect("listed");
        assert!(!listed.iter().any(|channel| channel.name.ends_with(&name)), "{here}");
    }
    for (wrong, kind) in [("rabbit@nowhere", Kind::NotFound), ("rabbit@%2", Kind::Usage), ("others@tenant-a", Kind::Usage)] {
        assert_eq!(gateway.check(wrong).await.expect_err(wrong).kind, kind, "{wrong}");
    }
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vhosts_are_listed_with_the_way_to_their_channels() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let gateway = gateway(rabbit);
    for (from, name, way) in [
        ("rabbit", "vhost:/", "this one"),
        ("rabbit", "vhost:tenant-a", "rabbit@tenant-a/…"),
        ("rabbit@tenant-a", "vhost:tenant-a", "this one"),
        ("rabbit@tenant-a", "vhost:/", "rabbit@%2F/…"),
    ] {
        let listed = gateway.channels(from).await.expect("listed");
        let vhost = listed.iter().find(|channel| &*channel.name == name).unwrap_or_else(|| panic!("{from}: {name}"));
        let said = vhost.attributes.iter().find(|a| a.name.as_str() == "its channels").map(|a| a.value.as_str());
        assert_eq!((said, vhost.kind, vhost.can.words().len()), (Some(way), "vhost", 0), "{from}: {name}");
    }
    let described = gateway.describe(&"rabbit/vhost:tenant-a".parse().expect("an address")).await.expect("described");
    let permissions = described.tables.iter().find(|table| table.title == "permissions").expect("who may do what");
    assert!(permissions.rows.iter().any(|row| row.iter().map(SafeText::as_str).eq(["guest", ".*", ".*", ".*"])));
    let missing = gateway.describe(&"rabbit/vhost:nowhere".parse().expect("an address")).await.expect_err("there is none");
    assert_eq!(missing.kind, Kind::NotFound, "{missing}");
    gateway.shutdown().await;
    // Whoever may see one vhost alone has nothing to choose from, and everything else works as before.
    let session = connect(rabbit.integration("reader")).await.expect("RabbitMQ is there");
    assert!(session.inspect.channels().await.expect("listed").iter().any(|channel| &*channel.name == "exchange:amq.topic"));
}

#[test]
fn a_command_takes_an_address_of_another_vhost() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let home = Home::new();
    let url = format!("amqp://guest:guest@{}?management_url={}", rabbit.fact("AMQP"), rabbit.fact("MANAGEMENT"));
    let done = home.mqdeck(&["--url", &url, "channels", "rabbitmq@tenant-a", "--internal"]).output().expect("the program runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("rabbitmq@tenant-a/exchange:amq.topic"),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_channels_are_agreed_on_as_the_profile_says() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let mut integration = rabbit.integration("guest");
    set(&mut integration, "channel_max", "1717");
    let _session = connect(integration).await.expect("RabbitMQ is there");
    let agreed = || rabbit.ctl(&["list_connections", "channel_max", "client_properties"]);
    let ours = |line: &str| line.starts_with("1717\t") && line.contains("mqdeck");
    until("the connection in the server's list", SOON, async || agreed().lines().any(ours).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_as_far_as_its_scopes_reach() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let with = |token| {
        let mut integration = rabbit.integration("guest");
        integration.auth = Auth::Token(TokenSource::Fixed(token));
        integration
    };
    let session = connect(with(rabbit.token(600, EVERYTHING))).await.expect("a good token");
    let name = queue(&session, "token", "classic").await;
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    assert_eq!(publish.publish(&format!("queue:{name}"), letter(None, "x")).await, Ok(Receipt::Routed));
    // The management API is asked with the same token.
    let listed = session.inspect.channels().await.expect("listed");
    let row = listed.iter().find(|channel| channel.name.ends_with(&name)).expect("the queue");
    assert!(row.attributes.iter().any(|a| (a.name.as_str(), a.value.as_str()) == ("type", "classic")), "{row:?}");
    done(&session, "queue.delete", &format!("queue:{name}"), &[]).await;

    let reader = connect(with(rabbit.token(600, &["read:*/*"]))).await.expect("a good token");
    let fault =
        reader.publish.as_ref().expect("publish").publish("exchange:amq.topic", letter(Some("k"), "x")).await.expect_err("no write");
    assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
    let old = rabbit.token(-60, EVERYTHING);
    let fault = connect(with(old.clone())).await.err().expect("it has ended");
    assert!(fault.kind == Kind::Unauthorized && !fault.to_string().contains(old.expose()), "{fault}");
}
