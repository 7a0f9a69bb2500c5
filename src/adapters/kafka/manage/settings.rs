//! Changing settings of a topic (KIP-339): set, back to the brokers' own, added to a list, taken from a list; all of them or none.

use super::specs::CONFIG;
use super::{ALTER_CONFIGS, KafkaManage, Patience, forbidden, freeze, stale};
use crate::adapters::kafka::link::change::How;
use crate::adapters::kafka::link::describe::{Setting, Source};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, Done, Request, Risk};
use crate::domain::text::SafeText;
use serde::{Deserialize, Serialize};

const OP: &str = "change the settings of";
/// Changing these may make the brokers delete messages.
const DELETING: &[&str] = &["cleanup.policy", "retention.bytes", "retention.ms"];

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    topic: String,
    id: Option<String>,
    changes: Vec<Step>,
}

/// One setting.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    name: String,
    how: How,
    value: Option<String>,
    /// The topic's own value before and after; `None` where it has none of its own.
    before: Option<String>,
    after: Option<String>,
}

/// `name=value name=value …` of a field. A blank belongs to a value if no new name follows it.
pub(super) fn pairs(request: &Request, field: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in request.argument(field).unwrap_or_default().split_whitespace() {
        match (word.split_once('='), pairs.last_mut()) {
            (Some((name, value)), _) if !name.is_empty() => pairs.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(word);
            }
            _ => {
                let cause = format!("`{word}` is not NAME=VALUE");
                return Err(
                    Fault::new(Kind::Usage, request.spec.id, request.address.to_string(), cause).next("write retention.ms=86400000")
                );
            }
        }
    }
    Ok(pairs)
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let name = request.address.channel.to_string();
    let mut asked: Vec<(String, How, Option<String>)> = Vec::new();
    for (field, how) in [("set", How::Set), ("append", How::Append), ("subtract", How::Subtract)] {
        asked.extend(pairs(&request, field)?.into_iter().map(|(name, value)| (name, how, Some(value))));
    }
    let removed = request.argument("remove").unwrap_or_default();
    asked.extend(removed.split([' ', ',']).filter(|name| !name.is_empty()).map(|name| (name.to_owned(), How::Remove, None)));
    asked.sort_by(|a, b| a.0.cmp(&b.0));
    let wrong = |cause: String| Fault::new(Kind::Usage, OP, name.as_str(), cause);
    if asked.is_empty() {
        return Err(wrong("no setting is named".to_owned()).next("fill in `set`: retention.ms=86400000"));
    }
    if let Some(pair) = asked.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(wrong(format!("{} is named twice", pair[0].0)));
    }
    let topic = manage.topic(OP, &name).await?;
    let refused = forbidden(OP, &topic, ALTER_CONFIGS);
    if refused.is_none() {
        manage.cluster.alter_settings(&name, &asked, true).await?;
    }
    let now = manage.cluster.settings_of(&name).await?;
    let id = manage.cluster.topic_id(&name).await?;
    let (mut rows, mut changes) = (Vec::new(), Vec::new());
    for (setting, how, value) in asked {
        let known = now.iter().find(|known| known.name == setting);
        let (row, step) = one(setting, how, value, known);
        rows.push(row);
        changes.push(step);
    }
    let undo = undo(&request, &changes);
    let deleting = changes.iter().any(|step| DELETING.contains(&step.name.as_str()));
    let summary = format!("changes {} of {}", super::counted(changes.len() as i64, "setting"), request.address);
    let change = Change {
        tables: vec![Table { title: "settings", columns: vec!["setting", "now", "after", "set by"], rows }],
        refused,
        undo: Some(undo),
        ..Change::new(request, summary, freeze(&Steps { topic: name, id, changes }))
    };
    if !deleting {
        return Ok(change);
    }
    let note = "brokers soon delete what the new setting does not keep: setting it back does not bring it back";
    Ok(Change { risk: Risk::Destroy, touches: Amount::Unknown, notes: vec![note.into()], ..change })
}

/// A row of the preview and its step.
fn one(name: String, how: How, value: Option<String>, known: Option<&Setting>) -> (Vec<SafeText>, Step) {
    let now = known.and_then(|known| known.value.clone());
    let own = known.filter(|known| known.source == Source::Topic).and_then(|known| known.value.clone());
    let list = || items(now.as_deref());
    let given = items(value.as_deref());
    let after = match how {
        How::Set => value.clone(),
        How::Remove => None,
        How::Append => Some([list(), given.into_iter().filter(|item| !list().contains(item)).collect()].concat().join(",")),
        How::Subtract => Some(list().into_iter().filter(|item| !given.contains(item)).collect::<Vec<_>>().join(",")),
    };
    let shown = match (&after, how) {
        (Some(after), _) => after.clone(),
        (None, _) => known.and_then(|known| known.fallback.clone()).unwrap_or_else(|| "what the brokers say".to_owned()),
    };
    let set_by = if after.is_some() { Source::Topic.word() } else { Source::Broker.word() };
    let unknown = || "–".to_owned();
    let row = vec![SafeText::new(&name), now.unwrap_or_else(unknown).into(), shown.into(), set_by.into()];
    (row, Step { name, how, value, before: own, after })
}

