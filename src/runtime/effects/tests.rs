//! What becomes of changes and of what is held when the console is left, or another profile is opened meanwhile.

use super::*;
use crate::adapters::memory::{Memory, Trouble};
use crate::config::profile::Integration;
use crate::domain::message::Outgoing;
use crate::domain::operation::Request;
use crate::gateway::audit::Audit;
use crate::gateway::{Access, stage};
use crate::runtime::lanes::{Inbox, lanes};
use std::path::Path;

/// The limit of whatever is waited for.
const SOON: Duration = Duration::from_secs(30);

/// A system with a message in `log` and three in the queue `tasks`.
fn system() -> Memory {
    let memory = Memory::with(Integration::new("jobs", "memory", Vec::new()));
    memory.create("log", 1);
    memory.queue("tasks");
    for channel in ["log", "tasks", "tasks", "tasks"] {
        memory.publish_now(channel, Outgoing { payload: Some("x".into()), ..Outgoing::default() });
    }
    memory
}

/// With a profile open that is this system.
fn performer(memory: &Memory, audit: Audit) -> (Performer, Inbox) {
    let (lanes, inbox) = lanes();
    let mut performer = Performer::new(lanes.of(1), open::Opener::default(), false);
    performer.generation = 1;
    performer.gateway = Some(Arc::new(Gateway::over(Access { audit, ..Access::default() }, memory)));
    (performer, inbox)
}

fn at(channel: &str) -> Address {
    Address::new("jobs", channel)
}

/// Lets everything go on that can.
async fn idle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn deletion(performer: &Performer) -> Effect {
    let gateway = performer.gateway.clone().expect("a profile is open");
    let spec = crate::adapters::find("memory").expect("it is always there").operations;
    let spec = spec.iter().find(|spec| spec.id == "topic.delete").expect("it can be deleted");
    let change = gateway.plan(Request { spec, address: at("log"), arguments: Vec::new() }).await.expect("a plan");
    Effect::Execute { task: TaskId(7), change: Arc::new(change) }
}

fn publication() -> Effect {
    let messages = vec![Outgoing { payload: Some("y".into()), ..Outgoing::default() }];
    Effect::Publish { task: TaskId(7), plan: Plan::Publish { address: at("log"), messages } }
}

/// In the middle of a change that the system does not answer.
async fn changing(memory: &Memory, deletes: bool) -> (Performer, Inbox) {
    let (mut performer, inbox) = performer(memory, Audit::off());
    let effect = if deletes { deletion(&performer).await } else { publication() };
    memory.fault(Trouble::Hang);
    performer.perform(effect);
    idle().await;
    (performer, inbox)
}

/// The next outcome, with the generation of its profile.
async fn outcome(inbox: &mut Inbox) -> (Generation, Event) {
    let wanted = |event: &Event| matches!(event, Event::Published { .. } | Event::Executed { .. });
    let found = async {
        loop {
            match inbox.next().await {
                Some(Arrival::Event(generation, event)) if wanted(&event) => return (generation, event),
                Some(_) => {}
                None => panic!("nothing comes any more"),
            }
        }
    };
    tokio::time::timeout(SOON, found).await.expect("an outcome")
}

fn is_well(event: &Event) -> bool {
    matches!(event, Event::Published { task: TaskId(7), result: Ok(_) } | Event::Executed { task: TaskId(7), result: Ok(_) })
}

#[tokio::test]
async fn leaving_waits_for_what_is_being_changed_and_it_is_done_to_its_end() {
    for deletes in [true, false] {
        let memory = system();
        let (mut performer, mut inbox) = changing(&memory, deletes).await;
        let mut end = Box::pin(performer.shutdown());
        for _ in 0..200 {
            assert!(futures::poll!(&mut end).is_pending(), "the change is not finished, deletes: {deletes}");
            tokio::task::yield_now().await;
        }
        assert_eq!(memory.stored("log").len(), 1, "nothing has happened so far");
        memory.heal();
        tokio::time::timeout(SOON, end).await.expect("it ends when the change has");
        assert_eq!(memory.stored("log").len(), if deletes { 0 } else { 2 });
        let (_, event) = outcome(&mut inbox).await;
        assert!(is_well(&event), "{event:?}");
    }
}

#[tokio::test]
async fn leaving_gives_back_what_is_held_before_it_ends() {
    let memory = system();
    let (mut performer, mut inbox) = performer(&memory, Audit::off());
    performer.perform(Effect::Hold { task: TaskId(7), address: at("tasks"), most: 3, agreed: true });
    let mut held = 0;
    while held < 3 {
        match tokio::time::timeout(SOON, inbox.next()).await.expect("messages") {
            Some(Arrival::Event(_, Event::Arrived { arrived, .. })) => held += arrived.deliveries.len(),
            Some(_) => {}
            None => panic!("nothing comes any more"),
        }
    }
    let looked = async || memory.session().peek.expect("it can be looked at").peek("tasks", 10).await.expect("a look").deliveries;
    assert!(looked().await.is_empty(), "all of them are held");
    tokio::time::timeout(SOON, performer.shutdown()).await.expect("it ends");
    let redelivered: Vec<bool> = looked().await.iter().map(|delivery| delivery.redelivered).collect();
    assert_eq!(redelivered, [true; 3], "they are back by then");
}

/// The lines of the audit log about changes: what is done, and which half of it.
fn written(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join(crate::gateway::audit::FILE)).unwrap_or_default();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        (word("operation"), if line["outcome"].is_null() { word("phase") } else { word("outcome") })
    };
    text.lines().map(line).filter(|(operation, _)| operation == "publish").collect()
}

async fn until(met: impl Fn() -> bool) {
    let meeting = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, meeting).await.expect("it comes about");
}

#[tokio::test]
async fn a_change_that_is_not_waited_for_is_written_down_as_unknown() {
    let (memory, folder) = (system(), tempfile::tempdir().expect("a folder"));
    let (mut performer, _inbox) = performer(&memory, Audit::within(Some(folder.path().to_owned())));
    memory.fault(Trouble::Hang);
    performer.perform(publication());
    until(|| written(folder.path()).len() == 1).await;
    drop(performer);
    until(|| written(folder.path()).len() == 2).await;
    let halves: Vec<String> = written(folder.path()).into_iter().map(|(_, half)| half).collect();
    assert_eq!(halves, ["intent", "unknown"]);
}

#[tokio::test]
async fn what_is_being_changed_goes_on_when_another_profile_is_opened_and_its_outcome_is_told() {
    for deletes in [true, false] {
        let memory = system();
        let (mut performer, mut inbox) = changing(&memory, deletes).await;
        performer.open(Ok(stage::profile("other", &["jobs"])));
        idle().await;
        assert_eq!((performer.generation, memory.stored("log").len()), (2, 1));
        memory.heal();
        let (generation, event) = outcome(&mut inbox).await;
        assert!(generation == 1 && is_well(&event), "{generation}: {event:?}");
        assert!(performer.concerns(generation, &event), "it is told though its profile is closed");
        assert_eq!(memory.stored("log").len(), if deletes { 0 } else { 2 });
        tokio::time::timeout(SOON, performer.shutdown()).await.expect("nothing is left to wait for");
    }
}
