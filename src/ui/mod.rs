//! Pure render: a Model and a Theme become cells. Nothing is written back.

pub mod overlays;
pub mod screens;
pub mod theme;
pub mod widgets;

#[cfg(test)]
mod flows;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;

use crate::app::layout::{self, Areas};
use crate::app::model::{Model, Screen};
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use screens::{channels, lists, overview, publish, traffic, welcome};
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
    let cursor = match layout::areas(model).filter(|_| fits) {
        Some(areas) => body(&mut canvas, model, &areas),
        None => {
            let (width, height) = layout::SMALLEST;
            canvas.put(
                0,
                0,
                area.width,
                &format!("mqdeck needs {width}×{height} cells; this is {}×{}.", area.width, area.height),
                Role::Text,
            );
            None
        }
    };
    debug_assert_eq!(find_hidden(buffer), None, "a hidden character reached a cell");
    cursor
}

fn body(canvas: &mut Canvas, model: &Model, areas: &Areas) -> Option<Position> {
    let path = traffic::path(model);
    let address = model.form.as_ref().map_or_else(String::new, |form| form.address.to_string());
    let row_2 = match model.screen {
        Screen::Welcome => welcome::welcome_crumbs(model),
        Screen::Profiles => welcome::profiles_crumbs(model),
        Screen::Overview => overview::crumbs(model),
        Screen::Channels => channels::crumbs(model),
        Screen::Traffic => traffic::crumbs(canvas, model, &path),
        Screen::Publish => publish::crumbs(model, &address),
        Screen::WireLog => lists::wire_crumbs(model),
        Screen::Notices => lists::notices_crumbs(model),
    };
    let mut cursor = chrome::around(canvas, model, areas, &row_2);
    if let Some(banner) = areas.banner {
        traffic::banner(canvas, model, banner, cursor);
    }
    match model.screen {
        Screen::Welcome => welcome::welcome(canvas, model, areas.list),
        Screen::Profiles => welcome::profiles(canvas, model, areas.list),
        Screen::Overview => overview::draw(canvas, model, areas.list),
        Screen::Channels => {
            channels::draw(canvas, model, areas.list, areas.pane);
            if let Some(rule) = areas.rule {
                canvas.rule(rule);
            }
        }
        Screen::Traffic => traffic::draw(canvas, model, areas),
        Screen::Publish => cursor = publish::draw(canvas, model, areas.list).or(cursor),
        Screen::WireLog => lists::wire(canvas, model, areas.list),
        Screen::Notices => lists::notices(canvas, model, areas.list),
    }
    overlays::draw(canvas, model).or(cursor)
}
