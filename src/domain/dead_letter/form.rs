//! In which form a fact is written: text, big-endian integers, JSON, times; and what its bytes mean in it.

use super::super::time::Timestamp;
use super::super::value::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// How a fact is written. Names, numbers and times that are plain text need no form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A number in digits; a time as RFC 3339 or as a Unix time, whose digits tell its unit.
    #[default]
    Text,
    /// Big-endian, four bytes.
    Int32,
    /// Big-endian, eight bytes; of a time the milliseconds since 1970.
    Int64,
    /// JSON, or a table or list of AMQP, which is shown as JSON.
    Json,
    /// A time in seconds since 1970, fractions too.
    Seconds,
    Milliseconds,
    /// A time in .NET's ticks: 100 ns since the year 1.
    Ticks,
}

impl Form {
    /// As a dialect writes it.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("text", Self::Text),
        ("int32", Self::Int32),
        ("int64", Self::Int64),
        ("json", Self::Json),
        ("table", Self::Json),
        ("seconds", Self::Seconds),
        ("milliseconds", Self::Milliseconds),
        ("ticks", Self::Ticks),
    ];

    /// Whether it is one of times alone.
    pub fn is_of_times(self) -> bool {
        matches!(self, Self::Seconds | Self::Milliseconds | Self::Ticks)
    }
}

/// What was found at a place.
#[derive(Clone, Debug)]
pub(super) enum Raw<'s> {
    Bytes(&'s [u8]),
    Tree(Cow<'s, Value>),
}

impl<'s> Raw<'s> {
    /// As bytes of a text; nothing where it is empty or has no text.
    pub(super) fn text(&self) -> Option<Cow<'s, [u8]>> {
        let text = match self {
            Self::Bytes(bytes) => Cow::Borrowed(*bytes),
            Self::Tree(Cow::Borrowed(value)) => scalar(value)?,
            Self::Tree(Cow::Owned(value)) => Cow::Owned(scalar(value)?.into_owned()),
        };
        (!text.is_empty()).then_some(text)
    }

    /// The texts of a list, or the one text.
    pub(super) fn texts(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Tree(value) => match &**value {
                Value::Array(items) => items.iter().filter_map(|item| Some(scalar(item)?.into_owned())).collect(),
                _ => self.text().map(Cow::into_owned).into_iter().collect(),
            },
            Self::Bytes(_) => self.text().map(Cow::into_owned).into_iter().collect(),
        }
    }

    /// A whole number. Bytes of another length than the form's are read as digits, because some bridges write those.
    pub(super) fn number(&self, form: Form) -> Option<i64> {
        if let Self::Bytes(bytes) = self {
            match (form, bytes.len()) {
                (Form::Int32, 4) => return Some(i64::from(i32::from_be_bytes((*bytes).try_into().ok()?))),
                (Form::Int64, 8) => return Some(i64::from_be_bytes((*bytes).try_into().ok()?)),
                _ => {}
            }
        }
        std::str::from_utf8(&self.text()?).ok()?.trim().parse().ok()
    }

    /// A moment; nothing before 1970, which is how clients write that there is none.
    pub(super) fn time(&self, form: Form) -> Option<Timestamp> {
        if let (Self::Bytes(bytes), Form::Int64, 8) = (self, form, self.len()) {
            return moment(i128::from(i64::from_be_bytes((*bytes).try_into().ok()?)));
        }
        let text = self.text()?;
        let text = std::str::from_utf8(&text).ok()?.trim().trim_matches('"');
        match form {
            Form::Seconds => seconds(text),
            Form::Milliseconds => moment(text.parse().ok()?),
            Form::Ticks => ticks(text.parse().ok()?),
            Form::Text | Form::Int32 | Form::Int64 | Form::Json => written(text),
        }
    }

    /// Whether it is a text without a character.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Tree(tree) => matches!(&**tree, Value::Text(text) if text.is_empty()),
        }
    }

    fn len(&self) -> usize {
        if let Self::Bytes(bytes) = self { bytes.len() } else { 0 }
    }
}

/// The text of a scalar; lines of a list of texts; bytes that JSON could not hold are base64 in an object of that name.
fn scalar(value: &Value) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::Null => None,
        Value::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
        Value::Text(text) | Value::Number(text) => Some(Cow::Borrowed(text.as_bytes())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { b"true" } else { b"false" })),
        Value::Array(items) => {
            let lines: Vec<Cow<'_, [u8]>> = items.iter().filter_map(|item| matches!(item, Value::Text(_)).then(|| scalar(item))?).collect();
            (!lines.is_empty()).then(|| Cow::Owned(lines.join(&b'\n')))
        }
        Value::Object(members) => match &members[..] {
            [(name, Value::Text(text))] if &**name == "base64" => STANDARD.decode(&**text).ok().map(Cow::Owned),
            _ => None,
        },
    }
}

