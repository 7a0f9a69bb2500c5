//! Channels and the description of one, drawn.

use crate::app::integration::Integration;
use crate::app::model::{Model, PATIENCE};
use crate::app::screens::channels::{self as state, Cell as Kind, Describe, Emptiness, columns, emptiness, retention};
use crate::domain::channel::{Channel, Description};
use crate::domain::figure;
use crate::ui::theme::Role;
use crate::ui::widgets;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::grid;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{self, Cell, Gutter, Table};
use crate::ui::widgets::text::{Canvas, Cut};
use ratatui::layout::Rect;

pub fn crumbs(model: &Model) -> Crumbs<'_> {
    let channels = &model.channels;
    let mut path = Vec::new();
    if let Some(only) = channels.only.as_ref().and_then(|only| model.integration(only)) {
        path.push(only.label.as_str());
    } else if let [only] = model.integrations() {
        path.push(only.label.as_str());
    }
    path.push("Channels");
    let mut right = Vec::new();
    let marked = channels.list.marks.len();
    if marked > 0 {
        right.push((format!("{marked} marked   "), Role::Marked));
    }
    if let Some(tenant) = &channels.tenant {
        right.push((format!("tenant {tenant}   "), Role::Marked));
    }
    // Before the first list nobody knows how many there are: that is not 0.
    if model.integrations().iter().any(|integration| integration.listed_at.is_some()) {
        let (shown, total) = (figure::grouped(channels.rows.len() as u64), figure::grouped(channels.total as u64));
        right.push((format!("shown {shown} of {total}"), Role::Dim));
    }
    if let Some(age) = widgets::state::age(model.integrations().iter(), model.now) {
        right.push((format!(" ({age})"), Role::Unknown));
    }
    Crumbs { path, filter: &channels.filter, right }
}

pub fn draw(canvas: &mut Canvas, model: &Model, list_area: Rect, pane: Option<Rect>) {
    let over = pane.is_some_and(|pane| pane == list_area);
    if !over {
        list(canvas, model, list_area);
    }
    if let (Some(area), Some(describe)) = (pane, &model.channels.describe) {
        description(canvas, model, area, describe);
    }
}

fn list(canvas: &mut Canvas, model: &Model, area: Rect) {
    if model.channels.rows.is_empty() {
        return nothing(canvas, model, area);
    }
    let (kinds, columns) = columns(model);
    let table = Table::new(area, &columns);
    table.heading(canvas);
    let list = &model.channels.list;
    for (at, row) in (list.offset()..model.channels.rows.len()).take(table.page()).enumerate() {
        let Some((integration, c)) = state::row(model, row) else { break };
        let channel = &integration.channels[c];
        let glyph = channel.fault.is_some().then(|| (canvas.glyphs().bad, Role::Bad));
        let marked = !list.marks.is_empty() && list.marks.contains(&(integration.name.clone(), channel.name.clone()));
        let gutter = Gutter { selected: list.row() == Some(row), marked, state: glyph };
        let stale = integration.is_stale(model.now);
        let spark = table::spark(canvas, &integration.shown[c].spark);
        table.row(canvas, at, gutter, |column| {
            let cell = cell(integration, channel, c, kinds[column], &spark);
            if stale && cell.role == Role::Text { cell.role(Role::Dim) } else { cell }
        });
    }
}

fn cell<'a>(integration: &'a Integration, channel: &'a Channel, at: usize, kind: Kind, spark: &str) -> Cell<'a> {
    if let (Some(fault), Kind::Parts | Kind::Messages) = (&channel.fault, kind) {
        return Cell::note(format!("{}: {}", fault.kind.word(), fault.cause), Role::Bad);
    }
    let unknown_or = |text: Option<String>| text.map_or_else(Cell::unknown, Cell::new);
    match kind {
        Kind::Integration => Cell::name(integration.label.as_str()).role(Role::Dim),
        Kind::Name => {
            let name = Cell::name(integration.shown[at].label.as_str());
            if channel.internal { name.role(Role::Dim) } else { name }
        }
        Kind::Tenant => channel.tenant.as_ref().map_or_else(Cell::unknown, |tenant| Cell::name(tenant.as_str())),
        Kind::Parts => unknown_or(channel.parts.map(|parts| parts.to_string())),
        Kind::Messages => unknown_or(channel.depth.number().map(|_| channel.depth.show(figure::count))),
        Kind::Size => unknown_or(channel.bytes.number().map(|_| channel.bytes.show(figure::bytes))),
        Kind::Rate => unknown_or(channel.rate_in.map(figure::rate)),
        Kind::Spark => Cell::new(spark.to_owned()).role(Role::Dim),
        Kind::Groups => readers(integration, channel),
        Kind::Retention => retention(channel).map_or_else(Cell::unknown, |text| Cell::new(text.as_str())),
        Kind::DeadLetters => channel.dead_letters_to.as_ref().map_or_else(Cell::unknown, |to| Cell::name(to.as_str())),
    }
}

/// How many groups have a position or a member in a channel: at least so many where some could not be listed or asked.
fn readers<'a>(integration: &Integration, channel: &Channel) -> Cell<'a> {
    let groups = &integration.groups;
    if groups.listed_at.is_none() {
        return Cell::unknown();
    }
    let count = groups.readers.get(&channel.name).copied().unwrap_or(0);
    let all = groups.gaps.is_empty() && groups.groups.iter().all(|group| group.group.fault.is_none());
    match (all, count) {
        // Groups have positions in what is kept. At least none says nothing.
        (true, 0) if !channel.can.history => Cell::unknown(),
        (false, 0) => Cell::unknown(),
        (true, count) => Cell::new(count.to_string()),
        (false, count) => Cell::new(format!("≥ {count}")),
    }
}

