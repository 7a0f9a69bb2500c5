//! What is carried out of a stored plan, and when it is refused; and that a change is written down around it.

use super::*;
use crate::config::profile::{Integration, Profile};
use crate::domain::message::Outgoing;
use crate::domain::operation::Plan;
use crate::domain::safety::{Mode, Safety};
use crate::gateway::Access;
use crate::gateway::audit::{Audit, FILE};
use std::sync::Arc;

fn gateway(profile: &str, audit: Audit) -> Gateway {
    let memory = Integration::new("events", "memory", Vec::new()).with_settings(0, &[("topics", "orders:1")]);
    let safety = Safety { mode: Mode::Open, ..Safety::default() };
    let profile = Profile { name: profile.into(), path: None, safety, integrations: vec![memory] };
    let gateway = Gateway::open_as(Access { audit, ..Access::default() }, profile);
    gateway.arm(&gateway.profile.name.clone(), None).expect("armed");
    gateway
}

async fn publish(gateway: &Gateway, count: usize) -> Result<(), Fault> {
    let messages = vec![Outgoing { payload: Some("x".into()), ..Outgoing::default() }; count];
    let outcome = gateway.execute(Plan::Publish { address: "events/orders".parse().expect("an address"), messages }).await?;
    assert_eq!(outcome.counts().failed, 0);
    Ok(())
}

async fn planned(gateway: &Gateway, operation: &str) -> Change {
    let address: Address = "events/orders".parse().expect("an address");
    let spec = gateway.operation(&address, operation).await.expect("the operation");
    gateway.plan(Request { spec, address, arguments: Vec::new() }).await.expect("a plan")
}

async fn depth(gateway: &Gateway) -> Option<u64> {
    gateway.channels("events").await.expect("channels").first().and_then(|channel| channel.depth.number())
}

fn plans() -> (tempfile::TempDir, Plans) {
    let folder = tempfile::tempdir().expect("a folder");
    let plans = Plans::within(folder.path());
    (folder, plans)
}

#[tokio::test]
async fn exactly_the_stored_plan_is_carried_out_whatever_was_written_since() {
    let (gateway, (_folder, plans)) = (gateway("prod", Audit::off()), plans());
    publish(&gateway, 3).await.expect("published");
    let change = planned(&gateway, "topic.purge").await;
    plans.store(&gateway, &change).expect("stored");
    publish(&gateway, 2).await.expect("published");
    let loaded = plans.load(&gateway, &change.digest()).await.expect("it is there");
    assert_eq!((&loaded.request, &loaded.steps, loaded.risk), (&change.request, &change.steps, change.risk));
    gateway.recheck(&loaded).await.expect("it does no more than it says");
    gateway.execute(Plan::Change(Arc::new(loaded))).await.expect("carried out");
    assert_eq!(depth(&gateway).await, Some(2), "what came after the plan is untouched");
}

#[tokio::test]
async fn a_plan_that_would_do_more_than_it_promised_is_refused() {
    let (gateway, (_folder, plans)) = (gateway("prod", Audit::off()), plans());
    publish(&gateway, 3).await.expect("published");
    let change = planned(&gateway, "topic.delete").await;
    plans.store(&gateway, &change).expect("stored");
    let loaded = plans.load(&gateway, &change.digest()).await.expect("it is there");
    gateway.recheck(&loaded).await.expect("nothing has changed");
    publish(&gateway, 1).await.expect("published");
    let fault = gateway.recheck(&loaded).await.expect_err("one message more would go");
    assert!(fault.kind == Kind::Rejected && fault.to_string().contains("something has changed"), "{fault}");
}

#[tokio::test]
async fn what_is_not_the_plan_that_was_stored_is_not_carried_out() {
    let (here, (folder, plans)) = (gateway("prod", Audit::off()), plans());
    let change = planned(&here, "topic.purge").await;
    plans.store(&here, &change).expect("stored");
    let digest = change.digest();
    let path = folder.path().join("plans").join(format!("{digest}.json"));
    let text = fs::read_to_string(&path).expect("a file");
    let other = gateway("staging", Audit::off());
    assert!(plans.load(&other, &digest).await.expect_err("another profile").to_string().contains("made with profile prod"));
    for (wrong, said) in [
        (text.replace("topic.purge", "topic.delete"), "was changed after it was stored"),
        (text.replace("mqdeck-plan-1", "mqdeck-plan-9"), "another version"),
        (text.replace("\"made\": \"20", "\"made\": \"19"), "older than 24 hours"),
        (text[..text.len() / 2].to_owned(), "damaged"),
    ] {
        fs::write(&path, wrong).expect("written");
        let fault = plans.load(&here, &digest).await.expect_err(said);
        assert!(fault.kind == Kind::NotFound && fault.to_string().contains(said), "{fault}");
    }
    for unknown in ["0123456789abcdef", "../../etc/passwd", ""] {
        assert_eq!(plans.load(&here, unknown).await.expect_err(unknown).kind, Kind::NotFound);
    }
    plans.remove(&digest);
    assert!(plans.load(&here, &digest).await.expect_err("removed").to_string().contains("no stored plan"));
}

#[tokio::test]
async fn a_change_is_in_the_audit_log_and_one_that_cannot_be_written_there_is_not_carried_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let gateway = gateway("prod", Audit::within(Some(state.clone())));
    publish(&gateway, 2).await.expect("published");
    let change = planned(&gateway, "topic.purge").await;
    gateway.execute(Plan::Change(Arc::new(change.clone()))).await.expect("carried out");
    let text = fs::read_to_string(state.join(FILE)).expect("a log");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<_> =
        lines.iter().map(|line| format!("{} {} {}", line["operation"], line["phase"], line["outcome"]).replace('"', "")).collect();
    let expected =
        ["arm outcome done", "publish intent null", "publish outcome done", "topic.purge intent null", "topic.purge outcome done"];
    assert_eq!(told, expected);
    assert_eq!((&lines[1]["detail"]["messages"], lines[3]["detail"]["digest"].as_str()), (&2.into(), Some(change.digest().as_str())));

    publish(&gateway, 1).await.expect("published");
    fs::remove_dir_all(&state).expect("removed");
    fs::write(&state, "a file in its place").expect("written");
    let fault = publish(&gateway, 1).await.expect_err("it cannot be written down");
    assert!(fault.to_string().contains("the audit log cannot be written"), "{fault}");
    assert_eq!(depth(&gateway).await, Some(1), "and was not published");
}
