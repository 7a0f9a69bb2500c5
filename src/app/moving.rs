//! Moving and marking in the lists of all screens.

use super::commands::Action;
use super::list::{List, Step};
use super::model::{Model, Screen};
use super::overlays::{Overlay, outcome, plan};
use super::screens::traffic::open;
use super::screens::{channels, groups, overview, profiles, received};
use super::{layout, screens};

/// Moves the cursor of the screen.
pub(super) fn step(model: &mut Model, step: Step) {
    if matches!(model.overlay, Some(Overlay::Plan(_) | Overlay::Outcome(_))) {
        return scroll_overlay(model, step);
    }
    let page = model.page();
    match model.screen {
        Screen::Overview => {
            let len = model.overview.rows.len();
            step_list(model, len, page, step, |m| &mut m.overview.list, overview::key_at);
        }
        Screen::Channels if model.channels.describe.is_some() && !layout::is_wide(model) => scroll_description(model, step),
        Screen::Channels => {
            let len = model.channels.rows.len();
            step_list(model, len, page, step, |m| &mut m.channels.list, channels::key_at);
            channels::follow(model);
        }
        Screen::Traffic => open::step(model, step),
        Screen::Received => received::step(model, step),
        Screen::Groups if groups::is_open(model) => {
            let page = groups::part_page(model);
            if let Some(open) = &mut model.groups.open {
                let mut list = std::mem::take(&mut open.list);
                list.step(step, open.rows.len(), page, |row| open.key_at(row));
                open.list = list;
            }
        }
        Screen::Groups => {
            let len = model.groups.rows.len();
            step_list(model, len, page, step, |m| &mut m.groups.list, groups::key_at);
        }
        Screen::Profiles => {
            let len = model.profiles.entries.as_ref().map_or(0, Vec::len);
            step_list(model, len, page, step, |m| &mut m.profiles.list, profiles::key_at);
        }
        Screen::WireLog => {
            let len = model.wire.lines.len();
            step_list(model, len, page, step, |m| &mut m.wire.list, |m, row| m.wire.line(row).number);
        }
        Screen::Notices => {
            let len = model.notices.all.len();
            step_list(model, len, page, step, |m| &mut m.notices.list, |m, row| m.notices.all[len - 1 - row].number);
        }
        Screen::Welcome | Screen::Publish => {}
    }
}

/// Scrolls the plan or the outcome that stands over the screen.
fn scroll_overlay(model: &mut Model, step: Step) {
    let (offset, rows, page) = match &model.overlay {
        Some(Overlay::Plan(view)) => {
            let (_, width) = plan::page(model, 0);
            let rows = plan::rows(model, &view.plan, width).len();
            (view.offset, rows, plan::page(model, rows).0)
        }
        Some(Overlay::Outcome(offset)) => {
            let (_, width) = plan::page(model, 0);
            let rows = model.changes.last.as_ref().map_or(0, |last| outcome::rows(last, width).len());
            (*offset, rows, plan::page(model, rows).0)
        }
        _ => return,
    };
    let to = step.from(offset, rows.saturating_sub(page) + 1, page);
    match &mut model.overlay {
        Some(Overlay::Plan(view)) => view.offset = to,
        Some(Overlay::Outcome(offset)) => *offset = to,
        _ => {}
    }
}

fn scroll_description(model: &mut Model, step: Step) {
    let page = layout::detail_page(model);
    if let Some(pane) = &mut model.channels.describe {
        let rows = screens::channels::describe_rows(pane);
        pane.offset = step.from(pane.offset, rows.saturating_sub(page) + 1, page);
    }
}

fn step_list<K: Clone + Ord>(
    model: &mut Model,
    len: usize,
    page: usize,
    step: Step,
    list: fn(&mut Model) -> &mut List<K>,
    key_at: impl Fn(&Model, usize) -> K,
) {
    let mut taken = std::mem::take(list(model));
    taken.step(step, len, page, |row| key_at(model, row));
    *list(model) = taken;
}

/// Marks and unmarks rows.
pub(super) fn mark(model: &mut Model, action: Action) {
    let page = model.page();
    match model.screen {
        Screen::Channels => {
            let len = model.channels.rows.len();
            let mut list = std::mem::take(&mut model.channels.list);
            mark_list(&mut list, action, len, page, |row| channels::key_at(model, row));
            model.channels.list = list;
        }
        Screen::Received => {
            let len = model.received.rows.len();
            let mut list = std::mem::take(&mut model.received.list);
            mark_list(&mut list, action, len, page, |row| model.received.key_at(row));
            model.received.list = list;
            if action == Action::Mark && model.received.detail.is_some() {
                received::show(model);
            }
        }
        Screen::Traffic => {
            let len = model.traffic.window.len();
            let mut list = std::mem::take(&mut model.traffic.list);
            mark_list(&mut list, action, len, page, |row| model.traffic.key_at(row));
            model.traffic.list = list;
            if action == Action::Mark && model.traffic.detail.is_some() {
                open::show(model);
            }
        }
        _ => {}
    }
}

fn mark_list<K: Clone + Ord>(list: &mut List<K>, action: Action, len: usize, page: usize, key_at: impl Fn(usize) -> K) {
    match action {
        Action::Mark => list.toggle(len, page, key_at),
        Action::MarkRange => list.range(len, key_at),
        Action::MarkInvert => list.invert(len, key_at),
        _ => list.clear_marks(),
    }
}
