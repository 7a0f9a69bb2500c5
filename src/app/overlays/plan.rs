//! The plan of a change: what it will do, shown in full before it is confirmed on its rung of the ladder.

use super::form::Form;
use crate::app::changes::{self, Origin};
use crate::app::editor::Editor;
use crate::app::effect::TaskId;
use crate::app::layout;
use crate::app::model::Model;
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
    pub(crate) fn new(plan: Plan, origin: Origin, form: Option<Box<Form>>) -> Self {
        Self { rung: Rung::of(&plan), plan, editor: Editor::line(""), error: None, offset: 0, export: None, origin, form }
    }

    /// Why it cannot be carried out as things stand, by its adapter.
    pub fn is_refused(&self) -> bool {
        matches!(&self.plan, Plan::Change(change) if change.refused.is_some())
    }
}

/// Whether a plan may be carried out now: not refused, and the profile lets it pass.
pub fn gate(model: &Model, view: &PlanView) -> Gate {
    changes::gate(model, view.plan.risk())
}

/// Whether letters are typed into the plan's input now.
pub fn takes_text(model: &Model, view: &PlanView) -> bool {
    !view.is_refused() && gate(model, view) == Gate::Open && view.rung != Rung::Yes
}

/// The plan in rows of that width.
pub fn rows<'a>(model: &Model, plan: &'a Plan, width: u16) -> Vec<Row<'a>> {
    match plan {
        Plan::Publish { address, messages } => {
            let system = model.integration(&address.integration).map_or("", |i| i.system);
            let mut rows = Vec::new();
            text(&mut rows, &format!("{} → {address} ({system})", figure::several(messages.len() as u64, "message")), width, Tone::Strong);
            for message in messages.iter().take(1) {
                text(&mut rows, &described(message), width, Tone::Plain);
                rows.extend(message.options.iter().map(|(id, value)| Row::Text(format!("{id} = {value}"), Tone::Plain)));
            }
            rows.push(Row::Blank);
            if let Some(error) = model.form.as_ref().and_then(crate::app::screens::publish::Form::broken_json) {
                fact(&mut rows, "note", &format!("the value was JSON, and is not any more: {error}"), width, Tone::Watch);
            }
            fact(&mut rows, "undo", "none: whoever consumes this channel acts on it", width, Tone::Watch);
            rows
        }
        Plan::Change(change) => change_rows(change, width),
        Plan::Settle { address, tickets, settlement, settles, .. } => {
            let mut rows = Vec::new();
            // In the words of the system that they came from.
            let verbs = model.received.hold.as_ref().map_or(&[][..], |start| start.verbs);
            let verb = verbs.iter().find(|verb| verb.effect == settlement.effect);
            let word = verb.map_or(settlement.effect.word(), |verb| verb.word);
            text(&mut rows, &format!("{word} {} of {address}", figure::several(tickets.len() as u64, "message")), width, Tone::Strong);
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
            rows
        }
        Plan::Call { address, request, wait } => {
            let mut rows = Vec::new();
            text(&mut rows, &format!("a request → {address}"), width, Tone::Strong);
            text(&mut rows, &described(request), width, Tone::Plain);
            rows.push(Row::Blank);
            fact(&mut rows, "waits", &format!("{} for replies", figure::duration(*wait)), width, Tone::Plain);
            fact(&mut rows, "undo", "none: whoever answers acts on it", width, Tone::Watch);
            rows
        }
    }
}

fn change_rows(change: &Change, width: u16) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    text(&mut rows, change.summary.as_str(), width, Tone::Strong);
    if let Some(refused) = &change.refused {
        fact(&mut rows, "refused", refused.cause.as_str(), width, Tone::Bad);
        if !refused.next.as_str().is_empty() {
            fact(&mut rows, "", refused.next.as_str(), width, Tone::Plain);
        }
    }
    let touches = match change.touches.number() {
        None => "nobody knows how many messages".to_owned(),
        Some(0) => "no message".to_owned(),
        Some(_) => change.touches.several("message"),
    };
    fact(&mut rows, "touches", &touches, width, Tone::Plain);
    match &change.undo {
        Some(_) => fact(&mut rows, "undo", "z undoes this, as long as nothing else has changed it", width, Tone::Plain),
        None => fact(&mut rows, "undo", "none", width, Tone::Watch),
    }
    for note in &change.notes {
        fact(&mut rows, "note", note.as_str(), width, Tone::Watch);
    }
    tables(&mut rows, &change.tables);
    rows
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

/// Rows of the plan shown at once, and the width that they have.
pub fn page(model: &Model, rows: usize) -> (usize, u16) {
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(FOOT);
    let inside = layout::panel(model.width, model.height, layout::PLAN_WIDTH, height).1;
    (usize::from(inside.height.saturating_sub(FOOT)).max(1), inside.width)
}

/// Rows under the plan: a blank one, the question, the input.
pub const FOOT: u16 = 3;
