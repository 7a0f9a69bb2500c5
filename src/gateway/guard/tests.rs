//! Every row of the table of operations is reached through the guard, and only so.

use super::*;
use crate::adapters;
use crate::config::profile::{Integration, Profile};
use crate::domain::dead_letter::place::Assumptions;
use crate::domain::delivery::{Effect, Given, Settlement};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Plan, Request};
use crate::domain::operations::OPERATIONS;
use crate::domain::safety::{Mode, Safety};
use crate::domain::tail::TailEvent;
use crate::gateway::filter::Filter;
use crate::gateway::find::Search;
use crate::gateway::hold::HoldEvent;
use crate::gateway::process::{Job, Processed};
use crate::gateway::{Access, Gateway};
use futures::StreamExt;

/// Denies one operation, everywhere.
struct Deny(&'static str);

impl Policy for Deny {
    fn permits(&self, _: &Principal, operation: &OperationSpec, _: &Address) -> Result<(), SafeText> {
        if operation.id == self.0 { Err("the test denies it".into()) } else { Ok(()) }
    }
}

fn gateway(policy: Arc<dyn Policy>, stop: CancellationToken) -> Gateway {
    let settings = [("queues", "tasks:5"), ("services", "echo"), ("topics", "log:1")];
    let memory = Integration::new("jobs", "memory", Vec::new()).with_settings(0, &settings);
    let safety = Safety { mode: Mode::Open, ..Safety::default() };
    let profile = Profile { name: "test".into(), path: None, safety, integrations: vec![memory] };
    let caller = Caller::new(Principal::local(Some("alice")), policy, stop);
    let gateway = Gateway::open_as(Access { caller, ..Access::default() }, profile);
    gateway.arm("test", None).expect("armed");
    gateway
}

fn at(channel: &str) -> Address {
    Address::new("jobs", channel)
}

/// Rows of every system and of the one in memory; those of others go the way of the latter.
fn rows() -> Vec<&'static OperationSpec> {
    let memory = adapters::find("memory").expect("it is always there").operations;
    OPERATIONS.iter().chain(memory).copied().collect()
}

async fn publish(gateway: &Gateway) -> Result<(), Fault> {
    let plan = Plan::Publish { address: at("log"), messages: vec![Outgoing { payload: Some("x".into()), ..Outgoing::default() }] };
    gateway.execute(plan).await?.single().map(drop)
}

async fn process(gateway: &Gateway) -> Result<(), Fault> {
    let source = crate::domain::group::Source { group: "workers".into(), channels: vec!["log".into()] };
    let job = Job { integration: "jobs".to_owned(), name: "one".to_owned(), source, most: 1, within: Duration::from_millis(10) };
    let (stop, (progress, _seen)) = (CancellationToken::new(), tokio::sync::watch::channel(Processed::default()));
    let once = stop.clone();
    let work = move |_| {
        once.cancel();
        std::future::ready(Ok(Vec::new()))
    };
    gateway.process(&job, work, stop, &progress).await
}

async fn settle(gateway: &Gateway) -> Result<(), Fault> {
    let mut held = gateway.hold(&at("tasks"), 1, 1).await?;
    let Some(HoldEvent::Message(delivery)) = held.next().await else { panic!("the queue has messages") };
    let settles = gateway.settles(&at("tasks"), Effect::Ack, &[Given::from(&*delivery)]).await?;
    let tickets = delivery.ticket.into_iter().collect();
    let settlement = Settlement { effect: Effect::Ack, arguments: Vec::new() };
    let done =
        gateway.execute(Plan::Settle { address: at("tasks"), hold: held.id, tickets, settlement, settles }).await?.done.unwrap_or_default();
    done.parts.into_iter().try_for_each(|(_, part)| part.map(drop))
}

