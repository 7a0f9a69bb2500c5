//! Messages at hand, drawn: what became of each, and how long there is to decide.

use super::traffic;
use crate::app::layout::Areas;
use crate::app::model::{Model, PATIENCE};
use crate::app::screens::received::{Kind, Phase, Received, Row, State, columns};
use crate::app::screens::traffic::Focus;
use crate::app::wrap::words;
use crate::domain::figure;
use crate::domain::time::Timestamp;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::Canvas;
use ratatui::layout::Rect;

/// Where the messages come from, and why they are here.
pub fn path(model: &Model) -> Vec<String> {
    let word = match model.received.kind {
        Kind::Held => "held",
        Kind::Looked => "looked at",
        Kind::Replies => "replies",
    };
    match &model.received.address {
        None => vec!["Received".to_owned()],
        Some(address) => vec![address.integration.to_string(), address.within().to_string(), word.to_owned()],
    }
}

pub fn crumbs<'a>(canvas: &Canvas, model: &'a Model, path: &'a [String]) -> Crumbs<'a> {
    let received = &model.received;
    let right = if received.address.is_none() { Vec::new() } else { status(canvas, received, model.now) };
    Crumbs { path: path.iter().map(String::as_str).collect(), filter: "", right }
}

fn status(canvas: &Canvas, received: &Received, now: Timestamp) -> Vec<(String, Role)> {
    let glyphs = canvas.glyphs();
    let mut pieces = Vec::new();
    let marked = received.list.marks.len();
    if marked > 0 {
        pieces.push((format!("{marked} marked   "), Role::Marked));
    }
    let (glyph, role, word) = match &received.phase {
        Phase::Failed(_) => (glyphs.bad, Role::Bad, "failed"),
        // What was held is lost, and no more was wanted: nothing goes on.
        Phase::Ended if received.interrupted.is_some() => (glyphs.bad, Role::Bad, "connection lost"),
        _ if received.interrupted.is_some() => (glyphs.watch, Role::Watch, "interrupted"),
        Phase::Starting => (glyphs.connecting, Role::Connecting, "starting"),
        Phase::Running if received.kind == Kind::Held && received.rows.len() < received.wanted as usize => {
            (glyphs.connecting, Role::Connecting, "receiving")
        }
        Phase::Running if received.kind == Kind::Replies => (glyphs.connecting, Role::Connecting, "waiting for replies"),
        _ => (glyphs.ok, Role::Ok, ""),
    };
    if !word.is_empty() {
        pieces.push((format!("{glyph} {word}   "), role));
    }
    let count = received.rows.len();
    match received.kind {
        Kind::Replies => pieces.push((format!("{count} {}", if count == 1 { "reply" } else { "replies" }), Role::Dim)),
        Kind::Looked => pieces.push((format!("{count} shown, still in their queue"), Role::Dim)),
        Kind::Held => {
            pieces.push((
                format!("{} unsettled", received.unsettled(now)),
                if received.unsettled(now) > 0 { Role::Strong } else { Role::Dim },
            ));
            pieces.push((format!(" of {count}"), Role::Dim));
            let overdue = received.overdue(now);
            match received.left(now) {
                _ if overdue > 0 => pieces.push((format!(" {} {overdue} overdue", glyphs.dot), Role::Bad)),
                Some(left) => pieces.push((
                    format!(" {} {} left", glyphs.dot, figure::duration(left)),
                    if left.as_secs() <= 30 { Role::Watch } else { Role::Dim },
                )),
                None if received.unsettled(now) > 0 && received.hold.as_ref().is_some_and(|start| start.ack_timeout.is_none()) => {
                    pieces.push((format!(" {} no time limit", glyphs.dot), Role::Dim));
                }
                None => {}
            }
        }
    }
    pieces
}

pub fn draw(canvas: &mut Canvas, model: &Model, areas: &Areas) {
    let over = areas.pane.is_some_and(|pane| pane == areas.list);
    if !over {
        list(canvas, model, areas.list);
    }
    if let Some(rule) = areas.rule {
        canvas.rule(rule);
    }
    if let (Some(area), Some(pane)) = (areas.pane, &model.received.detail) {
        traffic::detail(canvas, area, pane, model.received.focus == Focus::Detail);
    }
}

