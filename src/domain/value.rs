//! `Value`: a decoded payload as an ordered tree that keeps digits, key order and duplicate keys.

use bytes::Bytes;
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
}
