//! What a reading did not show, and why: this stays on the screen whatever part of the list is looked at.

use super::state::{HISTORY_LIMIT, Phase, Traffic};
use crate::app::event::Level;
use crate::app::wrap::words;
use crate::domain::figure;

/// Rows that it takes at most.
const ROWS: usize = 3;
/// Cells before the text of a row.
pub const INDENT: u16 = 4;

/// The rows, wrapped to the width of the screen, each with its weight and whether it begins a sentence.
pub fn rows(traffic: &Traffic, width: u16) -> Vec<(Level, bool, String)> {
    let room = usize::from(width.saturating_sub(INDENT + 1));
    let (first, mut left) = lines(traffic);
    let mut rows = Vec::new();
    for (level, text) in first {
        let wrapped = words(&text, room);
        left -= 1;
        let fits = rows.len() + wrapped.len() + usize::from(left > 0) <= ROWS;
        if !fits && !rows.is_empty() {
            left += 1;
            break;
        }
        rows.extend(wrapped.into_iter().take(ROWS - usize::from(left > 0)).enumerate().map(|(at, row)| (level, at == 0, row)));
    }
    if left > 0 {
        rows.push((Level::Warning, true, format!("and {} more: see Notices (M)", figure::grouped(left))));
    }
    rows
}

/// The first sentences, and how many there are in all.
fn lines(traffic: &Traffic) -> (Vec<(Level, String)>, u64) {
    let mut lines = Vec::new();
    // Where nothing is shown, the body says what is wrong and what was looked for.
    let shown = !traffic.window.is_empty();
    match &traffic.phase {
        Phase::Failed(fault) if shown => lines.push((Level::Error, fault.to_string())),
        Phase::Ended if shown && !traffic.is_followed() && traffic.matched >= HISTORY_LIMIT => {
            let text = format!("The first {} are shown; H reads on from another place.", figure::count(HISTORY_LIMIT));
            lines.push((Level::Warning, text));
        }
        _ => {}
    }
    let mut all = lines.len() as u64;
    if shown || !traffic.is_followed() {
        lines.extend(traffic.notes.iter().take(ROWS).map(|note| (Level::Warning, note.as_str().to_owned())));
        all += traffic.noted;
    }
    lines.truncate(ROWS);
    (lines, all)
}
