//! Traffic and the detail of one message, drawn.

use crate::app::event::Level;
use crate::app::layout::Areas;
use crate::app::model::{Model, PATIENCE};
use crate::app::screens::traffic::caveats::{INDENT, rows};
use crate::app::screens::traffic::detail::{Detail, Part, Row};
use crate::app::screens::traffic::{Focus, Phase, Source, Traffic, columns, has_history};
use crate::app::wrap::words;
use crate::domain::figure;
use crate::domain::text::SafeText;
use crate::domain::view::{MessageView, Preview};
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::{Canvas, Cut, width};
use jiff::tz::TimeZone;
use ratatui::layout::{Position, Rect};

pub fn crumbs<'a>(canvas: &Canvas, model: &'a Model, path: &'a [String]) -> Crumbs<'a> {
    let traffic = &model.traffic;
    let path = if path.is_empty() { vec!["Traffic"] } else { path.iter().map(String::as_str).collect() };
    let right = if traffic.addresses.is_empty() && !traffic.is_followed() { Vec::new() } else { status(canvas, model) };
    Crumbs { path, filter: &traffic.filter, right }
}

/// Where the messages come from: integration and channel, or how many of them.
pub fn path(model: &Model) -> Vec<String> {
    match model.traffic.addresses.as_slice() {
        [] if model.traffic.is_followed() => vec!["Traffic".to_owned(), followed(model)],
        [] => Vec::new(),
        [one] => {
            let channel = one.kind.map_or_else(|| one.channel.to_string(), |kind| format!("{kind}:{}", one.channel));
            vec![one.integration.to_string(), channel]
        }
        [first, ..] => {
            let count = figure::several(model.traffic.addresses.len() as u64, "channel");
            let same = model.traffic.addresses.iter().all(|a| a.integration == first.integration);
            if same { vec![first.integration.to_string(), count] } else { vec!["Traffic".to_owned(), count] }
        }
    }
}

/// What is followed: the first id in full, and how many more.
fn followed(model: &Model) -> String {
    let Source::Followed { ids, .. } = &model.traffic.source else { return String::new() };
    let Some(first) = ids.first() else { return "following".to_owned() };
    let more = if ids.len() > 1 { format!(" and {} more", ids.len() - 1) } else { String::new() };
    format!("{} {}{more}", first.kind.word(), SafeText::new(&first.text))
}

/// How the reading stands, and the exact counts.
fn status(canvas: &Canvas, model: &Model) -> Vec<(String, Role)> {
    let traffic = &model.traffic;
    let glyphs = canvas.glyphs();
    let wide = model.width >= 100;
    let mut pieces = Vec::new();
    if model.typing.is_some() {
        return pieces;
    }
    let marked = traffic.list.marks.len();
    if marked > 0 {
        pieces.push((format!("{marked} marked   "), Role::Marked));
    }
    let (glyph, role, word) = match (&traffic.source, &traffic.phase) {
        (_, Phase::Failed(_)) => (glyphs.bad, Role::Bad, "failed".to_owned()),
        (_, Phase::Cancelled) => (glyphs.paused, Role::Paused, "cancelled".to_owned()),
        (Source::Followed { .. }, _) if !traffic.interrupted.is_empty() => (glyphs.watch, Role::Watch, "interrupted".to_owned()),
        (_, Phase::Starting) => (glyphs.connecting, Role::Connecting, "starting".to_owned()),
        (Source::History { text, .. }, Phase::Ended) => (glyphs.ok, Role::Ok, format!("history from {text}")),
        (Source::History { text, .. }, _) => (glyphs.connecting, Role::Connecting, format!("reading from {text}")),
        (Source::Followed { .. }, Phase::Ended) => (glyphs.ok, Role::Ok, "watching".to_owned()),
        (Source::Followed { .. }, _) => (glyphs.connecting, Role::Connecting, "searching".to_owned()),
        _ if !traffic.interrupted.is_empty() => (glyphs.watch, Role::Watch, "interrupted".to_owned()),
        _ if traffic.hold => (glyphs.paused, Role::Paused, format!("held, {} new", figure::count(traffic.held.len() as u64))),
        _ => (glyphs.ok, Role::Ok, "live".to_owned()),
    };
    pieces.push((format!("{glyph} {word}"), role));
    if traffic.rate() > 0.0 && traffic.task.is_some() && (wide || !traffic.hold) {
        pieces.push((format!("  {}/s", figure::rate(traffic.rate())), Role::Text));
    }
    let shown = figure::count(traffic.window.len() as u64);
    // Exact to the last message, however many there are.
    let seen = figure::grouped(traffic.counts.seen);
    let verb = if traffic.is_live() { "seen" } else { "scanned" };
    let dot = glyphs.dot;
    // Where there is no room for it: what matched is what is shown and what is older.
    let filtered =
        if traffic.filter.is_empty() || !wide { String::new() } else { format!(" {dot} matched {}", figure::count(traffic.matched)) };
    let dropped = if traffic.is_live() { format!(" {dot} older {}", figure::count(traffic.dropped())) } else { String::new() };
    // The row below tells how much was searched for ids.
    let read = if traffic.is_followed() && !wide { String::new() } else { format!("{filtered} {dot} {verb} {seen}{dropped}") };
    pieces.push((format!("   shown {shown}{read}"), Role::Dim));
    if traffic.filter_errors > 0 {
        pieces.push((format!(" {dot} {} could not be decoded", figure::count(traffic.filter_errors)), Role::Watch));
    }
    if traffic.noted > 0 {
        let notes = if traffic.noted == 1 { "note" } else { "notes" };
        pieces.push((format!(" {dot} {} {notes}", figure::count(traffic.noted)), Role::Watch));
    }
    pieces
}

