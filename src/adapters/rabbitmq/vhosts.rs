//! The vhosts of the broker that we may see. One connection has one; the address of another's channel says it: `rabbit@tenant-a/queue:x`.

use super::Rabbit;
use super::cluster;
use super::management::{number, text};
use super::name::Name;
use crate::config::url;
use crate::domain::channel::{Attribute, Channel, Description, Table};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::text::SafeText;
use serde_json::Value;

const COLUMNS: &str = "name,messages,messages_ready,messages_unacknowledged,cluster_state";

impl Rabbit {
    /// Their rows, where there are more than the one that is connected to, or several nodes: our own tells of those.
    pub(super) async fn vhosts(&self) -> Result<Vec<Channel>, Fault> {
        let (rows, nodes, alarms) = tokio::join!(self.management.list("vhosts", COLUMNS), self.nodes(), self.alarms());
        let channels: Vec<Channel> = rows?.iter().filter_map(|row| self.vhost_row(row, &nodes, &alarms)).collect();
        let needed = channels.len() > 1 || nodes.len() > 1 || channels.iter().any(|channel| channel.fault.is_some());
        Ok(if needed { channels } else { Vec::new() })
    }

    fn vhost_row(&self, vhost: &Value, nodes: &[Value], alarms: &[String]) -> Option<Channel> {
        let name = text(vhost, &["name"])?;
        let (ours, target) = (name == self.settings.vhost, Name::vhost(name));
        let here = if ours { "this one".to_owned() } else { format!("{}/…", self.behind(name)) };
        let count = |field: &str| number(vhost, &[field]).map(figure::count);
        let attributes = [
            ("its channels", Some(here)),
            ("ready", count("messages_ready")),
            ("unacked", count("messages_unacknowledged")),
            ("state", stopped(vhost)),
            ("nodes", (ours && nodes.len() > 1).then(|| nodes.len().to_string())),
        ];
        Some(Channel {
            depth: number(vhost, &["messages"]).map_or(Amount::Unknown, Amount::Exactly),
            attributes: attributes.into_iter().filter_map(|(name, value)| Some(Attribute::new(name, value?))).collect(),
            fault: cluster::blocking(alarms, &target).or_else(|| cluster::down(nodes, &target)).filter(|_| ours),
            blocks: ours && !alarms.is_empty(),
            ..Channel::named(target, "vhost")
        })
    }

    /// The integration's name with another vhost behind it.
    fn behind(&self, vhost: &str) -> String {
        let name = &*self.integration.name;
        // It may be another part of its broker already.
        let whole = name.strip_suffix(&format!("@{}", url::encode(&self.settings.vhost))).unwrap_or(name);
        format!("{whole}@{}", url::encode(vhost))
    }

    /// One vhost with who may do what in it, and its policies.
    pub(super) async fn describe_vhost(&self, name: &str) -> Result<Description, Fault> {
        let missing = |fault: Fault| match fault.kind {
            Kind::NotFound if !self.management.is_off() => {
                Fault::new(Kind::NotFound, "describe", format!("vhost:{name}"), "there is no such vhost")
                    .next("`mqdeck channels` lists those that this user may see")
            }
            _ => fault,
        };
        let row = self.management.get("vhosts", &[name], &[]).await.map_err(missing)?;
        let strange = || Fault::new(Kind::Protocol, "describe", format!("vhost:{name}"), "the management API's answer has no name");
        let (nodes, alarms) = tokio::join!(self.nodes(), self.alarms());
        let channel = self.vhost_row(&row, &nodes, &alarms).ok_or_else(strange)?;
        let facts = channel.attributes.iter().map(|a| vec![a.name.clone(), a.value.clone()]).collect();
        let mut tables = vec![Table { title: "vhost", columns: vec!["name", "value"], rows: facts }, cluster::table(&nodes)];
        // Not every user may ask for these.
        if let Ok(Value::Array(rows)) = self.management.beside("policies", &[], &[]).await {
            let fields = ["name", "apply-to", "pattern", "priority", "definition"];
            let rows = rows.iter().filter(|row| text(row, &["vhost"]) == Some(name)).map(|row| cells(row, &fields)).collect();
            tables.push(Table { title: "policies", columns: fields.to_vec(), rows });
        }
        if let Ok(Value::Array(rows)) = self.management.beside("vhosts", &[name, "permissions"], &[]).await {
            let fields = ["user", "configure", "write", "read"];
            let rows = rows.iter().map(|row| cells(row, &fields)).collect();
            tables.push(Table { title: "permissions", columns: fields.to_vec(), rows });
        }
        tables.retain(|table| !table.rows.is_empty());
        Ok(Description { channel, tables })
    }
}

/// Fields of a row, as the API spells them.
fn cells(row: &Value, fields: &[&str]) -> Vec<SafeText> {
    fields.iter().map(|field| SafeText::new(&row.get(field).map_or_else(|| "–".to_owned(), plain))).collect()
}

/// Nodes on which the vhost does not run.
fn stopped(vhost: &Value) -> Option<String> {
    let states = vhost.get("cluster_state")?.as_object()?;
    let down: Vec<String> = states
        .iter()
        .filter(|(_, state)| state.as_str() != Some("running"))
        .map(|(node, state)| format!("{} on {node}", plain(state)))
        .collect();
    (!down.is_empty()).then(|| down.join(", "))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
