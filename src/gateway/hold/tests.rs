//! What holding, peeking and calling promise, on the system in memory.

use super::*;
use crate::adapters::memory::{Memory, Trouble};
use crate::config::profile::{Integration, Profile};
use crate::domain::delivery::{Delivery, Effect};
use crate::domain::message::Outgoing;
use crate::domain::operation::Plan;
use crate::domain::safety::{Mode, Safety};
use futures::StreamExt;

fn gateway(safety: Safety) -> (Gateway, Address) {
    let settings = [("queues", "tasks:5"), ("patience", "30"), ("services", "echo"), ("topics", "log")];
    let memory = Integration::new("jobs", "memory", Vec::new()).with_settings(0, &settings);
    let profile = Profile { name: "test".into(), path: None, safety, integrations: vec![memory] };
    (Gateway::open(profile, false), Address::new("jobs", "tasks"))
}

fn payload(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message.payload.as_deref().unwrap_or_default()).into_owned()
}

async fn next(held: &mut Held) -> Delivery {
    match held.next().await {
        Some(HoldEvent::Message(delivery)) => *delivery,
        other => panic!("no message: {other:?}"),
    }
}

async fn decide(gateway: &Gateway, address: &Address, held: &Held, tickets: &[&Delivery], effect: Effect) -> Vec<Result<SafeText, Fault>> {
    let settlement = Settlement { effect, arguments: Vec::new() };
    let given: Vec<Given> = tickets.iter().map(|delivery| Given::from(*delivery)).collect();
    let settles = gateway.settles(address, effect, &given).await.expect("it is known what that does");
    let tickets = tickets.iter().map(|delivery| delivery.ticket.expect("a ticket")).collect();
    let outcome = gateway.execute(Plan::Settle { address: address.clone(), hold: held.id, tickets, settlement, settles }).await;
    outcome.expect("it is held").done.expect("parts").parts.into_iter().map(|(_, result)| result).collect()
}

