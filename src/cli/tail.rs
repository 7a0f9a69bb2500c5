//! `mqdeck tail`: messages, live or from history, one line each. Nothing is dropped: a slow reader slows the reading down.

use super::Connection;
use super::output::{self, Out};
use crate::adapters::session::{Reading, TailEvent};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use crate::domain::query::Query;
use crate::domain::view::Preview;
use crate::gateway::Gateway;
use crate::gateway::filter::{Filter, Verdict};
use crate::gateway::history::Merge;
use crate::gateway::ingest::Ingest;
use crate::wire::lines;
use clap::Args;
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Args)]
pub struct Tail {
    /// Channels to read: `events/orders.created`.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<Address>,
    /// Reads history from here first: earliest, end-500, @12345, 3@1042, `3h ago`, 2026-02-05T10:00Z.
    #[arg(long, value_name = "START")]
    from: Option<String>,
    /// Ends here (not included); `latest` is the end at the moment the command starts. Without it the tail goes on live.
    #[arg(long, value_name = "END")]
    until: Option<String>,
    /// Only messages for which this query is true.
    #[arg(long = "where", value_name = "QUERY", default_value = "")]
    filter: String,
    /// Ends after this many messages.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// One JSON object a line; `mqdeck publish --lines` reads it back byte for byte.
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let filter = Filter::parse(&self.filter)?;
        let reach = self.range(&filter.query)?;
        let gateway = connection.open()?;
        let mut printer = Printer::new(self, filter, &gateway)?;
        let (result, stopped) = tokio::select! {
            result = self.read(&gateway, reach, &mut printer) => (result, false),
            _ = super::interrupted() => (Ok(()), true),
        };
        printer.out.flush()?;
        if stopped {
            output::note(&format!("stopped after {} messages", printer.printed));
        }
        if !self.filter.is_empty() || printer.filter_errors > 0 {
            let undecided = match printer.filter_errors {
                0 => String::new(),
                n => format!("; {n} could not be decoded, so the query cannot tell"),
            };
            output::note(&format!("{} of {} messages match{undecided}", printer.printed, printer.seen));
        }
        gateway.shutdown().await;
        result?;
        Ok(if printer.faults > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// What of history is to be read, and whether the tail ends with it: the options win over the query's own `from` and `until`.
    fn range(&self, query: &Query) -> Result<Reach, Fault> {
        let now = Zoned::now();
        let bound =
            |text: &Option<String>| text.as_deref().map(|t| Bound::parse(t, &now).map_err(|e| super::usage("tail", t, e))).transpose();
        let (start, end) = (bound(&self.from)?.or(query.from), bound(&self.until)?.or(query.until));
        let range = Range { start: start.unwrap_or(Bound::Earliest), end: end.unwrap_or(Bound::Latest) };
        Ok(Reach { history: (start.is_some() || end.is_some()).then_some(range), live: end.is_none() })
    }

    async fn read(&self, gateway: &Gateway, reach: Reach, printer: &mut Printer<'_>) -> anyhow::Result<()> {
        // The live tail starts first, so that nothing falls between it and the end of history.
        let mut live = if reach.live { Some(self.live(gateway).await?) } else { None };
        if let Some(range) = reach.history {
            self.history(gateway, range, printer).await?;
        }
        while let Some(live) = live.as_mut().filter(|_| !printer.done()) {
            let Some((integration, event)) = live.next().await else { break };
            match event {
                TailEvent::Messages(messages) => messages.iter().try_for_each(|m| printer.live(&integration, m))?,
                TailEvent::Interrupted(fault) => output::note(&format!("{integration} interrupted: {fault}")),
                TailEvent::Resumed { lost } => output::note(&format!("{integration} goes on, {} lost", lost_words(lost))),
            }
            printer.out.flush()?;
        }
        Ok(())
    }

    async fn live(&self, gateway: &Gateway) -> Result<BoxStream<'static, (Arc<str>, TailEvent)>, Fault> {
        let mut channels: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for address in &self.addresses {
            channels.entry(address.integration.clone()).or_default().push(gateway.named(address)?);
        }
        let mut streams = Vec::new();
        for (integration, channels) in channels {
            let stream = gateway.tail(&integration).await?.tail(&channels).await?;
            streams.push(stream.map(move |event| (integration.clone(), event)).boxed());
        }
        Ok(select_all(streams).boxed())
    }

