//! `Manage` for Redis: groups made, moved and deleted, pending entries settled and claimed, streams trimmed, keys deleted.
//!
//! A plan freezes the very commands that will be sent, one for each part; carrying out sends these and nothing else.

mod groups;
pub(super) mod specs;
mod streams;

use super::Redis;
use super::history::missing;
use super::value;
use crate::adapters::session::Manage;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Change, Done, OperationSpec, Request};
use crate::domain::position::Bound;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use jiff::Zoned;
use redis::{Cmd, Value, cmd};
use serde::{Deserialize, Serialize};

/// What a plan carries out, command by command.
#[derive(Debug, Serialize, Deserialize)]
struct Steps {
    /// What has to be so still: `[stream, group, last delivered id]`.
    stands: Option<[String; 3]>,
    commands: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    part: String,
    words: Vec<String>,
}

#[async_trait]
impl Manage for Redis {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        specs::ALL
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        match request.spec.id {
            "group.create" => groups::create(self, request).await,
            "group.reset" => groups::reset(self, request).await,
            "group.delete" => groups::delete(self, request).await,
            "consumer.delete" => groups::delete_consumer(self, request).await,
            "pending.ack" => groups::acknowledge(self, request).await,
            "pending.claim" => groups::claim(self, request).await,
            "stream.trim" => streams::trim(self, request).await,
            "entry.delete" => streams::delete_entries(self, request).await,
            "key.delete" => streams::delete_keys(self, request).await,
            id => Err(Fault::new(Kind::Usage, "plan", id, "Redis has no such operation")),
        }
    }

    async fn carry_out(&self, change: &Change) -> Result<Done, Fault> {
        let op = change.request.spec.id;
        let target = change.request.address.to_string();
        let steps: Steps = serde_json::from_str(&change.steps)
            .map_err(|error| Fault::new(Kind::Usage, op, &*target, format!("these are no steps of it: {error}")))?;
        if let Some([stream, group, last]) = &steps.stands {
            let row = self.group_of(op, stream, group).await?;
            if row.last.map(|id| id.to_string()).as_ref() != Some(last) {
                return Err(Fault::new(Kind::Rejected, op, &*target, "the group has moved since the plan was made")
                    .next("nothing was done: plan it again"));
            }
        }
        let mut done = Done::default();
        for step in steps.commands {
            let mut words = step.words.iter();
            let mut command = words.next().map_or_else(Cmd::new, |word| cmd(word));
            words.for_each(|word| _ = command.arg(word));
            let said = self.link.call(&command, op, &step.part).await.map_err(|fault| missing(fault, &step.part));
            done.parts.push((SafeText::new(&step.part), said.map(|said| SafeText::from(outcome(&said)))));
        }
        self.rescan();
        Ok(done)
    }
}

/// The server's own answer in a word.
fn outcome(said: &Value) -> String {
    match said {
        Value::Int(n) => format!("{n} done"),
        Value::Array(items) => format!("{} done", items.len()),
        other => value::text(other).unwrap_or_else(|| "done".to_owned()),
    }
}

/// A change of one command or several.
fn change(request: Request, summary: String, steps: &Steps) -> Change {
    // Plain structs of texts: there is nothing in them that could not be written.
    Change::new(request, summary, serde_json::to_string(steps).unwrap_or_default())
}

fn step(part: &str, words: &[&str]) -> Step {
    Step { part: part.to_owned(), words: words.iter().map(|word| (*word).to_owned()).collect() }
}

impl Request {
    /// The value of a field that has to be filled in.
    fn needed(&self, id: &str) -> Result<&str, Fault> {
        self.argument(id).filter(|text| !text.is_empty()).ok_or_else(|| {
            let target = self.address.to_string();
            Fault::new(Kind::Usage, self.spec.id, target, format!("`{id}` is missing")).next(format!("fill in `{id}`"))
        })
    }

    /// A place in a stream that a field names.
    fn place(&self, id: &str, usual: &str) -> Result<Bound, Fault> {
        let text = self.argument(id).filter(|text| !text.is_empty()).unwrap_or(usual);
        Bound::parse(text, &Zoned::now()).map_err(|error| Fault::new(Kind::Usage, self.spec.id, self.address.to_string(), error))
    }
}