/// The row under the crumbs: what is wrong with the query, under the character where it stands; what may be written next; or
/// what is wrong with the reading. `cursor` is the cursor of the query.
pub fn banner(canvas: &mut Canvas, model: &Model, area: Rect, cursor: Option<Position>) {
    let glyphs = canvas.glyphs();
    let end = area.right().saturating_sub(1);
    if let Some(typing) = &model.typing {
        if let Some((column, error)) = &typing.error {
            let at = typing.editor.cursor().1;
            let text = typing.editor.text();
            let cells = |from: usize, to: usize| {
                let part: String = text.chars().skip(from).take(to.saturating_sub(from)).collect();
                width(SafeText::new(&part).as_str())
            };
            let cursor = cursor.map_or(area.x, |cursor| cursor.x);
            let x = (cursor + cells(at, *column)).saturating_sub(cells(*column, at)).clamp(area.x + 1, end - 1);
            canvas.put(x, area.y, 1, glyphs.under, Role::Bad);
            let room = end.saturating_sub(x + 2);
            if width(error) <= room || room >= x {
                canvas.put(x + 2, area.y, room, error, Role::Text);
            } else {
                canvas.put_right(x.saturating_sub(1), area.y, x.saturating_sub(2), error, Role::Text);
            }
        } else {
            let mut x = area.x + 1;
            x += canvas.put(x, area.y, 4, "Tab", Role::Key) + 2;
            for candidate in &typing.candidates {
                if x + width(&candidate.text) >= end {
                    break;
                }
                x += canvas.put(x, area.y, end - x, &candidate.text, Role::Text) + 2;
            }
            if let [only] = typing.candidates.as_slice() {
                canvas.put(x, area.y, end.saturating_sub(x), only.detail, Role::Dim);
            }
        }
    } else if let Some((integration, (fault, since))) = model.traffic.interrupted.first_key_value() {
        canvas.put(area.x + 1, area.y, 1, glyphs.watch, Role::Watch);
        let next = if fault.next.as_str().is_empty() { String::new() } else { format!(" → {}", fault.next) };
        let from = if several(model) { format!(" from {integration}") } else { String::new() };
        let text = format!("No messages{from} for {}, trying again: {}{next}", figure::age(model.now.since(*since)), fault.cause);
        canvas.put(area.x + 3, area.y, end.saturating_sub(area.x + 3), &text, Role::Text);
    } else if let Some((integration, why)) = model.traffic.waits.first_key_value() {
        canvas.put(area.x + 1, area.y, 1, glyphs.watch, Role::Watch);
        let from = if several(model) { format!("{integration} waits") } else { "Waits".to_owned() };
        canvas.put(area.x + 3, area.y, end.saturating_sub(area.x + 3), &format!("{from}: {why}"), Role::Text);
    } else if let Some(said) = model.traffic.said.as_ref().filter(|_| !model.traffic.is_live()) {
        canvas.put(area.x + 1, area.y, end.saturating_sub(area.x + 1), said.as_str(), Role::Dim);
    }
}

/// Whether the messages come from more than one integration.
fn several(model: &Model) -> bool {
    let addresses = &model.traffic.addresses;
    model.traffic.is_followed() || addresses.iter().any(|address| address.integration != addresses[0].integration)
}

