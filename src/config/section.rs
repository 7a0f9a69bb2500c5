//! Taking values out of a section by name and type; what nobody took is unknown, and an error.

use super::secret::Secret;
use super::source::display_name;
use super::tree::{Datum, Entry, Kind, Reading, Section, Written, join};
use crate::domain::time::parse_duration;
use crate::domain::{fault, suggest};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

/// A text with its place.
pub(super) struct Text {
    pub(super) value: Secret,
    pub(super) span: Range<usize>,
    pub(super) written: Written,
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        self.value.expose()
    }

    pub(super) fn into_string(self) -> String {
        self.value.expose().to_owned()
    }

    /// The text as the secret that it is. A heredoc ends with a line end, which no password does.
    pub(super) fn into_secret(self, rd: &mut Reading<'_>) -> Secret {
        rd.holds_secret |= self.written != Written::Elsewhere;
        let whole = self.as_str();
        match whole.strip_suffix('\n').filter(|_| self.written == Written::Heredoc) {
            None => self.value,
            Some(text) => {
                rd.note(&self.span, "the line end at the end of this secret is left out; in quotes there is none");
                Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned())
            }
        }
    }

    /// Whether an error may quote it.
    pub(super) fn is_quotable(&self) -> bool {
        self.written == Written::Plainly
    }

    /// The text in backquotes, or what stands for it where it may be a secret.
    pub(super) fn quoted(&self) -> String {
        match self.written {
            Written::Plainly => format!("`{}`", self.as_str()),
            Written::Heredoc => "the heredoc's text".to_owned(),
            Written::Elsewhere => "the variable's value".to_owned(),
        }
    }
}

impl Section {
    /// The entry of that name, its line kept as the setting's origin.
    pub(super) fn take(&mut self, rd: &mut Reading<'_>, name: &'static str) -> Option<Entry> {
        self.asked.insert(name);
        let at = self.entries.iter().position(|entry| entry.name == name)?;
        let entry = self.entries.remove(at);
        rd.came_from(join(&self.path, name), &entry);
        Some(entry)
    }

    /// Whether that name is written here, readable or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// Where the value of that name stands.
    pub(super) fn entry_span(&self, name: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.value.span.clone())
    }

    /// Whether something written here must have been meant for that name: then it is unknown, not missing.
    pub(super) fn misspelled(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| !self.asked.contains(entry.name.as_str()) && suggest::nearest(&entry.name, [name]).is_some())
    }

    /// The first of several names for the same thing; a second one is an error.
    pub(super) fn take_any(&mut self, rd: &mut Reading<'_>, names: &[&'static str]) -> Option<Entry> {
        let mut found: Option<Entry> = None;
        for name in names {
            let Some(entry) = self.take(rd, name) else { continue };
            if let Some(first) = &found {
                rd.wrong(&entry.span, format!("`{}` says again what `{}` said", entry.name, first.name), "keep one of them");
            } else {
                found = Some(entry);
            }
        }
        found
    }

    pub(super) fn text(&mut self, rd: &mut Reading<'_>, name: &'static str) -> Option<Text> {
        let entry = self.take(rd, name)?;
        rd.text(entry.value, name)
    }

    pub(super) fn text_any(&mut self, rd: &mut Reading<'_>, names: &[&'static str]) -> Option<Text> {
        let entry = self.take_any(rd, names)?;
        rd.text(entry.value, &entry.name)
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, rd: &mut Reading<'_>, name: &'static str, why: &str) -> Option<Text> {
        if !self.has(name) {
            self.asked.insert(name);
            if self.misspelled(name) {
                return None;
            }
            rd.wrong(&self.span.clone(), format!("`{name}` is missing"), why);
            return None;
        }
        let text = self.text(rd, name)?;
        if text.as_str().is_empty() {
            rd.wrong(&text.span, format!("`{name}` is empty"), why);
            return None;
        }
        Some(text)
    }

    /// One of these words, in quotes or bare.
    pub(super) fn word<T: Copy>(&mut self, rd: &mut Reading<'_>, name: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let entry = self.take(rd, name)?;
        let text = match entry.value.kind {
            Kind::Word(word) => Text { value: Secret::new(word), span: entry.value.span, written: Written::Plainly },
            _ => rd.text(entry.value, name)?,
        };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.as_str())).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let near = if text.is_quotable() { suggest::hint(text.as_str(), names.iter().copied()) } else { String::new() };
            let message = format!("`{name}` cannot be {}: expected {}", text.quoted(), suggest::one_of(&names));
            rd.wrong(&text.span, message, near);
        }
        found
    }

    pub(super) fn flag(&mut self, rd: &mut Reading<'_>, name: &'static str) -> Option<bool> {
        let entry = self.take(rd, name)?;
        rd.flag(&entry.value, name)
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, rd: &mut Reading<'_>, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let entry = self.take(rd, name)?;
        let span = entry.value.span.clone();
        let text = rd.scalar(entry.value, name)?;
        let number = text.as_str().parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let upper = if *range.end() >= i64::from(u32::MAX) { "on".to_owned() } else { format!("to {}", range.end()) };
            rd.wrong(&span, format!("`{name}` is {}: expected a whole number from {} {upper}", text.quoted(), range.start()), "");
        }
        number
    }

    /// A duration with its unit, longer than nothing.
    pub(super) fn duration(&mut self, rd: &mut Reading<'_>, name: &'static str) -> Option<Duration> {
        let entry = self.take(rd, name)?;
        let span = entry.value.span.clone();
        let text = rd.scalar(entry.value, name)?;
        let duration = parse_duration(text.as_str()).ok().and_then(|d| Duration::try_from(d).ok()).filter(|d| !d.is_zero());
        if duration.is_none() {
            rd.wrong(
                &span,
                format!("`{name}` is {}: expected a duration with its unit", text.quoted()),
                "write \"30s\", \"100ms\" or \"5m\"",
            );
        }
        duration
    }

    /// A block or object of that name; at most one.
    pub(super) fn section(&mut self, rd: &mut Reading<'_>, name: &'static str) -> Option<Section> {
        let mut found = self.sections(rd, name).into_iter();
        let first = found.next()?;
        for again in found {
            rd.wrong(&again.span, format!("a second `{name}` block"), "keep one of them");
        }
        Some(first)
    }

    /// All blocks of that name, or the objects of a list of that name.
    pub(super) fn sections(&mut self, rd: &mut Reading<'_>, name: &'static str) -> Vec<Section> {
        let mut found = Vec::new();
        while let Some(entry) = self.take(rd, name) {
            let values = match entry.value.kind {
                Kind::List(values) => values,
                kind => vec![Datum { span: entry.value.span, kind }],
            };
            for value in values {
                match value.kind {
                    Kind::Section(section) => {
                        if section.labels.is_empty() {
                            found.push(section);
                        } else {
                            rd.wrong(&section.span, format!("a `{name}` block has no label"), format!("write `{name} {{ … }}`"));
                        }
                    }
                    Kind::Failed => {}
                    _ => rd.wrong(&entry.span, format!("`{name}` is a block"), format!("write `{name} {{ … }}`")),
                }
            }
        }
        found
    }

    /// Reports everything that nobody took.
    pub(super) fn finish(self, rd: &mut Reading<'_>) {
        for entry in &self.entries {
            let twice = self.asked.contains(entry.name.as_str());
            let kind = if matches!(entry.value.kind, Kind::Section(_)) { "block" } else { "attribute" };
            if twice {
                rd.wrong(&entry.span, format!("a second {}", display_name(&entry.name)), "keep one of them");
                continue;
            }
            let near = suggest::hint(&entry.name, self.asked.iter().copied());
            let help = if near.is_empty() && !self.asked.is_empty() {
                format!("known here: {}", self.asked.iter().copied().collect::<Vec<_>>().join(", "))
            } else {
                near
            };
            rd.wrong(&entry.span, format!("unknown {kind} {}", display_name(&entry.name)), help);
        }
    }
}

