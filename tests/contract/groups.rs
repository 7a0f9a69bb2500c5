//! Groups: who consumes, and how far they are.

#[cfg(feature = "kafka")]
use crate::support::{SOON, commits, kafka, topics};
use crate::support::{subjects::connect, subjects::outgoing, unique};
use mqdeck::adapters::memory::Memory;
use mqdeck::adapters::session::{Groups, Session};
use mqdeck::config::profile::Integration;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::group::{GroupOffset, Mark, Member, State};
use mqdeck::domain::time::Timestamp;
use std::sync::Arc;

/// 2026-02-05T10:00:00Z: the moment of offset 0; each offset is a second later, in every partition.
const FIRST: i64 = 1_770_285_600_000;

/// A system whose groups a test can move, with a channel of three partitions: ten messages in each of the first two.
pub(crate) struct World {
    system: &'static str,
    pub(crate) session: Session,
    pub(crate) topic: Arc<str>,
    memory: Option<Memory>,
    #[cfg(feature = "kafka")]
    bootstrap: &'static str,
    #[cfg(feature = "kafka")]
    members: Vec<rdkafka::consumer::BaseConsumer>,
}

/// Every system that can be had here, with these groups in its profile.
async fn worlds(named: &[&str]) -> Vec<World> {
    let groups: Vec<Arc<str>> = named.iter().map(|name| (*name).into()).collect();
    let topic = unique("lag");
    let memory = Memory::with(Integration { groups: groups.clone(), ..Integration::new("events", "memory", Vec::new()) });
    memory.create(&topic, 3);
    let mut all = vec![World {
        system: "memory",
        session: memory.session(),
        topic: topic.into(),
        memory: Some(memory),
        #[cfg(feature = "kafka")]
        bootstrap: "",
        #[cfg(feature = "kafka")]
        members: Vec::new(),
    }];
    #[cfg(feature = "kafka")]
    for kafka in [kafka::shared(), kafka::old()].into_iter().flatten() {
        let topic = topics::create(kafka.plain(), "lag", 3, 1, &[]).await;
        let integration = Integration { groups: groups.clone(), ..Integration::new("events", "kafka", vec![kafka.plain().to_owned()]) };
        let session = connect(integration).await.expect("Kafka is there");
        all.push(World { system: "kafka", session, topic: topic.into(), memory: None, bootstrap: kafka.plain(), members: Vec::new() });
    }
    for world in &all {
        world.fill().await;
    }
    all
}

impl World {
    fn groups(&self) -> &dyn Groups {
        &**self.session.groups.as_ref().expect("the system has groups")
    }

    async fn fill(&self) {
        let publish = self.session.publish.as_ref().expect("the system takes messages");
        for partition in [0, 1] {
            for offset in 0..10 {
                let mut message = outgoing(partition, None, Some("x"));
                message.timestamp = Some(Timestamp(FIRST + 1_000 * offset));
                publish.publish(&self.topic, message).await.expect("stored");
            }
        }
    }

    fn commit(&self, group: &str, positions: &[(i32, i64)]) {
        match &self.memory {
            Some(memory) => positions.iter().for_each(|(partition, offset)| memory.commit(group, &self.topic, *partition, *offset)),
            #[cfg(feature = "kafka")]
            None => commits::commit(self.bootstrap, group, &self.topic, positions),
            #[cfg(not(feature = "kafka"))]
            None => {}
        }
    }

    async fn delete_before(&self, partition: i32, offset: i64) {
        match &self.memory {
            Some(memory) => memory.delete_before(&self.topic, partition as usize, offset),
            #[cfg(feature = "kafka")]
            None => topics::delete_before(self.bootstrap, &self.topic, partition, offset).await,
            #[cfg(not(feature = "kafka"))]
            None => {}
        }
    }

    /// Lets one member join that gets all partitions; its client id is `reader`.
    fn join(&mut self, group: &str) {
        match &self.memory {
            Some(memory) => {
                let assignment = vec![(Arc::clone(&self.topic), vec![0, 1, 2])];
                memory.join(group, Member { id: "reader-1".into(), client: "reader".into(), host: "here".into(), assignment });
            }
            #[cfg(feature = "kafka")]
            None => self.members.push(commits::join(self.bootstrap, group, &self.topic, 3, SOON)),
            #[cfg(not(feature = "kafka"))]
            None => {}
        }
    }

    async fn group_offsets(&self, group: &str) -> Vec<GroupOffset> {
        let mut told = self.groups().group_offsets(&[group.into()]).await.expect("told");
        assert_eq!(told.len(), 1, "one answer for one group");
        told.remove(0).unwrap_or_else(|fault| panic!("{}: {fault}", self.system))
    }

