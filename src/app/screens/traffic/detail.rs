//! The detail of one message, as rows: where it stands, key, headers, what the decoders made of it as a tree, or its bytes.

use crate::app::headers::notation;
use crate::app::list::{Step, window};
use crate::domain::envelope::{self, Envelope};
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::message::{Header, Stamp};
use crate::domain::text::SafeText;
use crate::domain::value::Value;
use crate::domain::view::{Decoded, MessageView};
use jiff::tz::TimeZone;
use std::collections::HashSet;
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Payload bytes that are shown in hex.
const HEX_BYTES: usize = 64 * 1024;
/// Rows of a tree that are shown; the rest is said.
const TREE_ROWS: usize = 20_000;
/// Arrays and objects with more elements than this start folded.
const FOLD_ABOVE: usize = 100;
/// Labels are aligned up to this width.
const LABEL: usize = 24;

/// The detail pane.
pub struct Detail {
    pub view: Arc<MessageView>,
    pub decoded: Option<Result<Decoded, Fault>>,
    pub hex: bool,
    /// Nodes of the tree, numbered from its root downwards, whose fold differs from what it would be by itself.
    flipped: HashSet<u32>,
    pub rows: Vec<Row>,
    pub cursor: usize,
    pub offset: usize,
    pub(crate) version: u32,
    pub(crate) built_for: Option<(u16, u32)>,
}

/// One row of the pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub part: Part,
    /// Cells to indent.
    pub indent: u16,
    /// What stands before the text, padded to `label_width`.
    pub label: SafeText,
    pub label_width: u16,
    pub text: SafeText,
    /// The node that folds here, and whether it is open.
    pub fold: Option<(u32, bool)>,
}

/// What a row is, for its style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Heading,
    Fact,
    Value,
    /// Something that is missing, not empty.
    Missing,
    /// What the reader should know.
    Note,
    Fault,
    Hex,
    Blank,
}

impl Detail {
    pub(crate) fn new(view: Arc<MessageView>, hex: bool) -> Self {
        Self { view, decoded: None, hex, flipped: HashSet::new(), rows: Vec::new(), cursor: 0, offset: 0, version: 0, built_for: None }
    }

    pub(crate) fn decoded(&mut self, result: Result<Decoded, Fault>) {
        self.decoded = Some(result);
        self.version += 1;
    }

    pub(crate) fn toggle_hex(&mut self) {
        self.hex = !self.hex;
        self.version += 1;
    }

    pub(crate) fn step(&mut self, step: Step, page: usize) {
        self.cursor = step.from(self.cursor, self.rows.len(), page);
    }

    /// Folds or unfolds the row under the cursor.
    pub(crate) fn toggle(&mut self) {
        if let Some((node, _)) = self.rows.get(self.cursor).and_then(|row| row.fold) {
            if !self.flipped.remove(&node) {
                self.flipped.insert(node);
            }
            self.version += 1;
        }
    }

    pub(crate) fn fold(&mut self, open: bool) {
        match self.rows.get(self.cursor).and_then(|row| row.fold) {
            Some((_, is_open)) if is_open != open => self.toggle(),
            // Folding what cannot be folded goes to what holds it.
            _ if !open => {
                let indent = self.rows.get(self.cursor).map_or(0, |row| row.indent);
                let parent =
                    self.rows[..self.cursor.min(self.rows.len())].iter().rposition(|row| row.fold.is_some() && row.indent < indent);
                self.cursor = parent.unwrap_or(self.cursor);
            }
            _ => {}
        }
    }

    pub(crate) fn settle(&mut self, page: usize) {
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
        self.offset = window(self.offset, self.cursor, self.rows.len(), page);
    }
}

/// Collects rows.
struct Build<'a> {
    rows: Vec<Row>,
    width: usize,
    flipped: &'a HashSet<u32>,
    node: u32,
}

