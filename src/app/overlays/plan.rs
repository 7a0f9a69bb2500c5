//! The plan of a change: what it will do, shown in full before it is confirmed on its rung of the ladder.

use super::form::Form;
use crate::app::changes::Origin;
use crate::app::editor::Editor;
use crate::app::effect::TaskId;
use crate::app::jobs::Job;
use crate::app::wrap::words;
use crate::domain::channel::Table;
use crate::domain::delivery::Effect;
use crate::domain::figure;
use crate::domain::message::Outgoing;
use crate::domain::operation::{Change, Plan, Risk};
use crate::domain::safety::{Gate, Rung};

/// Where values of facts begin.
pub const LABEL: u16 = 11;

/// A plan on the screen.
pub struct PlanView {
    pub plan: Plan,
    /// What will be done, in a line.
    pub(crate) heading: String,
    /// What should be known of it besides.
    pub(crate) note: Option<String>,
    pub rung: Rung,
    /// What is typed to confirm it.
    pub editor: Editor,
    /// What is wrong with that.
    pub error: Option<String>,
    /// First row shown of the plan.
    pub offset: usize,
    /// The task that saves the channel first.
    pub export: Option<TaskId>,
    pub(crate) origin: Origin,
    /// Where Esc goes back to.
    pub(crate) form: Option<Box<Form>>,
}

/// How a row of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Strong,
    Dim,
    Watch,
    Bad,
}

/// One row of a plan or of an outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Row<'a> {
    Blank,
    Text(String, Tone),
    /// A word, then what is so.
    Fact(&'static str, String, Tone),
    Title(String),
    Heading(&'a Table),
    Cells(&'a Table, usize),
}

impl PlanView {
    pub(crate) fn new(plan: Plan, heading: String, origin: Origin, form: Option<Box<Form>>) -> Self {
        let (rung, editor) = (Rung::of(&plan), Editor::line(""));
        Self { plan, heading, note: None, rung, editor, error: None, offset: 0, export: None, origin, form }
    }

    /// Why it cannot be carried out as things stand, by its adapter.
    pub fn is_refused(&self) -> bool {
        matches!(&self.plan, Plan::Change(change) if change.refused.is_some())
    }

    /// Whether letters are typed into its input, where the profile has this gate.
    pub fn takes_text(&self, gate: Gate) -> bool {
        !self.is_refused() && gate == Gate::Open && self.rung != Rung::Yes
    }

    /// Whether what is to be destroyed is still being saved.
    pub fn is_exporting(&self, jobs: &[Job]) -> bool {
        self.export.is_some_and(|task| jobs.iter().any(|job| job.task == task))
    }
}

/// The plan in rows of that width.
pub fn rows(view: &PlanView, width: u16) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    text(&mut rows, &view.heading, width, Tone::Strong);
    match &view.plan {
        Plan::Publish { messages, .. } => {
            for message in messages.iter().take(1) {
                text(&mut rows, &described(message), width, Tone::Plain);
                rows.extend(message.options.iter().map(|(id, value)| Row::Text(format!("{id} = {value}"), Tone::Plain)));
            }
            rows.push(Row::Blank);
            if let Some(note) = &view.note {
                fact(&mut rows, "note", note, width, Tone::Watch);
            }
            fact(&mut rows, "undo", "none: whoever consumes this channel acts on it", width, Tone::Watch);
        }
        Plan::Change(change) => change_rows(&mut rows, change, width),
        Plan::Settle { settlement, settles, .. } => {
            rows.extend(settlement.arguments.iter().map(|(id, value)| Row::Text(format!("{id} = {value}"), Tone::Plain)));
            rows.push(Row::Blank);
            let destroys = settles.risk == Risk::Destroy;
            fact(&mut rows, "then", settles.summary.as_str(), width, if destroys { Tone::Bad } else { Tone::Plain });
            if settlement.effect == Effect::Requeue {
                fact(&mut rows, "", "no more is received here", width, Tone::Plain);
            }
            if destroys || matches!(settlement.effect, Effect::Ack | Effect::Reject) {
                fact(&mut rows, "undo", "none", width, Tone::Watch);
            }
        }
        Plan::Call { request, wait, .. } => {
            text(&mut rows, &described(request), width, Tone::Plain);
            rows.push(Row::Blank);
            fact(&mut rows, "waits", &format!("{} for replies", figure::duration(*wait)), width, Tone::Plain);
            fact(&mut rows, "undo", "none: whoever answers acts on it", width, Tone::Watch);
        }
    }
    rows
}

fn change_rows<'a>(rows: &mut Vec<Row<'a>>, change: &'a Change, width: u16) {
    if let Some(refused) = &change.refused {
        fact(rows, "refused", refused.cause.as_str(), width, Tone::Bad);
        if !refused.next.as_str().is_empty() {
            fact(rows, "", refused.next.as_str(), width, Tone::Plain);
        }
    }
    let touches = match change.touches.number() {
        None => "nobody knows how many messages".to_owned(),
        Some(0) => "no message".to_owned(),
        Some(_) => change.touches.several("message"),
    };
    fact(rows, "touches", &touches, width, Tone::Plain);
    match &change.undo {
        Some(_) => fact(rows, "undo", "z undoes this, as long as nothing else has changed it", width, Tone::Plain),
        None => fact(rows, "undo", "none", width, Tone::Watch),
    }
    for note in &change.notes {
        fact(rows, "note", note.as_str(), width, Tone::Watch);
    }
    tables(rows, &change.tables);
}

/// Tables under their titles, each after a blank row.
pub(crate) fn tables<'a>(rows: &mut Vec<Row<'a>>, tables: &'a [Table]) {
    for table in tables {
        rows.push(Row::Blank);
        rows.push(Row::Title(format!("{} {}", table.title, figure::count(table.rows.len() as u64))));
        rows.push(Row::Heading(table));
        rows.extend((0..table.rows.len()).map(|row| Row::Cells(table, row)));
    }
}

pub(crate) fn text(rows: &mut Vec<Row<'_>>, text: &str, width: u16, tone: Tone) {
    rows.extend(words(text, usize::from(width)).into_iter().map(|line| Row::Text(line, tone)));
}

pub(crate) fn fact(rows: &mut Vec<Row<'_>>, name: &'static str, value: &str, width: u16, tone: Tone) {
    let lines = words(value, usize::from(width.saturating_sub(LABEL).max(10)));
    rows.extend(lines.into_iter().enumerate().map(|(at, line)| Row::Fact(if at == 0 { name } else { "" }, line, tone)));
}

fn described(message: &Outgoing) -> String {
    let key = match &message.key {
        None => "no key".to_owned(),
        Some(key) if key.is_empty() => "empty key".to_owned(),
        Some(key) => format!("key {}", String::from_utf8_lossy(&key[..key.len().min(60)])),
    };
    let value = match &message.payload {
        None => "no payload (tombstone)".to_owned(),
        Some(payload) if payload.is_empty() => "empty value".to_owned(),
        Some(payload) => format!("value {}", figure::bytes(payload.len() as u64)),
    };
    format!("{key}, {} headers, {value}", message.headers.len())
}

/// Rows under the plan: a blank one, the question, the input.
pub const FOOT: u16 = 3;
