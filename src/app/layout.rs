//! Where everything stands: one pure function of the Model, used by update (page sizes, hit tests) and by draw.

use super::model::{Model, Screen};
use super::screens::traffic::{Focus, caveats};
use ratatui::layout::{Position, Rect};

/// Below this size the screen says so in one line.
pub const SMALLEST: (u16, u16) = (60, 16);
/// From this width on the detail stands beside the list.
const WIDE: u16 = 120;

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

/// Whether the detail has room beside the list.
pub fn is_wide(model: &Model) -> bool {
    model.width >= WIDE
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
    let banner = banner(model);
    let top = 2 + u16::from(banner);
    let bottom = height - 1 - toasts - jobs;
    let caveats = if model.screen == Screen::Traffic { caveats::rows(model).len() as u16 } else { 0 };
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

/// Whether a row under the crumbs says what is wrong, or how far a search is.
fn banner(model: &Model) -> bool {
    let typing = model.typing.as_ref().is_some_and(|filter| filter.error.is_some() || !filter.candidates.is_empty());
    let troubled = !model.traffic.interrupted.is_empty() || !model.traffic.waits.is_empty();
    let searched = model.traffic.said.is_some() && !model.traffic.is_live();
    model.screen == Screen::Traffic && (typing || troubled || searched)
}

fn split(model: &Model, body: Rect) -> (Rect, Option<Rect>, Option<Rect>) {
    let open = (model.screen.state().has_pane)(model);
    if !open {
        return (body, None, None);
    }
    if is_wide(model) {
        let pane = if body.width < 150 { body.width * 9 / 20 } else { (body.width / 2).min(110) };
        let left = body.width - pane - 1;
        let rule = Rect::new(left, body.y, 1, body.height);
        (Rect { width: left, ..body }, Some(rule), Some(Rect::new(left + 1, body.y, pane, body.height)))
    } else if model.screen == Screen::Channels || focus(model) == Focus::Detail {
        (body, None, Some(body))
    } else {
        (body, None, None)
    }
}

fn focus(model: &Model) -> Focus {
    if model.screen == Screen::Received { model.received.focus } else { model.traffic.focus }
}

/// Rows that the pane shows.
pub fn detail_page(model: &Model) -> usize {
    areas(model).and_then(|areas| areas.pane).map_or(1, |pane| usize::from(pane.height).max(1))
}

/// Cells that the pane's rows have.
pub fn detail_width(model: &Model) -> u16 {
    areas(model).and_then(|areas| areas.pane).map_or(40, |pane| pane.width.saturating_sub(2))
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