pub fn draw(canvas: &mut Canvas, model: &Model, areas: &Areas) {
    let over = areas.pane.is_some_and(|pane| pane == areas.list);
    if !over {
        list(canvas, model, areas.list);
    }
    if let Some(rule) = areas.rule {
        canvas.rule(rule);
    }
    caveats(canvas, model, areas.caveats);
    if let (Some(area), Some(pane)) = (areas.pane, &model.traffic.detail) {
        detail(canvas, area, pane, model.traffic.focus == Focus::Detail);
    }
}

fn list(canvas: &mut Canvas, model: &Model, area: Rect) {
    let traffic = &model.traffic;
    if traffic.window.is_empty() {
        return nothing(canvas, model, area);
    }
    let columns = columns(model);
    let (several, places) = (traffic.several(), traffic.has_places());
    let table = Table::new(Rect { x: area.x, ..area }, &columns);
    table.heading(canvas);
    let first = traffic.list.offset();
    for at in 0..table.page().min(traffic.window.len().saturating_sub(first)) {
        let Some(view) = traffic.view(first + at) else { break };
        let selected = traffic.list.row() == Some(first + at);
        let gutter = Gutter { selected, marked: traffic.list.marks.contains(&view.id), state: None };
        // Without the columns of channel and place the others stand further left.
        let place = |column: usize| {
            let column = if several || column == 0 { column } else { column + 1 };
            if places || column < 2 { column } else { column + 1 }
        };
        table.row(canvas, at, gutter, |column| match place(column) {
            1 if traffic.is_followed() => Cell::name(view.address.to_string()),
            column => cell(view, column, &model.zone),
        });
    }
    let y = area.y + 1 + (traffic.window.len() - first).min(table.page()) as u16;
    if traffic.phase == Phase::Ended && y < area.bottom() {
        end(canvas, traffic, Rect { y, height: area.bottom() - y, ..area });
    }
}

/// What there is to say below the last row.
fn end(canvas: &mut Canvas, traffic: &Traffic, area: Rect) {
    let text = if traffic.is_followed() {
        "Searched an hour before and after the message; what comes from now on appears here.   Esc back"
    } else {
        "End of results.   L live   H history"
    };
    let room = area.width.saturating_sub(INDENT + 1);
    for (at, row) in words(text, usize::from(room)).iter().take(usize::from(area.height)).enumerate() {
        canvas.put(area.x + INDENT, area.y + at as u16, room, row, Role::Dim);
    }
}

/// What the list does not show, and why.
fn caveats(canvas: &mut Canvas, model: &Model, area: Rect) {
    for (at, (level, begins, text)) in rows(&model.traffic, model.width).iter().take(usize::from(area.height)).enumerate() {
        let (glyph, role) = match level {
            Level::Error => (canvas.glyphs().bad, Role::Bad),
            _ => (canvas.glyphs().watch, Role::Watch),
        };
        let y = area.y + at as u16;
        if *begins {
            canvas.put(area.x + 2, y, 1, glyph, role);
        }
        canvas.put(area.x + INDENT, y, area.width.saturating_sub(INDENT + 1), text, role);
    }
}

fn cell<'a>(view: &'a MessageView, column: usize, zone: &TimeZone) -> Cell<'a> {
    match column {
        0 => view.message.timestamp.map_or_else(Cell::unknown, |time| Cell::new(time.clock(zone)).role(Role::Dim)),
        1 => Cell::name(&*view.address.channel),
        2 => Cell::new(view.message.position.to_string()).role(Role::Dim),
        3 => view.key.as_ref().map_or_else(Cell::unknown, |key| Cell::name(key.as_str())),
        _ => value(view),
    }
}

/// The value column of a message.
pub(super) fn value(view: &MessageView) -> Cell<'_> {
    match &view.preview {
        Preview::Tombstone => Cell::new("∅ tombstone").role(Role::Dim),
        Preview::Empty => Cell::new("\"\" empty").role(Role::Dim),
        Preview::Text(text) => Cell::new(text.as_str()),
        Preview::Binary(hex) => Cell::new(hex.as_str()).role(Role::Dim),
    }
}

