//! RabbitMQ: paths by arguments, policies and bindings, and everything that loses what goes there.

use super::{findings, gaps, map, paths};
use crate::support::clients;
use crate::support::rabbitmq::{self, Rabbit, set};
use crate::support::subjects::connect;
use crate::support::{SOON, unique, until};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::dead_letter::place::Assumptions;
use mqdeck::domain::fault::Kind;
use serde_json::{Value, json};
use std::time::Duration;

/// A vhost of a test alone, which ends with it.
struct Vhost {
    rabbit: &'static Rabbit,
    name: String,
}

impl Vhost {
    fn new(rabbit: &'static Rabbit, name: &str) -> Self {
        let name = unique(name);
        rabbit.ctl(&["add_vhost", &name]);
        rabbit.ctl(&["set_permissions", "-p", &name, "guest", ".*", ".*", ".*"]);
        Self { rabbit, name }
    }

    fn integration(&self) -> Integration {
        let mut integration = self.rabbit.integration("guest");
        set(&mut integration, "vhost", &self.name);
        integration
    }

    async fn session(&self) -> Session {
        connect(self.integration()).await.expect("RabbitMQ is there")
    }

    /// Has another language's client do something there; its output. `None` if there is none here (already reported).
    fn other(&self, arguments: &[&str]) -> Option<String> {
        let url = format!("amqp://guest:guest@{}/{}", self.rabbit.fact("AMQP"), self.name);
        let done = clients::run(clients::script("rabbitmq/other.py", &[&[url.as_str()], arguments].concat())?);
        Some(String::from_utf8_lossy(&done).trim().to_owned())
    }

    /// Makes exchanges, queues and bindings.
    fn topology(&self, exchanges: &Value, queues: &Value, bindings: &Value) -> Option<String> {
        self.other(&["topology", &json!({ "exchanges": exchanges, "queues": queues, "bindings": bindings }).to_string()])
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.rabbit.ctl(&["delete_vhost", &self.name]);
    }
}

fn to(exchange: &str, key: Option<&str>, more: Value) -> Value {
    let mut arguments = more;
    arguments["x-dead-letter-exchange"] = exchange.into();
    if let Some(key) = key {
        arguments["x-dead-letter-routing-key"] = key.into();
    }
    arguments
}

fn safe() -> Value {
    json!({ "x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish" })
}