    /// Partition, committed and lag of each row.
    async fn lag(&self, group: &str) -> Vec<(i32, Option<i64>, Amount)> {
        let rows = self.group_offsets(group).await;
        for row in &rows {
            assert_eq!((&row.channel, &row.fault), (&self.topic, &None), "{}", self.system);
        }
        rows.into_iter().map(|row| (row.partition.expect("a partition"), row.committed, row.lag)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_follows_commits_resets_and_what_is_deleted() {
    let exactly = Amount::Exactly;
    for world in worlds(&[]).await {
        let group = unique("payments");
        world.commit(&group, &[(0, 4), (1, 10), (2, 0)]);
        assert_eq!(
            world.lag(&group).await,
            [(0, Some(4), exactly(6)), (1, Some(10), exactly(0)), (2, Some(0), exactly(0))],
            "{}",
            world.system
        );
        world.commit(&group, &[(0, 9), (1, 2)]);
        assert_eq!(world.lag(&group).await[..2], [(0, Some(9), exactly(1)), (1, Some(2), exactly(8))], "moved on and set back");
        world.delete_before(1, 7).await;
        let rows = world.group_offsets(&group).await;
        assert_eq!((rows[1].committed, rows[1].start, rows[1].end, rows[1].lag), (Some(2), Some(7), Some(10), exactly(3)));
        assert!(rows.iter().all(|row| row.held_at.is_none() && row.owner.is_none() && row.pending.is_none()), "{rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_a_commit_has_a_row_without_a_lag() {
    for mut world in worlds(&[]).await {
        let group = unique("fresh");
        world.join(&group);
        world.commit_of_member(&group, 1, 3);
        let rows = world.group_offsets(&group).await;
        let told: Vec<_> = rows.iter().map(|row| (row.partition, row.committed, row.lag)).collect();
        let none = |partition| (Some(partition), None, Amount::Unknown);
        let empty = (Some(2), None, Amount::Exactly(0));
        assert_eq!(told, [none(0), (Some(1), Some(3), Amount::Exactly(7)), empty], "{}", world.system);
        assert_eq!(rows[0].end, Some(10), "what is there is told all the same");

        let described = world.groups().describe(&group).await.expect("described");
        let [member] = &described.members[..] else { panic!("{described:?}") };
        assert_eq!(member.client.as_str(), "reader");
        assert_eq!(member.assignment, [(Arc::clone(&world.topic), vec![0, 1, 2])]);
        assert!(rows.iter().all(|row| row.owner.as_ref() == Some(&member.id)), "{rows:?}");
        let listing = world.groups().groups().await.expect("listed");
        assert_eq!(listing.gaps, []);
        let row = listing.groups.iter().find(|row| *row.name == *group).expect("it is in the list");
        assert_eq!((row.state, row.members, row.named, row.kind.as_str()), (State::Stable, Some(1), false, "classic"));
        assert_eq!(described.group, *row);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_end_has_no_lag() {
    for world in worlds(&[]).await {
        let group = unique("beyond");
        world.commit(&group, &[(0, 900), (1, 10)]);
        assert_eq!(world.lag(&group).await, [(0, Some(900), Amount::Unknown), (1, Some(10), Amount::Exactly(0))], "{}", world.system);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_in_order_and_says_who_is_empty() {
    for world in worlds(&["no such group"]).await {
        let (one, other) = (unique("b"), unique("a"));
        world.commit(&one, &[(0, 4)]);
        world.commit(&other, &[(0, 4)]);
        let listing = world.groups().groups().await.expect("listed");
        assert!(listing.groups.is_sorted_by(|one, other| one.name < other.name), "{listing:?}");
        let row = |name: &str| listing.groups.iter().find(|row| &*row.name == name).expect("listed");
        assert_eq!((row(&one).state, row(&one).members, row(&one).named), (State::Empty, Some(0), false), "{}", world.system);
        let named = row("no such group");
        assert!(named.named && (named.state == State::Dead || named.fault.is_some()), "{}: {named:?}", world.system);
        // Asked for in any order, and twice.
        let asked: Vec<Arc<str>> = [&one, &other, &one].map(|name| name.as_str().into()).into();
        let told = world.groups().group_offsets(&asked).await.expect("told");
        assert_eq!(told.iter().map(|rows| rows.as_ref().map(Vec::len)).collect::<Vec<_>>(), [Ok(1), Ok(1), Ok(1)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_not_there_has_a_fault_or_nothing() {
    for world in worlds(&[]).await {
        match &world.groups().group_offsets(&["nobody".into()]).await.expect("told")[0] {
            Ok(rows) => assert_eq!(rows.len(), 0, "{}", world.system),
            Err(fault) => assert_eq!(fault.kind, Kind::NotFound, "{}: {fault}", world.system),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_is_the_time_of_the_next_message_that_is_there() {
    for world in worlds(&[]).await {
        world.delete_before(1, 7).await;
        let mark = |partition, offset| Mark::offset(Arc::clone(&world.topic), partition, offset);
        let marks = [mark(0, 0), mark(0, 4), mark(0, 10), mark(1, 2), mark(1, 9), mark(2, 0), mark(0, 4), mark(0, 9)];
        let timestamps: Vec<_> = world.groups().timestamps(&marks).await.into_iter().map(|stamp| stamp.expect("a time or none")).collect();
        let at = |offset: i64| Some(Timestamp(FIRST + 1_000 * offset));
        assert_eq!(timestamps, [at(0), at(4), None, at(7), at(9), None, at(4), at(9)], "{}", world.system);
        let gone = Mark::offset("no.such.topic".into(), 0, 0);
        let beyond = mark(17, 0);
        let timestamps = world.groups().timestamps(&[gone, beyond, mark(0, 1)]).await;
        assert!(timestamps[..2].iter().all(|stamp| stamp.as_ref().is_err_and(|fault| fault.kind == Kind::NotFound)), "{timestamps:?}");
        assert_eq!(timestamps[2], Ok(at(1)), "one fault is not the others'");
    }
}

impl World {
    /// A position that a member of the group itself commits.
    fn commit_of_member(&self, group: &str, partition: i32, offset: i64) {
        match &self.memory {
            Some(memory) => memory.commit(group, &self.topic, partition, offset),
            #[cfg(feature = "kafka")]
            None => commits::commit_as(&self.members[0], &self.topic, &[(partition, offset)]),
            #[cfg(not(feature = "kafka"))]
            None => {}
        }
    }
}
