//! Filters of lists: `text`, `!text` (not), `~text` (fuzzy); a capital makes case matter.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use std::cell::RefCell;

/// A filter, ready to be asked about many rows.
pub struct Pattern {
    kind: Kind,
}

enum Kind {
    All,
    Contains { needle: String, any_case: bool, not: bool },
    Fuzzy(Box<Fuzzy>),
}

struct Fuzzy {
    pattern: nucleo_matcher::pattern::Pattern,
    matcher: RefCell<(Matcher, Vec<char>)>,
}

impl Pattern {
    pub fn new(text: &str) -> Self {
        let any_case = !text.chars().any(char::is_uppercase);
        let contains = |needle: &str, not| {
            let needle = if any_case { needle.to_lowercase() } else { needle.to_owned() };
            Kind::Contains { needle, any_case, not }
        };
        let kind = match (text.strip_prefix('!'), text.strip_prefix('~')) {
            (_, Some(rest)) => return Self::fuzzy(rest),
            (Some(""), _) => Kind::All,
            (Some(rest), _) => contains(rest, true),
            _ if text.is_empty() => Kind::All,
            _ => contains(text, false),
        };
        Self { kind }
    }

    /// The whole text is matched loosely, the best first.
    pub fn fuzzy(text: &str) -> Self {
        if text.is_empty() {
            return Self { kind: Kind::All };
        }
        let pattern = nucleo_matcher::pattern::Pattern::new(text, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy);
        let matcher = RefCell::new((Matcher::new(Config::DEFAULT), Vec::new()));
        Self { kind: Kind::Fuzzy(Box::new(Fuzzy { pattern, matcher })) }
    }

    /// How well a row matches, the more the better; `None` if it does not.
    pub fn score(&self, row: &str) -> Option<u32> {
        match &self.kind {
            Kind::All => Some(0),
            Kind::Contains { needle, any_case, not } => {
                let found = if *any_case { row.to_lowercase().contains(needle) } else { row.contains(needle) };
                (found != *not).then_some(0)
            }
            Kind::Fuzzy(fuzzy) => {
                let (matcher, buffer) = &mut *fuzzy.matcher.borrow_mut();
                fuzzy.pattern.score(Utf32Str::new(row, buffer), matcher)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_contains_excludes_or_guesses() {
        for (filter, row, matches) in [
            ("", "orders", true),
            ("ORD", "orders", false),
            ("ord", "ORDERS", true),
            ("!paid", "orders.paid", false),
            ("!paid", "orders", true),
            ("~ocr", "orders.created", true),
            ("~xyz", "orders.created", false),
            ("!", "anything", true),
            ("größe", "die größe", true),
            ("漢", "orders", false),
        ] {
            assert_eq!(Pattern::new(filter).score(row).is_some(), matches, "{filter} in {row}");
        }
    }
}
