//! Where something stands in a profile's text, and what is wrong there: file, line, column, the line itself with a caret.

use super::librdkafka_names::NAMES;
use crate::domain::fault::{Fault, Kind};
use crate::domain::suggest;
use crate::domain::text::{SafeText, is_hidden};
use std::fmt;
use std::ops::Range;
use unicode_width::UnicodeWidthStr;

/// A profile's text with the name that its errors show.
pub(super) struct Source<'a> {
    pub(super) file: String,
    pub(super) text: &'a str,
    /// Names of settings that systems have, beside those that the language itself has.
    pub(super) names: Vec<&'static str>,
}

/// One thing that is wrong, at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named; the option, for `--url`.
    pub file: SafeText,
    /// Counted from 1, in lines and characters.
    pub line: usize,
    pub column: usize,
    /// The line, with everything that may be a secret as `***`.
    pub excerpt: SafeText,
    /// How many cells of the excerpt stand before the caret, and how many carets there are.
    pub caret: (usize, usize),
    /// What is wrong and what was expected.
    pub message: SafeText,
    /// What to do about it; empty when there is nothing to add.
    pub help: SafeText,
}

/// Where a setting stands, and what was filled in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Counted from 1.
    pub line: usize,
    /// `environment PW`, `--var cluster`, `default of variable cluster`; empty where the value stands in the file itself.
    pub filled: Vec<String>,
}

/// What the origin of a setting of a `config` block is kept under: however it is written there, it has one name and a line.
pub fn setting_at(line: usize, name: &str) -> String {
    format!("line {line} {name}")
}

/// Everything that is wrong with one profile, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// Something that is accepted and does not do what one may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub line: usize,
    pub text: SafeText,
}

impl Source<'_> {
    /// Line and column, counted from 1, of a byte.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// The problem of what stands between these bytes; the caret marks no more than the rest of the first line.
    pub(super) fn problem(&self, span: &Range<usize>, message: impl Into<SafeText>, help: impl Into<SafeText>) -> Problem {
        let (line, column) = self.place(span.start);
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let end = self.text.floor_char_boundary(span.end.clamp(start, self.text.len()));
        let from = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let whole = self.text[from..].lines().next().unwrap_or_default();
        let before = SafeText::new(&self.text[from..start]).as_str().width();
        let marked = SafeText::new(self.text[start..end].lines().next().unwrap_or_default()).as_str().width();
        let excerpt = if self.is_in_heredoc(from) { SafeText::from("***") } else { SafeText::new(&mask(whole, &self.names)) };
        let room = excerpt.as_str().width();
        let at = before.min(room);
        let caret = (at, marked.min(room - at).max(1));
        Problem { file: self.file.as_str().into(), line, column, excerpt, caret, message: message.into(), help: help.into() }
    }
}

impl Source<'_> {
    /// Whether the line that begins there is the text of a heredoc, ended or not: it may be a key or a password, line by line.
    fn is_in_heredoc(&self, line_start: usize) -> bool {
        let mut mark: Option<&str> = None;
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let is_text = mark.is_some_and(|mark| line.trim() != mark);
            if start == line_start {
                return is_text;
            }
            if !is_text {
                mark = if mark.is_some() { None } else { heredoc_mark(line) };
            }
            start += line.len();
        }
        mark.is_some()
    }
}

/// What ends the heredoc that begins in this line: `password = <<-EOT`.
fn heredoc_mark(line: &str) -> Option<&str> {
    let (_, mark) = line.trim_end().rsplit_once("<<")?;
    let mark = mark.strip_prefix('-').unwrap_or(mark).trim();
    (!mark.is_empty() && mark.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))).then_some(mark)
}

/// A name that stands in a profile, in backquotes; what looks like no name may be a secret that slipped out of its quotes.
pub(super) fn display_name(name: &str) -> String {
    let like_a_name = name.len() <= 40
        && name.chars().all(|c| c.is_alphanumeric() || "_-. /:@".contains(c) || is_hidden(c))
        && name.chars().filter(char::is_ascii_digit).count() <= 2;
    if like_a_name { format!("`{name}`") } else { "here (it does not look like a name, and is not repeated)".to_owned() }
}

/// Names whose values are never secret; a line that begins with any other name is shown up to its `=` only.
const PUBLIC: &[&str] = &[
    "acks",
    "action",
    "address",
    "addresses",
    "after",
    "alert",
    "as",
    "at",
    "attempts",
    "auth",
    "auto_offset_reset",
    "backoff",
    "batch_size",
    "before",
    "brokers",
    "ca",
    "ca_cert",
    "cause",
    "cert",
    "channel",
    "channels",
    "circuit_breaker",
    "client_cert",
    "client_key",
    "compression_type",
    "config",
    "consumer",
    "count",
    "data",
    "dead_letters",
    "deaths",
    "delay",
    "dialect",
    "each",
    "enable_auto_commit",
    "enable_idempotence",
    "enabled",
    "endpoint",
    "exception",
    "exchange",
    "failure_threshold",
    "first",
    "from",
    "group_id",
    "health_check",
    "identity",
    "initial",
    "integration",
    "interval",
    "kind",
    "last",
    "librdkafka",
    "linger_ms",
    "max",
    "max_attempts",
    "max_delay",
    "max_deliveries",
    "max_poll_records",
    "mechanism",
    "message",
    "method",
    "min_version",
    "mode",
    "order",
    "origin",
    "partition",
    "path",
    "pattern",
    "pick",
    "port",
    "position",
    "precedence",
    "prefer",
    "producer",
    "production",
    "protocol",
    "rbac",
    "reason",
    "reconnect",
    "replay_attempt",
    "replay_letter",
    "replay_run",
    "retry",
    "route",
    "routing_keys",
    "safety",
    "schema_registry",
    "scopes",
    "security",
    "server",
    "server_name",
    "session_timeout_ms",
    "slack",
    "stack",
    "success_threshold",
    "tenant",
    "tenant_extraction",
    "timeout",
    "timestamp",
    "tls",
    "topics",
    "transactional_id",
    "tries",
    "type",
    "ui",
    "username",
    "variable",
    "verify_peer",
    "verify_server",
    "when",
    "within",
    "writes",
];