/// Queues with every way that dead letters can take.
fn ways(vhost: &Vhost) -> Option<String> {
    let policy = json!({ "dead-letter-exchange": "dlx", "message-ttl": 60_000 }).to_string();
    vhost.rabbit.ctl(&["set_policy", "-p", &vhost.name, "--apply-to", "queues", "by policy", "^policed", &policy]);
    let exchanges = json!({ "dlx": "fanout", "gate": "direct", "t": "topic", "h": "headers", "spare": "fanout", "e": ["direct", { "alternate-exchange": "spare" }] });
    let queues = json!({
        "dead": {},
        "spared": {},
        "dead.\u{1b}[31m|x": {},
        "classic": to("dlx", None, json!({ "x-max-length": 10 })),
        "safe": to("", Some("dead"), safe()),
        "policed": {},
        "missing": to("nowhere", None, json!({})),
        "unbound": to("gate", None, json!({})),
        "topic": to("t", Some("dead.x"), json!({})),
        "topic.own": to("t", None, json!({})),
        "headers": to("h", Some("k"), json!({})),
        "alternate": to("e", Some("k"), json!({})),
        "own": to("", None, json!({})),
        "gone": to("", Some("no such queue"), json!({})),
        "plain": {},
        "limited": to("", Some("dead"), json!({ "x-queue-type": "quorum", "x-delivery-limit": 3 })),
    });
    let bindings = json!([
        ["dead", "dlx", ""],
        ["dead.\u{1b}[31m|x", "t", "dead.*"],
        ["dead", "t", "#.all"],
        ["dead", "h", ""],
        ["spared", "spare", ""],
    ]);
    vhost.topology(&exchanges, &queues, &bindings)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_paths_of_a_vhost_are_those_that_its_queues_are_configured_for() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = Vhost::new(rabbit, "paths");
    if ways(&vhost).is_none() {
        return;
    }
    let found = map(&vhost.session().await, &Assumptions::default()).await.expect("a map");
    assert_eq!(gaps(&found), [""; 0]);
    let expected = [
        "queue:alternate → queue:spared lossy when rejected by exchange=e routing key=k",
        "queue:classic → queue:dead lossy when rejected maxlen by exchange=dlx",
        "queue:gone → nowhere lossy when rejected by exchange=the default exchange routing key=no such queue",
        "queue:headers → queue:dead perhaps lossy when rejected by exchange=h routing key=k",
        "queue:limited → queue:dead lossy when rejected delivery_limit by exchange=the default exchange routing key=dead",
        "queue:missing → nowhere lossy when rejected by exchange=nowhere",
        "queue:own → unknown perhaps lossy when rejected by exchange=the default exchange",
        "queue:policed → queue:dead lossy when rejected expired by exchange=dlx policy=by policy",
        "queue:safe → queue:dead when rejected by exchange=the default exchange routing key=dead",
        "queue:topic → queue:dead.\u{1b}[31m|x lossy when rejected by exchange=t routing key=dead.x",
        "queue:topic.own → queue:dead perhaps lossy when rejected by exchange=t",
        "queue:topic.own → queue:dead.\u{1b}[31m|x perhaps lossy when rejected by exchange=t",
        "queue:unbound → nowhere lossy when rejected by exchange=gate",
    ];
    assert_eq!(paths(&found), expected);
    let expected = [
        "loses: unbound queue:gone",
        "loses: missing-exchange queue:missing",
        "loses: unbound queue:unbound",
        "may lose: at-most-once queue:alternate",
        "may lose: at-most-once queue:classic",
        "may lose: at-most-once queue:headers",
        "may lose: at-most-once queue:limited",
        "may lose: at-most-once queue:own",
        "may lose: own-key queue:own",
        "may lose: at-most-once queue:policed",
        "may lose: at-most-once queue:topic",
        "may lose: at-most-once queue:topic.own",
        "notice: unbounded queue:dead",
        "notice: unread queue:dead",
        "notice: unbounded queue:dead.\u{1b}[31m|x",
        "notice: unread queue:dead.\u{1b}[31m|x",
        "notice: unbounded queue:spared",
        "notice: unread queue:spared",
    ];
    assert_eq!(findings(&found), expected);
    // An address that is printed reads back.
    let printed = found.paths.iter().filter_map(|path| path.to.name()).find(|name| name.contains('\u{1b}')).expect("the odd one");
    let described = vhost.session().await.inspect.describe(printed).await.expect("the same queue");
    assert_eq!(described.channel.name, *printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_loses_letters_that_have_arrived_is_found_and_what_passes_them_on_is_not() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = Vhost::new(rabbit, "kept");
    let (hour, month) = (3_600_000, 2_592_000_000_u64);
    let kept = json!({
        "bounded": { "x-max-length": 100_000 },
        "brief": { "x-message-ttl": hour },
        "long": { "x-message-ttl": month },
        "idle": { "x-expires": hour, "x-max-length": 5, "x-overflow": "reject-publish" },
        "log": { "x-queue-type": "stream", "x-max-age": "7D" },
        "unled": { "x-max-length-bytes": 1_000, "x-overflow": "reject-publish" },
        "named": {},
    });
    let mut queues = kept.clone();
    for name in kept.as_object().expect("queues").keys().filter(|name| *name != "named") {
        let arguments = if name == "unled" { safe() } else { json!({}) };
        queues[format!("to.{name}")] = to("", Some(name), arguments);
    }
    // What a consumer rejects waits a minute and comes back: the usual way to try again.
    queues["work"] = to("", Some("work.wait"), json!({}));
    queues["work.wait"] = to("", Some("work"), json!({ "x-message-ttl": 60_000 }));
    // What comes round by itself is dropped.
    queues["round"] = to("", Some("round.2"), json!({ "x-message-ttl": 60_000 }));
    queues["round.2"] = to("", Some("round.3"), json!({ "x-max-length": 1 }));
    queues["round.3"] = to("", Some("round"), json!({ "x-message-ttl": 60_000 }));
    queues["limit"] = json!({ "x-queue-type": "quorum", "x-delivery-limit": 2 });
    if vhost.topology(&json!({}), &queues, &json!([])).is_none() {
        return;
    }
    let assumed = Assumptions { channels: vec!["queue:named".into()], ..Assumptions::default() };
    let session = vhost.session().await;
    let found = map(&session, &assumed).await.expect("a map");
    let sure = |found| findings(found).into_iter().filter(|line| !line.contains("at-most-once")).collect::<Vec<_>>();
    let expected = [
        "loses: drops-oldest queue:bounded",
        "loses: expires queue:brief",
        "loses: delivery-limit queue:limit",
        "loses: cycle queue:round with queue:round.2 with queue:round.3",
        "loses: expires stream:log",
        "may lose: not-lasting queue:idle",
        "may lose: refuses queue:idle",
        "notice: unread queue:bounded",
        "notice: unread queue:brief",
        "notice: unread queue:idle",
        "notice: unread queue:long",
        "notice: unbounded queue:named",
        "notice: unread queue:named",
        "notice: unread queue:round.2",
        "notice: unread queue:unled",
        "notice: retry-loop queue:work with queue:work.wait",
        "notice: unbounded queue:work",
        "notice: unread queue:work",
        "notice: unread stream:log",
    ];
    assert_eq!(sure(&found), expected);
    let shorter = Assumptions { window: Duration::from_secs(60), ..assumed };
    let found = sure(&map(&session, &shorter).await.expect("a map"));
    let gone: Vec<&str> = expected.into_iter().filter(|line| !found.contains(&(*line).to_owned())).collect();
    assert_eq!(gone, ["loses: expires queue:brief", "loses: expires stream:log", "may lose: not-lasting queue:idle"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_a_dead_letter_exchange_whose_consumers_reject_is_found_by_the_servers_counters() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = Vhost::new(rabbit, "rejects");
    let queues = json!({ "rejected": {}, "acked": {}, "returned": {}, "quiet": {} });
    if vhost.topology(&json!({}), &queues, &json!([])).is_none() {
        return;
    }
    for (queue, how) in [("rejected", "reject"), ("acked", "ack"), ("returned", "requeue")] {
        vhost.other(&["publish", "", queue, "20"]);
        vhost.other(&["settle", queue, "12", how]);
    }
    let session = vhost.session().await;
    let found = until("the rejections are counted", SOON, async || {
        let found = map(&session, &Assumptions::default()).await.expect("a map");
        (!found.findings.is_empty()).then_some(found)
    })
    .await;
    // Eight are left in the queue, and each may be one that was given back.
    assert_eq!(findings(&found), ["loses: rejects queue:rejected"]);
    assert!(found.findings[0].detail.as_str().contains("rejected 4 messages or more"), "{:?}", found.findings[0]);
    assert_eq!(paths(&found), ["queue:rejected → nowhere when rejected by "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_are_sure_to_arrive_wait_where_they_died_while_nothing_takes_them() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = Vhost::new(rabbit, "waits");
    let queues = json!({ "missing": to("nowhere", None, safe()), "unbound": to("gate", Some("k"), safe()) });
    if vhost.topology(&json!({ "gate": "direct" }), &queues, &json!([])).is_none() {
        return;
    }
    for queue in ["missing", "unbound"] {
        vhost.other(&["publish", "", queue, "1"]);
        vhost.other(&["settle", queue, "1", "reject"]);
    }
    let session = vhost.session().await;
    let found = until("both wait", SOON, async || {
        let found = map(&session, &Assumptions::default()).await.expect("a map");
        found.findings.iter().all(|finding| finding.detail.as_str().ends_with("; 1 dead letter now")).then_some(found)
    })
    .await;
    assert_eq!(findings(&found), ["notice: held-back queue:missing", "notice: held-back queue:unbound"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_management_api_nothing_is_known_and_that_is_no_empty_map() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let mut without = rabbit.integration("guest");
    set(&mut without, "management_url", "none");
    for (integration, kind) in [(without, Kind::NotFound), (rabbit.integration("app"), Kind::Forbidden)] {
        let session = connect(integration).await.expect("RabbitMQ is there");
        let fault = map(&session, &Assumptions::default()).await.expect_err("nothing is known");
        assert!(fault.kind == kind && !fault.next.as_str().is_empty(), "{fault}");
    }
    let session = rabbit.session().await;
    let dead_letters = session.dead_letters.as_ref().expect("RabbitMQ has dead letters");
    assert!(dead_letters.letters("queue:dead", &Assumptions::default()).await.is_err_and(|fault| fault.kind == Kind::Usage));
}
