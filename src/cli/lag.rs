//! `mqdeck lag`: how far groups are behind, whether that becomes better, and assertions on it.

use super::Connection;
use super::output::{self, Out, known};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::lag::claim::{Claim, Subject};
use crate::domain::lag::{Eta, GroupLag, PartitionLag};
use crate::domain::text::SafeText;
use crate::domain::time::{Timestamp, parse_duration};
use crate::gateway::Gateway;
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// The exit code of an assertion that does not hold.
const ASSERTION: u8 = 5;

#[derive(Debug, Args)]
pub struct Lag {
    /// An integration, or one group of it; every integration if missing.
    #[arg(value_name = "INTEGRATION[/GROUP]")]
    target: Option<String>,
    /// Watches for this long before it judges: rates and verdicts need two looks at least. 0 looks once.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    over: Duration,
    /// One JSON object a line, one line a partition: integration, group, channel, partition, committed, end, lag, `lag_at_least`,
    /// `lag_at_most`, seconds, verdict, reason, `eta_seconds`, `catches_up`. What is not known exactly is null.
    #[arg(long)]
    json: bool,
    /// Exits with 5 unless this holds for every group: `lag < 1000 and eta < 10m`, `verdict in (keeps_up, draining)`. Fields: lag,
    /// seconds, eta, `rate_in`, `rate_out`, members, verdict, state. What is unknown never passes.
    #[arg(long, value_name = "EXPR")]
    assert: Option<String>,
    /// The assertion must hold without a break for this long.
    #[arg(long = "for", value_name = "DURATION", requires = "assert", value_parser = duration)]
    hold: Option<Duration>,
    /// Integrations of which it was said that groups may be missing.
    #[arg(skip)]
    noted: Mutex<BTreeSet<String>>,
}

/// One group as it was last seen.
struct Row {
    integration: String,
    group: GroupLag,
    partitions: Vec<PartitionLag>,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::try_from(parse_duration(text)?).map_err(|e| e.to_string())
}

