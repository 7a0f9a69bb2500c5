//! Reading answers: RESP2 and RESP3 write maps and texts differently.

use bytes::Bytes;
use redis::Value;

/// Bytes of a text answer.
pub(super) fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.into()),
        Value::Okay => Some(Bytes::from_static(b"OK")),
        Value::Int(n) => Some(n.to_string().into()),
        _ => None,
    }
}

/// A text answer, with what is not UTF-8 replaced: for names that are only shown.
pub(super) fn text(value: &Value) -> Option<String> {
    bytes(value.clone()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A number; nil is none.
pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        Value::Nil => None,
        other => text(other)?.parse().ok(),
    }
}

/// Bytes of the texts in an answer.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::BulkString(bytes) => bytes.len(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.len(),
        Value::Array(items) | Value::Set(items) => items.iter().map(size).sum(),
        Value::Map(pairs) => pairs.iter().map(|(name, value)| size(name) + size(value)).sum(),
        _ => 0,
    }
}

/// The elements of a list; nil has none.
pub(super) fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => Vec::new(),
    }
}

/// The pairs of a map, or of a list that stands for one, in order; with names that are only shown or known.
pub(super) fn pairs(value: Value) -> Vec<(String, Value)> {
    named(value).into_iter().map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value)).collect()
}

/// The same with names as they are.
pub(super) fn named(value: Value) -> Vec<(Bytes, Value)> {
    match value {
        Value::Map(pairs) => pairs.into_iter().filter_map(|(name, value)| Some((bytes(name)?, value))).collect(),
        other => {
            let mut items = items(other).into_iter();
            let mut pairs = Vec::with_capacity(items.len() / 2);
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.extend(bytes(name).map(|name| (name, value)));
            }
            pairs
        }
    }
}

/// The value of a name in pairs.
pub(super) fn field<'a>(pairs: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_map_is_read_from_either_protocol() {
        let resp2 = Value::Array(vec![bulk("length"), Value::Int(3), bulk("lag"), Value::Nil]);
        let resp3 = Value::Map(vec![(bulk("length"), Value::Int(3)), (bulk("lag"), Value::Nil)]);
        for answer in [resp2, resp3] {
            let pairs = pairs(answer);
            assert_eq!(field(&pairs, "length").and_then(int), Some(3));
            assert_eq!(field(&pairs, "lag").and_then(int), None, "nil is unknown, not zero");
            assert_eq!(field(&pairs, "groups").and_then(int), None);
        }
    }
}
