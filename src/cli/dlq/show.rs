//! `mqdeck dlq show`: one letter, with everything that is known of its death.

use super::super::output::{Line, Messages, Out, known};
use super::super::usage;
use crate::domain::address::{Address, parse_message_address};
use crate::domain::dead_letter::{Death, Failure};
use crate::domain::message::Message;
use crate::domain::text::{SafeText, escape_json};
use crate::domain::time::Timestamp;
use crate::gateway::Gateway;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The letter: `events/orders.created.dlt#3@1042`.
    #[arg(value_name = "ADDRESS#POSITION")]
    letter: String,
    /// One JSON object: the failure, and the message as `mqdeck tail --json` prints it.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(&self, gateway: &Gateway) -> anyhow::Result<ExitCode> {
        let parsed = parse_message_address(&self.letter).map_err(|e| usage("show letter", &self.letter, e))?;
        let (address, Some(position)) = parsed else {
            return Err(usage("show letter", &self.letter, "the position is missing").next("write events/orders.dlt#3@1042").into());
        };
        let message = gateway.message(&address, position).await?;
        let failure = gateway.failure_of(&address, &message)?;
        let mut messages = Messages::new(gateway, std::slice::from_ref(&address), self.json)?;
        if self.json {
            let line = messages.text(&address.integration, &message);
            if let Some(Line::Json(line)) = line {
                let failure = escape_json(&failure.as_ref().map_or(serde_json::Value::Null, object).to_string());
                messages.out.message(&Line::Json(format!("{{\"failure\":{failure},{}", line.strip_prefix('{').unwrap_or(&line))))?;
            }
        } else {
            print(&mut messages.out, &address, &message, failure.as_ref())?;
            print_message(&mut messages.out, &message)?;
        }
        messages.out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn object(failure: &Failure) -> serde_json::Value {
    let text = |text: &Option<SafeText>| known(text.as_ref().map(SafeText::as_str));
    let time = |time: Option<Timestamp>| known(time.map(|time| time.to_string()));
    let name = |name: &Option<Arc<str>>| known(name.as_deref());
    let origin = &failure.origin;
    let death = |death: &Death| {
        json!({
            "channel": name(&death.channel), "exchange": name(&death.exchange),
            "routing_keys": death.routing_keys.iter().map(|key| &**key).collect::<Vec<&str>>(), "reason": text(&death.reason),
            "count": known(death.count), "first": time(death.first), "last": time(death.last),
        })
    };
    json!({
        "origin": {
            "channel": name(&origin.channel), "partition": known(origin.partition), "position": known(origin.position),
            "timestamp": time(origin.timestamp), "consumer": name(&origin.consumer), "exchange": name(&origin.exchange),
            "routing_keys": origin.routing_keys.iter().map(|key| &**key).collect::<Vec<&str>>(),
        },
        "reason": text(&failure.reason), "exception": text(&failure.exception), "cause": text(&failure.cause),
        "message": text(&failure.message), "stack": failure.stack.iter().map(SafeText::as_str).collect::<Vec<_>>(),
        "attempts": known(failure.attempts), "first": time(failure.first), "last": time(failure.last),
        "deaths": failure.deaths.iter().map(death).collect::<Vec<_>>(),
        "cause_from": name(&failure.cause_from), "route_from": name(&failure.route_from),
    })
}

/// What is known of the letter's death, a line each; what is unknown has none.
fn print(out: &mut Out, address: &Address, message: &Message, failure: Option<&Failure>) -> std::io::Result<()> {
    out.line(format!("letter      {address}#{}", message.position))?;
    let Some(failure) = failure else {
        return out.line("failure     unknown: no dialect is on this letter; a dialect block in the profile can declare one");
    };
    let mut said = |name: &str, value: Option<String>| value.map_or(Ok(()), |value| out.line(format!("{name:<11} {value}")));
    let text = |text: &Option<SafeText>| text.as_ref().map(ToString::to_string);
    let origin = &failure.origin;
    said("exception", text(&failure.exception))?;
    said("cause", text(&failure.cause))?;
    said("message", text(&failure.message))?;
    said("reason", text(&failure.reason))?;
    let place = match (origin.partition, origin.position) {
        (Some(partition), Some(position)) => format!("#{partition}@{position}"),
        (None, Some(position)) => format!("#{position}"),
        _ => String::new(),
    };
    said("from", origin.channel.as_ref().map(|channel| format!("{channel}{place}")))?;
    said("consumer", origin.consumer.as_ref().map(ToString::to_string))?;
    said("attempts", failure.attempts.map(|attempts| attempts.to_string()))?;
    said("first", failure.first.map(|time| time.to_string()))?;
    said("last", failure.last.map(|time| time.to_string()))?;
    said("told by", failure.cause_from.as_ref().or(failure.route_from.as_ref()).map(ToString::to_string))?;
    for death in &failure.deaths {
        let times = death.count.map_or_else(String::new, |count| format!(" {count} ×"));
        let why = text(&death.reason).map_or_else(String::new, |why| format!(" {why}"));
        let first = death.first.map_or_else(String::new, |time| format!(" since {time}"));
        said("died", Some(format!("{}{why}{times}{first}", death.channel.as_deref().unwrap_or("–"))))?;
    }
    for (n, line) in failure.stack.iter().enumerate() {
        said(if n == 0 { "stack" } else { "" }, Some(line.to_string()))?;
    }
    Ok(())
}

/// Key, headers and payload.
fn print_message(out: &mut Out, message: &Message) -> std::io::Result<()> {
    out.line("")?;
    if let Some(key) = &message.key {
        out.line(format!("key         {}", SafeText::from_bytes(key)))?;
    }
    for header in &message.headers {
        let value = header.value.as_ref().map_or_else(|| "(none)".into(), |value| SafeText::from_bytes(value));
        out.line(format!("{}: {value}", SafeText::from_bytes(&header.name)))?;
    }
    out.line("")?;
    match &message.payload {
        None => out.line("(no payload: a tombstone)"),
        Some(payload) => payload.split(|byte| *byte == b'\n').try_for_each(|line| out.line(SafeText::from_bytes(line))),
    }
}