impl Lag {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let claim = self.assert.as_deref().map(|text| Claim::parse(text).map_err(|e| super::usage("read assertion", text, e.to_string())));
        let claim = claim.transpose()?;
        let gateway = connection.open()?;
        let result = connection.unless_stopped(self.watch(&gateway, claim.as_ref())).await;
        let result = result.unwrap_or_else(|| Err(Fault::new(Kind::Lost, "watch", "", "interrupted before there was an answer").into()));
        gateway.shutdown().await;
        result
    }

    async fn watch(&self, gateway: &Gateway, claim: Option<&Claim>) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let mut rows = self.look(gateway).await?;
        while began.elapsed() < self.over {
            tokio::time::sleep(EVERY.min(self.over.saturating_sub(began.elapsed()))).await;
            rows = self.look(gateway).await?;
        }
        self.stamp(gateway, &mut rows).await?;
        let mut failed = claim.map(|claim| failures(claim, &rows)).unwrap_or_default();
        if let (Some(claim), Some(hold)) = (claim, self.hold) {
            let from = Instant::now();
            while failed.is_empty() && from.elapsed() < hold {
                tokio::time::sleep(EVERY.min(hold.saturating_sub(from.elapsed()))).await;
                rows = self.look(gateway).await?;
                self.stamp(gateway, &mut rows).await?;
                failed = failures(claim, &rows);
            }
        }
        self.print(&rows)?;
        for failure in &failed {
            output::note(failure.as_str());
        }
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(ASSERTION) })
    }

    /// Looks at what was asked for.
    async fn look(&self, gateway: &Gateway) -> anyhow::Result<Vec<Row>> {
        let (integration, group) = match &self.target {
            None => (None, None),
            Some(target) => match target.split_once('/') {
                Some((integration, group)) => (Some(integration), Some(group.strip_prefix("group:").unwrap_or(group))),
                None => (Some(target.as_str()), None),
            },
        };
        if let (Some(integration), Some(group)) = (integration, group) {
            let view = gateway.lag_of(integration, group).await?;
            return Ok(vec![Row { integration: integration.to_owned(), group: view.lag, partitions: view.partitions }]);
        }
        let names: Vec<String> = match integration {
            Some(name) => vec![name.to_owned()],
            None => gateway.integrations().map(|(name, _)| name.to_string()).collect(),
        };
        let mut rows = Vec::new();
        for name in names {
            let Some((groups, gaps)) = gateway.lag_table(&name).await? else {
                if integration.is_some() {
                    return Err(super::usage("look at lag", &name, "this system has no groups").into());
                }
                continue;
            };
            self.note_gaps(&name, &gaps);
            rows.extend(groups.into_iter().map(|(group, partitions)| Row { integration: name.clone(), group, partitions }));
        }
        Ok(rows)
    }

    /// Says what could not be listed, once.
    fn note_gaps(&self, integration: &str, gaps: &[Fault]) {
        let Some(first) = gaps.first() else { return };
        if self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(integration.to_owned()) {
            output::note(format!("groups of {integration} may be missing: {first}"));
        }
    }

    /// Asks how old the next message of every partition is.
    async fn stamp(&self, gateway: &Gateway, rows: &mut [Row]) -> anyhow::Result<()> {
        let mut names: Vec<String> = rows.iter().map(|row| row.integration.clone()).collect();
        names.dedup();
        for name in names {
            let mut partitions: Vec<&mut PartitionLag> =
                rows.iter_mut().filter(|row| row.integration == name).flat_map(|row| &mut row.partitions).collect();
            let left_out = gateway.stamp(&name, &mut partitions).await?;
            if left_out > 0 {
                output::note(format!(
                    "{} of {name} left out of the times behind: name a group",
                    figure::several(left_out as u64, "partition")
                ));
            }
        }
        Ok(())
    }

    fn print(&self, rows: &[Row]) -> anyhow::Result<()> {
        let now = Timestamp(jiff::Timestamp::now().as_millisecond());
        let mut out = Out::new();
        if self.json {
            for row in rows {
                if row.partitions.is_empty() {
                    out.json(&object(row, None, now))?;
                }
                for partition in &row.partitions {
                    out.json(&object(row, Some(partition), now))?;
                }
            }
        } else if let ([row], Some(true)) = (rows, self.target.as_ref().map(|target| target.contains('/'))) {
            let headings = ["channel", ">partition", ">committed", ">end", ">lag", ">behind", ">eta", "verdict", "reason", "owner"];
            out.table(&headings, row.partitions.iter().map(|partition| partition_cells(partition, now)).collect())?;
            let group = &row.group;
            out.line("")?;
            out.line(format!(
                "{}/{}: state {}, {} behind, {}: {}",
                SafeText::new(&row.integration),
                SafeText::new(&group.group.name),
                group.group.state.word(),
                group.lag,
                group.verdict.words(),
                group.reason
            ))?;
        } else {
            let headings = ["group", "state", ">members", ">partitions", ">lag", ">behind", ">eta", "verdict", "reason"];
            out.table(&headings, rows.iter().map(|row| group_cells(row, now)).collect())?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Why the claim does not hold, a line for each group; empty if it does.
fn failures(claim: &Claim, rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["the assertion cannot be told: there is no group".to_owned()];
    }
    let now = Timestamp(jiff::Timestamp::now().as_millisecond());
    let failure = |row: &Row| {
        let word = match claim.holds(&Subject { lag: &row.group, behind: behind(&row.partitions, now) }) {
            Some(true) => return None,
            Some(false) => "does not hold",
            None => "cannot be told",
        };
        let name = format!("{}/{}", SafeText::new(&row.integration), SafeText::new(&row.group.group.name));
        Some(format!("the assertion {word} for {name}: lag {}, {}: {}", row.group.lag, row.group.verdict.words(), row.group.reason))
    };
    rows.iter().filter_map(failure).collect()
}

/// How long the oldest unread message has been waiting: at least, and at most.
fn behind(partitions: &[PartitionLag], now: Timestamp) -> Option<(Duration, Option<Duration>)> {
    let times: Vec<Option<Duration>> = partitions.iter().map(|partition| partition.behind(now)).collect();
    let most = times.iter().flatten().max().copied()?;
    Some((most, times.iter().all(Option::is_some).then_some(most)))
}

fn object(row: &Row, partition: Option<&PartitionLag>, now: Timestamp) -> serde_json::Value {
    let group_offset = partition.map(|p| &p.group_offset);
    let (verdict, reason, eta) = partition
        .map_or((row.group.verdict, &row.group.reason, row.group.eta), |partition| (partition.verdict, &partition.reason, partition.eta));
    let catches_up = match eta {
        Eta::Unknown => None,
        Eta::In(_) => Some(true),
        Eta::Never => Some(false),
    };
    let lag = group_offset.map(|s| s.lag).unwrap_or_default();
    let (least, most) = match lag {
        Amount::Unknown => (None, None),
        known => (Some(known.bounds().0), known.bounds().1),
    };
    json!({
        "integration": row.integration, "group": &*row.group.group.name, "channel": known(group_offset.map(|s| &*s.channel)),
        "partition": known(group_offset.and_then(|s| s.partition)), "committed": known(group_offset.and_then(|s| s.committed)),
        "end": known(group_offset.and_then(|s| s.end)), "lag": known(least.filter(|_| least == most)), "lag_at_least": known(least), "lag_at_most": known(most),
        "seconds": known(partition.and_then(|p| p.behind(now)).map(|time| time.as_secs())),
        "verdict": verdict.id(), "reason": reason.as_str(), "eta_seconds": known(eta.seconds()), "catches_up": known(catches_up),
        "state": row.group.group.state.word(), "owner": known(group_offset.and_then(|s| s.owner.as_ref()).map(SafeText::as_str)),
    })
}

fn behind_text(behind: Option<(Duration, Option<Duration>)>) -> String {
    match behind {
        None => "–".to_owned(),
        Some((Duration::ZERO, Some(_))) => "0".to_owned(),
        Some((time, Some(_))) => figure::duration(time),
        Some((time, None)) => format!("≥ {}", figure::duration(time)),
    }
}

fn group_cells(row: &Row, now: Timestamp) -> Vec<SafeText> {
    let group = &row.group;
    vec![
        format!("{}/{}", row.integration, group.group.name).into(),
        group.group.state.word().into(),
        group.group.members.map_or_else(|| "–".to_owned(), |n| n.to_string()).into(),
        group.partitions.to_string().into(),
        group.lag.to_string().into(),
        behind_text(behind(&row.partitions, now)).into(),
        group.eta.show().into(),
        group.verdict.words().into(),
        group.reason.clone(),
    ]
}

fn partition_cells(partition: &PartitionLag, now: Timestamp) -> Vec<SafeText> {
    let group_offset = &partition.group_offset;
    let number = |n: Option<i64>| SafeText::from(n.map_or_else(|| "–".to_owned(), |n| n.to_string()));
    vec![
        SafeText::new(&group_offset.channel),
        number(group_offset.partition.map(i64::from)),
        number(group_offset.committed),
        number(group_offset.end),
        group_offset.lag.to_string().into(),
        behind_text(partition.behind(now).map(|time| (time, Some(time)))).into(),
        partition.eta.show().into(),
        partition.verdict.words().into(),
        partition.reason.clone(),
        group_offset.owner.clone().unwrap_or_else(|| "–".into()),
    ]
}
