//! Groups, drawn: the list.

mod cells;
mod open;

use crate::app::integration::Integration;
use crate::app::model::{Model, PATIENCE};
use crate::app::screens::groups::{self as state, Cell as Kind, Emptiness, columns, emptiness};
use crate::domain::figure;
use crate::domain::group::State;
use crate::domain::lag::{Behind, GroupLag, Verdict};
use crate::ui::theme::{Glyphs, Role};
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{self, Cell, Gutter, Table};
use crate::ui::widgets::text::{Canvas, Cut};
use cells::{arrow, behind_cell, eta, lag, verdict, verdict_text};
use ratatui::layout::Rect;

pub fn crumbs<'a>(model: &'a Model, reading: &'a str) -> Crumbs<'a> {
    let groups = &model.groups;
    if let Some(open) = &groups.open {
        return open::crumbs(model, open);
    }
    let mut path = Vec::new();
    if let [only] = model.integrations() {
        path.push(only.label.as_str());
    }
    path.push("Groups");
    if !reading.is_empty() {
        path.push(reading);
    }
    let mut right = Vec::new();
    if model.integrations().iter().any(|i| i.groups.listed_at.is_some()) {
        let (shown, total) = (figure::grouped(groups.rows.len() as u64), figure::grouped(groups.total as u64));
        right.push((format!("shown {shown} of {total}"), Role::Dim));
        if model.integrations().iter().any(|i| !i.groups.gaps.is_empty()) {
            right.push(("  list may be incomplete".to_owned(), Role::Watch));
        }
    }
    let oldest = model.integrations().iter().filter(|i| i.groups.is_stale(model.now)).filter_map(|i| i.groups.listed_at).min();
    if let Some(oldest) = oldest {
        right.push((format!(" ({} old)", figure::age(model.now.since(oldest))), Role::Unknown));
    }
    Crumbs { path, filter: &groups.filter, right }
}

pub fn draw(canvas: &mut Canvas, model: &Model, area: Rect) {
    if let Some(open) = &model.groups.open {
        return open::draw(canvas, model, area, open);
    }
    if model.groups.rows.is_empty() {
        return nothing(canvas, model, area);
    }
    let (kinds, columns) = columns(model);
    let table = Table::new(area, &columns);
    table.heading(canvas);
    let list = &model.groups.list;
    let mut drawn = 0;
    for (at, row) in (list.offset()..model.groups.rows.len()).take(table.page()).enumerate() {
        let Some((integration, g)) = state::row(model, row) else { break };
        let group = &integration.groups.groups[g];
        let shown = &integration.groups.shown[g];
        let glyph = verdict(group.verdict, canvas.glyphs());
        let gutter = Gutter { selected: list.row() == Some(row), marked: false, state: Some(glyph) };
        let spark = table::spark(canvas, &shown.spark);
        let arrow = arrow(&shown.spark, canvas.glyphs());
        let stale = integration.groups.is_stale(model.now) || integration.groups.fault.is_some();
        let behind = integration.groups.behind.get(&group.group.name);
        table.row(canvas, at, gutter, |column| {
            let cell = match kinds[column] {
                Kind::Integration => Cell::name(integration.label.as_str()).role(Role::Dim),
                Kind::Name => Cell::name(shown.label.as_str()),
                Kind::Trend => Cell::new(spark.clone()).role(Role::Dim),
                kind => cell(group, kind, arrow, behind, glyph.1),
            };
            if stale && cell.role == Role::Text { cell.role(Role::Dim) } else { cell }
        });
        drawn = at + 1;
    }
    hint(canvas, model, area, drawn);
}

