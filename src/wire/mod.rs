//! Bytes ↔ `domain::value::Value`: the formats that payloads come in, and how the right one is found. Pure: bytes in, values out.

pub mod confluent;
pub mod decoder;
pub mod hex;
pub mod json;
pub mod lines;
pub mod messagepack;
pub mod record;
pub mod text;
