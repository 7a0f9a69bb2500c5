//! What became of a change, part by part.

use super::plan::{Row, Tone, fact, text};
use crate::app::changes::Outcome;
use crate::domain::operation::PartCounts;

/// The outcome in rows of that width: what failed comes first.
pub fn rows(outcome: &Outcome, width: u16) -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    text(&mut rows, outcome.change.summary.as_str(), width, Tone::Strong);
    match &outcome.result {
        Err(fault) => {
            fact(&mut rows, "failed", &format!("{}: {}", fault.kind.word(), fault.cause), width, Tone::Bad);
            if !fault.next.as_str().is_empty() {
                fact(&mut rows, "", fault.next.as_str(), width, Tone::Plain);
            }
        }
        Ok(done) => {
            let PartCounts { done: well, failed } = outcome.counts();
            fact(&mut rows, "done", &format!("{well} of {} parts", done.parts.len()), width, Tone::Plain);
            rows.push(Row::Blank);
            for (part, result) in &done.parts {
                if let Err(fault) = result {
                    let next = if fault.next.as_str().is_empty() { String::new() } else { format!(" → {}", fault.next) };
                    fact(&mut rows, "failed", &format!("{part}: {}: {}{next}", fault.kind.word(), fault.cause), width, Tone::Bad);
                }
            }
            if failed > 0 && well > 0 {
                rows.push(Row::Blank);
            }
            for (part, result) in &done.parts {
                if let Ok(said) = result {
                    fact(&mut rows, "done", &format!("{part}: {said}"), width, Tone::Plain);
                }
            }
        }
    }
    let undo = if outcome.has_undo() { "z undoes this, as long as nothing else has changed it" } else { "none" };
    rows.push(Row::Blank);
    fact(&mut rows, "undo", undo, width, Tone::Plain);
    rows
}