/// Does what a row is about, as the console and the commands do.
async fn apply(gateway: &Gateway, spec: &'static OperationSpec) -> Result<(), Fault> {
    let request = |address: Address, arguments: &[(&str, &str)]| Request {
        spec,
        address,
        arguments: arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect(),
    };
    let request = match spec.id {
        "integration.check" => return gateway.check("jobs").await.map(drop),
        "channel.list" => return gateway.channels("jobs").await.map(drop),
        "channel.describe" => return gateway.describe(&at("log")).await.map(drop),
        "tail" => {
            let mut events = gateway.tail(&[at("log")]).await?;
            publish(gateway).await?;
            return events.next().await.map(drop).ok_or_else(|| panic!("the tail ended"));
        }
        "read" => {
            let mut finding = gateway.find(Search::new(vec![at("log")], Filter::parse("").expect("a query"))).await?;
            while let Some(found) = finding.next().await {
                found.faults.into_iter().next().map_or(Ok(()), Err)?;
            }
            return Ok(());
        }
        "peek" => return gateway.peek(&at("tasks"), 1, false).await.map(drop),
        "group.list" => return gateway.lags("jobs").await.map(drop),
        "group.describe" => {
            process(gateway).await?;
            return gateway.lag_of("jobs", "workers").await.map(drop);
        }
        "dead_letters.map" => {
            return gateway.reading("jobs").await?.dead_letters.expect("dead letters").map(&Assumptions::default()).await.map(drop);
        }
        "dead_letters.read" => {
            let dead_letters = gateway.reading("jobs").await?.dead_letters.expect("dead letters");
            return dead_letters.letters("log", &Assumptions::default()).await.map(drop);
        }
        "publish" => return publish(gateway).await,
        "process" => return process(gateway).await,
        "receive" => return gateway.hold(&at("tasks"), 1, 1).await.map(drop),
        "settle" => return settle(gateway).await,
        "call" => return gateway.call(&at("echo"), Outgoing::default(), Duration::from_secs(1)).await.map(drop),
        "topic.create" => request(at("more"), &[]),
        "topic.delete" | "topic.purge" => request(at("log"), &[]),
        "group.reset" => {
            process(gateway).await?;
            request(Address::group("jobs", "workers"), &[("to", "earliest")])
        }
        id => panic!("{id} is a new row: say here how it is carried out"),
    };
    let change = gateway.plan(request).await?;
    gateway.execute(Plan::Change(Arc::new(change))).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn every_row_passes_the_guard_and_is_counted_there() {
    for spec in rows() {
        let gateway = gateway(Arc::new(AllowAll), CancellationToken::new());
        publish(&gateway).await.expect("published");
        apply(&gateway, spec).await.unwrap_or_else(|fault| panic!("{}: {fault}", spec.id));
        let counts = gateway.counts("jobs").expect("the integration");
        let count = counts.get(spec.id).unwrap_or_else(|| panic!("{} did not pass the guard: {counts:?}", spec.id));
        assert!(count.calls > 0 && count.failed == 0 && count.refused == 0, "{}: {count:?}", spec.id);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_denies_is_not_done_and_is_said_in_one_sentence_for_all() {
    for spec in rows() {
        let gateway = gateway(Arc::new(Deny(spec.id)), CancellationToken::new());
        if spec.id != "publish" {
            publish(&gateway).await.expect("published");
        }
        let fault = apply(&gateway, spec).await.expect_err(spec.id);
        let said = format!("local:alice is not permitted to {}: the test denies it", spec.permission);
        assert!(fault.kind == Kind::Forbidden && fault.to_string().contains(&said), "{}: {fault}", spec.id);
        let calls = gateway.counts("jobs").expect("the integration").get(spec.id).map_or(0, |count| count.calls);
        assert_eq!(calls, 0, "{} was called", spec.id);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_new_begins_after_the_end_and_what_was_being_read_says_that_it_was_cut_off() {
    let stop = CancellationToken::new();
    let gateway = gateway(Arc::new(AllowAll), stop.clone());
    publish(&gateway).await.expect("published");
    let mut finding = gateway.find(Search::new(vec![at("log")], Filter::parse("").expect("a query"))).await.expect("it starts");
    let mut events = gateway.tail(&[at("log")]).await.expect("it starts");
    stop.cancel();
    let mut faults = Vec::new();
    while let Some(found) = finding.next().await {
        assert_eq!(found.messages.len(), 0);
        faults.extend(found.faults);
    }
    assert!(matches!(faults.as_slice(), [fault] if fault.kind == Kind::Lost), "{faults:?}");
    assert!(events.next().await.is_none());
    for spec in rows() {
        let fault = apply(&gateway, spec).await.expect_err(spec.id);
        assert!(fault.kind == Kind::Lost, "{}: {fault}", spec.id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_ends_ends_what_is_being_read() {
    /// Permits what it is asked for so many times.
    struct Times(Mutex<u32>);
    impl Policy for Times {
        fn permits(&self, _: &Principal, operation: &OperationSpec, _: &Address) -> Result<(), SafeText> {
            let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *left = left.saturating_sub(u32::from(operation.id == "tail"));
            if *left > 0 { Ok(()) } else { Err("the token has expired".into()) }
        }
    }
    // One for its beginning, one for the first batch.
    let gateway = gateway(Arc::new(Times(Mutex::new(3))), CancellationToken::new());
    let mut events = gateway.tail(&[at("log")]).await.expect("it starts");
    publish(&gateway).await.expect("published");
    assert!(matches!(events.next().await, Some((_, TailEvent::Messages(_)))));
    publish(&gateway).await.expect("published");
    let Some((_, TailEvent::Interrupted(fault))) = events.next().await else { panic!("it goes on") };
    assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
    assert!(events.next().await.is_none());
}