fn cell<'a>(group: &'a GroupLag, kind: Kind, arrow: &str, behind: Option<&Behind>, role: Role) -> Cell<'a> {
    match kind {
        Kind::State if group.group.state == State::Unknown => Cell::unknown(),
        Kind::State => Cell::new(group.group.state.word()),
        Kind::Members => group.group.members.map_or_else(Cell::unknown, |members| Cell::new(members.to_string())),
        Kind::Lag => lag(group.lag, arrow),
        Kind::Behind => behind.map_or_else(Cell::unknown, |behind| behind_cell(*behind)),
        Kind::Eta => eta(group.eta),
        _ => Cell::new(verdict_text(group.verdict, group.reason.as_str())).role(if group.verdict == Verdict::KeepsUp {
            Role::Text
        } else {
            role
        }),
    }
}

/// Under the list: what stands out in the selected group, and what could not be listed.
fn hint(canvas: &mut Canvas, model: &Model, area: Rect, drawn: usize) {
    let mut y = area.y + 2 + drawn as u16;
    let skew = state::selected(model).and_then(|(integration, group)| Some((integration, group, group.skew.as_ref()?)));
    if let Some((integration, group, skew)) = skew
        && y < area.bottom()
    {
        let name = integration.groups.shown.iter().zip(&integration.groups.groups).find(|(_, g)| g.group.name == group.group.name);
        let name = name.map_or("", |(shown, _)| shown.label.as_str());
        let text = format!(
            "{name} › partition {} of {} holds {} % of the lag: one key?",
            skew.partition,
            crate::domain::text::SafeText::new(&skew.channel),
            skew.share
        );
        canvas.put_cut(area.x + 4, y, area.width.saturating_sub(6), &text, Role::Text, Cut::Middle);
        y += 1;
    }
    for integration in model.integrations() {
        let told = integration.groups.fault.as_ref().or(integration.groups.gaps.first());
        if let Some(fault) = told
            && y < area.bottom()
        {
            let text = format!("{}: {}: {}", integration.label, fault.kind.word(), fault.cause);
            canvas.put(area.x + 4, y, area.width.saturating_sub(6), &text, Role::Dim);
            y += 1;
        }
    }
}

fn nothing(canvas: &mut Canvas, model: &Model, area: Rect) {
    match emptiness(model) {
        Emptiness::Quiet => {}
        Emptiness::Loading => {
            let since = model.groups.waiting_since().next().map_or(PATIENCE, |at| model.now.since(at));
            message::waiting(canvas, area, "Reading the groups…", since);
        }
        Emptiness::Failed(fault) => {
            message::fault(canvas, area, "The groups are not known.", fault, "It is tried again by itself.   @ wire log   1 overview");
        }
        Emptiness::Unsupported => {
            message::say(canvas, area, None, "The systems of this profile have no groups.", &[("1 overview   2 channels", Role::Dim)]);
        }
        Emptiness::Filtered { total } => {
            let title = format!("0 of {} match `{}`.", figure::grouped(total as u64), model.groups.filter);
            message::say(canvas, area, None, &title, &[("Esc clears the filter.   !text excludes; verdicts match too.", Role::Dim)]);
        }
        Emptiness::Nothing if model.groups.reading.is_some() => {
            let hint = "Consumers that never commit leave no trace.   Esc back   4 all groups";
            message::say(canvas, area, None, "No group has a position or a member in this channel.", &[(hint, Role::Dim)]);
        }
        Emptiness::Nothing => {
            let hint = "Where groups cannot be listed, the profile can name them: groups = [\"payments\"]";
            message::say(canvas, area, None, "There are no groups here.", &[(hint, Role::Dim)]);
        }
    }
}

/// The integration's lag for the overview: all groups together.
pub fn total<'a>(integration: &Integration, glyphs: &Glyphs) -> Cell<'a> {
    let groups = &integration.groups;
    if groups.listed_at.is_none() {
        return Cell::unknown();
    }
    let role = groups.worst.map_or(Role::Text, |worst| verdict(worst, glyphs).1);
    let cell = lag(groups.lag, arrow(&groups.spark, glyphs));
    if matches!(role, Role::Bad | Role::Watch) && cell.role == Role::Text { cell.role(role) } else { cell }
}
