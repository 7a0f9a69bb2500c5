//! AMQP's typed values as header bytes, and back with their types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Value, json};

/// A value as a header carries it: texts as they are, numbers and flags in digits and words, tables and lists as JSON. The second is its
/// type if it is not a text: the letter (AMQP 0-9-1 as RabbitMQ reads it), and of a table or a list whose members JSON alone would not give
/// back those of its members in their places. With it, [`typed`] gives the same value back.
pub(super) fn bytes(value: &AMQPValue) -> (Option<Bytes>, Option<Value>) {
    let text = |text: String| Some(Bytes::from(text));
    let bytes = match value {
        AMQPValue::LongString(text) => return (Some(Bytes::copy_from_slice(text.as_bytes())), None),
        AMQPValue::ShortString(text) => return (Some(Bytes::copy_from_slice(text.as_str().as_bytes())), None),
        AMQPValue::ByteArray(raw) => Some(Bytes::copy_from_slice(raw.as_slice())),
        AMQPValue::Void => None,
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => text(json(value).to_string()),
        scalar => text(plain(scalar)),
    };
    (bytes, Some(kind(value)))
}

/// The type of a value, as deep as it has to be told.
fn kind(value: &AMQPValue) -> Value {
    let is_told = from_json(&json(value)).as_ref() == Some(value);
    match value {
        AMQPValue::FieldArray(items) if !is_told => items.as_slice().iter().map(kind).collect(),
        AMQPValue::FieldTable(table) if !is_told => {
            Value::Object(table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), kind(value))).collect())
        }
        value => value.get_type().get_id().to_string().into(),
    }
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
        AMQPValue::Float(n) if n.is_finite() => n.to_string(),
        AMQPValue::Float(n) => format!("{n:?} (0x{:08x})", n.to_bits()),
        AMQPValue::Double(n) if n.is_finite() => n.to_string(),
        AMQPValue::Double(n) => format!("{n:?} (0x{:016x})", n.to_bits()),
        AMQPValue::DecimalValue(decimal) => format!("{}e-{}", decimal.value, decimal.scale),
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
        AMQPValue::DecimalValue(_) => Value::from(plain(value)),
        // What JSON's numbers would change is a text.
        number => {
            let read = serde_json::from_str(&plain(number)).ok().filter(|read| is_kept(read, number));
            read.unwrap_or_else(|| Value::from(plain(number)))
        }
    }
}

/// Whether a number written in JSON and read again is what it was.
fn is_kept(read: &Value, number: &AMQPValue) -> bool {
    let text = read.to_string();
    let letter = number.get_type().get_id().to_string();
    serde_json::from_str::<Value>(&text).is_ok_and(|again| again == *read) && scalar(text.as_bytes(), &letter).as_ref() == Some(number)
}

/// The value of a header, by its type; without one it is a text. `None` if the bytes are not of that type.
pub(super) fn typed(bytes: Option<&Bytes>, kind: Option<&Value>) -> Option<AMQPValue> {
    let Some(bytes) = bytes else { return Some(AMQPValue::Void) };
    let inside = || serde_json::from_slice(bytes).ok();
    match kind {
        None => Some(AMQPValue::LongString(LongString::from(bytes.to_vec()))),
        Some(Value::String(letter)) => match letter.as_str() {
            "A" | "F" => from_json(&inside()?),
            letter => scalar(bytes, letter),
        },
        Some(kind) => member(&inside()?, kind),
    }
}

/// A value of one of the types that have no members.
fn scalar(bytes: &[u8], letter: &str) -> Option<AMQPValue> {
    let text = || std::str::from_utf8(bytes).ok();
    let bits = || text()?.split_once("(0x")?.1.strip_suffix(')');
    Some(match letter {
        "S" => AMQPValue::LongString(LongString::from(bytes.to_vec())),
        "x" => AMQPValue::ByteArray(bytes.to_vec().into()),
        "t" => AMQPValue::Boolean(text()?.parse().ok()?),
        "b" => AMQPValue::ShortShortInt(text()?.parse().ok()?),
        "B" => AMQPValue::ShortShortUInt(text()?.parse().ok()?),
        "s" => AMQPValue::ShortInt(text()?.parse().ok()?),
        "u" => AMQPValue::ShortUInt(text()?.parse().ok()?),
        "I" => AMQPValue::LongInt(text()?.parse().ok()?),
        "i" => AMQPValue::LongUInt(text()?.parse().ok()?),
        "l" => AMQPValue::LongLongInt(text()?.parse().ok()?),
        "f" => AMQPValue::Float(match bits() {
            Some(bits) => f32::from_bits(u32::from_str_radix(bits, 16).ok()?),
            None => text()?.parse().ok()?,
        }),
        "d" => AMQPValue::Double(match bits() {
            Some(bits) => f64::from_bits(u64::from_str_radix(bits, 16).ok()?),
            None => text()?.parse().ok()?,
        }),
        "D" => {
            let (value, scale) = text()?.split_once("e-")?;
            AMQPValue::DecimalValue(DecimalValue { scale: scale.parse().ok()?, value: value.parse().ok()? })
        }
        "T" => AMQPValue::Timestamp(text()?.parse().ok()?),
        "V" => AMQPValue::Void,
        _ => return None,
    })
}

