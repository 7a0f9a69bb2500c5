//! `Manage` for Redis: groups made, moved and deleted, pending entries settled and claimed, streams trimmed, keys deleted.
//!
//! A plan freezes the very commands that will be sent, one for each part; carrying out sends these and nothing else. Others write meanwhile, so
//! a command whose effect depends on what is there now is sent inside of a script, which the server runs without anybody in
//! between: it first looks whether everything is as it was planned, and does nothing where it is not.

mod groups;
mod script;
pub(super) mod specs;
mod streams;

use super::Redis;
use super::entry::Id;
use super::name::Key;
use super::value;
use crate::adapters::session::Manage;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Change, Done, OperationSpec, Request};
use crate::domain::position::Bound;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use jiff::Zoned;
use redis::{Cmd, Value, cmd};
use script::Condition;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// One part of a plan. Texts write names as addresses do, so that every byte of them is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    part: String,
    work: Work,
}

#[derive(Debug, Serialize, Deserialize)]
enum Work {
    /// A command that does what was planned or fails, and how many things it answers that it did.
    Send { words: Vec<String>, expected: Option<u64> },
    /// A command for a key, if everything is still so.
    Guarded { key: String, conditions: Vec<Condition>, words: Vec<String>, expected: Option<u64> },
    /// Pending entries for another consumer: `(id, who has it)`.
    Claim { stream: String, group: String, consumer: String, idle: String, entries: Vec<(String, String)> },
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

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        let op = change.request.spec.id;
        let target = change.request.address.to_string();
        let steps: Vec<Step> = serde_json::from_str(&change.steps)
            .map_err(|error| Fault::new(Kind::Usage, op, &*target, format!("these are no steps of it: {error}")))?;
        let alone = steps.len() == 1;
        let mut done = Done::default();
        for step in steps {
            let part = SafeText::new(&step.part);
            match step.work {
                Work::Send { words, expected } => {
                    let said = self.link.call(&command(&words), op, &step.part).await;
                    done.parts.push((part, said.and_then(|said| outcome(op, &step.part, &said, expected))));
                }
                Work::Guarded { key, conditions, words, expected } => {
                    let said = self.guarded(op, &key, &conditions, &words).await;
                    if let (Err(fault), true) = (&said, alone) {
                        return Err(fault.clone());
                    }
                    done.parts.push((part, said.and_then(|said| outcome(op, &step.part, &said, expected))));
                }
                Work::Claim { stream, group, consumer, idle, entries } => {
                    done.parts.extend(self.claim(op, part, [&stream, &group, &consumer, &idle], &entries).await);
                }
            }
        }
        self.rescan();
        Ok(done)
    }
}

/// A command of words as plans write them.
fn command(words: &[String]) -> Cmd {
    let mut words = words.iter();
    let mut command = words.next().map_or_else(Cmd::new, |word| cmd(word));
    words.for_each(|word| _ = command.arg(Key::parse(word)));
    command
}

/// The server's own answer in a word; less than was planned is told as what it is.
fn outcome(op: &'static str, part: &str, said: &Value, expected: Option<u64>) -> Result<SafeText, Fault> {
    let done = match said {
        Value::Int(n) => u64::try_from(*n).unwrap_or(0),
        other => return Ok(value::text(other).unwrap_or_else(|| "done".to_owned()).into()),
    };
    match expected {
        Some(planned) if done < planned => {
            Err(Fault::new(Kind::NotFound, op, part, format!("{done} of {planned} done: the rest was not there any more")))
        }
        _ => Ok(format!("{done} done").into()),
    }
}

/// A change of one command or several.
fn change(request: Request, summary: String, steps: &[Step]) -> Change {
    // Plain structs of texts: there is nothing in them that could not be written.
    Change::new(request, summary, serde_json::to_string(steps).unwrap_or_default())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Step {
    fn send(part: &str, command: &[&str], expected: Option<u64>) -> Self {
        Self { part: part.to_owned(), work: Work::Send { words: words(command), expected } }
    }

    fn guarded(part: &str, key: &str, conditions: Vec<Condition>, command: &[&str], expected: Option<u64>) -> Self {
        Self { part: part.to_owned(), work: Work::Guarded { key: key.to_owned(), conditions, words: words(command), expected } }
    }
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

    /// The entries that the field `ids` names.
    fn entry_ids(&self) -> Result<Vec<Id>, Fault> {
        let wrong = |text: &str| {
            Fault::new(Kind::Usage, self.spec.id, self.address.to_string(), format!("`{text}` is not the id of an entry"))
                .next("write 1700000000000-0, with commas between several")
        };
        let ids = self.needed("ids")?.split(',').map(|text| Id::parse(text.trim()).ok_or_else(|| wrong(text.trim())));
        let mut seen = HashSet::new();
        // One that is named twice is one.
        ids.filter(|id| id.as_ref().map_or(true, |id| seen.insert(*id))).collect()
    }
}
