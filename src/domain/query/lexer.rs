//! Query text → tokens, each with the place where it stands.

use super::QueryError;
use std::ops::Range;

/// Longer queries are refused: nobody typed them.
const LONGEST: usize = 20_000;

const SYMBOLS: [&str; 19] = ["==", "!=", "<=", ">=", "<>", "&&", "||", "=~", "!~", "(", ")", "[", "]", ",", "<", ">", "=", "!", "&"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain) enum Kind {
    /// A run of characters that are none of the others: fields, operators in words, numbers, words to search for.
    Word(String),
    /// In quotes, escapes resolved.
    Text(String),
    /// `b"…"`, escapes resolved.
    Bytes(Vec<u8>),
    Regex {
        pattern: String,
        any_case: bool,
    },
    Symbol(&'static str),
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain) struct Token {
    pub(in crate::domain) kind: Kind,
    /// Bytes of the query.
    pub(in crate::domain) span: Range<usize>,
}

/// The column of a byte offset, in characters from 0.
pub(in crate::domain) fn column(text: &str, offset: usize) -> usize {
    text[..offset].chars().count()
}

/// All tokens, an `End` last.
pub(in crate::domain) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    if text.len() > LONGEST {
        return Err(QueryError::new(0, format!("the query is longer than {LONGEST} bytes")));
    }
    let mut lexer = Lexer { text, at: 0, verbatim: false };
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        let rest = lexer.rest();
        lexer.at += rest.len() - rest.trim_start().len();
        let start = lexer.at;
        lexer.verbatim = matches!(tokens.last(), Some(Token { kind: Kind::Word(word), .. }) if word.eq_ignore_ascii_case("jq"));
        let kind = lexer.token()?;
        let end = kind == Kind::End;
        tokens.push(Token { kind, span: start..lexer.at });
        if end {
            return Ok(tokens);
        }
    }
}

/// Bytes as a query writes them: `b"\xff\x00id"`.
pub(super) fn written(bytes: &[u8]) -> String {
    let mut text = "b\"".to_owned();
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text + "\""
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// A text here is a program: backslashes are its own, except before the quote that would end it.
    verbatim: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, offset: usize, message: impl Into<String>) -> QueryError {
        QueryError::new(column(self.text, offset), message)
    }

    fn token(&mut self) -> Result<Kind, QueryError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Kind::End) };
        match first {
            '"' | '\'' => self.quoted(first).map(Kind::Text),
            '/' => self.regex(),
            'b' if rest[1..].starts_with('"') => self.bytes().map(Kind::Bytes),
            _ => {
                if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                    self.at += symbol.len();
                    return Ok(Kind::Symbol(symbol));
                }
                let length = word_length(rest);
                self.at += length;
                Ok(Kind::Word(rest[..length].to_owned()))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, QueryError> {
        let start = self.at;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.at = start + offset + 1;
                    return Ok(out);
                }
                '\\' if self.verbatim => match chars.next() {
                    Some((_, c)) if c == quote => out.push(c),
                    Some((_, c)) => out.extend(['\\', c]),
                    None => break,
                },
                '\\' => {
                    let escape = chars.next().map(|(_, c)| c);
                    match escape {
                        Some('n') => out.push('\n'),
                        Some('t') => out.push('\t'),
                        Some('r') => out.push('\r'),
                        Some(c @ ('\\' | '"' | '\'' | '/')) => out.push(c),
                        Some('u') => {
                            let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                            let meant = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4).and_then(char::from_u32);
                            out.push(
                                meant.ok_or_else(|| {
                                    self.wrong(start + offset, "after `\\u` four hex digits of a character were expected")
                                })?,
                            );
                        }
                        _ => return Err(self.wrong(start + offset, "unknown escape: write \\\\, \\\", \\', \\n, \\r, \\t or \\u0041")),
                    }
                }
                _ => out.push(c),
            }
        }
        Err(self.wrong(start, format!("the text is not closed with {quote}")))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, QueryError> {
        let start = self.at;
        let mut out = Vec::new();
        let mut chars = self.rest().char_indices().skip(2);
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + offset + 1;
                    return Ok(out);
                }
                '\\' => out.push(match chars.next().map(|(_, c)| c) {
                    Some('n') => b'\n',
                    Some('t') => b'\t',
                    Some('r') => b'\r',
                    Some('\\') => b'\\',
                    Some('"') => b'"',
                    Some('x') => {
                        let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                        let two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                        let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| two);
                        byte.ok_or_else(|| self.wrong(start + offset, "after `\\x` two hex digits of a byte were expected"))?
                    }
                    _ => return Err(self.wrong(start + offset, "unknown escape in bytes: write \\xff, \\\\, \\\", \\n, \\r or \\t")),
                }),
                c => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err(self.wrong(start, "the bytes are not closed with \""))
    }

    fn regex(&mut self) -> Result<Kind, QueryError> {
        let start = self.at;
        let mut pattern = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '/' => {
                    let flags_start = start + offset + 1;
                    let flags = &self.text[flags_start..][..word_length(&self.text[flags_start..])];
                    if !matches!(flags, "" | "i") {
                        return Err(self
                            .wrong(flags_start, format!("after a regex only `i` may stand, not `{flags}`"))
                            .hint("to search for a text with slashes, put it in quotes"));
                    }
                    self.at = flags_start + flags.len();
                    return Ok(Kind::Regex { pattern, any_case: flags == "i" });
                }
                // `\/` is a slash; every other escape belongs to the regex.
                '\\' => match chars.next() {
                    Some((_, '/')) => pattern.push('/'),
                    Some((_, other)) => pattern.extend(['\\', other]),
                    None => break,
                },
                _ => pattern.push(c),
            }
        }
        Err(self.wrong(start, "the regex is not closed with /").hint("to search for a text with slashes, put it in quotes"))
    }
}

/// The length of the word at the start of a text.
fn word_length(text: &str) -> usize {
    let mut before = ' ';
    for (offset, c) in text.char_indices() {
        // An apostrophe inside of a word is part of it, unless it opens a quoted step of a path.
        let ends = c.is_whitespace()
            || matches!(c, '(' | ')' | '[' | ']' | ',' | '"' | '=' | '!' | '<' | '>' | '&')
            || (c == '\'' && before == '.');
        if ends || (c == '|' && text[offset..].starts_with("||")) {
            return offset;
        }
        before = c;
    }
    text.len()
}
