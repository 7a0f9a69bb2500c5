//! Plans and outcomes, drawn: rows that scroll, and under a plan the question on its rung.

use crate::app::layout::{self, PLAN_WIDTH};
use crate::app::model::Model;
use crate::app::overlays::plan::{self, FOOT, LABEL, PlanView, Row, Tone};
use crate::domain::figure;
use crate::domain::operation::Risk;
use crate::domain::safety::{Gate, Rung};
use crate::ui::theme::Role;
use crate::ui::widgets::text::{Canvas, Cut};
use crate::ui::widgets::{grid, input, panel};
use ratatui::layout::{Position, Rect};

pub(super) fn draw(canvas: &mut Canvas, model: &Model, view: &PlanView) -> Option<Position> {
    let (_, width) = layout::plan_page(model, 0);
    let rows = plan::rows(view, width);
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(FOOT);
    let title = format!("{}: the plan", view.plan.spec().title);
    let inside = panel::open(canvas, PLAN_WIDTH, height, &title, "nothing has been changed yet");
    scrolled(canvas, Rect { height: inside.height.saturating_sub(FOOT), ..inside }, &rows, view.offset);
    let foot = Rect { y: inside.bottom().saturating_sub(2), height: 2.min(inside.height), ..inside };
    question(canvas, model, view, foot)
}

/// Rows from `offset` on; where some are out of sight, how many there are.
pub(super) fn scrolled(canvas: &mut Canvas, area: Rect, rows: &[Row], offset: usize) {
    let page = usize::from(area.height);
    // A smaller screen may have come since it was scrolled.
    let offset = offset.min(rows.len().saturating_sub(page));
    for (at, row) in rows.iter().skip(offset).take(page).enumerate() {
        draw_row(canvas, area, area.y + at as u16, row);
    }
    if rows.len() > page {
        let text = format!(" rows {} to {} of {} ", offset + 1, (offset + page).min(rows.len()), rows.len());
        canvas.put_right(area.right(), area.bottom(), area.width, &text, Role::Dim);
    }
}

fn draw_row(canvas: &mut Canvas, area: Rect, y: u16, row: &Row) {
    let cells = |table| grid::widths(table, area.width);
    match row {
        Row::Blank => {}
        Row::Text(text, tone) => _ = canvas.put(area.x, y, area.width, text, role(*tone)),
        Row::Title(text) => _ = canvas.put(area.x, y, area.width, text, Role::Strong),
        Row::Fact(name, value, tone) => {
            let glyph = match tone {
                Tone::Watch if !name.is_empty() => Some((canvas.glyphs().watch, Role::Watch)),
                Tone::Bad if !name.is_empty() => Some((canvas.glyphs().bad, Role::Bad)),
                _ => None,
            };
            canvas.put(area.x, y, LABEL, name, Role::Dim);
            if let Some((glyph, role)) = glyph {
                canvas.put(area.x + LABEL - 2, y, 1, glyph, role);
            }
            canvas.put(area.x + LABEL, y, area.width.saturating_sub(LABEL), value, Role::Text);
        }
        Row::Heading(table) => grid::cells(canvas, area.x, y, &cells(table), table.columns.iter().copied(), Role::Heading),
        Row::Cells(table, at) => {
            let row = table.rows.get(*at).map_or(&[][..], Vec::as_slice);
            grid::cells(canvas, area.x, y, &cells(table), row.iter().map(crate::domain::text::SafeText::as_str), Role::Text);
        }
    }
}

fn role(tone: Tone) -> Role {
    match tone {
        Tone::Plain => Role::Text,
        Tone::Strong => Role::Strong,
        Tone::Dim => Role::Dim,
        Tone::Watch => Role::Watch,
        Tone::Bad => Role::Bad,
    }
}

/// What is to be typed, or why nothing can be.
fn question(canvas: &mut Canvas, model: &Model, view: &PlanView, area: Rect) -> Option<Position> {
    let glyphs = canvas.glyphs();
    let below = area.y + 1;
    let say = |canvas: &mut Canvas, y: u16, glyph: &str, role: Role, text: &str| {
        canvas.put(area.x, y, 1, glyph, role);
        canvas.put_cut(area.x + 2, y, area.width.saturating_sub(2), text, Role::Text, Cut::Middle);
    };
    if view.is_refused() {
        say(canvas, below, glyphs.bad, Role::Bad, "It cannot be carried out as things stand.");
        return None;
    }
    match model.gate(view.plan.risk()) {
        Gate::Open => {}
        Gate::Unarmed => {
            say(canvas, area.y, glyphs.watch, Role::Watch, "The profile is not armed. Nothing is carried out until it is.");
            let used = canvas.put(area.x + 2, below, 2, "!", Role::Key);
            canvas.put(area.x + 3 + used, below, area.width.saturating_sub(used + 3), "arm it, then confirm", Role::Text);
            return None;
        }
        Gate::ReadOnly => {
            say(canvas, below, glyphs.bad, Role::Bad, "The profile is read-only.");
            return None;
        }
    }
    if view.is_exporting(&model.jobs) {
        say(canvas, below, glyphs.connecting, Role::Connecting, "The channel is being exported: it cannot go before that is done.");
        return None;
    }
    let risk = view.plan.risk();
    let verb = view.plan.spec().title.to_lowercase();
    let (wanted, kind) = match &view.rung {
        Rung::Yes => {
            let used = canvas.put(area.x, below, 2, "y", Role::Key);
            canvas.put(area.x + used + 1, below, area.width.saturating_sub(used + 1), &verb, Role::Text);
            return None;
        }
        Rung::Count { number, what } => (number.to_string(), format!("{}, the number of {what},", figure::grouped(*number))),
        Rung::Address(address) => (address.to_string(), format!("{address}")),
    };
    let armed = model
        .changes
        .armed_for(model.now)
        .filter(|_| risk == Risk::Destroy)
        .map_or_else(String::new, |left| format!("   armed for {}", figure::duration(left)));
    match &view.error {
        Some(error) => say(canvas, area.y, glyphs.bad, Role::Bad, error),
        None => say(canvas, area.y, glyphs.pointer, Role::Strong, &format!("type {kind} to {verb}{armed}")),
    }
    let line = Rect::new(area.x + 2, below, area.width.saturating_sub(2), 1);
    canvas.put(area.x, below, 1, glyphs.crumb, if view.editor.text() == wanted { Role::Destructive } else { Role::Key });
    Some(input::line(canvas, line, &view.editor, true))
}
