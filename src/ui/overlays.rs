//! What stands over a screen, drawn: palette, menus, help, questions, inputs.

use super::theme::Role;
use super::widgets::text::{Canvas, Cut, width};
use super::widgets::{input, panel};
use crate::app::commands::{Command, Reason, Scope, key_name};
use crate::app::help;
use crate::app::model::Model;
use crate::app::overlays::Overlay;
use crate::app::overlays::confirm::Confirm;
use crate::app::overlays::input::Prompt;
use crate::app::overlays::menu::{self, Menu};
use crate::app::overlays::palette::{Kind, Palette, Target};
use crate::domain::figure;
use crate::domain::message::Outgoing;
use crate::domain::operation::Plan;
use ratatui::layout::{Position, Rect};

/// Draws the overlay that is open; returns where the cursor stands.
pub fn draw(canvas: &mut Canvas, model: &Model) -> Option<Position> {
    match model.overlay.as_ref()? {
        Overlay::Palette(palette) => Some(draw_palette(canvas, palette)),
        Overlay::Menu(menu) => {
            draw_menu(canvas, model, *menu);
            None
        }
        Overlay::Help(offset) => {
            draw_help(canvas, model, *offset);
            None
        }
        Overlay::Confirm(confirm) => {
            draw_confirm(canvas, model, confirm);
            None
        }
        Overlay::Prompt(prompt) => Some(draw_prompt(canvas, prompt)),
    }
}

fn enter(canvas: &Canvas) -> &'static str {
    if canvas.glyphs().ascii { "Enter" } else { "⏎" }
}

/// The keys of a command, the first two of them.
fn keys(canvas: &Canvas, command: &Command) -> String {
    let names: Vec<String> = command.keys.iter().take(2).map(|key| key_name(*key, canvas.glyphs().ascii)).collect();
    names.join(" ")
}

/// The keys of a command as the palette writes them: with the menu's key where it stands in a menu.
fn path(canvas: &Canvas, command: &Command) -> String {
    let own = command.keys.first().map_or_else(String::new, |key| key_name(*key, canvas.glyphs().ascii));
    match command.scope {
        Scope::ActionMenu => format!("x {own}"),
        Scope::CopyMenu => format!("y {own}"),
        _ => own,
    }
}

fn draw_palette(canvas: &mut Canvas, palette: &Palette) -> Position {
    let (title, verb) = match palette.kind {
        Kind::Commands => ("Commands", "do"),
        Kind::Places => ("Go to", "go"),
    };
    let hint = format!("{} {verb}   Esc close", enter(canvas));
    let wanted = (canvas.area().height / 2).max(8);
    let inside = panel::open(canvas, 76, wanted, title, &hint);
    let rows = usize::from(inside.height.saturating_sub(2));
    let first = crate::app::list::window(0, palette.selected, palette.rows.len(), rows);
    for (at, entry) in palette.rows.iter().enumerate().skip(first).take(rows) {
        let y = inside.y + 2 + (at - first) as u16;
        let (right, role) = match (&entry.refused, &entry.target) {
            (Some(reason), _) => (reason.as_str().to_owned(), Role::Dim),
            (None, Target::Command(command)) => (path(canvas, command), Role::Key),
            (None, target) => (target.word().to_owned(), Role::Dim),
        };
        let used = canvas.put_right(inside.right(), y, inside.width * 3 / 5, &right, role);
        let room = inside.width.saturating_sub(used + 4);
        let text = if entry.refused.is_some() { Role::Dim } else { Role::Text };
        canvas.put_cut(inside.x + 2, y, room, entry.label.as_str(), text, Cut::Middle);
        if at == palette.selected {
            canvas.put(inside.x, y, 1, canvas.glyphs().pointer, Role::Strong);
            canvas.overlay(Rect::new(inside.x, y, inside.width, 1), Role::Selected);
        }
    }
    if palette.rows.is_empty() {
        canvas.put(inside.x + 2, inside.y + 2, inside.width, "Nothing matches.", Role::Dim);
    }
    canvas.put(inside.x, inside.y, 1, if palette.kind == Kind::Places { ":" } else { canvas.glyphs().crumb }, Role::Key);
    input::line(canvas, Rect::new(inside.x + 2, inside.y, inside.width.saturating_sub(2), 1), &palette.editor, true)
}