async fn waiting(gateway: &Gateway, address: &Address) -> Vec<(String, Option<u64>)> {
    let looked = gateway.peek(address, 100, false).await.expect("a look").deliveries;
    looked.iter().map(|delivery| (payload(delivery), delivery.deliveries)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_message_ends_as_it_was_decided_and_the_rest_goes_back_in_order() {
    let (gateway, address) = gateway(Safety::default());
    let mut held = gateway.hold(&address, 4, 100).await.expect("held");
    assert_eq!(held.ack_timeout, Some(Duration::from_secs(30)));
    let (a, b, c, d) = (next(&mut held).await, next(&mut held).await, next(&mut held).await, next(&mut held).await);
    assert_eq!([&a, &b, &c, &d].map(payload), [1, 2, 3, 4].map(|n| format!("{{\"task\":{n}}}")));
    assert!(tokio::time::timeout(Duration::from_secs(5), held.next()).await.is_err(), "no more than four at a time");
    assert_eq!(decide(&gateway, &address, &held, &[&a], Effect::Ack).await, [Ok("acked".into())]);
    assert_eq!(payload(&next(&mut held).await), "{\"task\":5}");
    assert_eq!(decide(&gateway, &address, &held, &[&b], Effect::Reject).await, [Ok("rejected".into())]);
    let again = decide(&gateway, &address, &held, &[&a], Effect::Ack).await.remove(0).expect_err("it was settled");
    assert_eq!(again.kind, Kind::Lost);
    let said = gateway.release(held.id).await.expect("given back");
    assert!(said.starts_with("3 unsettled messages: each goes back"), "{said}");
    assert!(held.next().await.is_none());
    let left: Vec<String> = waiting(&gateway, &address).await.into_iter().map(|(text, _)| text).collect();
    assert_eq!(left, [3, 4, 5].map(|n| format!("{{\"task\":{n}}}")));
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_lost_when_its_time_is_over_unless_it_was_extended() {
    let (gateway, address) = gateway(Safety::default());
    let mut held = gateway.hold(&address, 2, 2).await.expect("held");
    let (a, b) = (next(&mut held).await, next(&mut held).await);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(decide(&gateway, &address, &held, &[&a], Effect::Extend).await, [Ok("extended".into())]);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let results = decide(&gateway, &address, &held, &[&a, &b], Effect::Ack).await;
    assert_eq!(results[0], Ok("acked".into()));
    assert_eq!(results[1].as_ref().expect_err("its time was over").kind, Kind::Lost);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_taken_than_was_wanted_however_it_is_settled() {
    let (gateway, address) = gateway(Safety::default());
    let mut held = gateway.hold(&address, 2, 2).await.expect("held");
    let (a, b) = (next(&mut held).await, next(&mut held).await);
    assert!(held.next().await.is_none());
    assert_eq!(decide(&gateway, &address, &held, &[&a, &b], Effect::Ack).await.len(), 2);
    assert_eq!(gateway.release(held.id).await.expect("ended"), "nothing was left unsettled");
    assert_eq!(waiting(&gateway, &address).await.iter().map(|(_, times)| *times).collect::<Vec<_>>(), [Some(1); 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_for_others_so_that_no_more_is_taken_after_it() {
    let (gateway, address) = gateway(Safety::default());
    let mut held = gateway.hold(&address, 10, 10).await.expect("held");
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(next(&mut held).await);
    }
    assert_eq!(decide(&gateway, &address, &held, &[&all[0]], Effect::Ack).await, [Ok("acked".into())]);
    assert!(tokio::time::timeout(Duration::from_secs(5), held.next()).await.is_err(), "more are waited for");
    let back = decide(&gateway, &address, &held, &[&all[1], &all[2]], Effect::Requeue).await;
    assert_eq!(back, [Ok("requeued".into()), Ok("requeued".into())]);
    assert!(held.next().await.is_none(), "no more are");
    let task = |n: u64| format!("{{\"task\":{n}}}");
    let mut there = waiting(&gateway, &address).await;
    there.sort();
    assert_eq!(there, [(task(2), Some(2)), (task(3), Some(2))], "whoever gets them is told that somebody had them");
    assert_eq!(decide(&gateway, &address, &held, &[&all[3]], Effect::Reject).await, [Ok("rejected".into())]);
    assert!(tokio::time::timeout(Duration::from_secs(5), held.later()).await.is_err());
    assert!(gateway.release(held.id).await.expect("given back").starts_with("1 unsettled message goes back"));
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_or_closes_the_gateway_gives_everything_back() {
    let (gateway, address) = gateway(Safety::default());
    let mut held = gateway.hold(&address, 3, 3).await.expect("held");
    for _ in 0..3 {
        next(&mut held).await;
    }
    drop(held);
    let mut held = gateway.hold(&address, 5, 5).await.expect("held");
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(next(&mut held).await.deliveries);
    }
    assert_eq!(counts, [Some(2), Some(2), Some(2), Some(1), Some(1)]);
    gateway.shutdown().await;
    assert_eq!(gateway.release(held.id).await.expect_err("it has ended").kind, Kind::Lost);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_settled_or_called_through_a_profile_that_must_not_change_anything() {
    for safety in [Safety { mode: Mode::ReadOnly, ..Safety::default() }, Safety { production: true, ..Safety::default() }] {
        let (gateway, address) = gateway(safety);
        assert_eq!(gateway.hold(&address, 1, 1).await.err().expect("refused").kind, Kind::Forbidden);
        let echo = Address::new("jobs", "echo");
        assert_eq!(gateway.call(&echo, Outgoing::default(), Duration::from_secs(1)).await.err().expect("refused").kind, Kind::Forbidden);
        let settlement = Settlement { effect: Effect::Ack, arguments: Vec::new() };
        let plan =
            Plan::Settle { address: address.clone(), hold: HoldId(1), tickets: Vec::new(), settlement, settles: Settles::usual("done") };
        assert_eq!(gateway.execute(plan).await.expect_err("refused").kind, Kind::Forbidden);
        assert_eq!(gateway.peek(&address, 1, false).await.expect("looking is allowed").deliveries.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_gives_its_replies_or_says_that_nobody_answered() {
    let (gateway, _) = gateway(Safety::default());
    let wait = Duration::from_secs(2);
    let request = |replies: &str| Outgoing {
        headers: vec![crate::domain::message::Header { name: "replies".into(), value: Some(replies.to_owned().into()) }],
        payload: Some("ping".into()),
        ..Outgoing::default()
    };
    let echo = Address::new("jobs", "echo");
    let replies: Vec<_> = gateway.call(&echo, request("3"), wait).await.expect("called").collect().await;
    assert_eq!(replies.iter().filter(|reply| reply.as_ref().is_ok_and(|m| m.payload.as_deref() == Some(b"ping"))).count(), 3);
    let none: Vec<_> = gateway.call(&echo, request("0"), wait).await.expect("called").collect().await;
    assert!(matches!(none.as_slice(), [Err(fault)] if fault.kind == Kind::Timeout));
    let plan = Plan::Call { address: echo, request: Box::new(request("2")), wait };
    assert_eq!(gateway.execute(plan).await.expect("called").replies.len(), 2);
    let missing = gateway.call(&Address::new("jobs", "log"), request("1"), wait).await.err().expect("no service");
    assert_eq!(missing.kind, Kind::Usage);
}

/// What keeps a receiving going.
type Receiving = (mpsc::Sender<HoldCommand>, oneshot::Sender<()>);

/// Receives five messages of the queue `tasks` at most; its events, with room for one.
async fn receiving(memory: &Memory) -> (mpsc::Receiver<Event>, Receiving) {
    let tickets = memory.session().hold.expect("hold").hold("tasks", 5).await.expect("received");
    let ((asks, asked), (out, events), (looked_at, gone)) = (mpsc::channel(1), mpsc::channel(1), oneshot::channel());
    let (gateway, address) = gateway(Safety::default());
    let task = Task {
        counts: None,
        audited: gateway.begin(RECEIVE.id, &address, serde_json::Value::Null).await.expect("begun"),
        address,
        tickets,
        asked,
        out: Some(out),
        room: Arc::default(),
        waiting: VecDeque::new(),
        received: 0,
        limit: 5,
        interrupted: false,
    };
    tokio::spawn(task.run(gone));
    (events, (asks, looked_at))
}

#[tokio::test(start_paused = true)]
async fn that_a_receiving_was_interrupted_and_goes_on_is_said_before_another_message_comes() {
    let memory = Memory::new();
    memory.queue("tasks");
    let (mut said, _receiving) = receiving(&memory).await;
    let message = || Outgoing { payload: Some("a".into()), ..Outgoing::default() };
    memory.publish_now("tasks", message());
    assert!(matches!(said.recv().await, Some(Event::Taken(HoldEvent::Message(_)))));
    memory.fault(Trouble::Cut);
    let Some(Event::Taken(told)) = said.recv().await else { panic!("nothing is told") };
    assert!(matches!(&told, HoldEvent::Interrupted { fault, lost } if fault.kind.is_transient() && lost.len() == 1), "{told:?}");
    assert!(tokio::time::timeout(Duration::from_secs(60), said.recv()).await.is_err(), "it is still cut");
    memory.heal();
    assert!(matches!(said.recv().await, Some(Event::Taken(HoldEvent::Resumed))));
    assert!(matches!(said.recv().await, Some(Event::Taken(HoldEvent::Message(_)))), "what was lost comes again");
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_with_the_connection_is_told_though_nobody_had_taken_what_came_before() {
    let memory = Memory::new();
    memory.queue("tasks");
    let (mut events, _receiving) = receiving(&memory).await;
    let idle = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    for _ in 0..2 {
        memory.publish_now("tasks", Outgoing { payload: Some("a".into()), ..Outgoing::default() });
        idle().await;
    }
    assert_eq!(events.len(), 1, "there is no room for more");
    memory.fault(Trouble::Cut);
    idle().await;
    let Some(Event::Taken(HoldEvent::Message(first))) = events.recv().await else { panic!("the message is there") };
    // Again there is no room, because this waits to be taken.
    idle().await;
    memory.heal();
    idle().await;
    let Some(Event::Taken(HoldEvent::Interrupted { lost, .. })) = events.recv().await else { panic!("it is not told") };
    assert_eq!(lost, first.ticket.into_iter().collect::<Vec<_>>(), "the ticket that went with the connection");
    assert!(matches!(events.recv().await, Some(Event::Taken(HoldEvent::Resumed))));
    for _ in 0..2 {
        assert!(matches!(events.recv().await, Some(Event::Taken(HoldEvent::Message(_)))), "both come, the lost one again");
    }
}
