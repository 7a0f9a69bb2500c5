//! `mqdeck publish`: one message from the command line, a file or standard input; or one a line.

use super::output::{self, Out, Progress, is_terminal, known};
use super::{Connection, usage};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::message::{Header, Outgoing};
use crate::domain::operation::{Field, Plan, PublishSpec};
use crate::domain::receipt::Receipt;
use crate::domain::template::{TEMPLATES, Template};
use crate::domain::time::{Timestamp, parse_moment};
use crate::gateway::Gateway;
use crate::wire::lines;
use bytes::Bytes;
use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Zoned;
use serde_json::json;
use std::pin::pin;
use std::process::ExitCode;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// Lines that are published as one plan, at most; also the most that can be under way when something fails.
const CHUNK: usize = 1_000;
/// Bytes of one plan, at most.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Args)]
pub struct Publish {
    /// Where to: `events/orders.created`.
    address: Address,
    /// The payload: text, `@FILE`, or `-` for standard input. Without it, standard input.
    data: Option<String>,
    /// A known envelope or event instead of DATA, with fresh ids and the time filled in.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(TEMPLATES.iter().map(|template| template.id)),
        conflicts_with_all = ["data", "tombstone", "lines"])]
    template: Option<String>,
    /// The key; a message without this has none.
    #[arg(long, short)]
    key: Option<String>,
    /// A header; may be repeated, order and duplicates are kept. `name=` is empty, `name` alone has no value.
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// A message without a payload.
    #[arg(long, conflicts_with_all = ["data", "lines"])]
    tombstone: bool,
    /// The time of the message; now if missing.
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
    /// A setting of the system for this message, for example `partition=3`.
    #[arg(long = "option", short, value_name = "ID=VALUE")]
    options: Vec<String>,
    /// One message a line of standard input, as `mqdeck tail --json` writes them.
    #[arg(long, conflicts_with_all = ["data", "key", "headers", "timestamp"])]
    lines: bool,
    /// With --lines: leaves out this many lines at the start, which an earlier run published.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::count, requires = "lines")]
    skip: u64,
    /// One JSON object a message: address, position, promise.
    #[arg(long)]
    json: bool,
}

