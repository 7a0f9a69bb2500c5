//! JSON: bytes ↔ `Value` without losing a digit, the order of keys or a duplicate key.

mod lazy;
mod reader;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use lazy::{any_at, any_at_valid};
pub use reader::{JsonError, MAX_DEPTH, Quoted, Reader, Token};
pub use writer::{compact, pretty, push_text};

use crate::domain::value::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Of the keys that stand twice, this many are named.
const MAX_DUPLICATES: usize = 8;

/// A JSON text that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    /// Keys that stand more than once in one object; the first eight, each once.
    pub duplicate_keys: Vec<Arc<str>>,
    /// Escaped surrogates without their other half; each stands as U+FFFD in `value`.
    pub lone_surrogates: usize,
}

/// Whether the bytes are one JSON text, nested no deeper than [`MAX_DEPTH`]. Builds nothing.
pub fn is_valid(bytes: &[u8]) -> bool {
    as_text(bytes).is_ok_and(|text| check(text).is_ok())
}

/// Whether the bytes are JSON up to where they are nested deeper than [`MAX_DEPTH`]: that is no text that somebody wrote.
pub fn is_too_deep(bytes: &[u8]) -> bool {
    // Nearly all are told by their first byte or by the number of their brackets.
    let may_be = || matches!(bytes.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'[' | b'{'));
    let opening = || bytes.chunks(255).map(|chunk| usize::from(opening_brackets(chunk))).sum::<usize>();
    let read = || as_text(bytes).is_ok_and(|text| check(text).is_err_and(|error| error.cause == reader::TOO_DEEP));
    may_be() && opening() > MAX_DEPTH as usize && read()
}

/// How many brackets open in at most 255 bytes, counted in single bytes so that many of them are added in one step. `[` and `{` differ
/// in the bit 0x20 alone.
fn opening_brackets(bytes: &[u8]) -> u8 {
    bytes.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum()
}

/// Why a text is not JSON. Builds nothing.
pub fn check(text: &str) -> Result<(), JsonError> {
    let mut reader = Reader::new(text);
    reader.skip_value()?;
    // Nothing, or the error of what stands behind it.
    reader.token().map(|_| ())
}

/// Reads one JSON text.
pub fn read(bytes: &[u8]) -> Result<Document, JsonError> {
    read_text(as_text(bytes)?)
}

/// Reads one JSON text.
pub fn read_text(text: &str) -> Result<Document, JsonError> {
    let mut reader = Reader::new(text);
    let mut tree = Tree::default();
    while let Some(token) = reader.token()? {
        tree.add(token);
    }
    let value = tree.done.ok_or(JsonError { offset: text.len(), cause: "a value was expected" })?;
    Ok(Document { value, duplicate_keys: tree.duplicate_keys, lone_surrogates: tree.lone_surrogates })
}

/// The same JSON without the white space between its tokens; strings and numbers stay as they are written.
pub fn minify(text: &str) -> Result<String, JsonError> {
    let mut reader = Reader::new(text);
    let mut out = String::with_capacity(text.len());
    let mut comma = false;
    while let Some(token) = reader.token()? {
        if comma && !matches!(token, Token::EndArray | Token::EndObject) {
            out.push(',');
        }
        comma = !matches!(token, Token::BeginArray | Token::BeginObject | Token::Key(_));
        match token {
            Token::BeginObject => out.push('{'),
            Token::EndObject => out.push('}'),
            Token::BeginArray => out.push('['),
            Token::EndArray => out.push(']'),
            Token::Key(key) => out.extend(["\"", key.raw, "\":"]),
            Token::Text(text) => out.extend(["\"", text.raw, "\""]),
            Token::Number(digits) => out.push_str(digits),
            Token::Bool(true) => out.push_str("true"),
            Token::Bool(false) => out.push_str("false"),
            Token::Null => out.push_str("null"),
        }
    }
    Ok(out)
}

/// One member of an object whose value is left as it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    pub name: String,
    /// The value's own text, without white space around it.
    pub value: &'a str,
    /// Where the value starts in the text, in bytes.
    pub offset: usize,
}

/// Splits the text of an object into its members, in order, duplicates kept. Each value may be nested as deep as [`MAX_DEPTH`] by itself.
pub fn members(text: &str) -> Result<Vec<Member<'_>>, JsonError> {
    let mut out = Vec::new();
    let mut at = expect(text, 0, b'{', "an object in `{}` was expected")?;
    if let Ok(end) = expect(text, at, b'}', "") {
        return end_of(text, end).map(|()| out);
    }
    loop {
        let mut key = Reader::starting_at(text, at);
        let Some(Token::Text(name)) = key.token()? else {
            return Err(JsonError { offset: at, cause: reader::NO_KEY });
        };
        at = expect(text, key.position(), b':', reader::NO_COLON)?;
        let (value, offset, end) = one_value(text, at)?;
        out.push(Member { name: name.resolve().0.into_owned(), value, offset });
        if let Ok(next) = expect(text, end, b',', "") {
            at = next;
            continue;
        }
        at = expect(text, end, b'}', reader::NO_MEMBER)?;
        return end_of(text, at).map(|()| out);
    }
}

