//! `Inspect` for RabbitMQ: the lists of the management API; without it what the profile names, by passive declaration.

use super::Rabbit;
use super::cluster::Replicas;
use super::dead_letters::Map;
use super::management::{number, rate, text};
use super::name::Name;
use super::tap::TAPPED;
use crate::adapters::session::Inspect;
use crate::domain::address::split_kind;
use crate::domain::channel::{Attribute, Caps, Channel, Description};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use serde_json::Value;
use std::time::Duration;

pub(super) const LIST: &str = "list channels of";
const DESCRIBE: &str = "describe";
/// What the list of queues is asked for: whole rows have fifty fields.
const QUEUE_COLUMNS: &str = "name,type,arguments,durable,exclusive,auto_delete,state,policy,effective_policy_definition,leader,members,online,\
    messages,messages_ready,messages_unacknowledged,message_bytes,consumers,message_stats.publish_details.rate,message_stats.deliver_get_details.rate";
const EXCHANGE_COLUMNS: &str =
    "name,type,internal,durable,arguments,message_stats.publish_in_details.rate,message_stats.publish_out_details.rate";
pub(super) const BINDING_COLUMNS: &str = "source,routing_key,destination,destination_type";
/// Exchanges that every vhost has (AMQP 0-9-1 section 3.1.3), with whether RabbitMQ's own events go by them.
const STANDARD: &[&str] = &["amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"];

#[async_trait]
impl Inspect for Rabbit {
    async fn ping(&self) -> Result<Duration, Fault> {
        self.link.ping().await
    }

    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let asked = tokio::try_join!(
            self.management.list("queues", QUEUE_COLUMNS),
            self.management.list("exchanges", EXCHANGE_COLUMNS),
            self.management.list("bindings", BINDING_COLUMNS),
        );
        let mut channels = match asked {
            Ok((queues, exchanges, bindings)) => {
                let map = Map::of(&exchanges, &bindings);
                let queues = queues.iter().filter_map(|row| self.queue_row(row, &map));
                queues.chain(exchanges.iter().filter_map(|row| self.exchange_row(row, &map))).collect()
            }
            Err(fault) => self.named(&fault).await?,
        };
        // A list that cannot be had takes nothing from the others.
        channels.extend(self.vhosts().await.unwrap_or_default());
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(channels)
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        if let (Some("vhost"), vhost) = split_kind(super::name::KINDS, channel) {
            return self.describe_vhost(vhost).await;
        }
        let name = self.resolve(DESCRIBE, channel).await?;
        self.description(&name).await
    }
}

