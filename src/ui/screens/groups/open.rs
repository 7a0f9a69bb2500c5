//! One group drawn: its verdict, its partitions, its members.

use super::cells::{eta, lag, verdict, verdict_text};
use crate::app::model::{Model, PATIENCE};
use crate::app::screens::groups::{Groups, Open, Watched, part_columns};
use crate::domain::figure;
use crate::domain::group::{Member, State};
use crate::domain::lag::{GroupView, PartitionLag, Verdict};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::{Canvas, Cut};
use ratatui::layout::Rect;
use std::time::Duration;

/// A look older than this is shown with its age.
const STALE_AFTER: Duration = Duration::from_secs(12);

pub(super) fn crumbs<'a>(model: &'a Model, open: &'a Open) -> Crumbs<'a> {
    let integration = model.integration(&open.integration);
    let label = integration.and_then(|integration| label(&integration.groups, &open.group));
    let path = vec![integration.map_or("", |i| i.label.as_str()), "Groups", label.unwrap_or_default()];
    let mut right = Vec::new();
    if let Some(view) = &open.view {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let members = match view.lag.group.members {
            None if view.members.is_empty() => "members unknown".to_owned(),
            _ => count(view.members.len(), "member"),
        };
        right.push((format!("{}, {members}", count(view.partitions.len(), "partition")), Role::Dim));
        let age = model.now.since(open.seen_at);
        if age >= STALE_AFTER {
            right.push((format!(" ({} old)", figure::age(age)), Role::Unknown));
        }
    }
    Crumbs { path, filter: "", right }
}

fn label<'a>(groups: &'a Watched, name: &str) -> Option<&'a str> {
    let at = groups.groups.binary_search_by(|group| (*group.group.name).cmp(name)).ok()?;
    Some(groups.shown.get(at)?.label.as_str())
}

pub(super) fn draw(canvas: &mut Canvas, model: &Model, area: Rect, open: &Open) {
    match (&open.view, &open.fault) {
        (None, Some(fault)) => message::fault(canvas, area, "This group could not be looked at.", fault, "It is tried again.   Esc back"),
        (None, None) => {
            let since = model.now.since(open.asked_at);
            if since >= PATIENCE {
                message::waiting(canvas, area, "Asking about this group…", since);
            }
        }
        (Some(view), fault) => {
            head(canvas, area, view, fault.as_ref().map(|fault| format!("{}: {}", fault.kind.word(), fault.cause)));
            let page = open.page(usize::from(area.height));
            let body = Rect { y: area.y + 2, height: (page as u16 + 1).min(area.height.saturating_sub(2)), ..area };
            partitions(canvas, body, open, &model.groups, model.now);
            let below = body.bottom();
            if below < area.bottom() {
                members(canvas, Rect { y: below, height: area.bottom() - below, ..area }, &view.members);
            }
        }
    }
}

fn head(canvas: &mut Canvas, area: Rect, view: &GroupView, fault: Option<String>) {
    let (glyph, role) = verdict(view.lag.verdict, canvas.glyphs());
    canvas.put(area.x + 2, area.y, 1, glyph, role);
    let group = &view.lag.group;
    let said = verdict_text(view.lag.verdict, view.lag.reason.as_str());
    let state = if group.state == State::Unknown { "(state unknown)" } else { group.state.word() };
    let text = format!("{} {state}, {}, lag {}, ETA {}", group.kind, said, view.lag.lag, view.lag.eta.show());
    let text = fault.map_or(text.clone(), |fault| format!("{text}   ({fault})"));
    canvas.put_cut(area.x + 4, area.y, area.width.saturating_sub(5), &text, Role::Text, Cut::End);
}

fn partitions(canvas: &mut Canvas, area: Rect, open: &Open, groups: &Groups, now: Timestamp) {
    let table = Table::new(area, part_columns());
    table.heading(canvas);
    for (at, row) in (groups.parts.offset()..open.rows.len()).take(table.page()).enumerate() {
        let Some(part) = open.partition(row) else { break };
        let glyph = verdict(part.verdict, canvas.glyphs());
        let gutter = Gutter { selected: groups.parts.row() == Some(row), marked: false, state: Some(glyph) };
        table.row(canvas, at, gutter, |column| cell(part, column, now, glyph.1));
    }
}

fn cell(part: &PartitionLag, column: usize, now: Timestamp, role: Role) -> Cell<'_> {
    let group_offset = &part.group_offset;
    let number = |n: Option<i64>| n.map_or_else(Cell::unknown, |n| Cell::new(n.to_string()));
    match column {
        0 => Cell::name(SafeText::new(&group_offset.channel).as_str().to_owned()),
        1 => number(group_offset.partition.map(i64::from)),
        2 => number(group_offset.committed),
        3 => number(group_offset.end),
        4 => lag(group_offset.lag, ""),
        5 => match part.behind(now) {
            None => Cell::unknown(),
            Some(Duration::ZERO) => Cell::new("0"),
            Some(time) => Cell::new(figure::duration(time)),
        },
        6 => eta(part.eta),
        7 => Cell::new(verdict_text(part.verdict, part.reason.as_str())).role(if part.verdict == Verdict::KeepsUp {
            Role::Text
        } else {
            role
        }),
        _ => group_offset.owner.as_ref().map_or_else(Cell::unknown, |owner| Cell::name(owner.as_str())),
    }
}

fn members(canvas: &mut Canvas, area: Rect, members: &[Member]) {
    let room = usize::from(area.height).saturating_sub(2);
    if room == 0 || members.is_empty() {
        return;
    }
    let half = area.width.saturating_sub(6) / 2;
    canvas.put(area.x + 4, area.y + 1, half, "member", Role::Heading);
    canvas.put(area.x + 6 + half, area.y + 1, half, "host, partitions", Role::Heading);
    let fits = if members.len() > room { room - 1 } else { room };
    for (at, member) in members.iter().take(fits).enumerate() {
        let y = area.y + 2 + at as u16;
        let count: usize = member.assignment.iter().map(|(_, partitions)| partitions.len()).sum();
        canvas.put_cut(area.x + 4, y, half, member.id.as_str(), Role::Text, Cut::Middle);
        let text = format!("{}, {count}", member.host);
        canvas.put_cut(area.x + 6 + half, y, half.saturating_sub(2), &text, Role::Text, Cut::Middle);
    }
    if members.len() > fits {
        let text = format!("and {} more: mqdeck lag lists the owner of each partition", members.len() - fits);
        canvas.put(area.x + 4, area.y + 2 + fits as u16, area.width.saturating_sub(6), &text, Role::Dim);
    }
}
