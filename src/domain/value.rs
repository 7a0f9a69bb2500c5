//! `Value`: a decoded payload as an ordered tree that keeps digits, key order and duplicate keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// What a decoder read. Nothing is rounded, reordered or merged.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// The number exactly as it was written: `1e400`, `9007199254740993`, `1.10`.
    Number(Arc<str>),
    Text(Arc<str>),
    Bytes(Bytes),
    Array(Vec<Value>),
    /// In order, duplicate keys kept.
    Object(Vec<(Arc<str>, Value)>),
}

/// One step of a path into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Key(Arc<str>),
    Index(usize),
}

impl Value {
    /// The value of the first key of that name.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| &**name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The element at that index.
    pub fn index(&self, index: usize) -> Option<&Self> {
        match self {
            Self::Array(items) => items.get(index),
            _ => None,
        }
    }

    /// Whether `each` is true for one of the places that a path leads to.
    pub fn any_at(&self, steps: &[Step], each: &mut impl FnMut(&Self) -> bool) -> bool {
        let Some((step, rest)) = steps.split_first() else { return each(self) };
        match (step, self) {
            (Step::Key(key), Self::Object(entries)) => {
                entries.iter().filter(|(name, _)| name == key).any(|(_, value)| value.any_at(rest, each))
            }
            (Step::Index(index), Self::Array(items)) => items.get(*index).is_some_and(|value| value.any_at(rest, each)),
            _ => false,
        }
    }

    /// A scalar as it is printed: text without quotes, digits as they came, bytes as base64. `None` for arrays and objects.
    pub fn printed(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Null => Cow::Borrowed("null"),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Number(text) | Self::Text(text) => Cow::Borrowed(text),
            Self::Bytes(bytes) => Cow::Owned(STANDARD.encode(bytes)),
            Self::Array(_) | Self::Object(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_printed_as_the_json_line_shows_them_without_quotes() {
        for (value, shown) in [
            (Value::Null, Some("null")),
            (Value::Bool(true), Some("true")),
            (Value::Number("1.10".into()), Some("1.10")),
            (Value::Text("a \"b\"".into()), Some("a \"b\"")),
            (Value::Bytes(Bytes::from_static(&[0xff])), Some("/w==")),
            (Value::Array(Vec::new()), None),
        ] {
            assert_eq!(value.printed().as_deref(), shown);
        }
    }
}
