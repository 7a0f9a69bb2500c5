//! What frames every screen: environment, crumbs and count, jobs, notices, footer.

use super::input;
use super::text::{Canvas, Cut, width};
use crate::app::action::{Action, Key, key_name};
use crate::app::event::Level;
use crate::app::jobs::Job;
use crate::app::keymap;
use crate::app::layout::Areas;
use crate::app::model::Model;
use crate::domain::figure;
use crate::ui::theme::Role;
use crossterm::event::KeyCode;
use ratatui::layout::{Position, Rect};

/// What a screen says in row 2.
pub struct Crumbs<'a> {
    /// From the root; the last one is where we are.
    pub path: Vec<&'a str>,
    /// The filter in force.
    pub filter: &'a str,
    /// Pieces from the right edge, in the order they are read.
    pub right: Vec<(String, Role)>,
}

/// Row 1: what environment this is.
pub fn environment(canvas: &mut Canvas, model: &Model, area: Rect) {
    canvas.clear(area, Role::Env);
    let mut right = area.right().saturating_sub(1);
    let clock = model.now.minute(&model.zone);
    right -= canvas.put_right(right, area.y, 8, &clock, Role::Env);
    let glyphs = canvas.glyphs();
    let Some(profile) = &model.profile else {
        let opening = model.profiles.opening.as_ref().map_or(String::new(), |(name, _)| format!(" {} opening {name}", glyphs.dot));
        canvas.put(1, area.y, right.saturating_sub(2), &format!("mqdeck{opening}"), Role::Env);
        return;
    };
    let total = profile.integrations.len();
    let up = profile.up();
    right = right.saturating_sub(3);
    let count = format!("{up} of {total} ok");
    right -= canvas.put_right(right, area.y, 20, &count, Role::Env);
    if up < total {
        right = right.saturating_sub(1);
        right -= canvas.put_right(right, area.y, 1, glyphs.watch, Role::Env);
    }
    let mut words = vec![profile.opened.name.as_str().to_owned()];
    if profile.opened.demo {
        words.push("embedded systems".to_owned());
    }
    if let Some(tenant) = &model.channels.tenant {
        words.push(format!("tenant {tenant}"));
    }
    if profile.opened.safety.is_read_only() {
        words.push("READ-ONLY".to_owned());
    } else if let Some(left) = model.changes.armed_for(model.now) {
        words.push(format!("ARMED {:02}:{:02}", left.as_secs() / 60, left.as_secs() % 60));
    } else if profile.opened.safety.production {
        words.push("READ-ONLY until armed".to_owned());
    }
    if profile.opened.unverified_tls {
        words.push(format!("{} TLS NOT VERIFIED", glyphs.watch));
    }
    let text = words.join(&format!(" {} ", glyphs.dot));
    canvas.put_cut(1, area.y, right.saturating_sub(3), &text, Role::Env, Cut::Middle);
    canvas.overlay(area, Role::Env);
}

/// Row 2: where we are, the filter and the count. Returns where the cursor stands while the filter is typed.
pub fn crumbs(canvas: &mut Canvas, model: &Model, area: Rect, crumbs: &Crumbs) -> Option<Position> {
    let y = area.y;
    let taken: u16 = crumbs.right.iter().map(|(text, _)| width(text)).sum();
    let mut x = area.right().saturating_sub(1 + taken.min(area.width * 3 / 4));
    let left_end = x.saturating_sub(2);
    for (text, role) in &crumbs.right {
        x += canvas.put(x, y, area.right().saturating_sub(x), text, *role);
    }
    let glyphs = canvas.glyphs();
    let mut x = area.x + 1;
    let typing = model.typing.as_ref();
    let want: u16 = typing.map_or_else(|| width(crumbs.filter), |t| width(&t.editor.text()) + 1) + 4;
    for (i, part) in crumbs.path.iter().enumerate() {
        if i > 0 {
            x += canvas.put(x, y, left_end.saturating_sub(x), &format!(" {} ", glyphs.crumb), Role::Dim);
        }
        let last = i + 1 == crumbs.path.len();
        // A filter keeps at least twelve cells.
        let room = left_end.saturating_sub(x);
        let room = if want > 4 { room.saturating_sub(want.min(14)).max(room / 3) } else { room };
        x += canvas.put_cut(x, y, room, part, if last { Role::Strong } else { Role::Text }, Cut::Middle);
    }
    x += 3;
    let room = left_end.saturating_sub(x);
    if let Some(typing) = typing {
        let used = canvas.put(x, y, room, "/", Role::Key);
        return Some(input::line(canvas, Rect::new(x + used, y, room.saturating_sub(used), 1), &typing.editor, true));
    }
    if !crumbs.filter.is_empty() {
        let used = canvas.put(x, y, room, "/", Role::Dim);
        canvas.put(x + used, y, room.saturating_sub(used), crumbs.filter, Role::Marked);
    }
    None
}

