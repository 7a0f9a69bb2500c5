//! What `contains`, `matches` and words alone look for, ready to search with.

use super::lexer::written;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use std::fmt;

/// Memory that one compiled regex may take, in bytes.
const REGEX_LIMIT: usize = 1 << 20;
/// Groups of a regex may be nested this deep.
const REGEX_NESTING: u32 = 50;

/// A text or a regex.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub source: String,
    pub any_case: bool,
    kind: Kind,
    matcher: Matcher,
    free: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Bytes,
    Regex,
}

#[derive(Clone, Debug)]
enum Matcher {
    Finder(Box<Finder<'static>>),
    Regex(Regex),
}

impl Pattern {
    /// A plain text. Any case means Unicode simple folding, which is what the `regex` crate does too.
    pub fn text(source: &str, any_case: bool) -> Result<Self, String> {
        let matcher = if any_case {
            Matcher::Regex(compile(&regex::escape(source), true)?)
        } else {
            Matcher::Finder(Box::new(Finder::new(source.as_bytes()).into_owned()))
        };
        Ok(Self { source: source.to_owned(), any_case, kind: Kind::Text, matcher, free: true })
    }

    /// Bytes, which are looked for in what keys, headers and payloads are before anything is decoded.
    pub fn bytes(bytes: &[u8]) -> Self {
        let matcher = Matcher::Finder(Box::new(Finder::new(bytes).into_owned()));
        Self { source: written(bytes), any_case: false, kind: Kind::Bytes, matcher, free: true }
    }

    /// A word alone: any case unless it has a capital.
    pub fn word(source: &str) -> Result<Self, String> {
        Self::text(source, !source.chars().any(char::is_uppercase))
    }

    /// A regex in the syntax of the `regex` crate.
    pub fn regex(source: &str, any_case: bool) -> Result<Self, String> {
        let matcher = Matcher::Regex(compile(source, any_case)?);
        Ok(Self { source: source.to_owned(), any_case, kind: Kind::Regex, matcher, free: is_free(source) })
    }

    /// Whether it is bytes rather than a text.
    pub fn is_bytes(&self) -> bool {
        self.kind == Kind::Bytes
    }

    /// Whether it is a regex rather than a text.
    pub fn is_regex(&self) -> bool {
        self.kind == Kind::Regex
    }

    /// Whether what is found in a part is found in the whole as well: it does not look at what stands around. True only if that is sure.
    pub fn is_free(&self) -> bool {
        self.free
    }

    /// Whether it is found in these bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Finder(finder) => finder.find(bytes).is_some(),
            Matcher::Regex(regex) => regex.is_match(bytes),
        }
    }
}

/// Whether a regex has no anchor and no boundary in it. Any `^`, `$` or escape that could be one counts, also where it is meant otherwise.
fn is_free(source: &str) -> bool {
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('^' | '$', _) | ('\\', Some('b' | 'B' | 'A' | 'z' | '<' | '>')) => return false,
            ('\\', _) => _ = chars.next(),
            _ => {}
        }
    }
    true
}

fn compile(source: &str, any_case: bool) -> Result<Regex, String> {
    let built = RegexBuilder::new(source)
        .case_insensitive(any_case)
        .size_limit(REGEX_LIMIT)
        .dfa_size_limit(REGEX_LIMIT)
        .nest_limit(REGEX_NESTING)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        // The crate draws the place over several lines; its last line says what is wrong.
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, self.any_case, self.kind) == (&other.source, other.any_case, other.kind)
    }
}

/// The regex between its slashes.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}", self.source.replace('/', "\\/"), if self.any_case { "i" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_case_is_simple_folding() {
        for (pattern, text, found) in [
            ("straße", "STRASSE", false),
            ("straße", "STRAẞE", true),
            ("kelvin", "\u{212a}ELVIN", true),
            ("σας", "ΣΑΣ", true),
            ("größe", "GRÖSSE GRÖßE", true),
            ("a.c", "ABC", false),
            ("a.c", "xA.Cx", true),
        ] {
            assert_eq!(Pattern::text(pattern, true).expect(pattern).is_in(text.as_bytes()), found, "{pattern} {text}");
        }
    }

    #[test]
    fn exact_case_looks_at_bytes() {
        assert!(Pattern::text("ab", false).expect("a text").is_in(b"\xffab\xfe"));
        assert!(!Pattern::text("ab", false).expect("a text").is_in(b"aB"));
        assert!(Pattern::text("", false).expect("a text").is_in(b""));
    }

    #[test]
    fn a_word_with_a_capital_is_exact() {
        assert!(Pattern::word("error").expect("a word").is_in(b"ERROR"));
        assert!(!Pattern::word("Error").expect("a word").is_in(b"ERROR"));
        assert!(!Pattern::word("Ärger").expect("a word").is_in("ärger".as_bytes()));
    }

    #[test]
    fn regexes_are_bounded_and_their_faults_are_said() {
        assert_eq!(Pattern::regex("(a", false).expect_err("unclosed"), "unclosed group");
        assert_eq!(Pattern::regex("(?:a{1000}){1000}", false).expect_err("huge"), "the pattern is too large");
        assert!(Pattern::regex(&"(".repeat(60), false).is_err());
        assert!(Pattern::regex("^b.d$", true).expect("a regex").is_in(b"BED"));
    }
}
