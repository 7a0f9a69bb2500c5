//! AMQP's typed values as header bytes, and back with their types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Value, json};

/// A value as a header carries it: texts as they are, numbers and flags in digits and words, tables and lists as JSON. The second is the
/// letter of its type (AMQP 0-9-1 as RabbitMQ reads it) if it is not a text: with it, [`typed`] gives the same value back.
pub(super) fn bytes(value: &AMQPValue) -> (Option<Bytes>, Option<char>) {
    let text = |text: String| Some(Bytes::from(text));
    let bytes = match value {
        AMQPValue::LongString(text) => return (Some(Bytes::copy_from_slice(text.as_bytes())), None),
        AMQPValue::ShortString(text) => return (Some(Bytes::copy_from_slice(text.as_str().as_bytes())), None),
        AMQPValue::ByteArray(raw) => Some(Bytes::copy_from_slice(raw.as_slice())),
        AMQPValue::Void => None,
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => text(json(value).to_string()),
        AMQPValue::DecimalValue(decimal) => text(format!("{}e-{}", decimal.value, decimal.scale)),
        scalar => text(plain(scalar)),
    };
    (bytes, Some(value.get_type().get_id()))
}

fn plain(value: &AMQPValue) -> String {
    match value {
        AMQPValue::Boolean(flag) => flag.to_string(),
        AMQPValue::ShortShortInt(n) => n.to_string(),
        AMQPValue::ShortShortUInt(n) => n.to_string(),
        AMQPValue::ShortInt(n) => n.to_string(),
        AMQPValue::ShortUInt(n) => n.to_string(),
        AMQPValue::LongInt(n) => n.to_string(),
        AMQPValue::LongUInt(n) => n.to_string(),
        AMQPValue::LongLongInt(n) => n.to_string(),
        AMQPValue::Timestamp(n) => n.to_string(),
        AMQPValue::Float(n) => n.to_string(),
        AMQPValue::Double(n) => n.to_string(),
        _ => String::new(),
    }
}

/// A value as JSON; bytes that are no text are base64.
pub(super) fn json(value: &AMQPValue) -> Value {
    let raw = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    };
    match value {
        AMQPValue::LongString(text) => raw(text.as_bytes()),
        AMQPValue::ShortString(text) => Value::from(text.as_str()),
        AMQPValue::ByteArray(bytes) => raw(bytes.as_slice()),
        AMQPValue::Boolean(flag) => Value::from(*flag),
        AMQPValue::Void => Value::Null,
        AMQPValue::FieldArray(items) => items.as_slice().iter().map(json).collect(),
        AMQPValue::FieldTable(table) => {
            Value::Object(table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), json(value))).collect())
        }
        AMQPValue::DecimalValue(decimal) => Value::from(format!("{}e-{}", decimal.value, decimal.scale)),
        AMQPValue::Float(n) => serde_json::from_str(&n.to_string()).unwrap_or(Value::Null),
        AMQPValue::Double(n) => serde_json::from_str(&n.to_string()).unwrap_or(Value::Null),
        number => serde_json::from_str(&plain(number)).unwrap_or(Value::Null),
    }
}

/// The value of a header, by the letter of its type; without one it is a text. `None` if the bytes are not of that type.
pub(super) fn typed(bytes: Option<&Bytes>, letter: Option<char>) -> Option<AMQPValue> {
    let Some(bytes) = bytes else { return Some(AMQPValue::Void) };
    let text = || std::str::from_utf8(bytes).ok();
    Some(match letter {
        None | Some('S') => AMQPValue::LongString(LongString::from(bytes.to_vec())),
        Some('x') => AMQPValue::ByteArray(bytes.to_vec().into()),
        Some('t') => AMQPValue::Boolean(text()?.parse().ok()?),
        Some('b') => AMQPValue::ShortShortInt(text()?.parse().ok()?),
        Some('B') => AMQPValue::ShortShortUInt(text()?.parse().ok()?),
        Some('s' | 'U') => AMQPValue::ShortInt(text()?.parse().ok()?),
        Some('u') => AMQPValue::ShortUInt(text()?.parse().ok()?),
        Some('I') => AMQPValue::LongInt(text()?.parse().ok()?),
        Some('i') => AMQPValue::LongUInt(text()?.parse().ok()?),
        Some('l' | 'L') => AMQPValue::LongLongInt(text()?.parse().ok()?),
        Some('f') => AMQPValue::Float(text()?.parse().ok()?),
        Some('d') => AMQPValue::Double(text()?.parse().ok()?),
        Some('T') => AMQPValue::Timestamp(text()?.parse().ok()?),
        Some('A' | 'F') => from_json(&serde_json::from_str(text()?).ok()?)?,
        Some('V') => AMQPValue::Void,
        Some(_) => return None,
    })
}

/// A JSON value in AMQP's types: whole numbers as 64 bits, the others as doubles.
pub(super) fn from_json(value: &Value) -> Option<AMQPValue> {
    Some(match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(flag) => AMQPValue::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => AMQPValue::LongLongInt(whole),
            None => AMQPValue::Double(number.as_f64()?),
        },
        Value::String(text) => AMQPValue::LongString(text.as_bytes().to_vec().into()),
        Value::Array(items) => AMQPValue::FieldArray(FieldArray::from(items.iter().map(from_json).collect::<Option<Vec<_>>>()?)),
        Value::Object(members) => {
            let mut table = FieldTable::default();
            for (name, value) in members {
                table.insert(ShortString::try_new(name.as_str()).ok()?, from_json(value)?);
            }
            AMQPValue::FieldTable(table)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_a_header_comes_back_as_it_was() {
        let mut table = FieldTable::default();
        table.insert("queue".into(), AMQPValue::LongString("tasks".into()));
        table.insert("count".into(), AMQPValue::LongLongInt(3));
        for (value, text) in [
            (AMQPValue::LongString("größe".into()), "größe"),
            (AMQPValue::Boolean(true), "true"),
            (AMQPValue::ShortShortInt(-3), "-3"),
            (AMQPValue::LongInt(70_000), "70000"),
            (AMQPValue::LongLongInt(i64::MIN), "-9223372036854775808"),
            (AMQPValue::LongUInt(u32::MAX), "4294967295"),
            (AMQPValue::Double(0.1), "0.1"),
            (AMQPValue::Timestamp(1_700_000_000), "1700000000"),
            (AMQPValue::FieldArray(vec![AMQPValue::FieldTable(table)].into()), r#"[{"count":3,"queue":"tasks"}]"#),
        ] {
            let (bytes, letter) = bytes(&value);
            assert_eq!(bytes.as_deref(), Some(text.as_bytes()));
            assert_eq!(typed(bytes.as_ref(), letter), Some(value));
        }
        assert_eq!(bytes(&AMQPValue::Void), (None, Some('V')), "nothing is not an empty text");
        assert_eq!(typed(Some(&"soon".into()), Some('l')), None);
    }

    #[test]
    fn bytes_that_are_no_text_stay_bytes() {
        let value = AMQPValue::LongString(vec![0xff, 0xfe].into());
        let (raw, letter) = bytes(&value);
        assert_eq!((raw.as_deref(), letter), (Some(&[0xff, 0xfe][..]), None));
        assert_eq!(json(&value), serde_json::json!({"base64": "//4="}));
    }
}