    async fn history(&self, gateway: &Gateway, range: Range, printer: &mut Printer<'_>) -> anyhow::Result<()> {
        let mut all = Reading { lanes: Vec::new(), notes: Vec::new() };
        let mut integrations: HashMap<Arc<str>, &Arc<str>> = HashMap::new();
        for address in &self.addresses {
            let channel = gateway.named(address)?;
            let reading = gateway.history(&address.integration).await?.read(&channel, range).await?;
            integrations.insert(channel, &address.integration);
            all.lanes.extend(reading.lanes);
            all.notes.extend(reading.notes);
        }
        for note in &all.notes {
            output::note(note);
        }
        let mut merge = Merge::new(all);
        while let Some(batch) = merge.next().await {
            for message in &batch.messages {
                let Some(integration) = integrations.get(&*message.channel) else { continue };
                printer.history(integration, message)?;
                if printer.done() {
                    return Ok(());
                }
            }
            for fault in batch.faults {
                printer.faults += 1;
                output::note(&fault.to_string());
            }
        }
        Ok(())
    }
}

fn lost_words(lost: Option<u64>) -> String {
    lost.map_or_else(|| "an unknown number of messages".to_owned(), |n| format!("{n} messages"))
}

/// What a tail reads.
struct Reach {
    history: Option<Range>,
    live: bool,
}

/// Prints the messages that pass, and knows when it is enough.
struct Printer<'a> {
    tail: &'a Tail,
    ingest: HashMap<Arc<str>, Ingest>,
    filter: Filter,
    limit: u64,
    out: Out,
    zone: TimeZone,
    seen: u64,
    printed: u64,
    filter_errors: u64,
    faults: u64,
    /// How far history was read, so that the live tail does not say it again.
    read: HashMap<(Arc<str>, i32), i64>,
}

impl<'a> Printer<'a> {
    fn new(tail: &'a Tail, filter: Filter, gateway: &Gateway) -> Result<Self, Fault> {
        let mut ingest = HashMap::new();
        for address in &tail.addresses {
            ingest.insert(address.integration.clone(), gateway.ingest(&address.integration)?);
        }
        Ok(Self {
            tail,
            ingest,
            limit: tail.limit.or(filter.query.limit).unwrap_or(u64::MAX),
            filter,
            out: Out::new(),
            zone: TimeZone::system(),
            seen: 0,
            printed: 0,
            filter_errors: 0,
            faults: 0,
            read: HashMap::new(),
        })
    }

    fn done(&self) -> bool {
        self.printed >= self.limit
    }

    fn history(&mut self, integration: &Arc<str>, message: &Message) -> std::io::Result<()> {
        if let Position::Offset { partition, offset } = message.position {
            self.read.insert((message.channel.clone(), partition), offset);
        }
        self.print(integration, message)
    }

    fn live(&mut self, integration: &Arc<str>, message: &Message) -> std::io::Result<()> {
        if let Position::Offset { partition, offset } = message.position
            && self.read.get(&(message.channel.clone(), partition)).is_some_and(|read| offset <= *read)
        {
            return Ok(());
        }
        self.print(integration, message)
    }

    fn print(&mut self, integration: &Arc<str>, message: &Message) -> std::io::Result<()> {
        if self.done() {
            return Ok(());
        }
        self.seen += 1;
        match self.filter.test(message) {
            Verdict::Passes => {}
            Verdict::Fails => return Ok(()),
            Verdict::Error => {
                self.filter_errors += 1;
                return Ok(());
            }
        }
        self.printed += 1;
        if self.tail.json {
            let address = Address::new(integration, &message.channel);
            return self.out.line(&lines::write(&address, message, &[]));
        }
        let Some(ingest) = self.ingest.get(integration) else { return Ok(()) };
        let view = ingest.view(message);
        let time = message.timestamp.map_or_else(|| "–".to_owned(), |t| t.clock(&self.zone));
        let key = view.key.as_ref().map_or("–", |k| k.as_str());
        let value = match &view.preview {
            Preview::Tombstone => "∅ tombstone",
            Preview::Empty => "(empty)",
            Preview::Text(text) | Preview::Binary(text) => text.as_str(),
        };
        let channel = if self.tail.addresses.len() > 1 { format!("{}  ", view.address) } else { String::new() };
        self.out.line(&format!("{time}  {channel}{:<10}  {key:<16}  {value}", message.position.to_string()))
    }
}
