//! A message as one line of JSON, exact in both directions.
//!
//! Fields: `address position timestamp key key_encoding headers value encoding wire size`, and `timestamp_type` and `raw` where they are needed.
//!
//! - `position` is `null` where the system keeps no messages, and there is nothing to come back to.
//! - `timestamp_type` is `seen` where the message has no time of its own, and `timestamp` is when it came; such a time is not read.
//! - `value` is the decoded payload: JSON with its digits and the order of its keys (`encoding` `json`), text (`text`), or bytes (`base64`).
//! - A missing key, header value or payload is `null` with an encoding of `null`; an empty one is `""`.
//! - `raw` is base64 of the payload. It is written where `value` alone would not give the same bytes again: MessagePack, a registry's
//!   frame, JSON with white space around it, line breaks or hidden characters. Reading takes `raw` as long as `value` was not changed.
//! - A message that was received or looked at has `redelivered`, and `deliveries` where its system counts them; nothing is read from these.
//! - Control, bidi and zero-width characters are written `\uXXXX`.

mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use reader::{LineError, read};
pub use writer::{write, write_delivery};

/// The `timestamp_type` of a time that is no property of the message: when it was seen here.
const SEEN: &str = "seen";

/// Every field, in the order in which it is written.
pub const FIELDS: [&str; 14] = [
    "address",
    "position",
    "timestamp",
    "timestamp_type",
    "key",
    "key_encoding",
    "headers",
    "value",
    "encoding",
    "wire",
    "raw",
    "size",
    "redelivered",
    "deliveries",
];
