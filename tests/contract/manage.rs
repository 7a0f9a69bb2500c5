//! Changing a system itself: planned, refused where it must be, carried out as planned, taken back.

use crate::support::subjects::{connect, outgoing};
use crate::support::{clients, commits, kafka, topics, unique};
use mqdeck::adapters::session::{Manage, Session};
use mqdeck::config::profile::{Auth, Integration, ScramMechanism};
use mqdeck::config::secret::Secret;
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::figure::Amount;
use mqdeck::domain::operation::{Change, Done, Request, Risk};
use mqdeck::domain::time::Timestamp;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

/// A system with something to manage.
struct Managed {
    session: Session,
    manage: Arc<dyn Manage>,
}

impl Managed {
    async fn at(integration: Integration) -> Self {
        let session = connect(integration).await.expect("Kafka is there");
        let manage = session.manage.clone().expect("manage");
        Self { session, manage }
    }

    async fn of(kafka: &kafka::Kafka) -> Self {
        Self::at(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await
    }

    async fn plan(&self, id: &str, address: Address, arguments: &[(&str, &str)]) -> Result<Change, Fault> {
        let spec = self.manage.operations().iter().find(|spec| spec.id == id).copied().expect(id);
        let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
        let request = Request { spec, address, arguments };
        request.check()?;
        self.manage.plan(request).await
    }

    async fn topic(&self, id: &str, topic: &str, arguments: &[(&str, &str)]) -> Result<Change, Fault> {
        self.plan(id, Address::new("events", topic), arguments).await
    }

    async fn reset(&self, group: &str, to: &str, topic: Option<&str>) -> Result<Change, Fault> {
        let topic = topic.map(|topic| ("topic", topic));
        let arguments: Vec<_> = [("to", to)].into_iter().chain(topic).collect();
        self.plan("group.reset", Address::group("events", group), &arguments).await
    }

    /// Carries out a change of which every part has to succeed.
    async fn apply(&self, change: &Change) -> Done {
        let done = self.manage.apply(change).await.unwrap_or_else(|fault| panic!("{}: {fault}", change.summary));
        assert!(done.parts.iter().all(|(_, part)| part.is_ok()) && !done.parts.is_empty(), "{done:?}");
        done
    }

    async fn undo(&self, change: &Change) {
        let back = self.manage.plan(change.undo.clone().expect("it can be taken back")).await.expect("a plan");
        self.apply(&back).await;
    }

    /// Where a group stands, by partition.
    async fn committed(&self, group: &str) -> Vec<(i32, i64)> {
        let groups = self.session.groups.as_ref().expect("groups");
        let group_offsets = groups.group_offsets(&[group.into()]).await.expect("asked").remove(0).unwrap_or_default();
        group_offsets.iter().filter_map(|group_offset| Some((group_offset.partition?, group_offset.committed?))).collect()
    }

    /// Stores messages, so many in each partition; the n-th of each is stamped `n` seconds after 10:00.
    async fn fill(&self, topic: &str, partitions: i32, count: i64) {
        let publish = self.session.publish.as_ref().expect("publish");
        for partition in 0..partitions {
            for n in 0..count {
                let mut message = outgoing(partition, Some("k"), Some("x"));
                message.timestamp = Some(Timestamp(TEN + n * 1_000));
                publish.publish(topic, message).await.expect("stored");
            }
        }
    }
}

/// 2026-02-05T10:00:00Z. Topics of these tests keep messages for a hundred years, or retention would take those.
const TEN: i64 = 1_770_285_600_000;

/// A cell of a change's first table, by its row and column.
fn cell(change: &Change, row: usize, column: &str) -> String {
    let table = &change.tables[0];
    let at = table.columns.iter().position(|name| *name == column).expect(column);
    table.rows[row][at].to_string()
}

fn refused(result: Result<Change, Fault>, kind: Kind, word: &str) {
    let fault = match result {
        Ok(change) => change.refused.unwrap_or_else(|| panic!("it is not refused: {}", change.summary)),
        Err(fault) => fault,
    };
    assert_eq!(fault.kind, kind, "{fault}");
    assert!(fault.to_string().contains(word), "{word}: {fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_set_grown_emptied_and_deleted() {
    let Some(kafka) = kafka::shared() else { return };
    let managed = Managed::of(kafka).await;
    let topic = unique("managed");
    let settings = "retention.ms=3153600000000 cleanup.policy=delete";
    let create = managed.topic("topic.create", &topic, &[("partitions", "2"), ("settings", settings)]).await.expect("a plan");
    assert!(managed.session.inspect.describe(&topic).await.is_err(), "a plan makes nothing");
    let again = managed.topic("topic.create", &topic, &[("partitions", "2"), ("settings", settings)]).await.expect("a plan");
    assert_eq!(create.digest(), again.digest(), "the same world, the same plan");
    managed.apply(&create).await;
    assert_eq!(managed.session.inspect.describe(&topic).await.expect("there").channel.parts, Some(2));
    refused(managed.topic("topic.create", &topic, &[]).await, Kind::Rejected, "already");
    assert!(managed.manage.apply(&create).await.is_err(), "it is there by now");

    let set = managed.topic("settings.change", &topic, &[("set", "max.message.bytes=2000000"), ("remove", "retention.ms")]).await;
    let set = set.expect("a plan");
    assert_eq!((cell(&set, 0, "after"), cell(&set, 1, "now")), ("2000000".to_owned(), "3153600000000".to_owned()));
    assert_eq!(set.risk, Risk::Destroy, "another retention deletes");
    managed.apply(&set).await;
    let stale = managed.manage.apply(&set).await.expect_err("it is set already");
    assert!(stale.cause.as_str().contains("changed since"), "{stale}");
    managed.undo(&set).await;
    let back = managed.topic("settings.change", &topic, &[("append", "cleanup.policy=compact"), ("set", "retention.ms=1000")]).await;
    let back = back.expect("a plan");
    assert_eq!((cell(&back, 0, "after"), cell(&back, 1, "now")), ("delete,compact".to_owned(), "3153600000000".to_owned()), "undone");
    managed.apply(&managed.topic("settings.change", &topic, &[("append", "cleanup.policy=compact")]).await.expect("a plan")).await;
    refused(managed.topic("settings.change", &topic, &[("set", "no.such=1")]).await, Kind::Rejected, "no.such");

    let grow = managed.topic("partitions.add", &topic, &[("count", "5")]).await.expect("a plan");
    managed.apply(&grow).await;
    assert_eq!(managed.session.inspect.describe(&topic).await.expect("there").channel.parts, Some(5));
    refused(managed.topic("partitions.add", &topic, &[("count", "5")]).await, Kind::Usage, "has 5 partitions already");
    assert!(managed.manage.apply(&grow).await.expect_err("grown").cause.as_str().contains("has 5"));

    managed.fill(&topic, 2, 10).await;
    let group = unique("slow");
    commits::commit(kafka.plain(), &group, &topic, &[(0, 3)]);
    let purge = managed.topic("topic.purge", &topic, &[("before", "@6")]).await.expect("a plan");
    assert_eq!(purge.touches, Amount::AtMost(12));
    assert!(purge.notes.iter().any(|note| note.as_str().contains(&group) && note.as_str().contains("3 of these")), "{:?}", purge.notes);
    managed.apply(&purge).await;
    refused(managed.topic("topic.purge", &topic, &[("before", "@6")]).await, Kind::Rejected, "nothing before");
    let timed = managed.topic("topic.purge", &topic, &[("before", "2026-02-05T10:00:08Z")]).await.expect("a plan");
    assert_eq!((cell(&timed, 0, "before"), timed.touches), ("8".to_owned(), Amount::AtMost(4)));

    let delete = managed.topic("topic.delete", &topic, &[]).await.expect("a plan");
    assert_eq!((delete.touches, delete.undo.is_none()), (Amount::AtMost(8), true));
    assert!(delete.notes.iter().any(|note| note.as_str().contains(&group)), "{:?}", delete.notes);
    managed.apply(&delete).await;
    assert_eq!(managed.session.inspect.describe(&topic).await.expect_err("gone").kind, Kind::NotFound);
    // The same name made anew is not what was looked at.
    managed.apply(&create).await;
    let fault = managed.manage.apply(&delete).await.expect_err("another topic");
    assert!(fault.cause.as_str().contains("made anew"), "{fault}");
    managed.undo(&create).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_before_anything_is_done() {
    let Some(kafka) = kafka::shared() else { return };
    let managed = Managed::of(kafka).await;
    let topic = topics::create(kafka.plain(), "refusals", 1, 1, &[("cleanup.policy", "compact")]).await;
    for (id, arguments) in
        [("topic.delete", &[][..]), ("topic.purge", &[]), ("partitions.add", &[("count", "3")]), ("settings.change", &[("set", "a=1")])]
    {
        refused(managed.topic(id, "no.such.topic", arguments).await, Kind::NotFound, "no.such.topic");
    }
    refused(managed.topic("topic.create", &unique("wide"), &[("replicas", "7")]).await, Kind::Rejected, "replicas");
    refused(managed.topic("topic.create", "no such name", &[]).await, Kind::NotFound, "name");
    refused(managed.topic("leaders.elect", &topic, &[]).await, Kind::Rejected, "nothing to elect");
    refused(managed.topic("topic.delete", "__consumer_offsets", &[]).await, Kind::Rejected, "Kafka's own");
    managed.fill(&topic, 0, 0).await;
    let publish = managed.session.publish.as_ref().expect("publish");
    publish.publish(&topic, outgoing(0, Some("k"), Some("v"))).await.expect("stored");
    refused(managed.topic("topic.purge", &topic, &[]).await, Kind::Rejected, "compacted");
    refused(managed.topic("topic.purge", &topic, &[("before", "+5")]).await, Kind::Usage, "end-500");
    refused(managed.reset("no.such.group", "earliest", None).await, Kind::NotFound, "no position anywhere");
    refused(managed.reset("no.such.group", "3@1", Some(&topic)).await, Kind::NotFound, "no partition 3");
    refused(managed.plan("group.delete", Address::group("events", "no.such.group"), &[]).await, Kind::NotFound, "no such group");

    let Some(address) = kafka.listener("SASL") else { return };
    let mut integration = Integration::new("events", "kafka", vec![address.to_owned()]);
    let password = Secret::new("alice-secret".into());
    integration.auth = Auth::Scram { mechanism: ScramMechanism::Sha256, username: "alice".into(), password };
    let alice = Managed::at(integration).await;
    refused(alice.topic("topic.delete", "forbidden", &[]).await, Kind::Forbidden, "ACL");
    refused(alice.topic("settings.change", "forbidden", &[("set", "retention.ms=1")]).await, Kind::Forbidden, "ACL");
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_go_where_they_are_sent_and_back() {
    let Some(kafka) = kafka::shared() else { return };
    let managed = Managed::of(kafka).await;
    let topic = topics::create(kafka.plain(), "positions", 3, 1, &[]).await;
    managed.fill(&topic, 3, 20).await;
    topics::delete_before(kafka.plain(), &topic, 2, 5).await;
    let group = unique("movers");
    let before = [(0, 10), (1, 20)];
    commits::commit(kafka.plain(), &group, &topic, &before);
    for (to, named, after) in [
        ("earliest", false, &[(0, 0), (1, 0)][..]),
        ("earliest", true, &[(0, 0), (1, 0), (2, 5)]),
        ("latest", true, &[(0, 20), (1, 20), (2, 20)]),
        ("end-3", true, &[(0, 17), (1, 17), (2, 17)]),
        ("@2", true, &[(0, 2), (1, 2), (2, 5)]),
        ("+5", true, &[(0, 15), (1, 20)]),
        ("-15", false, &[(0, 0), (1, 5)]),
        ("0@7,2@9", true, &[(0, 7), (1, 20), (2, 9)]),
        ("1@none", false, &[(0, 10)]),
        ("2026-02-05T10:00:12Z", true, &[(0, 12), (1, 12), (2, 12)]),
        ("2026-02-05T11:00Z", true, &[(0, 20), (1, 20), (2, 20)]),
    ] {
        let change = managed.reset(&group, to, named.then_some(&*topic)).await.unwrap_or_else(|fault| panic!("{to}: {fault}"));
        assert_eq!(change.refused, None, "{to}");
        managed.apply(&change).await;
        assert_eq!(managed.committed(&group).await, after, "{to}");
        managed.undo(&change).await;
        assert_eq!(managed.committed(&group).await, before, "{to}, taken back");
    }
    let change = managed.reset(&group, "earliest", None).await.expect("a plan");
    commits::commit(kafka.plain(), &group, &topic, &[(1, 19)]);
    let fault = managed.manage.apply(&change).await.expect_err("the world has moved");
    assert!(fault.cause.as_str().contains("it had 20, and has 19 now"), "{fault}");
    assert_eq!(managed.committed(&group).await, [(0, 10), (1, 19)], "nothing was done");

    let delete = managed.plan("group.delete", Address::group("events", &group), &[]).await.expect("a plan");
    managed.apply(&delete).await;
    assert_eq!(managed.committed(&group).await, []);
    managed.undo(&delete).await;
    assert_eq!(managed.committed(&group).await, [(0, 10), (1, 19)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_another_languages_client_is_reset_only_without_members_and_reads_from_there() {
    let Some(kafka) = kafka::shared() else { return };
    let managed = Managed::of(kafka).await;
    let topic = topics::create(kafka.plain(), "live", 2, 1, &[]).await;
    managed.fill(&topic, 2, 8).await;
    let group = unique("python");
    let Some(mut member) = clients::script("kafka/member.py", &[kafka.plain(), &group, &topic, "hold"]) else { return };
    let mut member = member.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python runs");
    let mut said = String::new();
    BufReader::new(member.stdout.take().expect("its output")).read_line(&mut said).expect("it speaks");
    assert_eq!(said.trim(), r#"{"0": 0, "1": 0}"#);

    let busy = managed.reset(&group, "0@3", None).await.expect("a preview all the same");
    let fault = busy.refused.clone().expect("refused");
    assert!(fault.cause.as_str().contains("1 active member"), "{fault}");
    // The broker's own refusal is the second guard.
    let done = managed.manage.apply(&Change { refused: None, ..busy.clone() }).await;
    assert!(done.is_err(), "{done:?}");
    drop(member.stdin.take());
    assert!(member.wait().expect("it ends").success());
    assert_eq!(managed.committed(&group).await, [(0, 8), (1, 8)]);

    let reads = || {
        let script = clients::script("kafka/member.py", &[kafka.plain(), &group, &topic]).expect("it was there before");
        String::from_utf8(clients::run(script)).expect("text").trim().to_owned()
    };
    let change = managed.reset(&group, "0@3,1@5", None).await.expect("a plan");
    assert_eq!(cell(&change, 0, "messages"), "≤ 5 again");
    managed.apply(&change).await;
    assert_eq!(reads(), r#"{"0": 3, "1": 5}"#);
    managed.undo(&change).await;
    assert_eq!(reads(), r#"{"0": 8, "1": 8}"#);
    let again = managed.reset(&group, "0@3,1@5", None).await.expect("a plan");
    assert_eq!(again.digest(), change.digest(), "the same world, the same plan");
    managed.apply(&again).await;
    assert_eq!(reads(), r#"{"0": 3, "1": 5}"#);
}