/// The last row: keys that do something now.
pub fn footer(canvas: &mut Canvas, model: &Model, area: Rect) {
    let ascii = canvas.glyphs().ascii;
    let commands = keymap::footer(model);
    let (always, own): (Vec<_>, Vec<_>) =
        commands.into_iter().partition(|c| matches!(c.action, Action::Palette | Action::Help | Action::Goto));
    let texts = |command: &&crate::app::commands::Command| {
        let key = command.keys.first().map_or_else(String::new, |key| key_name(*key, ascii));
        (key, command.footer.unwrap_or_default())
    };
    let enter = key_name(Key { code: KeyCode::Enter, ctrl: false }, ascii);
    let cells = |(key, word): &(String, &str)| width(key) + 1 + width(word) + 3;
    let always: Vec<_> = always.iter().map(texts).collect();
    let reserved: u16 = always.iter().map(cells).sum();
    let mut room = area.width.saturating_sub(1 + reserved);
    let mut shown = Vec::new();
    if model.typing.is_some() && model.overlay.is_none() {
        shown.extend([(enter, "apply"), ("Esc".to_owned(), "cancel")]);
    }
    for text in own.iter().map(texts) {
        let need = cells(&text);
        if need > room || shown.len() == 7 {
            break;
        }
        room -= need;
        shown.push(text);
    }
    shown.extend(always);
    let mut x = area.x + 1;
    for (key, word) in shown {
        let end = area.right().saturating_sub(x);
        if width(&key) + 1 + width(word) > end {
            break;
        }
        x += canvas.put(x, area.y, end, &key, Role::Key) + 1;
        x += canvas.put(x, area.y, area.right().saturating_sub(x), word, Role::Dim) + 3;
    }
}

/// The strip of long work under way.
pub fn jobs(canvas: &mut Canvas, model: &Model, area: Rect) {
    for (row, job) in model.jobs.iter().rev().take(usize::from(area.height)).enumerate() {
        let y = area.y + row as u16;
        let text = progress(job);
        let bar = job.total.filter(|total| *total > 0).map(|total| job.done.min(total) * 12 / total);
        let mut right = area.right().saturating_sub(1);
        right -= canvas.put_right(right, y, area.width / 2, &text, Role::Text);
        if let Some(lit) = bar {
            right = right.saturating_sub(14);
            let glyphs = canvas.glyphs();
            for at in 0..12 {
                let (glyph, role) = if at < lit { (glyphs.bar[0], Role::Connecting) } else { (glyphs.bar[1], Role::Rule) };
                canvas.put(right + at as u16, y, 1, glyph, role);
            }
        }
        canvas.put_cut(area.x + 1, y, right.saturating_sub(3), job.title.as_str(), Role::Dim, Cut::Middle);
    }
}

/// `204/≤ 312  8/s  ETA 14 s`.
fn progress(job: &Job) -> String {
    // Nothing counted yet, and nobody knows how much there is.
    if job.done == 0 && job.total.is_none() {
        return "under way".to_owned();
    }
    let mut text = figure::count(job.done);
    if let Some(total) = job.total {
        text.push_str(&format!(" of ≤ {}", figure::count(total)));
    }
    if let Some(rate) = job.rate() {
        text.push_str(&format!("  {}/s", figure::rate(rate)));
    }
    if let Some(eta) = job.eta() {
        text.push_str(&format!("  ETA {}", figure::duration(eta)));
    }
    text
}

/// What was said last, above the footer.
pub fn notices(canvas: &mut Canvas, model: &Model, area: Rect) {
    for (row, notice) in model.notices.shown().enumerate() {
        let y = area.y + row as u16;
        if y >= area.bottom() {
            break;
        }
        let (glyph, role) = level(canvas, notice.level);
        canvas.put(area.x + 1, y, 1, glyph, role);
        let times = if notice.times > 1 { format!("  ×{}", notice.times) } else { String::new() };
        let hint = if notice.level == Level::Error { "  Esc" } else { "" };
        let right = area.right().saturating_sub(1);
        let used = canvas.put_right(right, y, 12, &format!("{times}{hint}"), Role::Dim);
        let room = right.saturating_sub(area.x + 4 + used);
        let next = if notice.next.as_str().is_empty() { String::new() } else { format!(" → {}", notice.next) };
        canvas.put(area.x + 3, y, room, &format!("{}{next}", notice.text), Role::Text);
    }
}

/// The glyph and colour of a notice.
pub fn level(canvas: &Canvas, level: Level) -> (&'static str, Role) {
    let glyphs = canvas.glyphs();
    match level {
        Level::Info => (glyphs.ok, Role::Ok),
        Level::Warning => (glyphs.watch, Role::Watch),
        Level::Error => (glyphs.bad, Role::Bad),
    }
}

/// Draws everything around the body; returns where the cursor stands.
pub fn around(canvas: &mut Canvas, model: &Model, areas: &Areas, row_2: &Crumbs) -> Option<Position> {
    environment(canvas, model, areas.env);
    let cursor = crumbs(canvas, model, areas.crumbs, row_2);
    jobs(canvas, model, areas.jobs);
    notices(canvas, model, areas.toasts);
    footer(canvas, model, areas.footer);
    cursor
}
