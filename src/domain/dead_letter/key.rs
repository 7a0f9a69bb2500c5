//! The key of a failure: type and first frame of the innermost exception, else the reason, else the message; or a place of the message.

use super::super::query::{Field, Record};
use super::super::value::Value;
use super::dialect::Fact;
use super::frame::dissect;
use super::letter::{Letter, at};
use std::borrow::Cow;

/// Of a reason or a message so many bytes are part of a key.
const LONGEST: usize = 200;

/// Of a type and of a frame so many.
const LONGEST_PART: usize = 300;

/// What stands between the parts of a key.
const BETWEEN: u8 = 0;

/// Writes the key of a letter: bytes that are the same for the same failure. The message is no part of it where there is a stack.
pub(super) fn write<R: Record>(letter: &Letter<'_, R>, out: &mut Vec<u8>) {
    let cause = letter.cause;
    let stack = letter.bytes(cause, Fact::Stack).unwrap_or_default();
    let message = letter.bytes(cause, Fact::Message);
    let seen = dissect(&stack, message.as_deref());
    let fact = |fact| letter.bytes(cause, fact);
    let name =
        seen.root.map(Cow::Borrowed).or_else(|| fact(Fact::Cause)).or_else(|| fact(Fact::Exception)).or(seen.outer.map(Cow::Borrowed));
    if name.is_some() || seen.frame.is_some() {
        out.push(b'e');
        let name = name.unwrap_or_default();
        out.extend_from_slice(&name[..name.len().min(LONGEST_PART)]);
        out.push(BETWEEN);
        if let Some(frame) = seen.frame {
            let end = out.len() + LONGEST_PART;
            frame.push(out);
            out.truncate(end);
        }
    } else if let Some(reason) = fact(Fact::Reason) {
        out.push(b'r');
        words(&reason, out);
    } else if let Some(message) = message {
        out.push(b'm');
        words(&message, out);
    } else if let Some(reason) = cause.and_then(|cause| letter.deaths_of(cause).pop()?.reason) {
        out.push(b'r');
        words(reason.as_str().as_bytes(), out);
    } else {
        out.push(b'?');
    }
}

/// Writes the key that a place of the message is; without it that there is none.
pub(super) fn write_field<R: Record>(field: &Field, record: &R, letter: Option<&Letter<'_, R>>, out: &mut Vec<u8>) {
    out.push(b'q');
    if let Some(text) = text_of(field, record, letter) {
        out.push(BETWEEN);
        out.extend_from_slice(&text[..text.len().min(LONGEST)]);
    }
}

fn text_of<'r, R: Record>(field: &Field, record: &'r R, letter: Option<&Letter<'r, R>>) -> Option<Cow<'r, [u8]>> {
    let printed = |value: &'r Value| {
        value.printed().map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    };
    let digits = |number: Option<i64>| number.map(|number| Cow::Owned(number.to_string().into_bytes()));
    match field {
        Field::Value(steps) => at(record.value().ok()??, steps).and_then(printed),
        Field::Key(steps) if steps.is_empty() => record.key().map(Cow::Borrowed),
        Field::Key(steps) => at(record.key_value()?, steps).and_then(printed),
        Field::Header(name) => {
            let mut found = None;
            record.any_header(&mut |header, value| {
                let is = header == name.as_bytes();
                if is {
                    found = value.map(|value| value[..value.len().min(LONGEST)].to_vec());
                }
                is
            });
            found.map(Cow::Owned)
        }
        Field::Topic => Some(Cow::Borrowed(record.topic().as_bytes())),
        Field::Partition => digits(record.partition().map(i64::from)),
        Field::Reason | Field::Exception | Field::Origin | Field::Attempts => {
            let failure = letter?.failure();
            let failure = failure.query();
            let text = match field {
                Field::Reason => failure.reason,
                Field::Exception => failure.exception,
                Field::Origin => failure.origin,
                _ => return digits(failure.attempts.and_then(|attempts| i64::try_from(attempts).ok())),
            };
            text.map(|text| Cow::Owned(text.as_bytes().to_vec()))
        }
        // These are another in each letter.
        Field::Headers | Field::Offset | Field::Timestamp | Field::Size => None,
    }
}

/// A sentence without what changes from letter to letter: words with a digit in them are ids, numbers, times and addresses.
fn words(text: &[u8], out: &mut Vec<u8>) {
    let mut text = text.trim_ascii();
    text = &text[..text.len().min(LONGEST)];
    while let Some(first) = text.first() {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || *byte >= 0x80;
        let length = text.iter().take_while(|byte| is_word(byte)).count();
        let (word, rest) = text.split_at(length.max(1));
        match length {
            0 => out.push(*first),
            _ if word.iter().any(u8::is_ascii_digit) => out.push(b'#'),
            _ => out.extend_from_slice(word),
        }
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_the_same_whatever_it_is_about() {
        let key = |text: &str| {
            let mut out = Vec::new();
            words(text.as_bytes(), &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        for (text, same) in [
            ("rejected", "rejected"),
            ("dial tcp 10.0.0.7:443: connection refused", "dial tcp #.#.#.#:#: connection refused"),
            ("order 8f2c1111-2222-3333-4444-555566667777 not found", "order # not found"),
            ("field \"currency\" missing at 2026-02-05T10:00:00Z", "field \"currency\" missing at #:#:#"),
            ("", ""),
        ] {
            assert_eq!(key(text), same, "{text}");
        }
        assert!(key(&"ä".repeat(500)).len() <= LONGEST + 3);
    }
}
