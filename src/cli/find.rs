//! `mqdeck find`: looks for messages in history; progress and the closing report go to stderr.

use super::Connection;
use super::output::{self, Messages, Progress};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::position::{Bound, Range};
use crate::domain::search::Path;
use crate::gateway::filter::{Filter, Wanted};
use crate::gateway::find::{Finding, Report, Search};
use clap::Args;
use jiff::Zoned;
use serde_json::{Map, Value as Json, json};
use std::process::ExitCode;
use std::time::Duration;

/// How often progress is drawn.
const PACE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Find {
    /// Channel to search: `events/orders.created`.
    #[arg(value_name = "ADDRESS")]
    address: Address,
    /// What is wanted: `from "3h ago" where value.order.total > 100 limit 20`, or a word alone.
    #[arg(value_name = "QUERY")]
    query: String,
    /// Searches from here: earliest, end-500, @12345, 3@1042, `3h ago`, 2026-02-05T10:00Z. Wins over the query's own `from`.
    #[arg(long, value_name = "START")]
    from: Option<String>,
    /// Searches up to here (not included); `latest` is the end at the moment the command starts.
    #[arg(long, value_name = "END")]
    until: Option<String>,
    /// Reads on to the end of every partition, in case a message of the range stands far behind its end (see `slack` in the profile).
    #[arg(long)]
    exact: bool,
    /// Ends after this many messages: the first ones in the order of time.
    #[arg(long, value_name = "N", value_parser = super::count)]
    limit: Option<u64>,
    /// Lists the messages of which the query cannot tell instead: what could not be decoded, and what its jq program failed on.
    #[arg(long)]
    undecodable: bool,
    /// One JSON object a line, as `mqdeck tail --json` prints them; the report is one as well, on stderr.
    #[arg(long)]
    json: bool,
}

impl Find {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let search = self.search()?;
        let gateway = connection.open()?;
        let mut messages = Messages::new(&gateway, std::slice::from_ref(&self.address), self.json)?;
        let Some(finding) = connection.unless_stopped(gateway.find(search)).await else { return Ok(ExitCode::FAILURE) };
        let mut finding = finding?;
        for note in &finding.notes {
            output::note(note.as_str());
        }
        let bar = Progress::new(output::is_watched(), "{msg}");
        let result = connection.unless_stopped(print(&mut finding, &mut messages, &bar)).await.unwrap_or(Ok(()));
        bar.close();
        let report = finding.report();
        drop(finding);
        messages.out.flush()?;
        self.close(&report);
        gateway.shutdown().await;
        result?;
        Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn search(&self) -> Result<Search, Fault> {
        let now = Zoned::now();
        let bound =
            |text: &Option<String>| text.as_deref().map(|t| Bound::parse(t, &now).map_err(|e| super::usage("find", t, e))).transpose();
        let filter = Filter::parse(&self.query)?;
        let range = Range::between(bound(&self.from)?.or(filter.query.from), bound(&self.until)?.or(filter.query.until));
        let mut search = Search { range, ..Search::new(vec![self.address.clone()], filter) };
        super::forwards("find", search.range)?;
        search.limit = self.limit.or(search.limit);
        search.exact = self.exact;
        search.wanted = if self.undecodable { Wanted::Undecided } else { Wanted::Matches };
        Ok(search)
    }

    /// Says what was done.
    fn close(&self, report: &Report) {
        if self.json {
            return output::report(&object(report));
        }
        let stopped = if report.complete { "" } else { "stopped: " };
        output::note(format!("{stopped}{report}"));
    }
}

async fn print(finding: &mut Finding, messages: &mut Messages, bar: &Progress) -> anyhow::Result<()> {
    let mut waits = false;
    while let Some(found) = finding.next().await {
        for (integration, message) in &found.messages {
            messages.print(integration, message)?;
        }
        for fault in &found.faults {
            bar.suspend(|| output::note(fault.to_string()));
        }
        if let Some(fault) = found.waits.as_ref().filter(|_| !waits) {
            bar.suspend(|| output::note(format!("waiting: {fault}")));
        }
        waits = found.waits.is_some();
        if !found.messages.is_empty() {
            // What was found is seen at once, also by a pipe.
            bar.suspend(|| messages.out.flush())?;
        }
        if bar.elapsed().is_some_and(|elapsed| elapsed >= PACE) {
            bar.say(finding.report().progress_line());
        }
    }
    Ok(())
}

/// The report with stable names; what is unknown is `null`.
fn object(report: &Report) -> Json {
    let paths: Map<String, Json> =
        Path::ALL.iter().zip(report.counts.paths).map(|(path, count)| (path.id().to_owned(), count.into())).collect();
    let (messages, bytes) = report.rates();
    json!({
        "scanned": report.counts.scanned,
        "matched": report.counts.matched,
        "given": report.given,
        "undecodable": report.counts.undecodable,
        "filter_errors": report.counts.failed,
        "bytes": report.counts.bytes,
        "seconds": report.elapsed.as_secs_f64(),
        "messages_per_second": messages,
        "bytes_per_second": bytes,
        "paths": paths,
        "time_bound": report.time_bound(),
        "exact_would_read": report.timed.then(|| report.short.map_or(0, |short| short.unread)),
        "faults": report.faults,
        "complete": report.is_whole(),
    })
}
