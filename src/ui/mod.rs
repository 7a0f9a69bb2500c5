//! Pure render: a Model and a Theme become cells. Nothing is written back.

pub mod overlays;
pub mod screens;
pub mod theme;
pub mod widgets;

#[cfg(test)]
mod dead_letters_tests;
#[cfg(test)]
mod envelope_tests;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod groups_tests;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod ladder;
#[cfg(test)]
mod received_tests;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stage_groups;
#[cfg(test)]
mod style_tests;
#[cfg(test)]
mod tests;

use crate::app::layout::{self, Areas};
use crate::app::model::{Model, Screen};
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use screens::{channels, dead_letters, groups, notices, overview, profiles, publish, received, traffic, wire_log};
use theme::{Role, Theme};
use widgets::chrome;
use widgets::text::{Canvas, find_hidden};

/// Draws one frame into the whole buffer; returns where the text cursor stands, if something is being typed.
pub fn draw(model: &Model, theme: &Theme, buffer: &mut Buffer) -> Option<Position> {
    buffer.reset();
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer, theme);
    canvas.clear(area, Role::Text);
    // A frame may be asked for in a size that the Model was not told of yet.
    let fits = area.width >= model.width && area.height >= model.height;
    let cursor = if let Some(areas) = layout::areas(model).filter(|_| fits) {
        body(&mut canvas, model, &areas)
    } else {
        let (width, height) = layout::SMALLEST;
        let text = format!("mqdeck needs {width}×{height} cells; this is {}×{}.", area.width, area.height);
        canvas.put(0, 0, area.width, &text, Role::Text);
        None
    };
    debug_assert_eq!(find_hidden(buffer), None, "a hidden character reached a cell");
    cursor
}

fn body(canvas: &mut Canvas, model: &Model, areas: &Areas) -> Option<Position> {
    let path = if model.screen == Screen::Received { received::path(model) } else { traffic::path(model) };
    let address = model.form.as_ref().map_or_else(String::new, |form| form.address.to_string());
    let reading = model.groups.reading.as_ref().map_or_else(String::new, |address| format!("reading {}", address.channel));
    let row_2 = match model.screen {
        Screen::Welcome => profiles::welcome_crumbs(model),
        Screen::Profiles => profiles::crumbs(model),
        Screen::Overview => overview::crumbs(model),
        Screen::Channels => channels::crumbs(model),
        Screen::Traffic => traffic::crumbs(canvas, model, &path),
        Screen::Groups => groups::crumbs(model, &reading),
        Screen::DeadLetters => dead_letters::crumbs(model),
        Screen::Publish => publish::crumbs(model, &address),
        Screen::Received => received::crumbs(canvas, model, &path),
        Screen::WireLog => wire_log::crumbs(model),
        Screen::Notices => notices::crumbs(model),
    };
    let mut cursor = chrome::around(canvas, model, areas, &row_2);
    if let Some(banner) = areas.banner {
        traffic::banner(canvas, model, banner, cursor);
    }
    match model.screen {
        Screen::Welcome => profiles::welcome(canvas, model, areas.list),
        Screen::Profiles => profiles::draw(canvas, model, areas.list),
        Screen::Overview => overview::draw(canvas, model, areas.list),
        Screen::Channels => {
            channels::draw(canvas, model, areas.list, areas.pane);
            if let Some(rule) = areas.rule {
                canvas.rule(rule);
            }
        }
        Screen::Traffic => traffic::draw(canvas, model, areas),
        Screen::Groups => groups::draw(canvas, model, areas.list),
        Screen::DeadLetters => dead_letters::draw(canvas, model, areas.list),
        Screen::Publish => cursor = publish::draw(canvas, model, areas.list).or(cursor),
        Screen::Received => received::draw(canvas, model, areas),
        Screen::WireLog => wire_log::draw(canvas, model, areas.list),
        Screen::Notices => notices::draw(canvas, model, areas.list),
    }
    overlays::draw(canvas, model).or(cursor)
}
