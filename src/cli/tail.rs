//! `mqdeck tail`: messages, live or from history, one line each. Nothing is dropped: a slow reader slows the reading down.

use super::Connection;
use super::output::{self, Messages};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::message::Message;
use crate::domain::position::{Bound, Range};
use crate::domain::query::Query;
use crate::domain::tail::TailEvent;
use crate::gateway::Gateway;
use crate::gateway::filter::{Filter, Verdict};
use crate::gateway::find::{Report, Search};
use clap::Args;
use futures::StreamExt;
use jiff::Zoned;
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
    /// Reads on to the end of every partition, in case a message of the range stands far behind its end (see `slack` in the profile).
    #[arg(long)]
    exact: bool,
    /// Only messages for which this query is true.
    #[arg(long = "where", value_name = "QUERY", default_value = "")]
    filter: String,
    /// Ends after this many messages.
    #[arg(long, value_name = "N", value_parser = super::count)]
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
        let read = connection.unless_stopped(self.read(&gateway, reach, &mut printer)).await;
        printer.messages.out.flush()?;
        if read.is_none() {
            output::note(format!("stopped after {}", figure::several(printer.given(), "message")));
        }
        printer.close();
        gateway.shutdown().await;
        read.unwrap_or(Ok(()))?;
        Ok(if printer.faults > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// What of history is to be read, and whether the tail ends with it: the options win over the query's own `from` and `until`.
    fn range(&self, query: &Query) -> Result<Reach, Fault> {
        let now = Zoned::now();
        let bound =
            |text: &Option<String>| text.as_deref().map(|t| Bound::parse(t, &now).map_err(|e| super::usage("tail", t, e))).transpose();
        let (start, end) = (bound(&self.from)?.or(query.from), bound(&self.until)?.or(query.until));
        let range = Range::between(start, end);
        super::forwards("tail", range)?;
        Ok(Reach { history: (start.is_some() || end.is_some()).then_some(range), live: end.is_none() })
    }

    async fn read(&self, gateway: &Gateway, reach: Reach, printer: &mut Printer<'_>) -> anyhow::Result<()> {
        // The live tail starts first, so that nothing falls between it and the end of history.
        let mut live = if reach.live { Some(gateway.tail(&self.addresses).await?) } else { None };
        if let Some(range) = reach.history {
            self.history(gateway, range, printer).await?;
        }
        let mut last_word = None;
        while let Some(live) = live.as_mut().filter(|_| !printer.done()) {
            let Some((integration, event)) = live.next().await else { return last_word.map_or(Ok(()), |fault: Fault| Err(fault.into())) };
            match event {
                TailEvent::Messages(messages) => messages.iter().try_for_each(|m| printer.live(&integration, m))?,
                said => {
                    output::tail_note(&integration, &said);
                    if let TailEvent::Interrupted(fault) = said {
                        last_word = Some(fault);
                    }
                }
            }
            printer.messages.out.flush()?;
        }
        Ok(())
    }

    /// History goes the way of a search, so that a filter is asked where the bytes are.
    async fn history(&self, gateway: &Gateway, range: Range, printer: &mut Printer<'_>) -> anyhow::Result<()> {
        let search =
            Search { range, limit: Some(printer.limit), exact: self.exact, ..Search::new(self.addresses.clone(), printer.filter.clone()) };
        let mut finding = gateway.find(search).await?;
        for note in &finding.notes {
            output::note(note.as_str());
        }
        while let Some(found) = finding.next().await {
            for (integration, message) in &found.messages {
                printer.messages.print(integration, message)?;
            }
            // Its partitions fail by the end, one after the other.
            if let Some(fault) = found.faults.first().filter(|_| gateway.caller().stop().is_cancelled()) {
                return Err(fault.clone().into());
            }
            printer.faults += found.faults.len() as u64;
            found.faults.iter().for_each(|fault| output::note(fault.to_string()));
            printer.report = finding.report();
            // Whoever reads this does not have to wait for what is found next, which may be a message that comes tomorrow.
            printer.messages.out.flush()?;
        }
        Ok(())
    }
}

/// What a tail reads.
struct Reach {
    history: Option<Range>,
    live: bool,
}

/// Prints the messages that pass, and knows when it is enough.
struct Printer<'a> {
    tail: &'a Tail,
    messages: Messages,
    filter: Filter,
    limit: u64,
    /// What was read of history; the live tail does not say it again.
    report: Report,
    seen: u64,
    printed: u64,
    filter_errors: u64,
    faults: u64,
}

impl<'a> Printer<'a> {
    fn new(tail: &'a Tail, filter: Filter, gateway: &Gateway) -> Result<Self, Fault> {
        Ok(Self {
            tail,
            messages: Messages::new(gateway, &tail.addresses, tail.json)?,
            limit: tail.limit.or(filter.query.limit).unwrap_or(u64::MAX),
            filter,
            report: Report::default(),
            seen: 0,
            printed: 0,
            filter_errors: 0,
            faults: 0,
        })
    }

    /// Messages printed so far, of history and live.
    fn given(&self) -> u64 {
        self.report.given + self.printed
    }

    fn done(&self) -> bool {
        self.given() >= self.limit
    }

    fn live(&mut self, integration: &Arc<str>, message: &Message) -> std::io::Result<()> {
        if self.done() || self.report.has_read(integration, message) {
            return Ok(());
        }
        self.seen += 1;
        match self.filter.test(message, &self.messages.decoder(integration, &message.channel)) {
            Verdict::Passes => {}
            Verdict::Fails => return Ok(()),
            Verdict::Undecodable | Verdict::Failed => {
                self.filter_errors += 1;
                return Ok(());
            }
        }
        self.printed += 1;
        self.messages.print(integration, message)
    }

    /// Says what the query made of what was read.
    fn close(&self) {
        if !self.tail.filter.is_empty() && self.report.counts.scanned > 0 {
            output::note(format!("history: {}", self.report));
        } else if let Some(words) = self.report.short_words() {
            output::note(words);
        }
        if (!self.tail.filter.is_empty() && self.seen > 0) || self.filter_errors > 0 {
            let undecided = match self.filter_errors {
                0 => String::new(),
                n => format!("; on {n} the query cannot tell"),
            };
            output::note(format!("live: {} of {} match{undecided}", self.printed, figure::several(self.seen, "message")));
        }
    }
}