fn draw_menu(canvas: &mut Canvas, model: &Model, menu: Menu) {
    let rows = menu::rows(model, menu.scope);
    let title = if menu.scope == Scope::CopyMenu { "Copy" } else { "Actions" };
    let hint = format!("{} or its key   Esc close", enter(canvas));
    let inside = panel::open(canvas, 72, rows.len() as u16, title, &hint);
    for (at, (command, available)) in rows.iter().enumerate().take(usize::from(inside.height)) {
        let y = inside.y + at as u16;
        canvas.put(inside.x + 2, y, 3, &keys(canvas, command), Role::Key);
        let role = if available.is_ok() { Role::Text } else { Role::Dim };
        let used = canvas.put(inside.x + 6, y, inside.width.saturating_sub(6), command.title, role);
        if let Err(Reason::Refused(reason)) = available {
            let room = inside.width.saturating_sub(used + 9);
            canvas.put_right(inside.right(), y, room, reason, Role::Dim);
        }
        if at == menu.selected {
            canvas.put(inside.x, y, 1, canvas.glyphs().pointer, Role::Strong);
            canvas.overlay(Rect::new(inside.x, y, inside.width, 1), Role::Selected);
        }
    }
}

fn draw_help(canvas: &mut Canvas, model: &Model, offset: usize) {
    let rows = help::rows(model);
    let inside = panel::open(canvas, 78, rows.len() as u16, "Keys", "j k scroll   Esc close");
    for (at, row) in rows.iter().skip(offset).take(usize::from(inside.height)).enumerate() {
        let y = inside.y + at as u16;
        match row {
            help::Row::Blank => {}
            help::Row::Heading(text) => _ = canvas.put(inside.x, y, inside.width, text, Role::Strong),
            help::Row::Command(command) => {
                canvas.put(inside.x + 2, y, 14, &keys(canvas, command), Role::Key);
                let refused = match (command.available)(model) {
                    Err(Reason::Refused(reason)) => Some(reason),
                    _ => None,
                };
                let role = if refused.is_some() { Role::Dim } else { Role::Text };
                let used = canvas.put(inside.x + 17, y, inside.width.saturating_sub(17), command.title, role);
                if let Some(reason) = refused {
                    let room = inside.width.saturating_sub(used + 19);
                    if width(&reason) <= room {
                        canvas.put_right(inside.right(), y, room, &reason, Role::Dim);
                    }
                }
            }
        }
    }
}

fn draw_confirm(canvas: &mut Canvas, model: &Model, confirm: &Confirm) {
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
        canvas.put_cut(inside.x, inside.y + at as u16, inside.width, text, *role, Cut::End);
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
    let Plan::Publish { address, messages } = plan;
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

fn draw_prompt(canvas: &mut Canvas, prompt: &Prompt) -> Position {
    let hint = format!("{} do it   Esc close", enter(canvas));
    let inside = panel::open(canvas, 92, 3, prompt.ask.title(), &hint);
    match &prompt.error {
        Some(error) => {
            let glyph = canvas.glyphs().bad;
            canvas.put(inside.x, inside.y + 2, 1, glyph, Role::Bad);
            canvas.put(inside.x + 2, inside.y + 2, inside.width.saturating_sub(2), error, Role::Text);
        }
        None => _ = canvas.put(inside.x, inside.y + 2, inside.width, prompt.ask.hint(), Role::Dim),
    }
    input::line(canvas, Rect { height: 1, ..inside }, &prompt.editor, true)
}
