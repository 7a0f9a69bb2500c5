//! `GroupedNotes`: what is to be known of several places, said once for all that it is true of.

use super::text::SafeText;
use std::collections::BTreeMap;

/// Places that are named; the rest is counted.
const NAMED: usize = 6;

/// Places by what is to be known of them.
#[derive(Debug, Default)]
pub struct GroupedNotes(BTreeMap<String, Vec<SafeText>>);

impl GroupedNotes {
    pub fn add(&mut self, place: impl Into<SafeText>, what: impl Into<String>) {
        self.0.entry(what.into()).or_default().push(place.into());
    }

    /// A line for each remark, in their order; nothing is left.
    pub fn take(&mut self) -> impl Iterator<Item = SafeText> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|(what, places)| remark(&places, &what))
    }
}

/// `a/b, a/c and 3 more: what is so`.
pub fn remark(places: &[SafeText], what: &str) -> SafeText {
    let names: Vec<&str> = places.iter().take(NAMED).map(SafeText::as_str).collect();
    let more = places.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}: {what}", names.join(", ")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_true_of_many_places_is_said_once() {
        let mut grouped_notes = GroupedNotes::default();
        for place in ["a/1", "a/2", "b/1", "b/2", "b/3", "b/4", "b/5", "b/6"] {
            grouped_notes.add(place, "no history");
        }
        grouped_notes.add("c/1", "may not be read");
        let lines: Vec<String> = grouped_notes.take().map(|line| line.to_string()).collect();
        assert_eq!(lines, ["c/1: may not be read", "a/1, a/2, b/1, b/2, b/3, b/4 and 2 more: no history"]);
        assert_eq!(grouped_notes.take().count(), 0);
    }
}
