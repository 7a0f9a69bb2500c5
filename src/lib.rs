//! mqdeck: one terminal console for all the message traffic that an operations team runs.
//!
//! ```text
//! keys, resize, clock ─┐                                               ┌─► ui::draw(&Model, &Theme)     pure
//!                      ├─► Event ─► app::update(&mut Model) ─► [Effect]┤
//! gateway tasks ─ingest┘ (bounded)   pure, no await                    └─► runtime::perform ─► gateway ─► task on a handle ─► Event
//! ```

pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "kafka")]
pub mod demo;
#[cfg(not(feature = "kafka"))]
#[path = "demo/absent.rs"]
pub mod demo;
pub mod domain;
pub mod gateway;
pub mod runtime;
pub mod ui;
pub mod wire;