fn list(canvas: &mut Canvas, model: &Model, area: Rect) {
    let received = &model.received;
    if received.rows.is_empty() {
        return nothing(canvas, model, area);
    }
    let (columns, counts) = (columns(model), received.counts());
    let table = Table::new(area, &columns);
    table.heading(canvas);
    let first = received.list.offset();
    for at in 0..table.page().min(received.rows.len().saturating_sub(first)) {
        let row = &received.rows[first + at];
        let selected = received.list.row() == Some(first + at);
        let gutter = Gutter { selected, marked: received.list.marks.contains(&row.view.id), state: glyph(canvas, model, row) };
        table.row(canvas, at, gutter, |column| match if column < 2 || counts { column } else { column + 1 } {
            0 => row.view.message.timestamp.map_or_else(Cell::unknown, |time| Cell::new(time.clock(&model.zone)).role(Role::Dim)),
            1 if received.kind == Kind::Replies => Cell::name(&*row.view.address.channel),
            1 => state(model, row),
            2 => given(row),
            3 => row.view.key.as_ref().map_or_else(Cell::unknown, |key| Cell::name(key.as_str())),
            _ => traffic::value(&row.view),
        });
    }
    let y = area.y + 1 + (received.rows.len() - first).min(table.page()) as u16;
    let (text, role) = match (&received.phase, &received.interrupted) {
        (_, Some(fault)) | (Phase::Failed(fault), None) => (fault.to_string(), Role::Bad),
        (Phase::Ended, None) if received.kind == Kind::Replies => ("No more replies.".to_owned(), Role::Dim),
        _ => return,
    };
    let room = area.width.saturating_sub(8);
    for (y, line) in (y..area.bottom()).zip(words(&text, room.into())) {
        canvas.put(area.x + 4, y, room, &line, role);
    }
}

fn is_overdue(model: &Model, row: &Row) -> bool {
    model.received.over_at(row).is_some_and(|over| over <= model.now)
}

fn glyph(canvas: &Canvas, model: &Model, row: &Row) -> Option<(&'static str, Role)> {
    let glyphs = canvas.glyphs();
    match row.state {
        State::Open | State::Settled(_) => None,
        State::Held if is_overdue(model, row) => Some((glyphs.bad, Role::Bad)),
        State::Held => Some((glyphs.paused, Role::Paused)),
        State::Settling(_) => Some((glyphs.connecting, Role::Connecting)),
        State::Lost => Some((glyphs.bad, Role::Bad)),
    }
}

fn state(model: &Model, row: &Row) -> Cell<'static> {
    match &row.state {
        State::Open => Cell::new("queued").role(Role::Dim),
        State::Held if is_overdue(model, row) => Cell::new("overdue").role(Role::Bad),
        State::Held if row.redelivered => Cell::new("redelivered").role(Role::Watch),
        State::Held => Cell::new("held"),
        State::Settling(effect) => Cell::new(format!("{}…", effect.word())).role(Role::Connecting),
        State::Settled(effect) => Cell::new(effect.done()).role(Role::Dim),
        State::Lost => Cell::new("lost").role(Role::Bad),
    }
}

/// How many times it was given out.
fn given(row: &Row) -> Cell<'static> {
    match (row.deliveries, row.redelivered) {
        (Some(1), false) => Cell::new("1").role(Role::Dim),
        (Some(times), _) => Cell::new(format!("{times}×")).role(if times > 1 { Role::Watch } else { Role::Dim }),
        (None, true) => Cell::new("again").role(Role::Watch),
        (None, false) => Cell::unknown(),
    }
}

fn nothing(canvas: &mut Canvas, model: &Model, area: Rect) {
    let received = &model.received;
    let Some(address) = &received.address else {
        let lines = [("x on a queue receives or looks at its messages, x on a service calls it.", Role::Dim)];
        return message::say(canvas, area, None, "No messages are at hand.", &lines);
    };
    let waited = model.now.since(received.started);
    match (&received.phase, received.kind) {
        (Phase::Failed(fault), _) => message::fault(canvas, area, "Failed.", fault, "Esc back   @ wire log"),
        (Phase::Starting, _) if waited < PATIENCE => {}
        (Phase::Starting | Phase::Running, Kind::Replies) => message::waiting(canvas, area, "Waiting for a reply…", waited),
        (Phase::Starting, _) => message::waiting(canvas, area, "Asking for messages…", waited),
        (Phase::Running, Kind::Held) => {
            let glyph = (canvas.glyphs().ok, Role::Ok);
            let lines = [("What comes is held here until you decide on it. Esc leaves.", Role::Dim)];
            message::say(canvas, area, Some(glyph), &format!("Nothing waits in {address}."), &lines);
        }
        _ => message::say(canvas, area, None, &format!("Nothing waits in {address}."), &[("Esc back", Role::Dim)]),
    }
}
