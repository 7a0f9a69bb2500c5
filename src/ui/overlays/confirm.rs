//! Questions with yes and no, drawn.

use crate::app::model::Model;
use crate::app::overlays::confirm::Confirm;
use crate::domain::figure;
use crate::domain::message::Outgoing;
use crate::domain::operation::Plan;
use crate::ui::theme::Role;
use crate::ui::widgets::panel;
use crate::ui::widgets::text::Canvas;

pub(super) fn draw(canvas: &mut Canvas, model: &Model, confirm: &Confirm) {
    let (title, lines): (&str, Vec<(String, Role)>) = match confirm {
        Confirm::Plan(plan) => ("Publish?", plan_lines(model, plan)),
        Confirm::Quit { jobs } => {
            let text = format!("{jobs} piece{} of work under way would be cancelled.", if *jobs == 1 { "" } else { "s" });
            ("Quit?", vec![(text, Role::Text)])
        }
        Confirm::Discard => ("Leave the form?", vec![("What was typed would be lost.".to_owned(), Role::Text)]),
    };
    let inside = panel::open(canvas, 84, lines.len() as u16 + 2, title, "n or Esc: do not");
    for (at, (text, role)) in lines.iter().enumerate().take(usize::from(inside.height.saturating_sub(1))) {
        canvas.put(inside.x, inside.y + at as u16, inside.width, text, *role);
    }
    let y = inside.bottom().saturating_sub(1);
    let used = canvas.put(inside.x, y, 2, "y", Role::Key);
    let verb = match confirm {
        Confirm::Plan(_) => "publish",
        Confirm::Quit { .. } => "cancel the work and quit",
        Confirm::Discard => "leave and lose it",
    };
    canvas.put(inside.x + used + 1, y, inside.width.saturating_sub(used + 1), verb, Role::Text);
}

/// The plan: what will be sent where, and what can be undone.
fn plan_lines(model: &Model, plan: &Plan) -> Vec<(String, Role)> {
    let (address, messages) = match plan {
        Plan::Publish { address, messages } => (address, messages),
        Plan::Change(change) => return vec![(change.summary.to_string(), Role::Strong)],
    };
    let system = model.integration(&address.integration).map_or("", |i| i.system);
    let mut lines =
        vec![(format!("{} message{} → {address} ({system})", messages.len(), if messages.len() == 1 { "" } else { "s" }), Role::Strong)];
    for message in messages.iter().take(1) {
        lines.push((describe(message), Role::Text));
        for (id, value) in &message.options {
            lines.push((format!("{id} = {value}"), Role::Text));
        }
    }
    lines.push(("Undo: none. Whoever consumes this channel acts on it.".to_owned(), Role::Watch));
    lines
}

fn describe(message: &Outgoing) -> String {
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
