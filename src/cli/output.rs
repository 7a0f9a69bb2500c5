//! What commands write: lines and tables on stdout, notes and progress on stderr. The only file of the command line that reaches
//! either: everything here takes [`SafeText`], or makes it of what it is given, so that no foreign byte gets past it.

use crate::domain::address::Address;
use crate::domain::delivery::Delivery;
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::message::Message;
use crate::domain::redact;
use crate::domain::tail::TailEvent;
use crate::domain::text::{SafeText, escape_json};
use crate::domain::view::Preview;
use crate::gateway::Gateway;
use crate::gateway::ingest::Ingest;
use crate::wire::decoder::Decoder;
use crate::wire::lines;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::sync::Arc;
use std::time::Duration;

/// Standard output, buffered; another writer in tests.
pub struct Out<W: Write = StdoutLock<'static>>(BufWriter<W>);

impl Out {
    pub(super) fn new() -> Self {
        Self::to(io::stdout().lock())
    }
}

impl<W: Write> Out<W> {
    pub(super) fn to(writer: W) -> Self {
        Self(BufWriter::with_capacity(1 << 16, writer))
    }

    /// One line; what could confuse a terminal in it is made visible.
    pub(super) fn line(&mut self, line: impl Into<SafeText>) -> io::Result<()> {
        self.write(line.into().as_str())
    }

