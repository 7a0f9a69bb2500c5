//! What groups and their partitions have in common: the cells of lag, time and verdict.

use crate::app::spark::Spark;
use crate::domain::figure::{self, Amount};
use crate::domain::lag::{Behind, Eta, Verdict};
use crate::ui::theme::{Glyphs, Role};
use crate::ui::widgets::table::Cell;
use std::cmp::Ordering;
use std::time::Duration;

/// `falling behind: in 1.2 k/s, out 0.8 k/s`.
pub(super) fn verdict_text(verdict: Verdict, reason: &str) -> String {
    if reason.is_empty() { verdict.words().to_owned() } else { format!("{}: {reason}", verdict.words()) }
}

/// The lag with an arrow that says where it goes.
pub(super) fn lag<'a>(lag: Amount, arrow: &str) -> Cell<'a> {
    match lag {
        Amount::Unknown => Cell::unknown(),
        Amount::Exactly(0) | Amount::AtMost(0) => Cell::new("0"),
        known => Cell::new(format!("{known}{}{arrow}", if arrow.is_empty() { "" } else { " " })),
    }
}

pub(super) fn behind_cell<'a>(behind: Behind) -> Cell<'a> {
    match behind.time {
        None => Cell::unknown(),
        Some(Duration::ZERO) => Cell::new("0"),
        Some(time) => Cell::new(format!("{}{}", if behind.whole { "" } else { "≥ " }, figure::duration(time))),
    }
}

pub(super) fn eta<'a>(eta: Eta) -> Cell<'a> {
    match eta {
        Eta::Unknown => Cell::unknown(),
        known => Cell::new(known.show()),
    }
}

/// Where a lag goes.
pub(super) fn arrow(spark: &Spark, glyphs: &Glyphs) -> &'static str {
    match (spark.trend(), glyphs.ascii) {
        (None, _) => "",
        (Some(Ordering::Greater), false) => "↑",
        (Some(Ordering::Less), false) => "↓",
        (Some(Ordering::Equal), false) => "→",
        (Some(Ordering::Greater), true) => "+",
        (Some(Ordering::Less), true) => "-",
        (Some(Ordering::Equal), true) => "=",
    }
}

/// How a verdict looks.
pub(super) fn verdict(verdict: Verdict, glyphs: &Glyphs) -> (&'static str, Role) {
    match verdict {
        Verdict::KeepsUp => (glyphs.ok, Role::Ok),
        Verdict::NoCommits => (glyphs.dot, Role::Dim),
        Verdict::Unknown => (glyphs.unknown, Role::Unknown),
        Verdict::Draining | Verdict::Rewound | Verdict::Paused | Verdict::Stopped => (glyphs.watch, Role::Watch),
        Verdict::FallingBehind | Verdict::Stalled | Verdict::Losing => (glyphs.bad, Role::Bad),
    }
}