/// A member of a table or a list, by its type.
fn member(value: &Value, kind: &Value) -> Option<AMQPValue> {
    Some(match (value, kind) {
        (Value::Array(items), Value::Array(kinds)) if items.len() == kinds.len() => {
            AMQPValue::FieldArray(items.iter().zip(kinds).map(|(item, kind)| member(item, kind)).collect::<Option<Vec<_>>>()?.into())
        }
        (Value::Object(members), Value::Object(kinds)) => {
            let mut table = FieldTable::default();
            for (name, value) in members {
                let value = match kinds.get(name) {
                    Some(kind) => member(value, kind)?,
                    None => from_json(value)?,
                };
                table.insert(ShortString::try_new(name.as_str()).ok()?, value);
            }
            AMQPValue::FieldTable(table)
        }
        (value, Value::String(letter)) => match (letter.as_str(), value) {
            ("A" | "F", value) => from_json(value)?,
            ("V", Value::Null) => AMQPValue::Void,
            (letter @ ("S" | "x"), Value::Object(raw)) => scalar(&STANDARD.decode(raw.get("base64")?.as_str()?).ok()?, letter)?,
            (letter, Value::String(text)) => scalar(text.as_bytes(), letter)?,
            (letter, value @ (Value::Number(_) | Value::Bool(_))) => scalar(value.to_string().as_bytes(), letter)?,
            _ => return None,
        },
        _ => return None,
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
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

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
            let (bytes, kind) = bytes(&value);
            assert_eq!(bytes.as_deref(), Some(text.as_bytes()));
            assert_eq!(typed(bytes.as_ref(), kind.as_ref()), Some(value));
        }
        assert_eq!(bytes(&AMQPValue::Void), (None, Some("V".into())), "nothing is not an empty text");
        assert_eq!(typed(Some(&"soon".into()), Some(&"l".into())), None);
    }

    #[test]
    fn bytes_that_are_no_text_stay_bytes() {
        let value = AMQPValue::LongString(vec![0xff, 0xfe].into());
        let (raw, letter) = bytes(&value);
        assert_eq!((raw.as_deref(), letter), (Some(&[0xff, 0xfe][..]), None));
        assert_eq!(json(&value), serde_json::json!({"base64": "//4="}));
    }

    /// Any value, as deep as messages are.
    pub(in super::super) fn values() -> impl Strategy<Value = AMQPValue> {
        let bytes = || prop_oneof![prop::collection::vec(any::<u8>(), 0..12), "[a-z0-9ü{}\"]{0,8}".prop_map(String::into_bytes)];
        let leaf = prop_oneof![
            any::<bool>().prop_map(AMQPValue::Boolean),
            any::<i8>().prop_map(AMQPValue::ShortShortInt),
            any::<u8>().prop_map(AMQPValue::ShortShortUInt),
            any::<i16>().prop_map(AMQPValue::ShortInt),
            any::<u16>().prop_map(AMQPValue::ShortUInt),
            any::<i32>().prop_map(AMQPValue::LongInt),
            any::<u32>().prop_map(AMQPValue::LongUInt),
            any::<i64>().prop_map(AMQPValue::LongLongInt),
            any::<u64>().prop_map(AMQPValue::Timestamp),
            prop_oneof![any::<f32>(), Just(1.0), Just(f32::NEG_INFINITY)].prop_map(AMQPValue::Float),
            prop_oneof![any::<f64>(), Just(1.0), Just(f64::INFINITY)].prop_map(AMQPValue::Double),
            (any::<u8>(), any::<u32>()).prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
            bytes().prop_map(|bytes| AMQPValue::LongString(bytes.into())),
            bytes().prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
            Just(AMQPValue::Void),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|items| AMQPValue::FieldArray(items.into())),
                prop::collection::btree_map(prop_oneof!["[a-z]{0,4}", Just("base64".to_owned())], inner, 0..5).prop_map(|members| {
                    let mut table = FieldTable::default();
                    for (name, value) in members {
                        table.insert(name.into(), value);
                    }
                    AMQPValue::FieldTable(table)
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back_as_it_was(value in values()) {
            let (bytes, kind) = bytes(&value);
            // What is no number equals nothing, and is the same all the same.
            prop_assert_eq!(format!("{:?}", typed(bytes.as_ref(), kind.as_ref())), format!("{:?}", Some(value)));
        }
    }
}