/// Milliseconds from 1970 on that a calendar has.
fn moment(millis: i128) -> Option<Timestamp> {
    let time = Timestamp(i64::try_from(millis).ok()?);
    time.has_usual_year().then_some(time)
}

fn ticks(ticks: i128) -> Option<Timestamp> {
    // Of 1970-01-01.
    const EPOCH: i128 = 621_355_968_000_000_000;
    moment(ticks.saturating_sub(EPOCH).div_euclid(10_000))
}

/// Seconds with a fraction, as digits or with a point: exact to the millisecond.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    moment(whole.parse::<i128>().ok()?.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?)
}

/// A time that says itself how it is written.
fn written(text: &str) -> Option<Timestamp> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i128 = text.parse().ok()?;
        return match text.len() {
            ..=11 => moment(number * 1_000),
            12..=14 => moment(number),
            15..=17 => moment(number / 1_000),
            // Ticks of our centuries begin with a 6, nanoseconds have a digit more.
            18 => ticks(number),
            _ => moment(number / 1_000_000),
        };
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return moment(i128::from(time.as_millisecond()));
    }
    if text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return seconds(text);
    }
    // NServiceBus: `2014-11-11 02:26:58:000462 Z`.
    let (before, fraction) = text.strip_suffix(" Z")?.rsplit_once(':')?;
    let time: jiff::Timestamp = format!("{before}.{fraction}Z").parse().ok()?;
    moment(i128::from(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_their_form_and_as_digits_where_that_cannot_be() {
        for (bytes, form, number) in [
            (&[0, 0, 0, 7][..], Form::Int32, Some(7)),
            (&[0xff, 0xff, 0xff, 0xff], Form::Int32, Some(-1)),
            (&[0, 0, 0, 0, 0, 0, 4, 18], Form::Int64, Some(1042)),
            (b"1042", Form::Text, Some(1042)),
            (b"12", Form::Int32, Some(12)),
            (b" 12 ", Form::Int64, Some(12)),
            (b"1042", Form::Int32, Some(0x3130_3432)),
            (b"many", Form::Text, None),
            (b"", Form::Int32, None),
            (&[0xff], Form::Text, None),
            (b"99999999999999999999", Form::Text, None),
        ] {
            assert_eq!(Raw::Bytes(bytes).number(form), number, "{bytes:?} as {form:?}");
        }
    }

    #[test]
    fn times_are_read_in_every_way_that_libraries_write_them() {
        for (text, form, read) in [
            ("2026-09-26T18:02:03.5080760Z", Form::Text, "2026-09-26T18:02:03.508Z"),
            ("\"2026-09-26T20:02:03+02:00\"", Form::Text, "2026-09-26T18:02:03.000Z"),
            ("2014-11-11 02:26:58:000462 Z", Form::Text, "2014-11-11T02:26:58.000Z"),
            ("2014-11-11 02:26:58:900462 Z", Form::Text, "2014-11-11T02:26:58.900Z"),
            ("1770285600", Form::Text, "2026-02-05T10:00:00.000Z"),
            ("1770285600123", Form::Text, "2026-02-05T10:00:00.123Z"),
            ("1770285600123456", Form::Text, "2026-02-05T10:00:00.123Z"),
            ("1770285600123456789", Form::Text, "2026-02-05T10:00:00.123Z"),
            ("1770285600.12", Form::Text, "2026-02-05T10:00:00.120Z"),
            ("1770285600.9999", Form::Seconds, "2026-02-05T10:00:00.999Z"),
            ("1770285600", Form::Seconds, "2026-02-05T10:00:00.000Z"),
            ("1770285600123", Form::Milliseconds, "2026-02-05T10:00:00.123Z"),
            ("639058824001230000", Form::Ticks, "2026-02-05T10:00:00.123Z"),
            ("639058824001230000", Form::Text, "2026-02-05T10:00:00.123Z"),
        ] {
            assert_eq!(Raw::Bytes(text.as_bytes()).time(form).map(|time| time.to_string()).as_deref(), Some(read), "{text} as {form:?}");
        }
        assert_eq!(Raw::Bytes(&[0, 0, 1, 0x9c, 0x2d, 0x4e, 0x0c, 0x7b]).time(Form::Int64).map(|time| time.0), Some(0x019c_2d4e_0c7b));
        for (text, form) in [
            ("", Form::Text),
            ("-1", Form::Milliseconds),
            ("-170141183460469231731687303715884105728", Form::Ticks),
            ("170141183460469231731687303715884105727", Form::Seconds),
            ("soon", Form::Text),
            ("2026-02-05T10:00:00", Form::Text),
            ("9e9", Form::Seconds),
        ] {
            assert_eq!(Raw::Bytes(text.as_bytes()).time(form), None, "{text}");
        }
        assert_eq!(Raw::Bytes(&[0xff; 8]).time(Form::Int64), None, "-1 is how Kafka writes that there is no time");
    }
}