/// Splits the text of an array into its items' texts.
pub fn items(text: &str) -> Result<Vec<&str>, JsonError> {
    let mut out = Vec::new();
    let mut at = expect(text, 0, b'[', "an array in `[]` was expected")?;
    if let Ok(end) = expect(text, at, b']', "") {
        return end_of(text, end).map(|()| out);
    }
    loop {
        let (value, _, end) = one_value(text, at)?;
        out.push(value);
        if let Ok(next) = expect(text, end, b',', "") {
            at = next;
            continue;
        }
        at = expect(text, end, b']', reader::NO_ITEM)?;
        return end_of(text, at).map(|()| out);
    }
}

/// The text of the value that starts at or behind an offset, where it starts and where it ends.
fn one_value(text: &str, at: usize) -> Result<(&str, usize, usize), JsonError> {
    let start = skip_space(text, at);
    let mut reader = Reader::starting_at(text, start);
    reader.skip_value()?;
    Ok((&text[start..reader.position()], start, reader.position()))
}

fn skip_space(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

fn expect(text: &str, at: usize, byte: u8, cause: &'static str) -> Result<usize, JsonError> {
    let at = skip_space(text, at);
    if text.as_bytes().get(at) == Some(&byte) { Ok(at + 1) } else { Err(JsonError { offset: at, cause }) }
}

fn end_of(text: &str, at: usize) -> Result<(), JsonError> {
    let at = skip_space(text, at);
    if at == text.len() { Ok(()) } else { Err(JsonError { offset: at, cause: "nothing more was expected" }) }
}

fn as_text(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(bytes).map_err(|e| JsonError { offset: e.valid_up_to(), cause: "the text is not UTF-8" })
}

/// Builds a tree from tokens, without recursion.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    done: Option<Value>,
    duplicate_keys: Vec<Arc<str>>,
    lone_surrogates: usize,
}

enum Open {
    Array(Vec<Value>),
    Object { entries: Vec<(Arc<str>, Value)>, key: Arc<str> },
}

impl Tree {
    fn add(&mut self, token: Token<'_>) {
        match token {
            Token::BeginObject => self.open.push(Open::Object { entries: Vec::new(), key: "".into() }),
            Token::BeginArray => self.open.push(Open::Array(Vec::new())),
            Token::EndObject | Token::EndArray => match self.open.pop() {
                Some(Open::Array(items)) => self.put(Value::Array(items)),
                Some(Open::Object { entries, .. }) => {
                    self.find_duplicates(&entries);
                    self.put(Value::Object(entries));
                }
                None => {}
            },
            Token::Key(name) => {
                let name = self.resolve(name);
                if let Some(Open::Object { key, .. }) = self.open.last_mut() {
                    *key = name;
                }
            }
            Token::Text(text) => {
                let text = self.resolve(text);
                self.put(Value::Text(text));
            }
            Token::Number(digits) => self.put(Value::Number(digits.into())),
            Token::Bool(truth) => self.put(Value::Bool(truth)),
            Token::Null => self.put(Value::Null),
        }
    }

    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            Some(Open::Array(items)) => items.push(value),
            Some(Open::Object { entries, key }) => entries.push((Arc::clone(key), value)),
            None => self.done = Some(value),
        }
    }

    fn resolve(&mut self, quoted: Quoted<'_>) -> Arc<str> {
        let (text, lone) = quoted.resolve();
        self.lone_surrogates += lone;
        text.into()
    }

    fn find_duplicates(&mut self, entries: &[(Arc<str>, Value)]) {
        let names = || entries.iter().map(|(name, _)| name);
        let mut seen = HashSet::new();
        // Most objects are small: comparing their few keys is cheaper than hashing them.
        let distinct = if entries.len() <= 16 {
            !entries.iter().enumerate().any(|(index, (name, _))| entries[..index].iter().any(|(earlier, _)| earlier == name))
        } else {
            names().all(|name| seen.insert(name))
        };
        if distinct {
            return;
        }
        seen.clear();
        for name in names() {
            if !seen.insert(name) && self.duplicate_keys.len() < MAX_DUPLICATES && !self.duplicate_keys.contains(name) {
                self.duplicate_keys.push(Arc::clone(name));
            }
        }
    }
}
