//! How the state of an integration looks: glyph, word and colour.

use crate::app::integration::Integration;
use crate::domain::figure;
use crate::domain::health::Link;
use crate::domain::time::Timestamp;
use crate::ui::theme::{Glyphs, Role};

/// Glyph, colour and words of a state.
pub fn of(integration: &Integration, now: Timestamp, glyphs: &Glyphs) -> (&'static str, Role, String) {
    match (&integration.link, &integration.list_fault) {
        (Link::Connecting, _) => (glyphs.connecting, Role::Connecting, "connecting".to_owned()),
        (Link::Up { .. }, Some(_)) => (glyphs.watch, Role::Watch, "ok, no list".to_owned()),
        (Link::Up { .. }, None) if integration.is_stale(now) => (glyphs.unknown, Role::Unknown, "ok, stale".to_owned()),
        (Link::Up { .. }, None) => (glyphs.ok, Role::Ok, "ok".to_owned()),
        (Link::Down { since, .. }, _) => (glyphs.bad, Role::Bad, format!("down {}", figure::age(now.since(*since)))),
    }
}

/// How old the oldest of these lists is, where it is older than it should be: ` (30 s old)`.
pub fn age<'a>(integrations: impl Iterator<Item = &'a Integration>, now: Timestamp) -> Option<String> {
    let oldest = integrations.filter(|i| i.is_stale(now)).filter_map(|i| i.listed_at).min()?;
    Some(format!("{} old", figure::age(now.since(oldest))))
}
