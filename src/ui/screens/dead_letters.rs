//! Dead letters, drawn: the failures, and what could not be read.

use crate::app::model::{Model, PATIENCE};
use crate::app::screens::dead_letters::{Cell as Kind, DAY, columns, route};
use crate::domain::dead_letter::FailureGroup;
use crate::domain::figure;
use crate::domain::time::Timestamp;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::{Canvas, Cut};
use jiff::tz::TimeZone;
use ratatui::layout::Rect;
use std::time::Duration;

/// Below it nothing has an age.
const FRESH: Duration = Duration::from_secs(3);

pub fn crumbs(model: &Model) -> Crumbs<'_> {
    let state = &model.dead_letters;
    let found = &state.found;
    let mut right = Vec::new();
    // Before anything was found nothing is known.
    if state.read_at.is_some() || found.letters > 0 {
        let several = |n: u64, one: &str| figure::several(n, one);
        let sum = format!(
            "{} · {} · {}",
            several(found.groups.len() as u64, "failure"),
            several(found.letters, "letter"),
            several(found.channels as u64, "channel")
        );
        right.push((sum, Role::Dim));
        let unknown = !found.unread.is_empty() || !found.faults.is_empty();
        if unknown {
            right.push(("  not all of them".to_owned(), Role::Watch));
        }
    }
    if state.is_reading() && found.at_most > 0 {
        right.push((format!("  reading {} %", found.letters.saturating_mul(100) / found.at_most.max(1)), Role::Dim));
    }
    if let Some(read_at) = state.read_at {
        let age = model.now.since(read_at);
        let read = if age < FRESH { "read just now".to_owned() } else { format!("read {} ago", figure::age(age)) };
        right.push((format!("  {read}"), Role::Dim));
    }
    Crumbs { path: vec!["Dead letters"], filter: &state.filter, right }
}

pub fn draw(canvas: &mut Canvas, model: &Model, area: Rect) {
    let state = &model.dead_letters;
    let mut y = area.y;
    if state.rows.is_empty() {
        if state.found.unread.is_empty() && state.found.faults.is_empty() || !state.filter.is_empty() {
            return nothing(canvas, model, area);
        }
        canvas.put(area.x + 2, y, area.width.saturating_sub(4), "No letter could be read.", Role::Text);
        y += 2;
    } else {
        y += 1 + table(canvas, model, area) as u16 + 1;
    }
    unread(canvas, model, area, y);
}

/// Draws the rows; how many there are.
fn table(canvas: &mut Canvas, model: &Model, area: Rect) -> usize {
    let state = &model.dead_letters;
    let (kinds, columns) = columns(model);
    let table = Table::new(area, &columns);
    table.heading(canvas);
    let zone = TimeZone::system();
    let mut drawn = 0;
    for (at, row) in (state.list.offset()..state.rows.len()).take(table.page()).enumerate() {
        let Some(group) = state.group(row) else { break };
        let gutter = Gutter { selected: state.list.row() == Some(row), marked: false, state: None };
        table.row(canvas, at, gutter, |column| cell(group, kinds[column], model.now, &zone));
        drawn = at + 1;
    }
    drawn
}

fn cell<'a>(group: &'a FailureGroup, kind: Kind, now: Timestamp, zone: &TimeZone) -> Cell<'a> {
    match kind {
        Kind::Failure => {
            let role = if group.unknown { Role::Unknown } else { Role::Text };
            Cell::new(group.words().to_string()).role(role)
        }
        Kind::Letters => Cell::new(figure::grouped(group.letters)),
        Kind::Times if group.first.is_none() && group.last.is_none() => Cell::unknown(),
        Kind::Times => {
            let moment = |time: Option<Timestamp>| time.map_or_else(|| "–".to_owned(), |time| when(time, now, zone));
            Cell::new(format!("{} → {}", moment(group.first), moment(group.last)))
        }
        Kind::Route => Cell::name(route(group).to_string()),
        Kind::Tenants if group.tenants.is_empty() => Cell::unknown(),
        Kind::Tenants => Cell::new(format!("{}{}", if group.more_tenants { "≥ " } else { "" }, group.tenants.len())),
    }
}

/// The minute; with its day where that is more than a day ago, which the columns have room for then.
fn when(time: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    match (time.zoned(zone), now.zoned(zone)) {
        (Some(moment), _) if now.since(time) < DAY => moment.strftime("%H:%M").to_string(),
        (Some(moment), Some(now)) if moment.year() == now.year() => moment.strftime("%m-%d %H:%M").to_string(),
        (Some(moment), _) => moment.strftime("%Y-%m-%d").to_string(),
        _ => time.to_string(),
    }
}

/// Under the list: whose letters are in no group, and why.
fn unread(canvas: &mut Canvas, model: &Model, area: Rect, mut y: u16) {
    let found = &model.dead_letters.found;
    let unread = found.unread.iter().map(|(address, fault)| format!("not read: {address}: {}", fault.cause));
    for text in unread.chain(found.faults.iter().map(ToString::to_string)) {
        if y >= area.bottom() {
            return;
        }
        let text = crate::domain::text::SafeText::new(&text);
        canvas.put_cut(area.x + 4, y, area.width.saturating_sub(6), text.as_str(), Role::Dim, Cut::Middle);
        y += 1;
    }
}

fn nothing(canvas: &mut Canvas, model: &Model, area: Rect) {
    let state = &model.dead_letters;
    if !state.filter.is_empty() && !state.found.groups.is_empty() {
        let title = format!("0 of {} match `{}`.", figure::grouped(state.found.groups.len() as u64), state.filter);
        return message::say(canvas, area, None, &title, &[("Esc clears the filter.   !text excludes; channels match too.", Role::Dim)]);
    }
    if let Some(since) = state.waiting_since() {
        let since = model.now.since(since);
        if since >= PATIENCE {
            message::waiting(canvas, area, "Looking for dead letters…", since);
        }
        return;
    }
    if state.found.channels == 0 {
        let hint = "They are known by the systems' own settings, by their names, and by dead_letters blocks of the profile.   r look again";
        return message::say(canvas, area, None, "No channel with dead letters is known.", &[(hint, Role::Dim)]);
    }
    let title = format!("There are no dead letters in {}.", figure::several(state.found.channels as u64, "channel"));
    message::say(canvas, area, None, &title, &[("r look again", Role::Dim)]);
}
