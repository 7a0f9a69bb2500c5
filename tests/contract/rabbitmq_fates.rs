//! RabbitMQ: what settling and giving back a message really does to it, said before, and true.

use crate::console::console;
use crate::support::clients::run;
use crate::support::program::Home;
use crate::support::rabbitmq::{self, Rabbit, letter};
use crate::support::{SOON, unique, until};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Integration, Profile};
use mqdeck::domain::address::Address;
use mqdeck::domain::channel::Cost;
use mqdeck::domain::delivery::{Delivery, Effect, Given, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::operation::{Plan, Risk};
use mqdeck::domain::safety::{Mode, Safety};
use mqdeck::gateway::Gateway;
use mqdeck::gateway::hold::{Held, HoldEvent};
use serde_json::json;
use std::process::Stdio;

fn open(integration: Integration, safety: Safety) -> Gateway {
    Gateway::open(Profile { name: "test".into(), path: None, safety, integrations: vec![integration] }, false)
}

async fn fill(session: &Session, queue: &str, bodies: &[&str]) {
    for body in bodies {
        let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
        publish.publish(&format!("queue:{queue}"), letter(None, body)).await.expect("published");
    }
}

async fn taken(held: &mut Held) -> Delivery {
    match tokio::time::timeout(SOON, held.next()).await.expect("in time") {
        Some(HoldEvent::Message(delivery)) => *delivery,
        other => panic!("no message: {other:?}"),
    }
}

/// Messages ready in a queue, as another language's client counts them.
fn ready(rabbit: &Rabbit, queue: &str) -> Option<u64> {
    let printed = run(rabbit.other(&["ready", queue])?);
    Some(String::from_utf8_lossy(&printed).trim().parse().expect("a number"))
}

/// Waits until so many are ready.
async fn holds(rabbit: &Rabbit, queue: &str, count: u64) {
    until(&format!("{count} messages in {queue}"), SOON, async || ready(rabbit, queue).filter(|ready| *ready == count)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_to_reject_names_what_becomes_of_the_message_and_that_comes_to_be() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let Some(dead) = rabbit.declared("dead", &json!({})) else { return };
    let governed = unique("governed");
    let policy = json!({ "dead-letter-exchange": "", "dead-letter-routing-key": dead }).to_string();
    rabbit.ctl(&["set_policy", "--apply-to", "queues", &governed, &format!("^{governed}"), &policy]);
    let gateway = open(rabbit.integration("guest"), Safety::default());
    gateway.arm("test", None).expect("armed");
    let session = rabbit.session().await;
    let dlx = |exchange: &str, key: &str| json!({ "x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": key });
    let with = |mut arguments: serde_json::Value, more: serde_json::Value| {
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        arguments
    };
    let quorum = || json!({ "x-queue-type": "quorum" });
    let safe = json!({ "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish" });
    let to = format!("1 message to queue:{dead} by the default exchange");
    let mut expected = 0;
    for (name, arguments, risk, words) in [
        ("none", json!({}), Risk::Destroy, "DELETES 1 message: this queue has no dead-letter exchange".to_owned()),
        ("none-quorum", quorum(), Risk::Destroy, "DELETES 1 message: this queue has no dead-letter exchange".to_owned()),
        ("missing", dlx("nowhere", "k"), Risk::Destroy, "DELETES 1 message: the dead-letter exchange `nowhere` does not exist".to_owned()),
        (
            "unbound",
            dlx("amq.direct", "unbound"),
            Risk::Destroy,
            "DELETES 1 message: the exchange `amq.direct` has no queue bound".to_owned(),
        ),
        ("argument", dlx("", &dead), Risk::Reversible, format!("{to} (at-most-once")),
        ("once", with(quorum(), dlx("", &dead)), Risk::Reversible, format!("{to} (at-most-once")),
        ("sure", with(quorum(), with(dlx("", &dead), safe)), Risk::Reversible, to.clone()),
        (governed.as_str(), json!({}), Risk::Reversible, format!("{to} (at-most-once")),
    ] {
        let Some(queue) = rabbit.declared(name, &arguments) else { return };
        fill(&session, &queue, &["x"]).await;
        let address = Address::new("rabbit", &format!("queue:{queue}"));
        let mut held = gateway.hold(&address, 1, 1).await.expect("held");
        let delivery = taken(&mut held).await;
        let settles = gateway.settles(&address, Effect::Reject, &[Given::from(&delivery)]).await.expect("it is known");
        assert!(settles.risk == risk && settles.summary.as_str().starts_with(&words), "{name}: {settles:?}");
        let tickets = vec![delivery.ticket.expect("a ticket")];
        let settlement = Settlement { effect: Effect::Reject, arguments: Vec::new() };
        let plan = Plan::Settle { address, hold: held.id, tickets, settlement, settles };
        assert_eq!(plan.risk(), risk, "{name}");
        gateway.disarm();
        assert_eq!(gateway.passes(&plan).is_err(), risk == Risk::Destroy, "{name}: unarmed");
        gateway.arm("test", None).expect("armed");
        let done = gateway.execute(plan).await.expect("carried out").done.expect("parts");
        assert!(done.parts.iter().all(|(_, part)| part.is_ok()), "{name}: {done:?}");
        expected += u64::from(risk < Risk::Destroy);
        holds(rabbit, &dead, expected).await;
        holds(rabbit, &queue, 0).await;
        gateway.release(held.id).await.expect("ended");
    }
    gateway.shutdown().await;
    rabbit.ctl(&["clear_policy", &governed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_of_a_queue_is_the_worst() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let mut integration = rabbit.integration("guest");
    rabbitmq::set(&mut integration, "management_url", "none");
    let gateway = open(integration, Safety::default());
    let session = rabbit.session().await;
    let Some(queue) = rabbit.declared("unknown", &json!({})) else { return };
    fill(&session, &queue, &["x"]).await;
    let address = Address::new("rabbit", &format!("queue:{queue}"));
    let settles = gateway.settles(&address, Effect::Reject, &[Given::default()]).await.expect("it is said");
    assert!(settles.risk == Risk::Destroy && settles.summary.as_str().starts_with("MAY DELETE 1 message"), "{settles:?}");
    assert_eq!(gateway.settles(&address, Effect::Ack, &[Given::default()]).await.expect("it is said").risk, Risk::Reversible);
    assert!(matches!(gateway.peek_cost(&address).await, Ok(Cost::Spends(_))));
    assert_eq!(gateway.peek(&address, 1, false).await.expect_err("refused").kind, Kind::Rejected);
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_limits_deliveries_is_not_looked_at_unless_somebody_who_may_destroy_wants_it() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let Some(queue) = rabbit.declared("limited", &json!({ "x-queue-type": "quorum", "x-delivery-limit": 1 })) else { return };
    let gateway = open(rabbit.integration("guest"), Safety::default());
    let session = rabbit.session().await;
    fill(&session, &queue, &["a", "b"]).await;
    holds(rabbit, &queue, 2).await;
    let address = Address::new("rabbit", &format!("queue:{queue}"));
    let cost = gateway.peek_cost(&address).await.expect("a cost");
    assert!(matches!(&cost, Cost::Spends(why) if why.as_str().contains("of the 1 returns that it allows")), "{cost:?}");
    assert_eq!(gateway.peek(&address, 2, false).await.expect_err("refused").kind, Kind::Rejected);
    assert_eq!(gateway.peek(&address, 2, true).await.expect_err("not armed").kind, Kind::Forbidden);
    let read_only = open(rabbit.integration("guest"), Safety { mode: Mode::ReadOnly, ..Safety::default() });
    for spend in [false, true] {
        assert!(read_only.peek(&address, 2, spend).await.is_err());
    }
    read_only.shutdown().await;
    // The first look spends the one return that there is, the second deletes them: what is counted says so.
    gateway.arm("test", None).expect("armed");
    let first = gateway.peek(&address, 2, true).await.expect("a look");
    assert_eq!((first.deliveries.len(), first.ready), (2, Some((2, 2))));
    let second = gateway.peek(&address, 2, true).await.expect("a look");
    assert_eq!((second.deliveries.len(), second.ready), (2, Some((2, 0))), "{second:?}");
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_back_at_the_limit_is_a_plan_that_deletes() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let Some(queue) = rabbit.declared("returned", &json!({ "x-queue-type": "quorum", "x-delivery-limit": 1 })) else { return };
    let gateway = open(rabbit.integration("guest"), Safety::default());
    let session = rabbit.session().await;
    fill(&session, &queue, &["a"]).await;
    let address = Address::new("rabbit", &format!("queue:{queue}"));
    for (risk, words) in
        [(Risk::Reversible, "one of the 1 returns of each is spent"), (Risk::Destroy, "DELETES 1 message: this queue has no")]
    {
        let mut held = gateway.hold(&address, 1, 1).await.expect("held");
        let delivery = taken(&mut held).await;
        let settles = gateway.settles(&address, Effect::Requeue, &[Given::from(&delivery)]).await.expect("it is known");
        assert!(settles.risk == risk && settles.summary.as_str().contains(words), "{settles:?}");
        gateway.release(held.id).await.expect("ended");
        holds(rabbit, &queue, u64::from(risk < Risk::Destroy)).await;
    }
    gateway.shutdown().await;
}

/// Runs the command without a terminal: what it said, and its exit code.
fn said(home: &Home, profile: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let done = home.mqdeck(&[&["--profile", profile], arguments].concat()).stdin(Stdio::null()).output().expect("it runs");
    (String::from_utf8_lossy(&done.stderr).into_owned(), done.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_delete_nothing_that_nobody_armed_the_profile_for() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let home = Home::new();
    let profile = format!(
        r#"integration "rabbit" {{
  type = "rabbitmq"
  endpoint {{ address = "{}" }}
  auth {{
    type     = "basic"
    username = "guest"
    password = "guest"
  }}
  config {{ management_url = "{}" }}
}}"#,
        rabbit.fact("AMQP"),
        rabbit.fact("MANAGEMENT")
    );
    let profile = home.write("test.hcl", &profile);
    let profile = profile.to_str().expect("a path");
    let session = rabbit.session().await;
    let Some(plain) = rabbit.declared("plain", &json!({})) else { return };
    fill(&session, &plain, &["x"]).await;
    let target = format!("rabbit/queue:{plain}");
    let (text, code) = said(&home, profile, &["receive", &target, "--limit", "1", "--reject"]);
    assert!(code == Some(3) && text.contains("DELETES 1 message: this queue has no dead-letter exchange"), "{code:?} {text}");
    holds(rabbit, &plain, 1).await;
    let (text, code) = said(&home, profile, &["--arm", "test", "receive", &target, "--limit", "1", "--reject"]);
    assert!(code == Some(2) && text.contains("--execute"), "{code:?} {text}");
    holds(rabbit, &plain, 1).await;
    let (text, code) = said(&home, profile, &["--arm", "test", "receive", &target, "--limit", "1", "--reject", "--execute"]);
    assert!(code == Some(0) && text.contains("1 received, 1 settled"), "{code:?} {text}");
    holds(rabbit, &plain, 0).await;

    let Some(limited) = rabbit.declared("limited", &json!({ "x-queue-type": "quorum", "x-delivery-limit": 1 })) else { return };
    fill(&session, &limited, &["x"]).await;
    let target = format!("rabbit/queue:{limited}");
    for arguments in [&["peek", &target, "--yes"][..], &["--read-only", "peek", &target, "--yes"], &["receive", &target, "--limit", "1"]] {
        let (text, code) = said(&home, profile, arguments);
        assert!(code == Some(1) && text.contains("delivery limit"), "{arguments:?}: {code:?} {text}");
    }
    for arguments in [&["peek", &target, "--yes", "--spend"][..], &["receive", &target, "--limit", "1", "--spend"]] {
        let (text, code) = said(&home, profile, arguments);
        assert!(code == Some(3) && text.contains("needs an armed profile"), "{arguments:?}: {code:?} {text}");
    }
    holds(rabbit, &limited, 1).await;
    let (text, code) = said(&home, profile, &["--arm", "test", "peek", &target, "--yes", "--spend"]);
    assert!(code == Some(0) && text.contains("1 looked at and given back; ready before: 1, after: 1"), "{code:?} {text}");
    // The one return is spent: this one deletes it, and says so by its counts.
    let (text, code) = said(&home, profile, &["--arm", "test", "receive", &target, "--limit", "1", "--spend"]);
    assert!(code == Some(0) && text.contains("may DELETE messages") && text.contains("ready before: 1, after: 0"), "{code:?} {text}");
}

#[test]
fn where_no_limit_can_be_read_nothing_is_received_undecided_before_it_was_agreed_to() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let Some(queue) = rabbit.declared("unknown", &json!({ "x-queue-type": "quorum", "x-delivery-limit": 3 })) else { return };
    run(rabbit.exact(&["random", &queue, "1", "2"]).expect("the same client"));
    let home = Home::new();
    let url = format!("amqp://guest:guest@{}?management_url=none", rabbit.fact("AMQP"));
    let target = format!("rabbitmq/queue:{queue}");
    let arguments = ["--url", &url, "receive", &target, "--limit", "2", "--wait", "1s"];
    let output = home.mqdeck(&arguments).stdin(Stdio::null()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains("only the management API tells of it"), "{text}");
    let read_only = home.mqdeck(&[&["--read-only"], &arguments[..]].concat()).stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(read_only.status.code(), Some(3));
    for (answer, end, code) in [("n", "nothing was received", 1), ("y", "2 unsettled", 0)] {
        let mut terminal = console(&home, &arguments, (120, 40));
        terminal.wait_for("receive anyway? [y/N]", SOON);
        assert!(terminal.screen().contains("is given back, which may end messages"), "{}", terminal.screen());
        terminal.press(&format!("{answer}\r"));
        terminal.wait_for(end, SOON);
        if answer == "y" {
            terminal.press("leave\r");
            terminal.wait_for("Leave?", SOON);
            terminal.press("y\r");
        }
        assert_eq!(terminal.wait_exit(SOON), code);
        let counted = terminal.screen().contains("ready before: 2, after: 2");
        assert_eq!(counted, answer == "y", "{}", terminal.screen());
    }
    // Nobody had them before the one that agreed.
    let looked = run(rabbit.exact(&["typed", &queue]).expect("the same client"));
    let one = r#"["782d64656c69766572792d636f756e74", ["l", "0000000000000001"]]"#;
    assert_eq!(String::from_utf8_lossy(&looked).matches(one).count(), 2, "{}", String::from_utf8_lossy(&looked));
}
