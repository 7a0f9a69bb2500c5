//! What commands write: lines and tables on stdout, notes and progress on stderr. Nothing foreign goes out unescaped.

use crate::domain::address::Address;
use crate::domain::delivery::Delivery;
use crate::domain::fault::Fault;
use crate::domain::format::Format;
use crate::domain::message::Message;
use crate::domain::tail::TailEvent;
use crate::domain::text::{SafeText, escape_json};
use crate::domain::view::Preview;
use crate::gateway::Gateway;
use crate::gateway::ingest::Ingest;
use crate::wire::lines;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::sync::Arc;

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

/// Messages on standard output, one line each.
pub(super) struct Messages {
    pub(super) out: Out,
    json: bool,
    /// Several channels are read: each line says which.
    several: bool,
    ingest: HashMap<Arc<str>, Ingest>,
    zone: TimeZone,
    /// Of the message before: most come from where that came from.
    last: Option<(Arc<str>, Arc<str>, Address)>,
}

impl Messages {
    pub(super) fn new(gateway: &Gateway, addresses: &[Address], json: bool) -> Result<Self, Fault> {
        let mut ingest = HashMap::new();
        for address in addresses {
            ingest.insert(address.integration.clone(), gateway.ingest(&address.integration)?);
        }
        Ok(Self { out: Out::new(), json, several: addresses.len() > 1, ingest, zone: TimeZone::system(), last: None })
    }

    /// Each line says its channel.
    pub(super) fn say_channels(&mut self) {
        self.several = true;
    }

    pub(super) fn print(&mut self, integration: &Arc<str>, message: &Message) -> io::Result<()> {
        match self.text(integration, message) {
            Some(line) => self.out.line(&line),
            None => Ok(()),
        }
    }

    /// The line of a message that was received or looked at.
    pub(super) fn received(&mut self, integration: &Arc<str>, delivery: &Delivery) -> io::Result<()> {
        match self.delivery(integration, delivery) {
            Some(line) => self.out.line(&line),
            None => Ok(()),
        }
    }

    /// The same without printing it: the message, and whether somebody had it before.
    pub(super) fn delivery(&mut self, integration: &Arc<str>, delivery: &Delivery) -> Option<String> {
        if self.json {
            let address = self.address(integration, &delivery.message.channel).clone();
            return Some(lines::write_delivery(&address, delivery, self.prefer(integration, &delivery.message.channel)));
        }
        let again = match (delivery.redelivered, delivery.deliveries) {
            (true, Some(times)) => format!("  (redelivered, {times} times given out)"),
            (true, None) => "  (redelivered)".to_owned(),
            (false, _) => String::new(),
        };
        self.text(integration, &delivery.message).map(|line| line + &again)
    }

    /// What the profile says that the payloads of a channel are.
    pub(super) fn prefer(&self, integration: &str, channel: &str) -> &[Format] {
        self.ingest.get(integration).map_or(&[], |ingest| ingest.prefer(channel))
    }

    /// The line of a message; `None` if its integration was not named.
    pub(super) fn text(&mut self, integration: &Arc<str>, message: &Message) -> Option<String> {
        if self.json {
            let address = self.address(integration, &message.channel).clone();
            return Some(lines::write(&address, message, self.prefer(integration, &message.channel)));
        }
        let view = self.ingest.get(integration)?.view(message);
        let time = message.timestamp.map_or_else(|| "–".to_owned(), |t| t.clock(&self.zone));
        let key = view.key.as_ref().map_or("–", |k| k.as_str());
        let value = match &view.preview {
            Preview::Tombstone => "∅ tombstone",
            Preview::Empty => "(empty)",
            Preview::Text(text) | Preview::Binary(text) => text.as_str(),
        };
        let channel = if self.several { format!("{}  ", view.address) } else { String::new() };
        Some(format!("{time}  {channel}{:<10}  {key:<16}  {value}", message.position.to_string()))
    }

    fn address(&mut self, integration: &Arc<str>, channel: &Arc<str>) -> &Address {
        let same = |(i, c, _): &(Arc<str>, Arc<str>, Address)| i == integration && c == channel;
        let known = self.last.take().filter(same);
        let made = || (integration.clone(), channel.clone(), Address::new(integration, channel));
        &self.last.insert(known.unwrap_or_else(made)).2
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

/// Says on stderr what a tail says of its reading.
pub(super) fn tail_note(integration: &str, said: &TailEvent) {
    match said {
        TailEvent::Messages(_) => {}
        TailEvent::Interrupted(fault) => note(&format!("{integration} interrupted: {fault}")),
        TailEvent::Waits(Some(why)) => note(&format!("{integration} waits: {why}")),
        TailEvent::Waits(None) => note(&format!("{integration} waits no more")),
        TailEvent::Skipped { count, side } => note(&format!("{integration}: {}", side.skipped(*count))),
        TailEvent::Resumed { lost: Some(lost) } => note(&format!("{integration} goes on, {lost} messages lost")),
        TailEvent::Resumed { lost: None } => note(&format!("{integration} goes on, an unknown number of messages lost")),
    }
}

/// Asks on stderr and reads one line; `None` at the end of the input.
pub(super) async fn ask(text: &str) -> io::Result<Option<String>> {
    question(text)?;
    typed().await
}

/// A question on stderr: the answer is typed behind it.
pub(super) fn question(text: &str) -> io::Result<()> {
    let mut error = io::stderr();
    error.write_all(text.as_bytes())?;
    error.flush()
}

/// Reads one line; `None` at the end of the input.
pub(super) async fn typed() -> io::Result<Option<String>> {
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|read| (read > 0).then_some(line))
    });
    typed.await?
}

/// Whether there is a person to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A line on stderr that a program may read.
#[expect(clippy::print_stderr, reason = "where reports go")]
pub(super) fn line(text: &str) {
    eprintln!("{text}");
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