/// Words that make the rest of a public line secret after all: `endpoint { password = "…"`.
const TELLTALE: &[&str] = &["pass", "pwd", "secret", "token", "credential", "@", "basic_auth"];

/// The line without what may be a secret. Errors quote the profile, and a typing error may stand on the line of a password.
fn mask(line: &str, names: &[&str]) -> String {
    let name_at = line.len() - line.trim_start().len();
    let rest = &line[name_at..];
    let name_len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(name_len);
    let lower = after.to_ascii_lowercase();
    // What stands in braces on the same line has names of its own, which may be misspelled.
    let inline = after.split_once('{').is_some_and(|(_, inner)| !inner.trim().is_empty());
    let public = PUBLIC.contains(&name) && !inline && !TELLTALE.iter().any(|word| lower.contains(word));
    if public || rest.chars().all(|c| "{}[](),= ".contains(c)) {
        return line.trim_end().to_owned();
    }
    match after.trim_start().chars().next() {
        // Without anything behind it the word may itself be a value: a line of a heredoc.
        Some(next @ ('=' | '{')) if is_like_known(name, names) => {
            let to = after.find(next).unwrap_or(0) + 1;
            let behind = after[to..].trim();
            let shown = format!("{}{name}{}", &line[..name_at], &after[..to]);
            if behind.is_empty() { shown } else { shown + " ***" }
        }
        Some('"') if is_like_known(name, names) && after.trim_end().ends_with('{') && after.matches('"').count() == 2 => {
            line.trim_end().to_owned()
        }
        _ => format!("{}***", &line[..name_at]),
    }
}

/// Whether it is a name of the language, or one with a slip in it.
fn is_like_known(name: &str, names: &[&str]) -> bool {
    let librdkafka = NAMES.iter().map(|name| name.replace('.', "_"));
    let known = PUBLIC.iter().chain(SECRET).chain(names).map(|name| (*name).to_owned());
    let all: Vec<String> = known.chain(librdkafka).collect();
    !name.is_empty() && suggest::nearest(name, all.iter().map(String::as_str)).is_some()
}

/// Names whose values may be secret, and which are shown without them.
const SECRET: &[&str] = &[
    "app",
    "arm_for",
    "client_id",
    "client_secret",
    "default",
    "description",
    "file",
    "groups",
    "mqdeck",
    "password",
    "seed",
    "seed_file",
    "targets",
    "token",
    "token_file",
    "token_url",
    "topic_prefix",
];

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        let gutter = self.line.to_string().len().max(4);
        writeln!(f, "{:>gutter$} | {}", self.line, self.excerpt)?;
        write!(f, "{:>gutter$} | {}{}", "", " ".repeat(self.caret.0), "^".repeat(self.caret.1))?;
        if !self.help.as_str().is_empty() {
            write!(f, " {}", self.help)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Fault {
    /// The first problem in one sentence, and how many more there are.
    fn from(problems: Problems) -> Self {
        let Some(first) = problems.0.first() else { return Self::new(Kind::Usage, "read profile", "", "it cannot be read") };
        let more = match problems.0.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let target = format!("{}:{}:{}", first.file, first.line, first.column);
        Self::new(Kind::Usage, "read profile", target, format!("{}{more}", first.message)).next(first.help.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_line_never_shows_what_may_be_a_secret() {
        for (line, shown) in [
            ("  password = \"hunter2\"", "  password = ***"),
            ("  pasword = \"hunter2\"", "  pasword = ***"),
            ("  password \"hunter2\"", "  ***"),
            ("  hunter2", "  ***"),
            ("  librdkafka = { \"sasl.pasword\" = \"hunter2\" }", "  librdkafka = ***"),
            ("  passwrd {", "  passwrd {"),
            ("  tls = maybe", "  tls = maybe"),
            ("  type = \"basic\", password = \"hunter2\"", "  type = ***"),
            ("  address = \"kafka://u:hunter2@host\"", "  address = ***"),
            ("integraton \"events\" {", "integraton \"events\" {"),
            ("  }", "  }"),
            ("  keepalive = \"hunter2\"", "  keepalive = ***"),
            ("  c2VjcmV0aHVudGVyMg==", "  ***"),
            ("  c2VjcmV0aHVudGVyMg {", "  ***"),
            ("  hunter2 = 1", "  ***"),
        ] {
            assert_eq!(mask(line, &["keep_alive"]), shown, "{line}");
        }
    }

    #[test]
    fn a_problem_shows_its_line_and_marks_the_place() {
        let source = Source { file: "a.hcl".into(), text: "integration \"events\" {\n  tipe = \"kafka\"\n}\n", names: Vec::new() };
        let shown = source.problem(&(25..29), "unknown attribute `tipe`", "did you mean `type`?").to_string();
        assert_eq!(shown, "a.hcl:2:3: unknown attribute `tipe`\n   2 |   tipe = ***\n     |   ^^^^ did you mean `type`?");
    }

    #[test]
    fn a_place_beyond_the_text_or_inside_a_character_is_still_a_place() {
        let source = Source { file: "a.hcl".into(), text: "ö\n", names: Vec::new() };
        for (start, end) in [(0, 99), (1, 1), (99, 3)] {
            assert!(source.problem(&(start..end), "wrong", "").line >= 1);
        }
    }
}