/// The rows of the pane, wrapped to `width` cells.
pub(crate) fn rows(detail: &Detail, width: u16, zone: &TimeZone) -> Vec<Row> {
    let mut build = Build { rows: Vec::new(), width: usize::from(width.max(8)), flipped: &detail.flipped, node: 0 };
    let view = &detail.view;
    build.head(view, zone);
    build.headers(view);
    match (&detail.decoded, &view.message.payload) {
        (_, None) => build.push(Part::Missing, 0, "value", 9, "∅ tombstone: no payload"),
        (_, Some(payload)) if detail.hex => build.hex(payload),
        (Some(Ok(decoded)), Some(_)) => build.decoded(decoded, &view.message.headers),
        (Some(Err(fault)), Some(payload)) => {
            build.push(Part::Fault, 0, "", 0, &format!("not decoded: {}", fault.cause));
            build.hex(payload);
        }
        (None, Some(_)) => build.preview(view),
    }
    if !view.whole {
        let kept = view.message.payload.as_ref().map_or(0, bytes::Bytes::len);
        let text = format!("shown: the first {} of {}", figure::bytes(kept as u64), figure::bytes(view.size as u64));
        build.push(Part::Note, 0, "", 0, &text);
    }
    build.rows
}

impl Build<'_> {
    fn head(&mut self, view: &MessageView, zone: &TimeZone) {
        let place = view.message.position;
        let place = if place.is_lasting() { format!("#{place}") } else { String::new() };
        self.push(Part::Heading, 0, "", 0, &format!("{}{place}", view.address));
        let when = view.message.timestamp.map_or_else(
            || "no time".to_owned(),
            |t| t.zoned(zone).map_or_else(|| t.to_string(), |z| z.strftime("%Y-%m-%d %H:%M:%S%.3f %Z").to_string()),
        );
        let by = match view.message.stamp {
            Stamp::Created => "",
            Stamp::Stored => ", stamped by the broker",
            Stamp::Seen => ", when it was seen here",
        };
        self.push(Part::Fact, 0, "time", 9, &format!("{when}{by}"));
        self.push(Part::Fact, 0, "size", 9, &figure::bytes(view.size as u64));
        match &view.message.key {
            None => self.push(Part::Missing, 0, "key", 9, "– none"),
            Some(key) if key.is_empty() => self.push(Part::Missing, 0, "key", 9, "\"\" empty"),
            Some(key) => self.push(Part::Fact, 0, "key", 9, shown(key).as_str()),
        }
        if let Some(tenant) = &view.tenant {
            self.push(Part::Fact, 0, "tenant", 9, tenant.as_str());
        }
    }

    fn headers(&mut self, view: &MessageView) {
        let headers = &view.message.headers;
        if headers.is_empty() {
            return;
        }
        self.blank();
        self.push(Part::Heading, 0, "", 0, &format!("headers {}", headers.len()));
        let labels: Vec<SafeText> = headers.iter().map(|h| SafeText::from_bytes(&h.name)).collect();
        let width = label_width(labels.iter());
        for (header, label) in headers.iter().zip(&labels) {
            match &header.value {
                None => self.push(Part::Missing, 2, label.as_str(), width, "– none"),
                Some(value) if value.is_empty() => self.push(Part::Missing, 2, label.as_str(), width, "\"\""),
                Some(value) => self.push(Part::Value, 2, label.as_str(), width, shown(value).as_str()),
            }
        }
    }

    fn decoded(&mut self, decoded: &Decoded, headers: &[Header]) {
        self.blank();
        self.push(Part::Heading, 0, "", 0, &format!("value  {} ({})", decoded.format, decoded.why));
        for note in &decoded.notes {
            self.push(Part::Note, 0, "", 0, note.as_str());
        }
        match &decoded.value {
            None => self.push(Part::Missing, 2, "", 0, "∅ no payload"),
            Some(value) => match envelope::recognise(headers, value) {
                Some(found) => self.envelope(&found, value),
                None => self.value(value, "", 0, 2),
            },
        }
        if self.rows.len() >= TREE_ROWS {
            self.push(
                Part::Note,
                0,
                "",
                0,
                &format!("only the first {} rows are shown; e opens everything", figure::count(TREE_ROWS as u64)),
            );
        }
    }

    /// What the message is wrapped in, then what is in it.
    fn envelope(&mut self, envelope: &Envelope<'_>, whole: &Value) {
        let width = envelope.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("envelope".len()) as u16;
        self.push(Part::Value, 2, "envelope", width, envelope.name);
        for (name, text) in &envelope.facts {
            self.push(Part::Value, 2, name, width, text.as_str());
        }
        self.blank();
        let (title, body) = match envelope.body {
            Some(body) => ("body  (w shows the whole)", body),
            None => ("body  (the whole)", whole),
        };
        self.push(Part::Heading, 0, "", 0, title);
        self.value(body, "", 0, 2);
    }

    fn preview(&mut self, view: &MessageView) {
        use crate::domain::view::Preview;
        self.blank();
        self.push(Part::Heading, 0, "", 0, "value");
        match &view.preview {
            Preview::Text(text) | Preview::Binary(text) => self.push(Part::Value, 2, "", 0, text.as_str()),
            Preview::Empty | Preview::Tombstone => self.push(Part::Missing, 2, "", 0, "\"\" empty: no bytes"),
        }
    }

    fn value(&mut self, value: &Value, label: &str, width: u16, indent: u16) {
        if self.rows.len() >= TREE_ROWS {
            return;
        }
        match value {
            Value::Null => self.push(Part::Missing, indent, label, width, "null"),
            Value::Bool(b) => self.push(Part::Value, indent, label, width, if *b { "true" } else { "false" }),
            Value::Number(digits) => self.push(Part::Value, indent, label, width, digits),
            Value::Text(text) if label.is_empty() && indent == 2 => self.text(text),
            Value::Text(text) => self.push(Part::Value, indent, label, width, &format!("\"{text}\"")),
            Value::Bytes(bytes) => self.push(Part::Value, indent, label, width, &hex_of(bytes)),
            Value::Array(items) => {
                let labels: Vec<SafeText> = (0..items.len()).map(|i| SafeText::from(i.to_string())).collect();
                let children = labels.iter().zip(items);
                self.branch(label, width, indent, &format!("[{}]", items.len()), children);
            }
            Value::Object(entries) => {
                let labels: Vec<SafeText> = entries.iter().map(|(name, _)| SafeText::new(name)).collect();
                let children = labels.iter().zip(entries.iter().map(|(_, value)| value));
                self.branch(label, width, indent, &format!("{{{}}}", entries.len()), children);
            }
        }
    }

    fn branch<'v>(
        &mut self,
        label: &str,
        width: u16,
        indent: u16,
        summary: &str,
        children: impl ExactSizeIterator<Item = (&'v SafeText, &'v Value)> + Clone,
    ) {
        self.node += 1;
        let node = self.node;
        let by_itself = children.len() <= FOLD_ABOVE;
        let open = by_itself != self.flipped.contains(&node);
        self.push(Part::Missing, indent, label, width, summary);
        if let Some(row) = self.rows.last_mut() {
            row.fold = Some((node, open));
        }
        let inner = label_width(children.clone().map(|(label, _)| label));
        for (label, child) in children {
            if open {
                self.value(child, label.as_str(), inner, indent.saturating_add(2).min(60));
            } else {
                self.node += count_nodes(child);
            }
        }
    }

    /// A text of its own: its lines as they are.
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return self.push(Part::Missing, 2, "", 0, "\"\" empty: no bytes");
        }
        for line in text.split('\n') {
            if self.rows.len() < TREE_ROWS {
                self.push(Part::Value, 2, "", 0, line);
            }
        }
    }

    fn hex(&mut self, payload: &[u8]) {
        self.blank();
        self.push(Part::Heading, 0, "", 0, &format!("bytes  {}", figure::count(payload.len() as u64)));
        let per_row = [32, 16, 8, 4].into_iter().find(|n| 10 + n * 3 + n / 8 + 1 + n <= self.width).unwrap_or(4);
        for (i, chunk) in payload.chunks(per_row).take(HEX_BYTES / per_row).enumerate() {
            let mut line = format!("{:08x} ", i * per_row);
            for column in 0..per_row {
                if column % 8 == 0 {
                    line.push(' ');
                }
                match chunk.get(column) {
                    Some(byte) => line.push_str(&format!("{byte:02x} ")),
                    None => line.push_str("   "),
                }
            }
            line.push(' ');
            line.extend(chunk.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '·' }));
            self.rows.push(Row { part: Part::Hex, indent: 0, label: SafeText::default(), label_width: 0, text: line.into(), fold: None });
        }
        if payload.len() > HEX_BYTES {
            self.push(Part::Note, 0, "", 0, &format!("only the first {} are shown; e opens everything", figure::bytes(HEX_BYTES as u64)));
        }
    }

    fn blank(&mut self) {
        self.push(Part::Blank, 0, "", 0, "");
    }

    /// Adds a row, and as many more as its text needs.
    fn push(&mut self, part: Part, indent: u16, label: &str, label_width: u16, text: &str) {
        let label = SafeText::new(label);
        let text = SafeText::new(text);
        // Marker, indent, label and a gap stand before the text.
        let before = usize::from(indent) + usize::from(label_width) + if label_width > 0 { 2 } else { 0 } + 2;
        let room = self.width.saturating_sub(before).max(12);
        let mut lines = wrap(text.as_str(), room).into_iter();
        let first = lines.next().unwrap_or_default();
        self.rows.push(Row { part, indent, label, label_width, text: first.into(), fold: None });
        for line in lines {
            let more = Row { part, indent, label: SafeText::default(), label_width, text: line.into(), fold: None };
            self.rows.push(more);
        }
    }
}

