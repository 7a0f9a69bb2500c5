//! The pure core: an [`Event`] in, [`Effect`]s out, and a [`Model`] that holds everything a frame needs.
//!
//! ```text
//! Event ─► update(&mut Model) ─► Vec<Effect>        no await, no clock, no I/O
//!               │
//!               └─ revision: whether a redraw is needed     next_deadline: when the next Tick is needed
//! ```

mod act;
pub mod action;
mod available;
pub mod changes;
mod changing;
pub mod clock;
pub mod columns;
pub(crate) mod command_line;
pub mod commands;
pub mod editor;
pub mod effect;
pub mod event;
pub mod fields;
mod filtering;
pub mod headers;
pub mod integration;
pub mod jobs;
pub mod keymap;
mod keys;
pub mod layout;
pub mod list;
pub mod matching;
pub mod model;
mod moving;
pub mod overlays;
mod reader;
mod receive;
mod rows;
pub mod screen;
mod screen_state;
pub mod screens;
pub mod spark;
mod update;
pub mod wrap;

pub use effect::{Effect, TaskId};
pub use event::Event;
pub use model::{Model, Start};

/// Takes one event in; returns what is to be done about it.
pub fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    model.take(event)
}