fn nothing(canvas: &mut Canvas, model: &Model, area: Rect) {
    let traffic = &model.traffic;
    if traffic.is_followed() {
        return nothing_followed(canvas, model, area);
    }
    if traffic.addresses.is_empty() {
        let lines = [
            ("2 lists the channels; Enter on one shows what flows through it, Space marks several.", Role::Dim),
            (": goes straight to a channel.", Role::Dim),
        ];
        return message::say(canvas, area, None, "No channel is open.", &lines);
    }
    let waited = model.now.since(traffic.started);
    match (&traffic.phase, &traffic.source) {
        (Phase::Failed(fault), _) => message::fault(canvas, area, "This cannot be read.", fault, "L tries again   2 channels   @ wire log"),
        (Phase::Starting, _) if waited < PATIENCE => {}
        (Phase::Starting, _) => message::waiting(canvas, area, "Looking up the ends of the partitions…", waited),
        (Phase::Cancelled, _) => message::say(canvas, area, None, "The reading was cancelled.", &[("H reads history   L live", Role::Dim)]),
        (Phase::Running, Source::History { .. }) => message::waiting(canvas, area, "Reading…", waited),
        (Phase::Ended, _) if !traffic.filter.is_empty() => {
            let title = format!("0 of {} messages match `{}`.", figure::count(traffic.counts.seen), traffic.filter);
            message::say(canvas, area, None, &title, &[("/ changes the query   H reads another range   L live", Role::Dim)]);
        }
        (Phase::Ended, _) => {
            message::say(canvas, area, None, "There are no messages in this range.", &[("H reads another range   L live", Role::Dim)]);
        }
        (Phase::Running, _) if traffic.counts.seen > 0 => {
            let title = format!("0 of {} messages seen match `{}`.", figure::count(traffic.counts.seen), traffic.filter);
            message::say(canvas, area, None, &title, &[("/ changes the query   H reads history", Role::Dim)]);
        }
        (Phase::Running, _) => {
            let lines = [
                ("New messages appear here as they arrive.", Role::Dim),
                ("H reads what is there already, for example from end-500.", Role::Dim),
            ];
            let lines = if has_history(model) { &lines[..] } else { &lines[..1] };
            let glyph = (canvas.glyphs().ok, Role::Ok);
            message::say(canvas, area, Some(glyph), "Live: nothing has arrived yet.", lines);
        }
    }
}

/// Ids are followed, and nothing was found so far.
fn nothing_followed(canvas: &mut Canvas, model: &Model, area: Rect) {
    let traffic = &model.traffic;
    match &traffic.phase {
        Phase::Failed(fault) => message::fault(canvas, area, "This cannot be followed.", fault, "Esc back"),
        Phase::Ended => {
            let mut lines: Vec<(&str, Role)> = traffic.notes.iter().map(|note| (note.as_str(), Role::Watch)).collect();
            lines.push(("What comes from now on appears here.   Esc back", Role::Dim));
            message::say(canvas, area, None, "No history has a message with one of these ids.", &lines);
        }
        _ => message::waiting(canvas, area, "Looking through every integration…", model.now.since(traffic.started)),
    }
}

pub(super) fn detail(canvas: &mut Canvas, area: Rect, pane: &Detail, focused: bool) {
    for (at, row) in pane.rows.iter().enumerate().skip(pane.offset).take(usize::from(area.height)) {
        let y = area.y + (at - pane.offset) as u16;
        detail_row(canvas, area, y, row);
        if focused && at == pane.cursor {
            canvas.overlay(Rect::new(area.x, y, area.width, 1), Role::Selected);
        }
    }
}

fn detail_row(canvas: &mut Canvas, area: Rect, y: u16, row: &Row) {
    let glyphs = canvas.glyphs();
    let mut x = area.x + 1 + row.indent;
    let end = area.right();
    if let Some((_, open)) = row.fold {
        canvas.put(x, y, 1, if open { glyphs.open } else { glyphs.folded }, Role::Key);
    }
    x += 2;
    if row.label_width > 0 {
        canvas.put_cut(x, y, row.label_width.min(end.saturating_sub(x)), row.label.as_str(), Role::Dim, Cut::Middle);
        x += row.label_width + 2;
    } else {
        x -= 2;
        x += if row.fold.is_some() { 2 } else { 0 };
    }
    let role = match row.part {
        Part::Heading => Role::Strong,
        Part::Missing => Role::Dim,
        Part::Note => Role::Watch,
        Part::Fault => Role::Bad,
        Part::Fact | Part::Value | Part::Hex | Part::Blank => Role::Text,
    };
    let room = end.saturating_sub(x);
    let cut = if row.part == Part::Heading && width(row.text.as_str()) > room { Cut::Middle } else { Cut::End };
    canvas.put_cut(x, y, room, row.text.as_str(), role, cut);
}