fn items(list: Option<&str>) -> Vec<String> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Every setting as it was: its own value again, or none.
fn undo(request: &Request, changes: &[Step]) -> Request {
    let set: Vec<_> = changes.iter().filter_map(|step| Some(format!("{}={}", step.name, step.before.as_ref()?))).collect();
    let remove: Vec<_> = changes.iter().filter(|step| step.before.is_none()).map(|step| step.name.clone()).collect();
    let arguments = [("set", set), ("remove", remove)].into_iter().filter(|(_, words)| !words.is_empty());
    let arguments = arguments.map(|(field, words)| (field.to_owned(), words.join(" "))).collect();
    Request { spec: &CONFIG, address: request.address.clone(), arguments }
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    let name = steps.topic.as_str();
    manage.same_topic(OP, name, steps.id.as_deref()).await?;
    let own = |now: &[Setting], name: &str| {
        now.iter().find(|known| known.name == name && known.source == Source::Topic).and_then(|known| known.value.clone())
    };
    let now = manage.cluster.settings_of(name).await?;
    if let Some(step) = steps.changes.iter().find(|step| own(&now, &step.name) != step.before) {
        return Err(stale(OP, name, &format!("{} was changed since the plan was made", step.name)));
    }
    let changes: Vec<_> = steps.changes.iter().map(|step| (step.name.clone(), step.how, step.value.clone())).collect();
    manage.cluster.alter_settings(name, &changes, false).await?;
    // Each broker learns of it in its own time; the one that is asked tells what it knows.
    let holds = |now: &[Setting], step: &Step| items(own(now, &step.name).as_deref()) == items(step.after.as_deref());
    let patience = Patience::new();
    let now = loop {
        let now = manage.cluster.settings_of(name).await?;
        if steps.changes.iter().all(|step| holds(&now, step)) || !patience.wait().await {
            break now;
        }
    };
    let part = |step: &Step| {
        let outcome = if holds(&now, step) {
            Ok(step.after.clone().unwrap_or_else(|| "back to what the brokers say".to_owned()).into())
        } else {
            Err(Fault::new(Kind::Timeout, OP, name, "the brokers took it, but do not show it yet"))
        };
        (SafeText::new(&step.name), outcome)
    };
    Ok(Done { parts: steps.changes.iter().map(part).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::Address;

    fn request(field: &str, text: &str) -> Request {
        Request { spec: &CONFIG, address: Address::new("events", "orders"), arguments: vec![(field.to_owned(), text.to_owned())] }
    }

    fn setting(value: &str, source: Source) -> Setting {
        Setting { name: "cleanup.policy".into(), value: Some(value.into()), source, fallback: Some("delete".into()) }
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        let read = |text| pairs(&request("set", text), "set");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("a.b=1  c=x=y\nd= e=two words f=3"),
            Ok(vec![pair("a.b", "1"), pair("c", "x=y"), pair("d", ""), pair("e", "two words"), pair("f", "3"),])
        );
        assert_eq!(read(""), Ok(vec![]));
        for wrong in ["a", "=1", "a b=1"] {
            assert!(read(wrong).is_err_and(|fault| fault.kind == Kind::Usage), "{wrong}");
        }
    }

    #[test]
    fn a_preview_says_what_will_hold_and_the_way_back_is_what_was() {
        let word = |word: &str| Some(word.to_owned());
        for (how, value, known, after, back) in [
            (How::Set, word("compact"), setting("delete", Source::Default), "compact", "remove"),
            (How::Set, word("compact"), setting("delete", Source::Topic), "compact", "set"),
            (How::Remove, None, setting("compact", Source::Topic), "delete", "set"),
            (How::Append, word("compact"), setting("delete", Source::Default), "delete,compact", "remove"),
            (How::Append, word("delete"), setting("delete", Source::Topic), "delete", "set"),
            (How::Subtract, word("compact"), setting("delete,compact", Source::Topic), "delete", "set"),
        ] {
            let (row, step) = one("cleanup.policy".into(), how, value, Some(&known));
            assert_eq!(row[2].as_str(), after, "{how:?}");
            let undo = undo(&request("set", ""), &[step]);
            assert_eq!(undo.arguments[0].0, back, "{how:?}");
        }
    }
}