    /// Several lines with line breaks of our own between them.
    pub(super) fn lines(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// A table without rules; columns whose heading starts with `>` are aligned to the right.
    pub(super) fn table(&mut self, headings: &[&'static str], rows: Vec<Vec<SafeText>>) -> io::Result<()> {
        self.write(&table(headings, rows))
    }

    /// The same with a line below the rows that have something to say which is no figure.
    pub(super) fn table_with_remarks(&mut self, headings: &[&'static str], rows: Vec<(Vec<SafeText>, Option<SafeText>)>) -> io::Result<()> {
        let (rows, grouped_notes): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        // One line a row, the headings first: safe text has no line breaks.
        for (line, remark) in table(headings, rows).lines().zip(std::iter::once(None).chain(grouped_notes)) {
            self.write(line)?;
            if let Some(remark) = remark {
                self.line(format!("  {remark}"))?;
            }
        }
        Ok(())
    }

    /// One object in one line; what could confuse a terminal is written as `\uXXXX`.
    pub(super) fn json(&mut self, object: &Json) -> io::Result<()> {
        self.write(&escape_json(&object.to_string()))
    }

    /// The line of a message.
    pub(super) fn message(&mut self, line: &Line) -> io::Result<()> {
        match line {
            Line::Text(text) => self.write(text.as_str()),
            Line::Json(line) => self.write(line),
        }
    }

    /// A document made of this program's own words alone, as it is: a script for a shell, the manual page.
    pub(super) fn document(&mut self, document: &[u8]) -> io::Result<()> {
        self.0.write_all(document)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(line.as_bytes())?;
        self.0.write_all(b"\n")
    }

    /// What was written, for tests.
    #[cfg(test)]
    pub(super) fn into_inner(self) -> W {
        self.0.into_inner().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The line of a message, ready to be printed.
pub(super) enum Line {
    Text(SafeText),
    /// As `wire::lines` writes it, which escapes what could confuse a terminal.
    Json(String),
}

impl Line {
    /// The same with a number before it, by which a person names it.
    pub(super) fn numbered(self, number: u32) -> Self {
        match self {
            Self::Text(text) => Self::Text(format!("{number:>3}  {text}").into()),
            Self::Json(line) => Self::Json(format!("{number:>3}  {line}")),
        }
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
        self.text(integration, message).map_or(Ok(()), |line| self.out.message(&line))
    }

    /// The line of a message that was received or looked at.
    pub(super) fn received(&mut self, integration: &Arc<str>, delivery: &Delivery) -> io::Result<()> {
        self.delivery(integration, delivery).map_or(Ok(()), |line| self.out.message(&line))
    }

    /// The same without printing it: the message, and whether somebody had it before.
    pub(super) fn delivery(&mut self, integration: &Arc<str>, delivery: &Delivery) -> Option<Line> {
        if self.json {
            let address = self.address(integration, &delivery.message.channel).clone();
            let line = lines::write_delivery(&address, delivery, &self.decoder(integration, &delivery.message.channel));
            return Some(Line::Json(line));
        }
        let again = match (delivery.redelivered, delivery.deliveries) {
            (true, Some(times)) => format!("  (redelivered, {times} times given out)"),
            (true, None) => "  (redelivered)".to_owned(),
            (false, _) => String::new(),
        };
        self.text(integration, &delivery.message).map(|line| match line {
            Line::Text(text) => Line::Text(format!("{text}{again}").into()),
            json @ Line::Json(_) => json,
        })
    }

    /// What reads the payloads of a channel.
    pub(super) fn decoder(&self, integration: &str, channel: &str) -> Decoder {
        self.ingest.get(integration).map(|ingest| ingest.decoder(channel).clone()).unwrap_or_default()
    }

    /// The line of a message; `None` if its integration was not named.
    pub(super) fn text(&mut self, integration: &Arc<str>, message: &Message) -> Option<Line> {
        if self.json {
            let address = self.address(integration, &message.channel).clone();
            return Some(Line::Json(lines::write(&address, message, &self.decoder(integration, &message.channel))));
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
        Some(Line::Text(format!("{time}  {channel}{:<10}  {key:<16}  {value}", message.position.to_string()).into()))
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

/// Whether a person reads standard error.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// A line on stderr. A URL in it loses its log-in: notes repeat what was typed, and logs of other programs keep them.
#[expect(clippy::print_stderr, reason = "this is where commands speak to people")]
pub(super) fn note(text: impl Into<SafeText>) {
    eprintln!("mqdeck: {}", redact::log_ins(text.into().as_str()));
}

/// What the reader of the command line answers instead of a command: help, the version, or what is wrong. Only for words that hold
/// nothing hidden: it repeats them.
pub(super) fn answer(answer: &clap::Error) {
    // The reader may be gone.
    let _ = answer.print();
}

/// The same on stderr without colours, whatever was typed.
#[expect(clippy::print_stderr, reason = "this is where commands speak to people")]
pub(super) fn answer_plainly(answer: &clap::Error) {
    answer.render().to_string().lines().for_each(|line| eprintln!("{}", SafeText::new(line)));
}

/// A report on stderr that a program may read.
#[expect(clippy::print_stderr, reason = "where reports go")]
pub(super) fn report(object: &Json) {
    eprintln!("{}", escape_json(&object.to_string()));
}

/// A moving line on stderr, where somebody watches.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// `template` is indicatif's; `{msg}` stands for what [`Progress::say`] says.
    pub(super) fn new(watched: bool, template: &'static str) -> Self {
        if !watched {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self(ProgressBar::new_spinner().with_style(style))
    }

    pub(super) fn say(&self, text: impl Into<SafeText>) {
        self.0.set_message(text.into().to_string());
    }

    /// How many there are by now.
    pub(super) fn reach(&self, count: u64) {
        self.0.inc(count.saturating_sub(self.0.position()));
    }

    /// Does what writes, without the moving line in its way.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// How long it has been moving; `None` where nobody watches.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        (!self.0.is_hidden()).then(|| self.0.elapsed())
    }

    pub(super) fn close(&self) {
        self.0.finish_and_clear();
    }
}

/// Says on stderr what a tail says of its reading.
pub(super) fn tail_note(integration: &str, said: &TailEvent) {
    match said {
        TailEvent::Messages(_) => {}
        TailEvent::Interrupted(fault) => note(format!("{integration} interrupted: {fault}")),
        TailEvent::Waits(Some(why)) => note(format!("{integration} waits: {why}")),
        TailEvent::Waits(None) => note(format!("{integration} waits no more")),
        TailEvent::Skipped { count, side } => note(format!("{integration}: {}", side.skipped(*count))),
        TailEvent::Resumed { lost: Some(lost) } => note(format!("{integration} goes on, {} lost", figure::several(*lost, "message"))),
        TailEvent::Resumed { lost: None } => note(format!("{integration} goes on, an unknown number of messages lost")),
    }
}

/// Asks on stderr and reads one line; `None` at the end of the input.
pub(super) async fn ask(text: impl Into<SafeText>) -> io::Result<Option<String>> {
    question(text)?;
    typed().await
}

/// A question on stderr: the answer is typed behind it.
pub(super) fn question(text: impl Into<SafeText>) -> io::Result<()> {
    let mut error = io::stderr();
    error.write_all(text.into().as_str().as_bytes())?;
    error.flush()
}

/// Ends the line of a question that is not answered.
pub(super) fn leave_question() -> io::Result<()> {
    io::stderr().write_all(b"\n")
}

/// Reads one line; `None` at the end of the input.
pub(super) async fn typed() -> io::Result<Option<String>> {
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|read| (read > 0).then_some(line))
    });
    typed.await?
}

/// Whether standard input is a terminal.
pub(super) fn can_answer() -> bool {
    io::stdin().is_terminal()
}

/// Whether there is a person to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn table(headings: &[&'static str], rows: Vec<Vec<SafeText>>) -> String {
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