/// Text as it is, with marks; bytes that are no text as hex.
fn shown(bytes: &[u8]) -> SafeText {
    std::str::from_utf8(bytes).map_or_else(|_| SafeText::from(notation(bytes)), SafeText::new)
}

/// Text cut into pieces of at most `room` cells, between grapheme clusters.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<&str> {
    if text.len() <= room {
        return vec![text];
    }
    let mut pieces = Vec::new();
    let (mut start, mut width) = (0, 0);
    for (at, cluster) in text.grapheme_indices(true) {
        let cells = cluster.width();
        if width + cells > room && at > start {
            pieces.push(&text[start..at]);
            (start, width) = (at, 0);
        }
        width += cells;
    }
    pieces.push(&text[start..]);
    pieces
}

fn label_width<'a>(labels: impl Iterator<Item = &'a SafeText>) -> u16 {
    labels.map(|label| label.as_str().width()).max().unwrap_or(0).min(LABEL) as u16
}

fn count_nodes(value: &Value) -> u32 {
    match value {
        Value::Array(items) => 1 + items.iter().map(count_nodes).sum::<u32>(),
        Value::Object(entries) => 1 + entries.iter().map(|(_, value)| count_nodes(value)).sum::<u32>(),
        _ => 0,
    }
}

fn hex_of(bytes: &[u8]) -> String {
    let shown: String = bytes.iter().take(256).fold(String::new(), |out, byte| format!("{out}{byte:02x}"));
    format!("bytes {} {shown}", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_clusters_and_never_wider_than_the_room() {
        for (text, room, pieces) in [
            ("abcdef", 3, vec!["abc", "def"]),
            ("漢字漢", 4, vec!["漢字", "漢"]),
            ("", 4, vec![""]),
            ("e\u{301}e\u{301}x", 2, vec!["e\u{301}e\u{301}", "x"]),
        ] {
            assert_eq!(wrap(text, room), pieces);
        }
    }
}
