//! `mqdeck dlq ls` and `dlq groups`: letters grouped by what they died of.

use super::super::output::{self, Out, Progress, known};
use super::super::{Connection, usage};
use super::{found, only_fault};
use crate::domain::address::Address;
use crate::domain::dead_letter::{FailureGroup, path};
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::position::{Bound, Range};
use crate::domain::query::Field;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::gateway::Gateway;
use crate::gateway::dead_letters::failures::{Failures, Wanted};
use crate::gateway::filter::Filter;
use clap::Args;
use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// How often progress is drawn.
const PACE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct List {
    /// An integration; every one if missing.
    integration: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub(super) struct Groups {
    /// Channels with dead letters: `events/orders.created.dlt`.
    #[arg(value_name = "ADDRESS", required = true)]
    addresses: Vec<Address>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Letters from here on: earliest, end-500, `3h ago`, `yesterday 14:00`, 2026-02-05T10:00Z.
    #[arg(long, value_name = "START")]
    from: Option<String>,
    /// Letters up to here (not included).
    #[arg(long, value_name = "END")]
    until: Option<String>,
    /// Letters of which this is true alone.
    #[arg(long = "where", value_name = "QUERY", default_value = "")]
    query: String,
    /// Groups by what stands at a place of the letter instead of its failure: `value.error.code`, `headers.tenant`.
    #[arg(long, value_name = "PLACE", value_parser = place)]
    by: Option<Field>,
    /// Looks into queues as well: their letters are given back, and keep a mark of having been delivered.
    #[arg(long)]
    look: bool,
    /// One JSON object a line, one line a group: id, failure, count, first, last, from, to, tenants, …
    #[arg(long)]
    json: bool,
}

fn place(text: &str) -> Result<Field, String> {
    path(text).map_err(|error| error.to_string())
}

impl List {
    pub(super) async fn run(&self, gateway: &Gateway, connection: &Connection) -> anyhow::Result<ExitCode> {
        let found = found(gateway, self.integration.as_deref(), None).await;
        only_fault(&found)?;
        let mut addresses = Vec::new();
        let mut whole = true;
        for (integration, found) in &found {
            match found {
                Ok(found) => {
                    addresses.extend(found.channels.iter().map(|letters| Address::new(integration, &letters.channel.name)));
                    found.gaps.iter().for_each(|gap| output::note(format!("there may be more: {gap}")));
                    whole &= found.gaps.is_empty();
                }
                Err(fault) => {
                    output::note(format!("{}: {fault}", SafeText::new(integration)));
                    whole = false;
                }
            }
        }
        if addresses.is_empty() {
            output::note("no dead-letter channel is known: name one in the profile with a dead_letters block");
            return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        let code = self.how.run(gateway, connection, addresses).await?;
        Ok(if whole { code } else { ExitCode::FAILURE })
    }
}

impl Groups {
    pub(super) async fn run(&self, gateway: &Gateway, connection: &Connection) -> anyhow::Result<ExitCode> {
        self.how.run(gateway, connection, self.addresses.clone()).await
    }
}

impl How {
    async fn run(&self, gateway: &Gateway, connection: &Connection, channels: Vec<Address>) -> anyhow::Result<ExitCode> {
        let now = Zoned::now();
        let bound =
            |text: &Option<String>| text.as_deref().map(|t| Bound::parse(t, &now).map_err(|e| usage("read letters", t, e))).transpose();
        let filter = Filter::parse(&self.query)?;
        let range = Range::between(bound(&self.from)?.or(filter.query.from), bound(&self.until)?.or(filter.query.until));
        super::super::forwards("read letters", range)?;
        let count = channels.len();
        let wanted = Wanted { channels, range, filter, by: self.by.clone(), look: self.look };
        let mut failures = gateway.failures(wanted).await?;
        failures.notes.iter().for_each(|note| output::note(note.as_str()));
        let bar = Progress::new(output::is_watched(), "{msg}");
        let mut drawn = Duration::ZERO;
        let reading = async {
            while failures.next().await {
                if let Some(elapsed) = bar.elapsed().filter(|elapsed| *elapsed >= drawn + PACE) {
                    drawn = elapsed;
                    bar.say(format!("{} letters", figure::count(failures.counts.scanned)));
                }
            }
            Ok::<(), Fault>(())
        };
        let stopped = connection.unless_stopped(reading).await.is_none();
        bar.close();
        if let [(_, first), ..] = failures.unread.as_slice()
            && failures.unread.len() == count
        {
            return Err(first.clone().into());
        }
        self.print(&failures)?;
        for fault in &failures.faults {
            output::note(fault.to_string());
        }
        for (address, fault) in &failures.unread {
            output::note(format!("not read: {address}: {fault}"));
        }
        let (letters, rest) = failures.letters();
        if rest > 0 {
            output::note(format!("{} letters have further failures, for which there was no room", figure::grouped(rest)));
        }
        let stopped = if stopped { "stopped: " } else { "" };
        let read = count - failures.unread.len();
        output::note(format!("{stopped}{} in {}", figure::several(letters, "letter"), figure::several(read as u64, "channel")));
        Ok(if stopped.is_empty() && failures.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, failures: &Failures) -> anyhow::Result<()> {
        let (groups, mut out) = (failures.groups(), Out::new());
        if self.json {
            groups.iter().try_for_each(|group| out.json(&object(group)))?;
        } else {
            let zone = TimeZone::system();
            let rows = groups.iter().map(|group| cells(group, &zone)).collect();
            out.table(&["id", "failure", ">letters", "first → last", "from → died in", "tenants"], rows)?;
        }
        out.flush()?;
        Ok(())
    }
}

fn object(group: &FailureGroup) -> serde_json::Value {
    let text = |text: &Option<SafeText>| known(text.as_ref().map(SafeText::as_str));
    let time = |time: Option<Timestamp>| known(time.map(|time| time.to_string()));
    let to: Vec<&str> = group.died_in().map(|name| &**name).collect();
    json!({
        "id": &*group.id, "failure": group.words().as_str(), "count": group.letters, "first": time(group.first), "last": time(group.last),
        "from": group.origins().map(|name| &**name).collect::<Vec<&str>>(), "to": to,
        "tenants": group.tenants.iter().map(|name| &**name).collect::<Vec<&str>>(),
        "key": text(&group.key), "exception": text(&group.exception), "frame": text(&group.frame), "reason": text(&group.reason),
        "message": text(&group.message), "known": !group.unknown,
        "samples": group.samples.iter().map(|(address, position)| format!("{address}#{position}")).collect::<Vec<_>>(),
    })
}

fn cells(group: &FailureGroup, zone: &TimeZone) -> Vec<SafeText> {
    let moment = |time: Option<Timestamp>| time.map_or_else(|| "–".to_owned(), |time| when(time, zone));
    let from: Vec<String> = group.origins().map(ToString::to_string).collect();
    let to: Vec<String> = group.died_in().map(ToString::to_string).collect();
    let from = if from.is_empty() { "–".to_owned() } else { from.join(", ") };
    vec![
        SafeText::new(&group.id),
        group.words(),
        figure::grouped(group.letters).into(),
        format!("{} → {}", moment(group.first), moment(group.last)).into(),
        format!("{from} → {}", to.join(", ")).into(),
        group.tenants.iter().map(|name| &**name).collect::<Vec<&str>>().join(", ").into(),
    ]
}

/// The minute, with its day where that is another one.
pub(super) fn when(time: Timestamp, zone: &TimeZone) -> String {
    let today = Zoned::now().with_time_zone(zone.clone()).date();
    match time.zoned(zone) {
        Some(moment) if moment.date() == today => moment.strftime("%H:%M").to_string(),
        Some(moment) => moment.strftime("%Y-%m-%d %H:%M").to_string(),
        None => time.to_string(),
    }
}
