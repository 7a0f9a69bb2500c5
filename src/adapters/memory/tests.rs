//! The system in memory keeps the contract of a session, in good days and bad.

use super::*;
use crate::adapters::session::{Came, Log};
use crate::domain::address::{Address, GROUP};
use crate::domain::figure::Amount;
use crate::domain::group::Member;
use crate::domain::operation::Request;
use crate::domain::position::{Bound, Range};
use crate::domain::receipt::Receipt;
use crate::domain::tail::TailEvent;
use futures::StreamExt;
use tokio::time::timeout;

const START: i64 = 1_770_000_000_000;

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

fn payloads(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

async fn read(memory: &Memory, start: Bound, end: Bound) -> Vec<String> {
    let mut all = Vec::new();
    for mut lane in memory.read("orders", Range { start, end }).await.expect("a reading").lanes {
        while let Some(batch) = lane.batches.next().await {
            all.extend(payloads(&batch.expect("a batch")));
        }
    }
    all
}

#[tokio::test]
async fn what_is_published_is_listed_and_read_back_within_bounds() {
    let memory = Memory::new();
    memory.create("orders", 2);
    let publish = memory.session().publish.expect("publish");
    for n in 0..4 {
        let stamp = Some(Timestamp(START + 60_000 * i64::from(n)));
        let message = Outgoing { timestamp: stamp, options: vec![("partition", (n % 2).to_string())], ..text(&format!("m{n}")) };
        let receipt = publish.publish("orders", message).await.expect("stored");
        assert_eq!(receipt, Receipt::Stored(Position::Offset { partition: n % 2, offset: i64::from(n / 2) }));
    }
    let channel = &memory.session().inspect.channels().await.expect("channels")[0];
    assert_eq!((channel.ends, channel.parts), (Some(4), Some(2)));
    for (from, until, expected) in [
        (Bound::Earliest, Bound::Latest, vec!["m0", "m2", "m1", "m3"]),
        (Bound::BeforeEnd(1), Bound::Latest, vec!["m2", "m3"]),
        (Bound::Each(1), Bound::Latest, vec!["m2", "m3"]),
        (Bound::Earliest, Bound::Each(1), vec!["m0", "m1"]),
        (Bound::At(Position::Offset { partition: 1, offset: 0 }), Bound::Latest, vec!["m1", "m3"]),
        (Bound::Time(Timestamp(START + 60_000)), Bound::Time(Timestamp(START + 120_000)), vec!["m1"]),
        (Bound::Latest, Bound::Earliest, vec![]),
    ] {
        assert_eq!(read(&memory, from, until).await, expected, "{from} to {until}");
    }
}

#[tokio::test]
async fn a_tail_starts_at_the_end_and_tells_of_interruption_and_loss() {
    let memory = Memory::new();
    memory.publish_now("orders", text("before"));
    let mut tail = memory.session().tail.expect("tail").tail(&["orders".into()]).await.expect("a tail");
    memory.publish_now("orders", text("one"));
    let Some(TailEvent::Messages(messages)) = tail.next().await else { panic!("messages") };
    assert_eq!(payloads(&messages), ["one"]);

    memory.fault(Trouble::Cut);
    assert!(matches!(tail.next().await, Some(TailEvent::Interrupted(fault)) if fault.kind == Kind::Unreachable));
    memory.publish_now("orders", text("lost"));
    memory.publish_now("orders", text("kept"));
    memory.delete_before("orders", 0, 3);
    assert!(timeout(Duration::from_millis(30), tail.next()).await.is_err(), "an interruption is told once");
    memory.heal();
    assert_eq!(tail.next().await, Some(TailEvent::Resumed { lost: Some(1) }));
    let Some(TailEvent::Messages(messages)) = tail.next().await else { panic!("messages") };
    assert_eq!(payloads(&messages), ["kept"]);
}

#[tokio::test]
async fn troubles_do_what_they_say() {
    let memory = Memory::new();
    memory.publish_now("orders", text("one"));
    memory.publish_now("secret", text("one"));
    let inspect = memory.session().inspect;

    memory.fault(Trouble::Refuse(Fault::new(Kind::Unauthorized, "log in to", "memory", "wrong password")));
    assert_eq!(inspect.channels().await.expect_err("refused").kind, Kind::Unauthorized);
    memory.fault(Trouble::Delay(Duration::from_millis(30)));
    assert!(inspect.ping().await.is_ok_and(|time| time >= Duration::from_millis(30)));
    memory.fault(Trouble::Hang);
    assert!(timeout(Duration::from_millis(30), inspect.channels()).await.is_err());
    memory.heal();

    memory.forbid("secret");
    let names: Vec<_> = inspect.channels().await.expect("channels").into_iter().map(|channel| channel.name).collect();
    assert_eq!(names, [Arc::<str>::from("orders")]);
    assert_eq!(inspect.describe("secret").await.expect_err("forbidden").kind, Kind::Forbidden);
    assert_eq!(inspect.describe("nothing").await.expect_err("unknown").kind, Kind::NotFound);
}

#[tokio::test]
async fn a_damaged_message_ends_a_lane_and_is_passed_over_by_a_tail() {
    let memory = Memory::new();
    memory.create("orders", 1);
    let mut tail = memory.session().tail.expect("tail").tail(&["orders".into()]).await.expect("a tail");
    memory.damage("orders", 0, 1);
    for n in 0..3 {
        memory.publish_now("orders", text(&format!("m{n}")));
    }
    let mut reading = memory.read("orders", Range { start: Bound::Earliest, end: Bound::Latest }).await.expect("a reading");
    let lane: Vec<_> = reading.lanes.remove(0).batches.collect().await;
    assert_eq!(payloads(lane[0].as_ref().expect("a batch")), ["m0"]);
    assert!(lane[1].as_ref().is_err_and(|fault| fault.kind == Kind::Protocol) && lane.len() == 2);

    assert!(matches!(tail.next().await, Some(TailEvent::Messages(messages)) if payloads(&messages) == ["m0"]));
    assert!(matches!(tail.next().await, Some(TailEvent::Interrupted(fault)) if fault.kind == Kind::Protocol));
    assert_eq!(tail.next().await, Some(TailEvent::Resumed { lost: Some(0) }));
    assert!(matches!(tail.next().await, Some(TailEvent::Messages(messages)) if payloads(&messages) == ["m2"]));
}

#[tokio::test]
async fn a_change_is_planned_carried_out_once_and_taken_back() {
    let memory = Memory::new();
    for n in 0..5 {
        memory.publish_now("orders", text(&format!("m{n}")));
    }
    memory.commit("payments", "orders", 0, 4);
    let manage = memory.session().manage.expect("manage");
    let spec = |id: &str| *manage.operations().iter().find(|spec| spec.id == id).expect(id);
    let request = |id: &str, address: &str, arguments: &[(&str, &str)]| Request {
        spec: spec(id),
        address: address.parse::<Address>().expect("an address").split(&["topic", GROUP]),
        arguments: arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect(),
    };
    let committed = || memory.committed("payments").into_values().collect::<Vec<_>>();

    let change = manage.plan(request("group.reset", "memory/group:payments", &[("to", "earliest")])).await.expect("a plan");
    assert_eq!((change.touches, committed()), (Amount::AtMost(4), vec![4]), "a plan changes nothing");
    manage.apply(&change).await.expect("carried out");
    assert_eq!(committed(), [0]);
    let fault = manage.apply(&change).await.expect_err("it stands elsewhere by now");
    assert!(fault.cause.as_str().contains("moved since the plan"), "{fault}");
    let back = manage.plan(change.undo.expect("can be taken back")).await.expect("a plan");
    let member = |id: &str| Member { id: id.into(), client: "c".into(), host: "h".into(), assignment: Vec::new() };
    memory.join("payments", member("a"));
    memory.join("payments", member("b"));
    assert!(manage.apply(&back).await.expect_err("members").cause.as_str().contains("2 members are active"));
    memory.leave("payments", "a");
    memory.leave("payments", "b");
    manage.apply(&back).await.expect("carried out");
    assert_eq!(committed(), [4]);

    let purge = manage.plan(request("topic.purge", "memory/orders", &[("before", "@3")])).await.expect("a plan");
    assert_eq!((purge.touches, purge.undo.is_none()), (Amount::Exactly(3), true));
    manage.apply(&purge).await.expect("carried out");
    assert_eq!(payloads(&memory.stored("orders")), ["m3", "m4"]);

    let create = manage.plan(request("topic.create", "memory/new", &[("partitions", "3")])).await.expect("a plan");
    manage.apply(&create).await.expect("carried out");
    assert_eq!(memory.session().inspect.describe("new").await.expect("there").channel.parts, Some(3));
    let delete = manage.plan(create.undo.expect("can be taken back")).await.expect("a plan");
    manage.apply(&delete).await.expect("carried out");
    assert_eq!(memory.session().inspect.describe("new").await.expect_err("gone").kind, Kind::NotFound);
}

#[tokio::test]
async fn what_is_held_when_the_connection_is_cut_is_lost_and_whoever_waits_for_that_is_told_once() {
    let memory = Memory::new();
    memory.queue("tasks");
    memory.session().publish.expect("publish").publish("tasks", text("a")).await.expect("stored");
    let mut holding = memory.session().hold.expect("hold").receive("tasks", 5).await.expect("received");
    assert!(matches!(holding.next().await, Some(Ok(Came::Message(Some(_), _)))));
    holding.stop_receiving().await.expect("told");
    let soon = std::time::Duration::from_millis(50);
    assert!(timeout(soon, holding.next()).await.is_err(), "nothing is wrong yet");
    memory.fault(Trouble::Cut);
    let fault = timeout(soon, holding.next()).await.expect("told").expect("goes on").expect_err("it is cut");
    assert!(fault.kind.is_transient(), "{fault}");
    assert!(timeout(soon, holding.next()).await.is_err(), "once");
}
