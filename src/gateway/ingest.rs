//! `Ingest`: the only way from a message to something that is looked at. Counts, caps and makes safe.

use super::decoders::Decoders;
use crate::config::profile::Integration;
use crate::domain::address::Address;
use crate::domain::message::{Header, Message};
use crate::domain::text::SafeText;
use crate::domain::view::{MessageView, Preview};
use crate::wire::decoder::Decoder;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Payload bytes that a window keeps of one message; more is fetched again when it is needed.
pub const KEPT_PAYLOAD: usize = 64 * 1024;
/// The same where nothing is stored, so that nothing can be fetched again: as much as a window holds of all its messages.
pub const KEPT_UNSTORED: usize = 12_000_000;
/// Bytes of a payload or key that are looked at for its one-line preview: wider than any screen.
const PREVIEW: usize = 512;

/// Makes views of one integration's messages.
#[derive(Clone)]
pub struct Ingest {
    integration: Arc<Integration>,
    decoders: Arc<Decoders>,
    /// Numbers the views of all integrations of a gateway.
    next_id: Arc<AtomicU64>,
}

impl Ingest {
    pub fn new(integration: Arc<Integration>, decoders: Arc<Decoders>, next_id: Arc<AtomicU64>) -> Self {
        Self { integration, decoders, next_id }
    }

    /// What reads the payloads of a channel.
    pub fn decoder(&self, channel: &str) -> &Decoder {
        self.decoders.of(channel)
    }

    /// The view of a message. Bytes are copied out of the buffer they came in, so that one small message does not hold a
    /// whole answer of the broker in memory.
    pub fn view(&self, message: &Message) -> MessageView {
        self.cut(message, if message.position.is_lasting() { KEPT_PAYLOAD } else { KEPT_UNSTORED })
    }

    /// The view of a message with every byte of it, for the one that is worked on.
    pub fn whole(&self, message: &Message) -> MessageView {
        self.cut(message, usize::MAX)
    }

    fn cut(&self, message: &Message, limit: usize) -> MessageView {
        let size = message.size();
        let payload = message.payload.as_ref().map(|p| Bytes::copy_from_slice(&p[..p.len().min(limit)]));
        let whole = message.payload.as_ref().is_none_or(|p| p.len() <= limit);
        let kept = Message {
            channel: message.channel.clone(),
            key: message.key.as_deref().map(Bytes::copy_from_slice),
            headers: message.headers.iter().map(copy_header).collect(),
            payload,
            ..*message
        };
        MessageView {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            address: Address::new(&self.integration.name, &message.channel),
            tenant: self.integration.tenant_of(&message.channel).map(SafeText::new),
            key: message.key.as_deref().map(one_line),
            preview: preview(message.payload.as_deref()),
            size,
            message: kept,
            whole,
        }
    }
}

fn copy_header(header: &Header) -> Header {
    Header { name: Bytes::copy_from_slice(&header.name), value: header.value.as_deref().map(Bytes::copy_from_slice) }
}

fn preview(payload: Option<&[u8]>) -> Preview {
    match payload {
        None => Preview::Tombstone,
        Some([]) => Preview::Empty,
        Some(bytes) => {
            let start = &bytes[..bytes.len().min(PREVIEW)];
            if is_text(start, bytes.len() > PREVIEW) {
                Preview::Text(one_line(start))
            } else {
                let hex: Vec<String> = start.iter().take(64).map(|b| format!("{b:02x}")).collect();
                Preview::Binary(SafeText::new(&hex.join(" ")))
            }
        }
    }
}

/// Whether bytes are UTF-8 text; a character cut at the end of a longer payload does not count against it.
fn is_text(bytes: &[u8], cut: bool) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => cut && error.error_len().is_none(),
    };
    valid && !bytes.contains(&0)
}

fn one_line(bytes: &[u8]) -> SafeText {
    let start = &bytes[..bytes.len().min(PREVIEW)];
    let end = match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_none() && bytes.len() >= PREVIEW => error.valid_up_to(),
        _ => start.len(),
    };
    SafeText::from_bytes(&start[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::Position;

    fn view(payload: Option<&[u8]>) -> MessageView {
        view_at(Position::Sequence(1), payload)
    }

    fn view_at(position: Position, payload: Option<&[u8]>) -> MessageView {
        let message = Message {
            key: Some(Bytes::from_static(b"k\x1b[2J")),
            payload: payload.map(Bytes::copy_from_slice),
            ..Message::at("orders", position)
        };
        Ingest::new(Arc::new(Integration::new("events", "kafka", Vec::new())), Arc::default(), Arc::default()).view(&message)
    }

    #[test]
    fn a_payload_is_previewed_for_what_it_is() {
        for (payload, shown) in [
            (None, Preview::Tombstone),
            (Some(&b""[..]), Preview::Empty),
            (Some(b"{\"a\":\"\xe2\x80\xae\"}"), Preview::Text("{\"a\":\"\u{202e}\"}".into())),
            (Some(b"\x00\x00\x00\x00\x11ab"), Preview::Binary("00 00 00 00 11 61 62".into())),
        ] {
            assert_eq!(view(payload).preview, shown);
        }
        assert_eq!(view(None).key.as_ref().map(SafeText::as_str), Some("k‹ESC›[2J"));
    }

    #[test]
    fn what_nobody_stores_is_kept_whole_because_it_cannot_be_fetched_again() {
        let long = "x".repeat(KEPT_PAYLOAD + 1);
        assert!(view_at(Position::Arrival(1), Some(long.as_bytes())).whole);
        let vast = vec![b'x'; KEPT_UNSTORED + 1];
        assert!(!view_at(Position::Arrival(1), Some(&vast)).whole);
    }

    #[test]
    fn a_long_payload_is_cut_and_says_so() {
        let long = "ä".repeat(KEPT_PAYLOAD);
        let cut = view(Some(long.as_bytes()));
        assert!(!cut.whole);
        assert_eq!(cut.message.payload.as_ref().map(Bytes::len), Some(KEPT_PAYLOAD));
        assert_eq!(cut.size, long.len() + 5);
        assert!(matches!(cut.preview, Preview::Text(_)), "a character cut at the edge is still text");
    }
}
