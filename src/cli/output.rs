//! What commands write: lines and tables on stdout, notes and progress on stderr. Nothing foreign goes out unescaped.

use crate::domain::text::{SafeText, escape_json};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value as Json;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// Standard output, buffered.
pub(super) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(super) fn new() -> Self {
        Self(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    /// One line that is safe as it stands.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(line.as_bytes())?;
        self.0.write_all(b"\n")
    }

    /// One object in one line; what could confuse a terminal is written as `\uXXXX`.
    pub(super) fn json(&mut self, object: &Json) -> io::Result<()> {
        self.line(&escape_json(&object.to_string()))
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a person reads standard output.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A line on stderr.
#[expect(clippy::print_stderr, reason = "this is where commands speak to people")]
pub(super) fn note(text: &str) {
    eprintln!("mqdeck: {text}");
}

/// A table without lines; columns whose heading starts with `>` are aligned to the right.
pub(super) fn table(headings: &[&str], rows: Vec<Vec<SafeText>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|h| h.trim_start_matches('>')));
    for row in rows {
        table.add_row(row.iter().map(SafeText::as_str));
    }
    for (index, heading) in headings.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if heading.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt()
}

/// Whole numbers and unknowns for JSON: what is unknown is `null`.
pub(super) fn known<T: Into<Json>>(value: Option<T>) -> Json {
    value.map_or(Json::Null, Into::into)
}