impl Publish {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        // What is wrong here is said before anybody is asked.
        let message = if self.lines { None } else { Some(self.message().await?) };
        let gateway = connection.open()?;
        let spec = gateway.publish_spec(&self.address).await?;
        let options = self.options(spec)?;
        let result = match message {
            None => self.publish_lines(&gateway, &options).await,
            Some(message) => self.publish_one(&gateway, Outgoing { options, ..message }).await,
        };
        gateway.shutdown().await;
        result
    }

    /// The message without the options of its system.
    async fn message(&self) -> Result<Outgoing, Fault> {
        let (said, payload) = match &self.template {
            Some(name) => {
                let template = Template::find(name);
                let missing = || usage("publish", name, "there is no such template").next("mqdeck publish --help names them");
                let now = Timestamp(jiff::Timestamp::now().as_millisecond());
                let (headers, body) = template.ok_or_else(missing)?.filled(now, || fastrand::u64(..));
                (headers.iter().map(|(name, value)| header(&format!("{name}={value}"))).collect(), Some(body.into()))
            }
            None => (Vec::new(), self.payload().await?),
        };
        Ok(Outgoing {
            key: self.key.clone().map(Bytes::from),
            headers: said.into_iter().chain(self.headers.iter().map(|h| header(h))).collect(),
            timestamp: self.time()?,
            payload,
            options: Vec::new(),
        })
    }

    async fn publish_one(&self, gateway: &Gateway, message: Outgoing) -> anyhow::Result<ExitCode> {
        let plan = Plan::Publish { address: self.address.clone(), messages: vec![message] };
        let outcome = gateway.execute(plan).await?;
        let mut out = Out::new();
        for (target, result) in outcome.targets.iter().flatten() {
            self.print_target(&mut out, target, result)?;
        }
        out.flush()?;
        let receipt = outcome.single()?;
        self.print(&mut out, receipt)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    async fn payload(&self) -> Result<Option<Bytes>, Fault> {
        if self.tombstone { Ok(None) } else { payload(self.data.as_deref()).await.map(Some) }
    }

    fn time(&self) -> Result<Option<Timestamp>, Fault> {
        self.timestamp.as_deref().map(|t| parse_moment(t, &Zoned::now()).map_err(|e| usage("publish", t, e))).transpose()
    }

    /// Checks the options against what the system's form asks.
    fn options(&self, spec: &PublishSpec) -> Result<Vec<(&'static str, String)>, Fault> {
        let option = |text: &String| {
            let (id, value) = text.split_once('=').unwrap_or((text, ""));
            let field = spec.fields.iter().find(|field| field.id == id).ok_or_else(|| {
                let known: Vec<&str> = spec.fields.iter().map(|field: &Field| field.id).collect();
                usage("publish", text, "this system has no such option").next(format!("it has: {}", known.join(", ")))
            })?;
            field.check(value).map_err(|e| usage("publish", text, e))?;
            Ok((field.id, value.to_owned()))
        };
        self.options.iter().map(option).collect()
    }

    async fn publish_lines(&self, gateway: &Gateway, options: &[(&'static str, String)]) -> anyhow::Result<ExitCode> {
        let mut input = BufReader::with_capacity(1 << 16, tokio::io::stdin());
        let (mut out, bar) = (Out::new(), Progress::new(is_terminal(), "{pos} published, {per_sec}, {elapsed}"));
        // Lines read, lines dealt with, messages stored.
        let (mut read, mut sent, mut stored, mut last) = (0, self.skip, 0, 0);
        let mut interrupted = pin!(gateway.caller().stop().cancelled());
        let failure = loop {
            // What was handed over is waited for; only the reading of more is given up.
            let (chunk, wrong, ended) = tokio::select! {
                biased;
                () = &mut interrupted => break Some(Stop { line: sent + 1, skip: sent, unsure: false }),
                chunk = self.chunk(&mut input, &mut read, options) => chunk?,
            };
            // Lines are numbered from 1; those of this chunk start here.
            let first = read - chunk.len() as u64 - u64::from(wrong.is_some()) + 1;
            let plan = Plan::Publish { address: self.address.clone(), messages: chunk };
            let outcome = gateway.execute(plan).await?;
            sent = read - u64::from(wrong.is_some());
            let (mut failed, mut unsure, mut runs) = (None, false, Runs::default());
            for (line, receipt) in (first..).zip(outcome.receipts) {
                match receipt {
                    Ok(receipt) if self.json => self.print(&mut out, receipt)?,
                    Ok(_) => {}
                    Err(fault) => {
                        unsure |= fault.kind.is_transient();
                        runs.add(line, fault.to_string());
                        failed.get_or_insert(line);
                        continue;
                    }
                }
                (stored, last) = (stored + 1, line);
                if failed.is_some() {
                    runs.add(line, "under way then, and stored".to_owned());
                }
            }
            runs.tell();
            // Whoever feeds the lines slowly waits for what became of them.
            out.flush()?;
            bar.reach(stored);
            if let Some(line) = failed {
                // Going on from the first that failed would publish those again that were stored behind it.
                break Some(Stop { line, skip: if last > line { sent } else { line - 1 }, unsure });
            }
            if let Some(fault) = wrong {
                output::note(fault.to_string());
                break Some(Stop { line: read, skip: sent, unsure: false });
            }
            if ended {
                break None;
            }
        };
        bar.close();
        out.flush()?;
        output::note(format!("{} published to {}", figure::several(stored, "message"), self.address));
        let Some(stop) = failure else { return Ok(ExitCode::SUCCESS) };
        output::note(stop.advice(&self.address));
        Ok(ExitCode::FAILURE)
    }

    /// Reads lines into messages: until the chunk is full, the input pauses or ends, or a line is wrong.
    async fn chunk(
        &self,
        input: &mut BufReader<tokio::io::Stdin>,
        read: &mut u64,
        options: &[(&'static str, String)],
    ) -> anyhow::Result<(Vec<Outgoing>, Option<Fault>, bool)> {
        let (mut chunk, mut bytes, mut line) = (Vec::new(), 0, Vec::new());
        while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
            // What comes slowly is published as it comes.
            if !chunk.is_empty() && !input.buffer().contains(&b'\n') {
                break;
            }
            line.clear();
            if input.read_until(b'\n', &mut line).await? == 0 {
                return Ok((chunk, None, true));
            }
            *read += 1;
            if *read <= self.skip {
                continue;
            }
            bytes += line.len();
            match lines::read(line.trim_ascii()) {
                Ok(message) => chunk.push(Outgoing { options: options.to_vec(), ..message }),
                Err(error) => {
                    let fault = Fault::new(Kind::Usage, "read", format!("line {read}"), error.to_string());
                    return Ok((chunk, Some(fault), false));
                }
            }
        }
        Ok((chunk, None, false))
    }

    /// What became of a message at one target of a fanout.
    fn print_target(&self, out: &mut Out, target: &str, result: &Result<Receipt, Fault>) -> std::io::Result<()> {
        let said = result.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        if !self.json {
            return out.line(format!("{} → {target}: {said}", self.address));
        }
        let error = result.as_ref().err().map(ToString::to_string);
        out.json(&json!({ "address": self.address.to_string(), "target": target, "said": said, "error": known(error) }))
    }

    fn print(&self, out: &mut Out, receipt: Receipt) -> std::io::Result<()> {
        if !self.json {
            return out.line(format!("{}: {receipt}", self.address));
        }
        let (position, promise) = match receipt {
            Receipt::Stored(position) => (Some(position.to_string()), "stored"),
            Receipt::Routed => (None, "routed"),
            Receipt::Accepted => (None, "accepted"),
            Receipt::Handed(_) => (None, "handed"),
            Receipt::Unconfirmed => (None, "unconfirmed"),
        };
        out.json(&json!({ "address": self.address.to_string(), "position": known(position), "promise": promise }))
    }
}

/// Where publishing stopped, and how many lines are left out by who goes on.
struct Stop {
    line: u64,
    skip: u64,
    /// Some that failed may have been stored.
    unsure: bool,
}

impl Stop {
    fn advice(&self, address: &Address) -> String {
        let Self { line, skip, unsure } = self;
        let on = format!("mqdeck publish {address} --lines --skip {skip}");
        if skip < line {
            let first = if *unsure { "if it may have been stored, look first; " } else { "" };
            return format!("stopped at line {line}; {first}to go on from there: {on}");
        }
        let which = if *unsure { "look which of those named above are missing, publish them" } else { "publish those named above" };
        format!("stopped at line {line}, and lines behind it were stored: {which} by themselves, then go on behind line {skip}: {on}")
    }
}

/// What became of lines, one sentence for neighbours of the same fate: what fails one of a thousand mostly fails all of them.
#[derive(Default)]
struct Runs(Vec<(u64, u64, String)>);

impl Runs {
    fn add(&mut self, line: u64, fate: String) {
        match self.0.last_mut() {
            Some((_, last, said)) if *last + 1 == line && *said == fate => *last = line,
            _ => self.0.push((line, line, fate)),
        }
    }

    fn tell(&self) {
        for (first, last, fate) in &self.0 {
            let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
            output::note(format!("{lines}: {fate}"));
        }
    }
}

/// The payload that `DATA`, `@FILE` or `-` names; without any of them, standard input.
pub(super) async fn payload(data: Option<&str>) -> Result<Bytes, Fault> {
    match data {
        None | Some("-") => {
            if output::can_answer() {
                output::note("reading the payload from the terminal; Ctrl-D ends it");
            }
            let mut bytes = Vec::new();
            tokio::io::stdin().read_to_end(&mut bytes).await.map_err(|e| super::unreadable("standard input", &e))?;
            if bytes.is_empty() {
                // Far more often a pipe that failed than a wish.
                let fault = usage("publish", "standard input", "it is empty; nothing was sent");
                return Err(fault.next("write \"\" for an empty payload, --tombstone for none"));
            }
            Ok(bytes.into())
        }
        Some(data) => match data.strip_prefix('@') {
            Some(path) => tokio::fs::read(path).await.map(Bytes::from).map_err(|e| super::unreadable(path, &e)),
            None => Ok(data.to_owned().into()),
        },
    }
}

/// A header as it was typed: `name=` is empty, `name` alone has no value.
pub(super) fn header(text: &str) -> Header {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(Bytes::from(value.to_owned()))),
        None => (text, None),
    };
    Header { name: Bytes::from(name.to_owned()), value }
}

#[cfg(test)]
mod tests {
    use super::{Runs, Stop};
    use crate::domain::address::Address;

    #[test]
    fn going_on_publishes_no_line_twice() {
        let address = Address::new("rabbit", "queue:a");
        let advice = Stop { line: 3, skip: 2, unsure: false }.advice(&address);
        assert_eq!(advice, "stopped at line 3; to go on from there: mqdeck publish rabbit/queue:a --lines --skip 2");
        let advice = Stop { line: 3, skip: 7, unsure: false }.advice(&address);
        assert!(advice.contains("publish those named above by themselves") && advice.ends_with("--skip 7"), "{advice}");
        let advice = Stop { line: 3, skip: 2, unsure: true }.advice(&address);
        assert!(advice.contains("if it may have been stored, look first") && advice.ends_with("--skip 2"), "{advice}");
    }

    #[test]
    fn neighbours_of_the_same_fate_are_told_together() {
        let mut runs = Runs::default();
        for (line, fate) in [(3, "lost"), (4, "lost"), (5, "stored"), (6, "lost"), (8, "lost")] {
            runs.add(line, fate.to_owned());
        }
        let told: Vec<_> = runs.0.iter().map(|(first, last, fate)| (*first, *last, fate.as_str())).collect();
        assert_eq!(told, [(3, 4, "lost"), (5, 5, "stored"), (6, 6, "lost"), (8, 8, "lost")]);
    }
}
