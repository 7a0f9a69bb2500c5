//! `Publish` for Redis: XADD to a stream, PUBLISH to a channel.

use super::Redis;
use super::entry::{Id, Pair, Place};
use super::name::{Key, Name};
use super::value;
use crate::adapters::session::Publish;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Field, PublishSpec};
use crate::domain::receipt::Receipt;
use crate::wire::json;
use async_trait::async_trait;
use redis::{Cmd, cmd};

const OP: &str = "publish to";

static SPEC: PublishSpec = PublishSpec { key: false, tombstone: true, timestamp: false, fields: FIELDS };
const FIELDS: &[Field] = &[
    Field::text(
        "field",
        "Payload field",
        "streams: the entry's field that carries the value; * makes a field of each member of a JSON object",
    ),
    Field::text("id", "Id", "streams: the entry's id; the server gives one if it is left out"),
    Field::number("maxlen", "Keep about", "streams: older entries beyond about so many are deleted; none if it is left out", 1, i64::MAX),
    Field::choice("create", "Create", "streams: whether a stream that is not there is made", &["yes", "no"]),
];

#[async_trait]
impl Publish for Redis {
    fn spec(&self) -> &'static PublishSpec {
        &SPEC
    }

    /// Many calls at once are sent in their order. The runtime makes a task that has done much wait in the middle of a call, and lets those that
    /// wait go on in another order; so these are not made to.
    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        tokio::task::unconstrained(self.send(channel, message)).await
    }
}

impl Redis {
    async fn send(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        let refuse = |cause: &str| Fault::new(Kind::Usage, OP, channel, cause);
        if message.key.is_some() {
            return Err(refuse("Redis's messages have no key").next("use a header, or leave the key out"));
        }
        match self.resolve(OP, channel).await? {
            Name::Stream(name) => {
                let command = self.add(&name, &message).map_err(|cause| refuse(&cause))?;
                self.link.locate(&name, OP).await?;
                let said = self.link.call(&command, OP, channel).await?;
                let id = Id::of(&said).ok_or_else(|| {
                    Fault::new(Kind::NotFound, OP, channel, "there is no such stream, and `create` says no: nothing was added")
                })?;
                if message.option("create") != Some("no") {
                    self.rescan();
                }
                Ok(Receipt::Stored(id.position()))
            }
            Name::Channel(name) => {
                let name = name.literal().ok_or_else(|| {
                    refuse("a pattern is not a channel").next("name one channel; a backslash before * ? [ or \\ takes it literally")
                })?;
                if !Place::split(&message.headers).1.is_empty() {
                    return Err(refuse("pub/sub messages have no headers").next("put them into the value, or use a stream"));
                }
                let payload =
                    message.payload.ok_or_else(|| refuse("pub/sub messages have a value").next("give one, if only an empty one"))?;
                let said = self.link.call(cmd("PUBLISH").arg(name).arg(&payload[..]), OP, channel).await?;
                if self.link.is_cluster().await? {
                    // The answer counts only who is connected to the server that was asked.
                    return Ok(Receipt::Unconfirmed);
                }
                let handed = value::int(&said).and_then(|n| u64::try_from(n).ok());
                handed
                    .map(Receipt::Handed)
                    .ok_or_else(|| Fault::new(Kind::Protocol, OP, channel, "the server does not say how many received it"))
            }
            Name::Key(_) => Err(refuse("keys are not published to").next("stream:NAME or channel:NAME")),
        }
    }

    /// XADD, with the payload's field where the message says, else behind the headers.
    fn add(&self, name: &Key, message: &Outgoing) -> Result<Cmd, String> {
        let mut fields: Vec<Pair> = Vec::new();
        let (place, headers) = Place::split(&message.headers);
        for header in headers {
            let value = header.value.clone().ok_or_else(|| {
                format!("the header `{}` has no value, and a stream's field always has one", String::from_utf8_lossy(&header.name))
            })?;
            fields.push((header.name.clone(), value));
        }
        let place = match message.option("field").filter(|field| !field.is_empty()) {
            Some("*") => Place::Spread,
            Some(field) => Place::Field(fields.len(), field.to_owned().into()),
            None => place.unwrap_or_else(|| Place::Field(fields.len(), self.form.field().to_owned().into())),
        };
        match (&message.payload, place) {
            (Some(payload), Place::Spread) => fields.extend(spread(payload)?),
            (Some(payload), Place::Field(at, field)) => fields.insert(at.min(fields.len()), (field, payload.clone())),
            (None, _) => {}
        }
        if fields.is_empty() {
            return Err("an entry needs a field: give a value or a header".to_owned());
        }
        let mut command = cmd("XADD");
        command.arg(name);
        if message.option("create") == Some("no") {
            command.arg("NOMKSTREAM");
        }
        if let Some(most) = message.option("maxlen").filter(|most| !most.is_empty()) {
            command.arg("MAXLEN").arg("~").arg(most);
        }
        command.arg(message.option("id").filter(|id| !id.is_empty()).unwrap_or("*"));
        for (name, value) in fields {
            command.arg(&name[..]).arg(&value[..]);
        }
        Ok(command)
    }
}

/// The members of a JSON object as fields: texts without their quotes, everything else as it is written.
fn spread(payload: &[u8]) -> Result<Vec<Pair>, String> {
    let text = std::str::from_utf8(payload).map_err(|_| "the value is not UTF-8, so it is no JSON object".to_owned())?;
    let members = json::members(text).map_err(|error| format!("the value is not a JSON object: {error}"))?;
    let plain = |raw: &str| serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
    Ok(members.iter().map(|member| (member.name.clone().into(), plain(member.value).into())).collect())
}
