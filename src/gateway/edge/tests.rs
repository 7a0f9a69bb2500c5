//! Names under a prefix, for every handle of the system in memory.

use super::*;
use crate::adapters::memory::Memory;
use crate::domain::dead_letter::finding::{CYCLE, EXPIRES, Finding};
use crate::domain::dead_letter::place::{Found, Path, Place, PlaceKind, Target};
use crate::domain::figure::Amount;
use crate::domain::message::Stamp;
use crate::domain::position::{Bound, Position, Range};
use crate::domain::principal::Principal;
use crate::domain::text::SafeText;
use crate::gateway::filter::{Filter, Prefilter, Wanted};
use crate::gateway::guard::Policy;

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

/// Paths of three channels, one of which is out of the prefix, and a letter of each place.
fn dying() -> Memory {
    let memory = Memory::new();
    let path = |from: &str, to: Target| Path {
        from: from.into(),
        group: Some("group".into()),
        to,
        by: Vec::new(),
        when: Vec::new(),
        losses: Vec::new(),
        certain: true,
    };
    let place = Place { name: "prod.jobs/workers".into(), kind: PlaceKind::Pending, letters: Amount::Unknown };
    let paths = vec![
        path("other", Target::Channel("prod.dead".into())),
        path("prod.jobs", Target::Place(place)),
        path("prod.orders", Target::Channel("other".into())),
    ];
    let findings = vec![
        Finding { others: vec!["other".into()], ..Finding::new(CYCLE, "prod.orders", "it comes back") },
        Finding::new(EXPIRES, "prod.dead", "too early"),
    ];
    memory.map_dead_letters(DeadLetterMap { paths, findings, ..DeadLetterMap::default() });
    let message = Message {
        channel: "prod.jobs".into(),
        position: Position::Sequence(7),
        timestamp: None,
        stamp: Stamp::Stored,
        key: None,
        headers: Vec::new(),
        payload: None,
    };
    let letter = Letter {
        channel: "prod.jobs".into(),
        position: Position::Sequence(7),
        group: "jobs/workers".into(),
        consumer: None,
        reason: "deliveries",
        explanation: None,
        deliveries: Some(9),
        died: None,
        recorded: None,
        message: Found::Message(Box::new(message)),
    };
    memory.die("prod.jobs/workers", letter);
    memory
}

/// The paths and findings of a map, by the names that they have.
fn named(map: &DeadLetterMap) -> Vec<String> {
    let paths = map.paths.iter().map(|path| format!("{} → {}", path.from, path.to.name().expect("a name")));
    let findings = map.findings.iter().map(|finding| format!("{} {} {:?}", finding.kind.id, finding.channel, finding.others));
    paths.chain(findings).collect()
}

#[tokio::test]
async fn dead_letters_are_found_and_read_under_the_prefix() {
    let dead_letters = under(dying().session(), "prod").dead_letters.expect("dead letters");
    let map = dead_letters.map(&Assumptions::default()).await.expect("a map");
    let expected = ["/other → dead", "jobs → jobs/workers", "orders → /other", "expires dead []", "cycle orders [\"/other\"]"];
    assert_eq!(named(&map), expected);
    let place = map.paths[1].to.name().expect("a place");
    let batches: Vec<_> = dead_letters.letters(place, &Assumptions::default()).await.expect("letters").collect().await;
    let [Ok(letters)] = &batches[..] else { panic!("{batches:?}") };
    let Found::Message(message) = &letters[0].message else { panic!("{letters:?}") };
    assert_eq!((&*letters[0].channel, &*message.channel, letters[0].position), ("jobs", "jobs", Position::Sequence(7)));
}

/// Lets nobody see the channel `orders`.
struct NoOrders;

impl Policy for NoOrders {
    fn permits(&self, _: &Principal, _: &OperationSpec, address: &Address) -> Result<(), SafeText> {
        if &*address.channel == "orders" { Err("it is somebody else's".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn dead_letters_of_channels_that_the_caller_may_not_see_are_left_out_and_calls_are_counted() {
    let (counts, names) = (Counts::default(), Arc::new(Names::under("prod", &["topic"])));
    let caller = Caller::new(Principal::local(None), Arc::new(NoOrders), tokio_util::sync::CancellationToken::new());
    let edge = Edge { caller: caller.clone(), counts: counts.clone(), integration: "memory".into(), names, may_change: false };
    let memory = dying();
    let session = edge.around(memory.session().read_only());
    session.inspect.channels().await.expect("channels");
    assert!(!counts.now().contains_key(MAP_DEAD_LETTERS.id), "nobody asked for it");
    let dead_letters = session.dead_letters.expect("reading keeps it");
    let map = dead_letters.map(&Assumptions::default()).await.expect("a map");
    assert_eq!(named(&map), ["/other → dead", "jobs → jobs/workers", "expires dead []"]);
    let mut letters = dead_letters.letters("jobs/workers", &Assumptions::default()).await.expect("letters");
    assert!(letters.next().await.is_some_and(|batch| batch.is_ok()));
    let counted = counts.now();
    assert_eq!((counted[MAP_DEAD_LETTERS.id].calls, counted[READ_DEAD_LETTERS.id].messages), (1, 1));
    let refused = Fault::new(Kind::Forbidden, "map", "memory", "the API says no");
    memory.fault(crate::adapters::memory::Trouble::Refuse(refused.clone()));
    assert_eq!(dead_letters.map(&Assumptions::default()).await, Err(refused), "unknown is no empty map");
    caller.stop().cancel();
    assert!(dead_letters.letters("jobs/workers", &Assumptions::default()).await.is_err());
}