impl Reading<'_> {
    /// A text, or an error that says what stands there instead.
    pub(super) fn text(&mut self, value: Datum, name: &str) -> Option<Text> {
        let kind = match value.kind {
            Kind::Text(text, written) => return Some(Text { value: text, span: value.span, written }),
            Kind::Failed => return None,
            other => other.name(),
        };
        self.wrong(&value.span, format!("`{name}` is {kind}: expected text in quotes"), "");
        None
    }

    /// A text, a number or a truth value, as text.
    pub(super) fn scalar(&mut self, value: Datum, name: &str) -> Option<Text> {
        let (text, written) = match value.kind {
            Kind::Text(text, written) => (text, written),
            Kind::Number(number) => (Secret::new(number), Written::Plainly),
            Kind::Bool(flag) => (Secret::new(flag.to_string()), Written::Plainly),
            Kind::Failed => return None,
            other => {
                self.wrong(&value.span, format!("`{name}` is {}: expected one value", other.name()), "");
                return None;
            }
        };
        Some(Text { value: text, span: value.span, written })
    }

    /// The path of a file that is read later; that it cannot be read now is noted.
    pub(super) fn file(&mut self, text: &Text, what: &str) -> PathBuf {
        let path = self.path(text.as_str());
        // Opening alone would wait for the other end of a pipe.
        let readable = std::fs::metadata(&path).and_then(|found| {
            if found.is_dir() {
                return Err(std::io::ErrorKind::IsADirectory.into());
            }
            if found.is_file() { std::fs::File::open(&path).map(drop) } else { Ok(()) }
        });
        if let Err(error) = readable {
            let (cause, next) = fault::unreadable(&error);
            let name = if text.is_quotable() { format!(" {}", path.display()) } else { String::new() };
            self.note(&text.span, format!("{what}{name} cannot be read: {cause} ({next})"));
        }
        path
    }

    /// A truth value; a variable's text may be one.
    pub(super) fn flag(&mut self, value: &Datum, name: &str) -> Option<bool> {
        let flag = match &value.kind {
            Kind::Bool(flag) => Some(*flag),
            Kind::Failed => return None,
            Kind::Text(text, _) => match text.expose() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.wrong(&value.span, format!("`{name}` is {}: expected true or false", value.kind.name()), "");
        }
        flag
    }

    /// One text or a list of them.
    pub(super) fn texts(&mut self, value: Datum, name: &str) -> Vec<Text> {
        match value.kind {
            Kind::List(items) => items.into_iter().filter_map(|item| self.text(item, name)).collect(),
            _ => self.text(value, name).into_iter().collect(),
        }
    }
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Failed | Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(..) => "text",
            Self::Word(_) => "a word without quotes",
            Self::List(_) => "a list",
            Self::Section(_) => "a block",
        }
    }
}
