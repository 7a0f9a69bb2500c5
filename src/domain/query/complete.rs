//! What may be written next at the cursor.

use super::ast::Field;
use super::lexer::{Kind, Token, column, tokens};

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What replaces the characters from `start` to the cursor.
    pub text: String,
    /// What it means, in a few words.
    pub detail: &'static str,
    /// In characters from 0.
    pub start: usize,
}

const OPERATORS: [(&str, &str); 13] = [
    ("==", "equals"),
    ("!=", "is there and differs"),
    ("<", "is less"),
    ("<=", "is at most"),
    (">", "is greater"),
    (">=", "is at least"),
    ("contains", "has the text in it"),
    ("contains~", "has the text in it, any case"),
    ("starts with", "begins with the text"),
    ("ends with", "ends with the text"),
    ("matches", "a regex is found in it"),
    ("in", "is one of a list"),
    ("exists", "is there at all"),
];

const FIELDS: [&str; 12] = [
    "the key as text",
    "the decoded payload, or a path in it",
    "a header by its name",
    "the channel's name",
    "the partition's number",
    "the offset in the partition",
    "when the message was made or stored",
    "bytes of key, headers and payload",
    "why a dead letter died",
    "a dead letter's exception",
    "where a dead letter came from",
    "how often a dead letter was tried",
];

const PLACES: [(&str, &str); 5] = [
    ("\"3h ago\"", "a moment before now"),
    ("now", "this moment"),
    ("earliest", "the oldest message"),
    ("latest", "the end"),
    ("end-500", "500 messages before the end of each partition"),
];

const CLAUSES: [(&str, &str); 4] =
    [("from", "where reading starts"), ("until", "where reading ends"), ("where", "what is wanted"), ("limit", "how many at most")];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Start,
    Place { until: bool },
    AfterPlace { until: bool },
    Term,
    Operator,
    With,
    Literal,
    List,
    Regex,
    AfterTerm,
    Nothing,
}

/// What may stand at a cursor (in characters from 0); `paths` are those that messages were seen to have: `value.order.total`, `headers.env`.
pub fn complete(text: &str, cursor: usize, paths: &[String]) -> Vec<Candidate> {
    let end = text.char_indices().nth(cursor).map_or(text.len(), |(offset, _)| offset);
    let before = &text[..end];
    // In the middle of a text or a regex there is nothing to propose.
    let Ok(mut tokens) = tokens(before) else { return Vec::new() };
    tokens.pop();
    let start = unfinished(&mut tokens, end);
    let expected = tokens.iter().fold(Expected::Start, |expected, token| next(expected, &token.kind));
    let typed = before[start..].to_lowercase();
    let start = column(text, start);
    let found = proposals(expected, paths).into_iter().filter(|(proposal, _)| {
        let proposal = proposal.to_lowercase();
        proposal.starts_with(&typed) && proposal != typed
    });
    found.map(|(text, detail)| Candidate { text, detail, start }).collect()
}

/// Takes off what is being written at the end, and says where it starts: a word, the first half of an operator, or a path with all its steps.
fn unfinished(tokens: &mut Vec<Token>, end: usize) -> usize {
    let mut start = end;
    while let Some(last) = tokens.last().filter(|last| last.span.end == start) {
        let (taken, goes_on) = match &last.kind {
            Kind::Word(word) => (true, start != end || word.starts_with('.')),
            Kind::Symbol("=" | "<" | ">" | "!") => (start == end, false),
            Kind::Symbol("[" | "]") | Kind::Text(_) => (start != end, true),
            _ => (false, false),
        };
        if !taken {
            break;
        }
        start = last.span.start;
        let is_path_end =
            matches!(&last.kind, Kind::Word(word) if !word.starts_with('.') && start != end && !word.bytes().all(|b| b.is_ascii_digit()));
        tokens.pop();
        if !goes_on || is_path_end {
            break;
        }
    }
    start
}

fn next(expected: Expected, kind: &Kind) -> Expected {
    let word = if let Kind::Word(word) = kind { word.to_lowercase() } else { String::new() };
    match (expected, word.as_str()) {
        (Expected::Start, "from") => Expected::Place { until: false },
        (Expected::Start | Expected::AfterPlace { until: false }, "until") => Expected::Place { until: true },
        (Expected::Start | Expected::AfterPlace { .. } | Expected::AfterTerm, "limit") | (Expected::Nothing, _) => Expected::Nothing,
        (Expected::Start | Expected::AfterPlace { .. }, "where")
        | (Expected::AfterTerm, "and" | "or")
        | (Expected::Start | Expected::Term, "not") => Expected::Term,
        (Expected::Place { until } | Expected::AfterPlace { until }, _) => Expected::AfterPlace { until },
        (Expected::Start | Expected::Term, _) => after_term_start(&word, kind),
        (Expected::Operator, "starts" | "ends") => Expected::With,
        (Expected::Operator, "contains" | "contains~") | (Expected::With, _) => Expected::Literal,
        (Expected::Operator, "matches") => Expected::Regex,
        (Expected::Operator, "in") => Expected::List,
        (Expected::Operator, "exists") | (Expected::Literal | Expected::Regex | Expected::AfterTerm, _) => Expected::AfterTerm,
        (Expected::Operator, _) => match kind {
            Kind::Symbol("[" | "]") => Expected::Operator,
            Kind::Symbol(_) => Expected::Literal,
            _ => Expected::Operator,
        },
        (Expected::List, _) => {
            if *kind == Kind::Symbol(")") {
                Expected::AfterTerm
            } else {
                Expected::List
            }
        }
    }
}

fn after_term_start(word: &str, kind: &Kind) -> Expected {
    if *kind == Kind::Symbol("(") {
        return Expected::Term;
    }
    let field = word.split('.').next().is_some_and(|name| Field::NAMES.contains(&name));
    if field { Expected::Operator } else { Expected::AfterTerm }
}

fn proposals(expected: Expected, paths: &[String]) -> Vec<(String, &'static str)> {
    let owned = |list: &[(&str, &'static str)]| list.iter().map(|(text, detail)| ((*text).to_owned(), *detail)).collect::<Vec<_>>();
    let terms = || {
        let fields = Field::NAMES.iter().zip(FIELDS).map(|(name, detail)| ((*name).to_owned(), detail));
        let seen = paths.iter().map(|path| (path.clone(), "seen in messages"));
        fields.chain(seen).chain([("not".to_owned(), "the opposite of what follows")]).collect::<Vec<_>>()
    };
    match expected {
        Expected::Start => [terms(), owned(&CLAUSES)].concat(),
        Expected::Place { .. } => owned(&PLACES),
        Expected::AfterPlace { until: false } => owned(&CLAUSES[1..]),
        Expected::AfterPlace { until: true } => owned(&CLAUSES[2..]),
        Expected::Term => terms(),
        Expected::Operator => owned(&OPERATORS),
        Expected::With => owned(&[("with", "the text")]),
        Expected::Literal => owned(&[
            ("true", "the JSON value"),
            ("false", "the JSON value"),
            ("null", "the JSON value, or no key or payload"),
            ("b\"", "bytes of a key, header or value: b\"\\xff\\x00id\""),
        ]),
        Expected::AfterTerm => owned(&[("and", "both hold"), ("or", "one holds"), CLAUSES[3]]),
        Expected::List | Expected::Regex | Expected::Nothing => Vec::new(),
    }
}
