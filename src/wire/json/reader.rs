//! The token reader: RFC 8259 to the letter, digits and keys as they were written, nothing copied, no recursion.

use std::borrow::Cow;
use std::fmt;

/// Arrays and objects may be nested this deep. Deeper text is not read as JSON.
pub const MAX_DEPTH: u32 = 128;
/// The cause of the error of what is nested deeper.
pub(super) const TOO_DEEP: &str = "arrays and objects are nested deeper than 128";
pub(super) const NO_MEMBER: &str = "`,` or `}` was expected";
pub(super) const NO_ITEM: &str = "`,` or `]` was expected";
pub(super) const NO_KEY: &str = "a key in double quotes was expected";
pub(super) const NO_COLON: &str = "`:` was expected";

/// One piece of JSON, borrowed from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    /// The name of the member whose value comes next.
    Key(Quoted<'a>),
    Text(Quoted<'a>),
    /// Exactly as it was written.
    Number(&'a str),
    Bool(bool),
    Null,
}

/// A string as it stands between its quotes; its escapes have been checked but not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// What stands between the quotes.
    pub raw: &'a str,
    escaped: bool,
}

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Offset in bytes from the start of the text.
    pub offset: usize,
    pub cause: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.cause, self.offset)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    /// In an array or object that has just begun.
    FirstOrEnd,
    /// In an array or object, behind an item or a member.
    CommaOrEnd,
    Nothing,
}

