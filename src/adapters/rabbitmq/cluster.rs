//! The nodes of a cluster, and which of them keep a queue that is kept by several.

use super::Rabbit;
use super::management::{number, text};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::text::SafeText;
use serde_json::Value;
use std::time::Duration;

const COLUMNS: &str = "name,running,being_drained,uptime,mem_used,mem_alarm,disk_free,disk_free_alarm,partitions";

impl Rabbit {
    /// The cluster's nodes, those that are down included; none where the user may not ask (it needs the tag `monitoring`).
    pub(super) async fn nodes(&self) -> Vec<Value> {
        match self.management.beside("nodes", &[], &[("columns", COLUMNS)]).await {
            Ok(Value::Array(nodes)) => nodes,
            _ => Vec::new(),
        }
    }

    /// What blocks publishers; none where the management API does not say. The list of nodes tells it seconds later.
    pub(super) async fn alarms(&self) -> Vec<String> {
        self.management.beside("health", &["checks", "alarms"], &[]).await.map_or_else(|_| Vec::new(), |health| raised(&health))
    }
}

fn is_up(node: &Value) -> bool {
    node.get("running").and_then(Value::as_bool) == Some(true)
}

/// That nodes of the cluster are down, and which.
pub(super) fn down(nodes: &[Value], target: &str) -> Option<Fault> {
    let down: Vec<&str> = nodes.iter().filter(|node| !is_up(node)).filter_map(|node| text(node, &["name"])).collect();
    (!down.is_empty()).then(|| {
        let cause = format!("{} of {} nodes are down: {}", down.len(), nodes.len(), down.join(", "));
        Fault::new(Kind::Unreachable, "reach all nodes of", target, cause)
            .next("start them; queues that are kept by a majority of their nodes go on meanwhile")
    })
}

/// What blocks publishers, and where, as the health check tells: `memory alarm of rabbit@a`.
fn raised(health: &Value) -> Vec<String> {
    let alarm = |alarm: &Value| {
        let (resource, node) = (text(alarm, &["resource"]).unwrap_or("unknown"), text(alarm, &["node"]).unwrap_or("a node"));
        format!("{resource} alarm of {node}")
    };
    health.get("alarms").and_then(Value::as_array).into_iter().flatten().map(alarm).collect()
}

/// That publishers of the whole cluster are blocked, and by which alarms.
pub(super) fn blocking(alarms: &[String], target: &str) -> Option<Fault> {
    (!alarms.is_empty()).then(|| {
        Fault::new(Kind::Rejected, "publish through", target, format!("publishers are blocked: {}", alarms.join(", ")))
            .next("free memory or disk there; until then nothing that is published is taken, and reading goes on")
    })
}

/// Each node with how it is.
pub(super) fn table(nodes: &[Value]) -> Table {
    let row = |node: &Value| {
        let flag = |name: &str| node.get(name).and_then(Value::as_bool) == Some(true);
        let bytes = |name: &str| number(node, &[name]).map(figure::bytes);
        let alarms: Vec<&str> = [("mem_alarm", "memory"), ("disk_free_alarm", "disk")]
            .into_iter()
            .filter(|(name, _)| flag(name))
            .map(|(_, what)| what)
            .collect();
        let state = match (is_up(node), flag("being_drained")) {
            (false, _) => "down",
            (true, true) => "in maintenance",
            (true, false) => "running",
        };
        let cut: Vec<&str> = node.get("partitions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let cells = [
            text(node, &["name"]).map(str::to_owned),
            Some(state.to_owned()),
            number(node, &["uptime"]).map(|millis| figure::duration(Duration::from_millis(millis))),
            bytes("mem_used"),
            bytes("disk_free"),
            // Publishers of the whole cluster are blocked by any of them.
            is_up(node).then(|| if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") }),
            is_up(node).then(|| if cut.is_empty() { "nobody".to_owned() } else { cut.join(", ") }),
        ];
        cells.map(|cell| cell.map_or_else(|| "–".into(), SafeText::from)).to_vec()
    };
    Table {
        title: "nodes",
        columns: vec!["node", "state", "up for", "memory", "disk free", "alarms", "cut off from"],
        rows: nodes.iter().map(row).collect(),
    }
}

/// Who keeps a quorum queue or a stream.
pub(super) struct Replicas<'a> {
    leader: Option<&'a str>,
    members: Vec<&'a str>,
    /// `None` where the server does not tell.
    online: Option<Vec<&'a str>>,
}

