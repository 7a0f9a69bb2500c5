//! Pure render: a Model and a Theme become cells. Nothing is written back.

use crate::app::Model;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;

pub mod theme;

/// Draws one frame into the whole buffer; returns where the text cursor stands, if something is being typed.
pub fn draw(_model: &Model, _theme: &theme::Theme, _buffer: &mut Buffer) -> Option<Position> {
    None
}