/// Reads tokens in the order of the text and checks the grammar between them.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// One bit for each level that is open, the innermost lowest: 1 for an object.
    objects: u128,
    expect: Expect,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self::starting_at(text, 0)
    }

    /// Reads the value that starts at a byte offset (on a character boundary) of a longer text.
    pub fn starting_at(text: &'a str, offset: usize) -> Self {
        Self { text, at: offset, depth: 0, objects: 0, expect: Expect::Value }
    }

    /// The offset behind the last token.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next token; `None` once the value is complete and nothing but white space follows it.
    pub fn token(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        if self.expect == Expect::Nothing {
            return if self.next_byte().is_none() { Ok(None) } else { Err(self.wrong("nothing more was expected")) };
        }
        if self.expect != Expect::Value {
            if self.in_object() {
                return Ok(Some(self.next_key()?.map_or(Token::EndObject, Token::Key)));
            }
            if !self.next_item()? {
                return Ok(Some(Token::EndArray));
            }
        }
        self.value().map(Some)
    }

    /// In an object: the name of the next member, or nothing and behind its end.
    pub(super) fn next_key(&mut self) -> Result<Option<Quoted<'a>>, JsonError> {
        if self.next_entry(b'}', NO_MEMBER)? { self.key().map(Some) } else { Ok(None) }
    }

    /// In an array: whether there is a next item, else behind its end.
    pub(super) fn next_item(&mut self) -> Result<bool, JsonError> {
        let more = self.next_entry(b']', NO_ITEM)?;
        if more {
            self.expect = Expect::Value;
        }
        Ok(more)
    }

    /// Goes behind the comma before another entry, or behind the end.
    fn next_entry(&mut self, end: u8, cause: &'static str) -> Result<bool, JsonError> {
        match (self.expect, self.next_byte()) {
            (_, Some(byte)) if byte == end => {
                self.close();
                return Ok(false);
            }
            (Expect::CommaOrEnd, Some(b',')) => self.at += 1,
            (Expect::CommaOrEnd, _) => return Err(self.wrong(cause)),
            _ => {}
        }
        Ok(true)
    }

    fn value(&mut self) -> Result<Token<'a>, JsonError> {
        let byte = self.next_byte();
        let token = match byte {
            Some(open @ (b'{' | b'[')) => return self.open(open == b'{'),
            Some(b'"') => Token::Text(self.quoted()?),
            Some(b'-' | b'0'..=b'9') => Token::Number(self.number()?),
            _ => {
                self.at = word_end(self.text.as_bytes(), self.at)?;
                match byte {
                    Some(b't') => Token::Bool(true),
                    Some(b'f') => Token::Bool(false),
                    _ => Token::Null,
                }
            }
        };
        self.end_value();
        Ok(token)
    }

    /// Skips white space and looks at the byte behind it.
    #[inline]
    pub(super) fn next_byte(&mut self) -> Option<u8> {
        self.at = space_end(self.text.as_bytes(), self.at);
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong(&self, cause: &'static str) -> JsonError {
        JsonError { offset: self.at, cause }
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn open(&mut self, object: bool) -> Result<Token<'a>, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong(TOO_DEEP));
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        self.expect = Expect::FirstOrEnd;
        self.at += 1;
        Ok(if object { Token::BeginObject } else { Token::BeginArray })
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        self.at += 1;
        self.end_value();
    }

    fn end_value(&mut self) {
        self.expect = if self.depth == 0 { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn key(&mut self) -> Result<Quoted<'a>, JsonError> {
        if self.next_byte() != Some(b'"') {
            return Err(self.wrong(NO_KEY));
        }
        let key = self.quoted()?;
        if self.next_byte() != Some(b':') {
            return Err(self.wrong(NO_COLON));
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok(key)
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.at = number_end(self.text.as_bytes(), start)?;
        Ok(&self.text[start..self.at])
    }

    fn quoted(&mut self) -> Result<Quoted<'a>, JsonError> {
        let start = self.at + 1;
        let (end, escaped) = string_end(self.text.as_bytes(), self.at)?;
        self.at = end;
        Ok(Quoted { raw: &self.text[start..end - 1], escaped })
    }

    /// Goes behind the value that comes next, by the grammar of [`Self::token`] but without making tokens of it.
    pub(super) fn skip_value(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        let (mut at, mut depth, mut objects) = (self.at, self.depth, self.objects);
        'value: loop {
            at = space_end(bytes, at);
            match bytes.get(at) {
                Some(b'"') => at = string_end(bytes, at)?.0,
                Some(b'-' | b'0'..=b'9') => at = number_end(bytes, at)?,
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(JsonError { offset: at, cause: TOO_DEEP });
                    }
                    let object = *open == b'{';
                    at = space_end(bytes, at + 1);
                    if bytes.get(at) == Some(if object { &b'}' } else { &b']' }) {
                        at += 1;
                    } else {
                        depth += 1;
                        objects = objects << 1 | u128::from(object);
                        if object {
                            at = key_end(bytes, at)?;
                        }
                        continue 'value;
                    }
                }
                _ => at = word_end(bytes, at)?,
            }
            // What ends with this value, up to where the next one starts.
            while depth > self.depth {
                at = space_end(bytes, at);
                let in_object = objects & 1 == 1;
                match bytes.get(at) {
                    Some(b',') => {
                        at = if in_object { key_end(bytes, space_end(bytes, at + 1))? } else { at + 1 };
                        continue 'value;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ if in_object => return Err(JsonError { offset: at, cause: NO_MEMBER }),
                    _ => return Err(JsonError { offset: at, cause: NO_ITEM }),
                }
                at += 1;
                depth -= 1;
                objects >>= 1;
            }
            self.at = at;
            self.end_value();
            return Ok(());
        }
    }
}

/// The offset of the first byte from `at` on that is not white space.
#[inline]
fn space_end(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The offset behind the member's name that is expected here, and behind its colon.
#[inline]
fn key_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    if bytes.get(at) != Some(&b'"') {
        return Err(JsonError { offset: at, cause: NO_KEY });
    }
    let colon = space_end(bytes, string_end(bytes, at)?.0);
    if bytes.get(colon) != Some(&b':') {
        return Err(JsonError { offset: colon, cause: NO_COLON });
    }
    Ok(colon + 1)
}

/// The offset behind `true`, `false` or `null`.
fn word_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let word = [&b"true"[..], b"false", b"null"].into_iter().find(|word| rest.starts_with(word));
    let cause = if rest.is_empty() { "the text ends where a value was expected" } else { "a value was expected" };
    word.map(|word| at + word.len()).ok_or(JsonError { offset: at, cause })
}

