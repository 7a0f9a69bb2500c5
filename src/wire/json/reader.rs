//! The token reader: RFC 8259 to the letter, digits and keys as they were written, nothing copied, no recursion.

use std::borrow::Cow;
use std::fmt;

/// Arrays and objects may be nested this deep. Deeper text is not read as JSON.
pub const MAX_DEPTH: u32 = 128;
/// The cause of the error of what is nested deeper.
pub(super) const TOO_DEEP: &str = "arrays and objects are nested deeper than 128";

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
    ItemOrEnd,
    KeyOrEnd,
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

    /// How many arrays and objects are open.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Whether one whole value has been read.
    pub fn is_complete(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// The next token; `None` once the value is complete and nothing but white space follows it.
    pub fn token(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        let mut byte = self.peek();
        if self.expect == Expect::Nothing {
            return if byte.is_none() { Ok(None) } else { Err(self.wrong("nothing more was expected")) };
        }
        if self.expect == Expect::CommaOrEnd {
            match byte {
                Some(b',') => {
                    self.at += 1;
                    byte = self.peek();
                    self.expect = Expect::Value;
                }
                Some(b'}') if self.in_object() => return Ok(Some(self.close(Token::EndObject))),
                Some(b']') if !self.in_object() => return Ok(Some(self.close(Token::EndArray))),
                _ if self.in_object() => return Err(self.wrong("`,` or `}` was expected")),
                _ => return Err(self.wrong("`,` or `]` was expected")),
            }
            if self.in_object() {
                return self.key().map(Some);
            }
        }
        match (self.expect, byte) {
            (Expect::KeyOrEnd, Some(b'}')) => Ok(Some(self.close(Token::EndObject))),
            (Expect::KeyOrEnd, _) => self.key().map(Some),
            (Expect::ItemOrEnd, Some(b']')) => Ok(Some(self.close(Token::EndArray))),
            (_, byte) => self.value(byte).map(Some),
        }
    }

    fn value(&mut self, byte: Option<u8>) -> Result<Token<'a>, JsonError> {
        let token = match byte {
            Some(b'{') => return self.open(Token::BeginObject),
            Some(b'[') => return self.open(Token::BeginArray),
            Some(b'"') => Token::Text(self.quoted()?),
            Some(b'-' | b'0'..=b'9') => Token::Number(self.number()?),
            Some(b't') => self.word("true", Token::Bool(true))?,
            Some(b'f') => self.word("false", Token::Bool(false))?,
            Some(b'n') => self.word("null", Token::Null)?,
            Some(_) => return Err(self.wrong("a value was expected")),
            None => return Err(self.wrong("the text ends where a value was expected")),
        };
        self.end_value();
        Ok(token)
    }

    /// Skips white space and looks at the byte behind it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn wrong(&self, cause: &'static str) -> JsonError {
        JsonError { offset: self.at, cause }
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn open(&mut self, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong(TOO_DEEP));
        }
        let object = token == Token::BeginObject;
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        self.expect = if object { Expect::KeyOrEnd } else { Expect::ItemOrEnd };
        self.at += 1;
        Ok(token)
    }

    fn close(&mut self, token: Token<'a>) -> Token<'a> {
        self.depth -= 1;
        self.objects >>= 1;
        self.at += 1;
        self.end_value();
        token
    }

    fn end_value(&mut self) {
        self.expect = if self.depth == 0 { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn key(&mut self) -> Result<Token<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a key in double quotes was expected"));
        }
        let key = self.quoted()?;
        if self.peek() != Some(b':') {
            return Err(self.wrong("`:` was expected"));
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok(Token::Key(key))
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("a value was expected"));
        }
        self.at += word.len();
        Ok(token)
    }

    /// RFC 8259 section 6.
    fn number(&mut self) -> Result<&'a str, JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if bytes[self.at] == b'-' {
            self.at += 1;
        }
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        while bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong("a digit was expected")) } else { Ok(()) }
    }

    /// RFC 8259 section 7.
    fn quoted(&mut self) -> Result<Quoted<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                    self.escape()?;
                }
                Some(_) => return Err(self.wrong("a control character stands in a string")),
                None => return Err(self.wrong("the string is not closed")),
            }
        }
        self.at += 1;
        Ok(Quoted { raw: &self.text[start..self.at - 1], escaped })
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') if bytes.get(self.at + 1..self.at + 5).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => self.at += 5,
            _ => return Err(self.wrong("an unknown escape stands in a string")),
        }
        Ok(())
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