impl<'a> Replicas<'a> {
    /// As a row of the queues tells; `None` for a queue that has no replicas.
    pub(super) fn of(queue: &'a Value) -> Option<Self> {
        let names = |field: &str| queue.get(field).and_then(Value::as_array).map(|names| names.iter().filter_map(Value::as_str).collect());
        let (members, online): (Vec<&str>, Option<Vec<&str>>) = (names("members")?, names("online"));
        // Of a stream the server names the leader as its node.
        let leader = text(queue, &["leader"]).or_else(|| text(queue, &["node"])).filter(|leader| members.contains(leader));
        (!members.is_empty()).then_some(Self { leader, members, online })
    }

    fn up(&self) -> Option<usize> {
        let online = self.online.as_ref()?;
        Some(self.members.iter().filter(|member| online.contains(member)).count())
    }

    /// `3`, or `2 of 3 online`.
    pub(super) fn words(&self) -> String {
        let all = self.members.len();
        self.up().filter(|up| *up < all).map_or_else(|| all.to_string(), |up| format!("{up} of {all} online"))
    }

    /// That there are too few to decide on anything.
    pub(super) fn fault(&self, target: &str) -> Option<Fault> {
        let (up, all) = (self.up()?, self.members.len());
        (up * 2 <= all).then(|| {
            let cause = format!("{up} of its {all} replicas are online, which is no majority: it takes and gives nothing");
            Fault::new(Kind::Unreachable, "use", target, cause).next("start the nodes that are down")
        })
    }

    pub(super) fn table(&self) -> Table {
        let row = |member: &&str| {
            let role = if self.leader == Some(*member) { "leader" } else { "follower" };
            let state = self.online.as_ref().map_or("–", |online| if online.contains(member) { "online" } else { "offline" });
            [*member, role, state].map(SafeText::new).to_vec()
        };
        Table { title: "replicas", columns: vec!["node", "role", "state"], rows: self.members.iter().map(row).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_named_with_their_nodes() {
        let health = serde_json::json!({"status": "failed", "alarms": [{"node": "rabbit@a", "resource": "memory"}, {"node": "rabbit@b", "resource": "disk"}]});
        let fault = blocking(&raised(&health), "vhost:/").expect("a fault");
        assert_eq!(fault.cause.as_str(), "publishers are blocked: memory alarm of rabbit@a, disk alarm of rabbit@b");
        assert_eq!(blocking(&raised(&serde_json::json!({"status": "ok"})), "vhost:/"), None);
    }
    use serde_json::json;

    #[test]
    fn replicas_that_are_offline_are_counted_and_too_few_are_a_fault() {
        let queue = |online: &[&str]| json!({"leader": "a", "members": ["a", "b", "c"], "online": online});
        for (online, words, fails) in
            [(&["a", "b", "c"][..], "3", false), (&["c", "a"], "2 of 3 online", false), (&["a"], "1 of 3 online", true)]
        {
            let queue = queue(online);
            let replicas = Replicas::of(&queue).expect("replicas");
            assert_eq!((replicas.words().as_str(), replicas.fault("queue:q").is_some()), (words, fails), "{online:?}");
        }
        let queue = queue(&["a", "b"]);
        let rows: Vec<String> =
            Replicas::of(&queue).expect("replicas").table().rows.iter().map(|row| format!("{} {} {}", row[0], row[1], row[2])).collect();
        assert_eq!(rows, ["a leader online", "b follower online", "c follower offline"]);
        assert!(Replicas::of(&json!({"node": "a"})).is_none(), "a classic queue");
        let untold = json!({"leader": "a", "members": ["a", "b", "c"]});
        assert_eq!(Replicas::of(&untold).expect("replicas").fault("queue:q"), None, "unknown is not offline");
    }

    #[test]
    fn a_node_that_is_down_is_named_and_has_no_figures() {
        let nodes = [
            json!({"name": "a", "running": true, "uptime": 61_000, "mem_used": 1_000, "mem_alarm": true, "disk_free_alarm": false, "partitions": []}),
            json!({"name": "b", "running": false}),
        ];
        let fault = down(&nodes, "the cluster").expect("a fault");
        assert_eq!(fault.cause.as_str(), "1 of 2 nodes are down: b");
        assert_eq!(down(&nodes[..1], "the cluster"), None);
        let rows: Vec<Vec<String>> = table(&nodes).rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        assert_eq!((rows[0][1].as_str(), rows[0][5].as_str(), rows[0][6].as_str()), ("running", "memory", "nobody"));
        assert_eq!(rows[1], ["b", "down", "–", "–", "–", "–", "–"]);
    }
}