fn nothing(canvas: &mut Canvas, model: &Model, area: Rect) {
    match emptiness(model) {
        Emptiness::Quiet => {}
        Emptiness::Loading => {
            let since = model.channels.waiting_since().next().map_or(PATIENCE, |at| model.now.since(at));
            message::waiting(canvas, area, "Reading the list of channels…", since);
        }
        Emptiness::Failed(fault) => {
            message::fault(canvas, area, "The channels are not known.", fault, "It is tried again by itself.   @ wire log   1 overview");
        }
        Emptiness::Filtered { total } => {
            let filter = &model.channels.filter;
            let (title, hint) = if filter.is_empty() {
                let hidden = if model.channels.tenant.is_some() { "T shows all tenants." } else { "i shows internal channels." };
                (format!("All {total} channels are hidden."), hidden)
            } else {
                (
                    format!("0 of {} match `{filter}`.", figure::grouped(total as u64)),
                    "Esc clears the filter.   !text excludes, ~text guesses.",
                )
            };
            message::say(canvas, area, None, &title, &[(hint, Role::Dim)]);
        }
        Emptiness::Nothing => {
            let hint = "A channel that may not be described is missing from every list: `: INTEGRATION/CHANNEL` asks for it by name.";
            message::say(canvas, area, None, "There are no channels here.", &[(hint, Role::Dim)]);
        }
    }
}

fn description(canvas: &mut Canvas, model: &Model, area: Rect, pane: &Describe) {
    match &pane.result {
        None => {
            let since = model.now.since(pane.asked_at);
            if since >= PATIENCE {
                message::waiting(canvas, area, &format!("Asking about {}…", pane.address), since);
            }
        }
        Some(Err(fault)) => message::fault(canvas, area, "This channel could not be described.", fault, "Esc closes"),
        Some(Ok(description)) => {
            let rows = rows(pane, description);
            let widths: Vec<Vec<u16>> = description.tables.iter().map(|table| grid::widths(table, area.width)).collect();
            for (at, row) in rows.iter().skip(pane.offset).take(usize::from(area.height)).enumerate() {
                draw_row(canvas, area, area.y + at as u16, row, &widths);
            }
        }
    }
}

/// One row of the description.
enum Row<'a> {
    Title(String),
    Fact(&'a str, String, Role),
    Heading(usize, &'a [&'static str]),
    Cells(usize, &'a [crate::domain::text::SafeText]),
    /// Why there is no table.
    Remark(&'a str),
    Blank,
}

fn rows<'a>(pane: &Describe, description: &'a Description) -> Vec<Row<'a>> {
    let channel = &description.channel;
    let mut rows = vec![Row::Title(pane.address.to_string())];
    if let Some(fault) = &channel.fault {
        rows.push(Row::Fact("fault", fault.to_string(), Role::Bad));
    }
    if let Some(tenant) = &channel.tenant {
        rows.push(Row::Fact("tenant", tenant.as_str().to_owned(), Role::Text));
    }
    rows.push(Row::Fact("messages", channel.depth.show(figure::grouped), Role::Text));
    rows.push(Row::Fact("size", channel.bytes.show(figure::bytes), Role::Text));
    rows.extend(channel.consumers.map(|consumers| Row::Fact("consumers", figure::grouped(consumers), Role::Text)));
    rows.extend(channel.rate_out.map(|rate| Row::Fact("out/s", figure::rate(rate), Role::Text)));
    rows.push(Row::Fact("offers", channel.can.words().join(", "), Role::Text));
    rows.extend(channel.attributes.iter().map(|a| Row::Fact(a.name.as_str(), a.value.as_str().to_owned(), Role::Text)));
    for (i, table) in description.tables.iter().enumerate() {
        rows.push(Row::Blank);
        if let Some(remark) = table.as_remark() {
            rows.extend([Row::Title(table.title.to_owned()), Row::Remark(remark.as_str())]);
            continue;
        }
        rows.push(Row::Title(format!("{} {}", table.title, table.rows.len())));
        rows.push(Row::Heading(i, &table.columns));
        rows.extend(table.rows.iter().map(|cells| Row::Cells(i, cells)));
    }
    rows
}

fn draw_row(canvas: &mut Canvas, area: Rect, y: u16, row: &Row, widths: &[Vec<u16>]) {
    let x = area.x + 2;
    let room = area.width.saturating_sub(3);
    match row {
        Row::Blank => {}
        Row::Title(text) => _ = canvas.put_cut(x, y, room, text, Role::Strong, Cut::Middle),
        Row::Remark(text) => _ = canvas.put(x, y, room, text, Role::Dim),
        Row::Fact(name, value, role) => {
            canvas.put(x, y, 20.min(room), name, Role::Dim);
            canvas.put_cut(x + 22, y, room.saturating_sub(22), value, *role, Cut::Middle);
        }
        Row::Heading(table, columns) => grid::cells(canvas, x, y, &widths[*table], columns.iter().copied(), Role::Heading),
        Row::Cells(table, row) => {
            grid::cells(canvas, x, y, &widths[*table], row.iter().map(crate::domain::text::SafeText::as_str), Role::Text);
        }
    }
}