impl Rabbit {
    /// The tenant in a name: as the profile's channels have it, else as its queues have it (seed 1: `grey.tasks.{tenant}`).
    fn tenant_of<'n>(&self, name: &'n Name) -> Option<&'n str> {
        self.integration.tenant_of(name.bare()).or_else(|| match name {
            Name::Queue(queue) | Name::Stream(queue) => self.settings.topology.find(queue)?.1,
            Name::Exchange(_) => None,
        })
    }

    pub(super) fn row(&self, name: &Name, can: Caps) -> Channel {
        let tenant = self.tenant_of(name).map(SafeText::new);
        Channel { tenant, can, ..Channel::named(name.text(), name.kind()) }
    }

    /// A queue of the management API's list.
    pub(super) fn queue_row(&self, queue: &Value, map: &Map) -> Option<Channel> {
        let (bare, kind) = (text(queue, &["name"])?, text(queue, &["type"]).unwrap_or("classic"));
        let stream = kind == "stream";
        let name = if stream { Name::Stream(bare.to_owned()) } else { Name::Queue(bare.to_owned()) };
        let shared = queue.get("exclusive").and_then(Value::as_bool) != Some(true);
        let can = Caps {
            tail: stream || map.feeds(bare),
            history: stream,
            peek: !stream && shared,
            publish: true,
            hold: !stream && shared,
            receive_options: false,
            call: !stream && shared,
        };
        let amount = |field: &str| number(queue, &[field]).map_or(Amount::Unknown, Amount::Exactly);
        let mut row = self.row(&name, can);
        row.internal = bare.starts_with("amq.") || bare.starts_with("mqdeck.tap.");
        row.depth = amount("messages");
        row.bytes = amount("message_bytes");
        row.rate_in = rate(queue, "publish");
        row.rate_out = rate(queue, "deliver_get");
        row.consumers = number(queue, &["consumers"]);
        row.kept_by = map.feeder(bare).filter(|_| !stream).map(|exchange| Name::Exchange(exchange.to_owned()).text().into());
        row.dead_letters_to = map.path(queue).map(|path| SafeText::new(&path.target()));
        let replicas = Replicas::of(queue);
        row.fault = replicas.as_ref().and_then(|replicas| replicas.fault(&row.name));
        let count = |field: &str| number(queue, &[field]).map(figure::count);
        row.attributes = [
            ("type", Some(kind.to_owned())),
            ("replicas", replicas.as_ref().map(Replicas::words)),
            ("ready", count("messages_ready")),
            ("unacked", count("messages_unacknowledged")),
            ("policy", text(queue, &["policy"]).map(str::to_owned)),
            ("state", text(queue, &["state"]).filter(|state| *state != "running").map(str::to_owned)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(Attribute::new(name, value?)))
        .collect();
        Some(row)
    }

    /// An exchange of the list; the default one has no name and is the queues' own.
    pub(super) fn exchange_row(&self, exchange: &Value, map: &Map) -> Option<Channel> {
        let bare = text(exchange, &["name"]).filter(|name| !name.is_empty())?;
        let kind = text(exchange, &["type"]).unwrap_or("unknown");
        let closed = exchange.get("internal").and_then(Value::as_bool) == Some(true);
        let bound = map.bound_to(bare);
        let can =
            Caps { tail: TAPPED.contains(&kind) && (kind != "direct" || bound > 0), publish: !closed, call: !closed, ..Caps::default() };
        let mut row = self.row(&Name::Exchange(bare.to_owned()), can);
        row.internal = bare.starts_with("amq.") && bound == 0;
        row.rate_in = rate(exchange, "publish_in");
        row.rate_out = rate(exchange, "publish_out");
        row.attributes = vec![Attribute::new("type", kind), Attribute::new("bindings", figure::count(bound as u64))];
        Some(row)
    }

    /// Without the management API nothing can be listed: what the profile names, looked at one by one, and what every vhost has.
    async fn named(&self, missing: &Fault) -> Result<Vec<Channel>, Fault> {
        // A connection that is down is told as such.
        self.link.shared().await?;
        let incomplete =
            || Attribute::new("list", format!("only what the profile names: the management API is not there ({})", missing.cause));
        let mut channels = Vec::new();
        for pattern in self.integration.channels.iter().map(|channel| channel.pattern.as_str()).filter(|pattern| !pattern.contains('*')) {
            match self.resolve(LIST, pattern).await {
                Ok(name) => channels.push(self.bare_row(&name).await),
                Err(fault) if fault.kind == Kind::Unreachable => return Err(fault),
                Err(fault) => {
                    let name = Name::said(pattern).unwrap_or_else(|| Name::Queue(pattern.to_owned()));
                    channels.push(Channel { fault: Some(fault), ..self.row(&name, Caps::default()) });
                }
            }
        }
        for exchange in STANDARD {
            let can = Caps { tail: *exchange != "amq.direct", publish: true, call: true, ..Caps::default() };
            channels.push(Channel { internal: !channels.is_empty(), ..self.row(&Name::Exchange((*exchange).to_owned()), can) });
        }
        for channel in &mut channels {
            channel.attributes.push(incomplete());
        }
        let vhost = Name::vhost(&self.settings.vhost);
        let fault = Fault::new(missing.kind, LIST, vhost.as_str(), format!("only what the profile names is listed: {}", missing.cause));
        channels.push(Channel { fault: Some(fault.next(missing.next.as_str())), ..Channel::named(vhost, "vhost") });
        Ok(channels)
    }

    /// What AMQP alone tells of a channel.
    pub(super) async fn bare_row(&self, name: &Name) -> Channel {
        let stream = matches!(name, Name::Stream(_));
        let can = match name {
            Name::Exchange(_) => Caps { tail: true, publish: true, call: true, ..Caps::default() },
            _ => Caps { tail: stream, history: stream, peek: !stream, publish: true, hold: !stream, receive_options: false, call: !stream },
        };
        let mut row = self.row(name, can);
        if let Name::Exchange(exchange) = name {
            row.fault = self.exchange_is_there(DESCRIBE, exchange).await.err();
            return row;
        }
        match self.queue_is_there(DESCRIBE, name.bare()).await {
            Ok(said) => {
                let ready = u64::from(said.message_count());
                // What consumers hold unacknowledged is not in it, and a quorum queue says 0 for a while after a restart.
                row.depth = Amount::AtLeast(ready);
                row.consumers = Some(u64::from(said.consumer_count()));
                row.attributes = vec![Attribute::new("ready", Amount::AtLeast(ready).to_string())];
            }
            Err(fault) => row.fault = Some(fault),
        }
        row
    }
}
