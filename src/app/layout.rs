//! Where everything stands: one pure function of the Model, used by update (page sizes, hit tests) and by draw.

use super::list::Focus;
use super::model::Model;
use super::overlays::plan::FOOT;
use super::reader::Room;
use ratatui::layout::{Position, Rect};

/// Below this size the screen says so in one line.
pub const SMALLEST: (u16, u16) = (60, 16);

/// The areas of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// Row 1: the environment.
    pub env: Rect,
    /// Row 2: where we are, the filter, and the count.
    pub crumbs: Rect,
    /// A row for what is wrong with the whole screen, or with the filter.
    pub banner: Option<Rect>,
    /// The list with its heading row.
    pub list: Rect,
    /// The rule between list and pane.
    pub rule: Option<Rect>,
    /// The detail or description.
    pub pane: Option<Rect>,
    /// What the list does not show, and why.
    pub caveats: Rect,
    pub jobs: Rect,
    pub toasts: Rect,
    pub footer: Rect,
}

/// Cells that a plan takes, where there are so many.
pub const PLAN_WIDTH: u16 = 110;

/// A panel over the screen, at most so wide and high inside: its area, and its inside.
pub fn panel(screen_width: u16, screen_height: u16, width: u16, height: u16) -> (Rect, Rect) {
    // Slivers of the screen beside it would only disturb.
    let width = if width.saturating_add(16) > screen_width { screen_width } else { width };
    let height = height.saturating_add(4).min(screen_height.saturating_sub(3));
    let x = (screen_width - width) / 2;
    let y = 2 + (screen_height.saturating_sub(height + 3)) / 4;
    (Rect::new(x, y, width, height), Rect::new(x + 2, y + 2, width.saturating_sub(4), height.saturating_sub(4)))
}

/// The areas, or `None` if the terminal is too small.
pub fn areas(model: &Model) -> Option<Areas> {
    let (width, height) = (model.width, model.height);
    if width < SMALLEST.0 || height < SMALLEST.1 {
        return None;
    }
    let row = |y, h| Rect::new(0, y, width, h);
    let jobs = model.jobs.len().min(3) as u16;
    let toasts = model.notices.shown().count() as u16;
    let state = model.screen.state();
    let banner = (state.has_banner)(model);
    let top = 2 + u16::from(banner);
    let bottom = height - 1 - toasts - jobs;
    let caveats = (state.caveats)(model) as u16;
    let body = row(top, bottom.saturating_sub(top + caveats));
    let (list, rule, pane) = split(model, body);
    Some(Areas {
        env: row(0, 1),
        crumbs: row(1, 1),
        banner: banner.then(|| row(2, 1)),
        list,
        rule,
        pane,
        caveats: row(body.bottom(), caveats),
        jobs: row(bottom, jobs),
        toasts: row(bottom + jobs, toasts),
        footer: row(height - 1, 1),
    })
}

fn split(model: &Model, body: Rect) -> (Rect, Option<Rect>, Option<Rect>) {
    match (model.screen.state().pane)(model) {
        Some(_) if model.is_wide() => {
            let pane = if body.width < 150 { body.width * 9 / 20 } else { (body.width / 2).min(110) };
            let left = body.width - pane - 1;
            let rule = Rect::new(left, body.y, 1, body.height);
            (Rect { width: left, ..body }, Some(rule), Some(Rect::new(left + 1, body.y, pane, body.height)))
        }
        Some(Focus::Detail) => (body, None, Some(body)),
        Some(Focus::List) | None => (body, None, None),
    }
}

/// The room that the screen has for what moves in it.
pub(super) fn room(model: &Model) -> Room {
    let areas = areas(model);
    let pane = areas.and_then(|areas| areas.pane);
    Room {
        body: areas.map_or(1, |areas| usize::from(areas.list.height)),
        pane: pane.map_or(1, |pane| usize::from(pane.height).max(1)),
        pane_width: pane.map_or(40, |pane| pane.width.saturating_sub(2)),
    }
}

/// Rows of a plan or an outcome of so many that are shown at once, and the width that they have.
pub fn plan_page(model: &Model, rows: usize) -> (usize, u16) {
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(FOOT);
    let inside = panel(model.width, model.height, PLAN_WIDTH, height).1;
    (usize::from(inside.height.saturating_sub(FOOT)).max(1), inside.width)
}

/// The row of the pane at a place of the screen, not counting what it is scrolled by.
pub fn pane_row_at(model: &Model, x: u16, y: u16) -> Option<usize> {
    let pane = areas(model)?.pane?;
    pane.contains(Position { x, y }).then(|| usize::from(y - pane.y))
}

/// The row of the list at a place of the screen; none where a pane covers it.
pub fn row_at(model: &Model, x: u16, y: u16) -> Option<usize> {
    if pane_row_at(model, x, y).is_some() {
        return None;
    }
    let list = areas(model)?.list;
    let inside = x < list.x + list.width && y > list.y && y < list.y + list.height;
    inside.then(|| usize::from(y - list.y - 1))
}