/// The offset behind the number that starts here (RFC 8259 section 6).
#[inline]
fn number_end(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start + usize::from(bytes[start] == b'-');
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits_end(bytes, at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits_end(bytes, at + 1 + sign)?;
    }
    Ok(at)
}

#[inline]
fn digits_end(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    if at == start { Err(JsonError { offset: at, cause: "a digit was expected" }) } else { Ok(at) }
}

/// The offset behind the string whose first quote stands here, and whether it has escapes (RFC 8259 section 7).
#[inline]
fn string_end(bytes: &[u8], start: usize) -> Result<(usize, bool), JsonError> {
    let (mut at, mut escaped) = (start + 1, false);
    loop {
        at += plain(&bytes[at..]);
        match bytes.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = escape_end(bytes, at + 1)?;
            }
            Some(_) => return Err(JsonError { offset: at, cause: "a control character stands in a string" }),
            None => return Err(JsonError { offset: at, cause: "the string is not closed" }),
        }
    }
}

fn escape_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') if bytes.get(at + 1..at + 5).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => Ok(at + 5),
        _ => Err(JsonError { offset: at, cause: "an unknown escape stands in a string" }),
    }
}

/// How many bytes stand before the first that means something in a string: a quote, a backslash or a control character. Eight are
/// looked at together: a byte is zero where subtracting one borrows and its highest bit was not set; only what lies above a
/// hit can be mistaken for one.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHEST;
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let hits = is(b'"') | is(b'\\') | below(word, 0x20);
        if hits != 0 {
            return bytes.len() - rest.len() + (hits.trailing_zeros() / 8) as usize;
        }
        rest = behind;
    }
    bytes.len() - rest.len() + rest.iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)).count()
}

impl<'a> Quoted<'a> {
    /// Whether it means other characters than those that stand there.
    pub fn is_escaped(self) -> bool {
        self.escaped
    }

    /// The text that is meant. A surrogate without its other half (RFC 8259 section 8.2) stands as U+FFFD; the number of those comes second.
    pub fn resolve(self) -> (Cow<'a, str>, usize) {
        if !self.escaped {
            return (Cow::Borrowed(self.raw), 0);
        }
        let mut out = String::with_capacity(self.raw.len());
        let mut lone = 0;
        let mut rest = self.raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            out.push_str(plain);
            let (meant, length) = match escape.as_bytes().first() {
                Some(b'b') => ('\u{8}', 1),
                Some(b'f') => ('\u{c}', 1),
                Some(b'n') => ('\n', 1),
                Some(b'r') => ('\r', 1),
                Some(b't') => ('\t', 1),
                Some(b'u') => unicode(escape),
                Some(other) => (char::from(*other), 1),
                None => break,
            };
            // U+FFFD that was written as such is six bytes of escape as well, so look at the digits.
            if meant == char::REPLACEMENT_CHARACTER && unit(escape) != Some(0xfffd) {
                lone += 1;
            }
            out.push(meant);
            rest = &escape[length..];
        }
        out.push_str(rest);
        (Cow::Owned(out), lone)
    }
}

/// The UTF-16 unit of `uXXXX`.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix('u')?.get(..4)?, 16).ok()
}

/// The character of `uXXXX` or `uXXXX\uXXXX`, and the length of what says it.
fn unicode(escape: &str) -> (char, usize) {
    let first = unit(escape).unwrap_or(0xfffd);
    if let Some(c) = char::from_u32(u32::from(first)) {
        return (c, 5);
    }
    let second = escape.get(5..).and_then(|rest| rest.strip_prefix('\\')).and_then(unit);
    match second.map(|low| char::decode_utf16([first, low]).next()) {
        Some(Some(Ok(c))) => (c, 11),
        _ => (char::REPLACEMENT_CHARACTER, 5),
    }
}
