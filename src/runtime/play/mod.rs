//! `mqdeck play`: a script of keys and waits drives the console without a terminal; each frame becomes text and SVG.

pub mod driver;
pub mod frame;
pub mod svg;
pub mod tape;
