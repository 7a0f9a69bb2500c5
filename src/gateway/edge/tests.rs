//! Names under a prefix, for every handle of the system in memory.

use super::*;
use crate::adapters::memory::Memory;
use crate::domain::position::{Bound, Range};
use crate::gateway::filter::{Filter, Prefilter, Wanted};

/// The session of a system as a caller has it who may do everything.
fn under(session: Session, prefix: &str) -> Session {
    let names = Arc::new(Names::under(prefix, &["topic"]));
    let (caller, counts) = (Caller::default(), Counts::default());
    Edge { caller, counts, integration: "memory".into(), names, may_change: true }.around(session)
}

fn all() -> Range {
    Range { start: Bound::Earliest, end: Bound::Latest }
}

#[tokio::test]
async fn names_are_given_and_shown_without_the_prefix_and_others_with_a_slash() {
    let memory = Memory::new();
    memory.create("prod.alerts", 1);
    memory.create("other", 1);
    memory.queue("prod.tasks");
    let session = under(memory.session(), "prod");
    let names: Vec<String> = session.inspect.channels().await.expect("channels").iter().map(|c| c.name.to_string()).collect();
    assert_eq!(names, ["/other", "alerts", "tasks"]);
    let publish = session.publish.expect("publishing");
    let message = || Outgoing { payload: Some("x".into()), ..Outgoing::default() };
    publish.publish("alerts", message()).await.expect("stored");
    publish.publish("/other", message()).await.expect("stored");
    publish.publish("tasks", message()).await.expect("routed");
    assert_eq!((memory.stored("prod.alerts").len(), memory.stored("other").len()), (1, 1));
    let history = session.history.expect("history");
    for channel in ["alerts", "/other"] {
        let everything = Arc::new(Prefilter::new(Filter::parse("").expect("a query"), Wanted::Matches));
        let mut scan = history.scan(channel, &Scope::of(all()), everything).await.expect("a search");
        let batch = scan.lanes[0].batches.next().await.expect("a batch").expect("messages");
        assert_eq!(&*batch.kept[0].message.channel, channel);
    }
    let mut holding = session.hold.expect("holding").hold("tasks", 1).await.expect("held");
    assert_eq!(&*holding.next().await.expect("a message").expect("no fault").message.channel, "tasks");
    assert_eq!(&*session.inspect.describe("alerts").await.expect("a description").channel.name, "alerts");
}

#[tokio::test]
async fn a_change_is_planned_and_carried_out_under_the_prefix() {
    let memory = Memory::new();
    let manage = under(memory.session(), "prod").manage.expect("administration");
    let spec = manage.operations().iter().find(|spec| spec.id == "topic.create").expect("the operation");
    let request = Request { spec, address: "memory/alerts".parse().expect("an address"), arguments: Vec::new() };
    let change = manage.plan(request.clone()).await.expect("a plan");
    assert_eq!(change.request, request, "shown as it was asked for");
    manage.apply(&change).await.expect("carried out");
    let names: Vec<String> =
        memory.session().inspect.channels().await.expect("channels").iter().map(|channel| channel.name.to_string()).collect();
    assert_eq!(names, ["prod.alerts"]);
    let undo = manage.plan(change.undo.expect("a way back")).await.expect("a plan");
    manage.apply(&undo).await.expect("carried out");
    assert_eq!(memory.session().inspect.channels().await.expect("channels").len(), 0);
}
