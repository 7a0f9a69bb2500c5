//! `mqdeck receive`: messages of a queue, held until it is decided on them: by a flag for each as it comes, by a person for any of
//! them, or by nobody; then they go back.

use super::output::{self, Messages, is_terminal};
use super::{Connection, argument, duration, usage};
use crate::domain::address::Address;
use crate::domain::delivery::{Effect, Given, Settlement, Settles, Ticket};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::operation::{Done, Plan, RECEIVE, Risk};
use crate::gateway::Gateway;
use crate::gateway::hold::{Held, HoldEvent};
use clap::Args;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Unsettled messages at a time, where they are decided on as they come.
const AT_ONCE: u32 = 32;

#[derive(Debug, Args)]
#[command(after_help = "Without a decision they are shown and go back; in a terminal it is asked what is to become of them.")]
pub struct Receive {
    /// Queue to receive from: `rabbit/tasks`; a stream is received from as one of its groups.
    address: Address,
    /// Arguments of the decision, by the system's own fields: `reason=broken`, `delay=30`.
    #[arg(value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// As one of the channel's groups: a Redis stream's group, a JetStream consumer.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// This many messages at most.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Ends when nothing has come for so long.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    wait: String,
    /// Done: each message is gone once its line was printed.
    #[arg(long, group = "decision")]
    ack: bool,
    /// Back to the queue, for somebody else.
    #[arg(long, group = "decision", alias = "nack")]
    requeue: bool,
    /// Refused for good: to the dead letters where there are any.
    #[arg(long, group = "decision")]
    reject: bool,
    /// Without a decision: takes messages even where giving them back spends one of the deliveries that each has, and the last one
    /// deletes it: then the profile must be armed. Or where it is not known whether it does.
    #[arg(long)]
    spend: bool,
    /// Carries out a decision that deletes messages without asking for the address; the profile must be armed.
    #[arg(long)]
    execute: bool,
    /// One JSON object a line, as `mqdeck tail --json` prints messages; the default without a terminal.
    #[arg(long)]
    json: bool,
}

/// What became of the messages.
#[derive(Default)]
struct Tally {
    received: u32,
    settled: u32,
    failed: u32,
}

impl Receive {
    pub(super) async fn run(mut self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let wait = duration("receive", &self.wait)?;
        let gateway = connection.open()?;
        if let Some(group) = &self.group {
            self.address = gateway.way(&self.address, group).await?;
        }
        let decision = self.decision()?;
        if let Some(settlement) = &decision {
            // A mistake is found before anything is taken.
            settlement.check(gateway.verbs(&self.address).await?).map_err(|e| usage("receive", &self.address.to_string(), e))?;
        }
        let asks = decision.is_none() && is_terminal() && output::can_ask();
        let mut messages = Messages::new(&gateway, std::slice::from_ref(&self.address), self.json || !is_terminal())?;
        let most = self.at_once(decision.as_ref());
        if decision.is_none() && !self.may_give_back(&gateway, asks).await? {
            gateway.shutdown().await;
            output::note("nothing was received");
            return Ok(ExitCode::FAILURE);
        }
        if let Some(warning) = gateway.warning(&self.address).await? {
            output::note(warning.as_str());
        }
        let mut held = gateway.hold(&self.address, most, self.limit.into()).await?;
        let mut tally = Tally::default();
        let result = match decision {
            Some(settlement) => self.decided(&gateway, &mut held, &mut messages, wait, &settlement, &mut tally).await,
            None => self.looked(&gateway, &mut held, &mut messages, wait, asks, &mut tally).await,
        };
        let released = gateway.release(held.id).await;
        gateway.shutdown().await;
        messages.out.flush().or_else(|error| if result.is_err() { Ok(()) } else { Err(error) })?;
        result?;
        let settled = if tally.settled > 0 { format!(", {} settled", tally.settled) } else { String::new() };
        let failed = if tally.failed > 0 { format!(", {} could not be settled", tally.failed) } else { String::new() };
        output::note(format!("{} received{settled}{failed}; {}", tally.received, released?));
        Ok(if tally.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Messages that are taken before the first is decided on. What is given back would be given to us again: that comes last.
    fn at_once(&self, decision: Option<&Settlement>) -> u32 {
        match decision {
            Some(settlement) if settlement.effect != Effect::Requeue => self.limit.min(AT_ONCE),
            _ => self.limit,
        }
    }

    fn decision(&self) -> Result<Option<Settlement>, Fault> {
        let effect = match (self.ack, self.requeue, self.reject) {
            (true, ..) => Effect::Ack,
            (_, true, _) => Effect::Requeue,
            (.., true) => Effect::Reject,
            _ if self.fields.is_empty() => return Ok(None),
            _ => return Err(usage("receive", &self.fields[0], "a field belongs to a decision").next("add --ack, --requeue or --reject")),
        };
        let arguments = self.fields.iter().map(|text| argument("receive", text)).collect::<Result<_, _>>()?;
        Ok(Some(Settlement { effect, arguments }))
    }

    /// Whether messages may be taken that nobody may decide on. Where there is a limit behind which they end that is refused, as looking
    /// at them is; where it is not known whether there is one, it is asked.
    async fn may_give_back(&self, gateway: &Gateway, asks: bool) -> anyhow::Result<bool> {
        let Some(Settles { risk, summary }) = gateway.spends(&self.address).await? else { return Ok(true) };
        gateway.permits(&RECEIVE, RECEIVE.risk, &self.address)?;
        if !self.spend && (risk == Risk::Destroy || !asks) {
            return Err(Fault::new(Kind::Rejected, "receive from", self.address.to_string(), summary)
                .next("decide on them with --ack, --requeue or --reject; to take them and give them back all the same: --spend")
                .into());
        }
        gateway.permits(&RECEIVE, risk, &self.address)?;
        let (address, may) = (self.address.to_string(), if risk == Risk::Destroy { "may DELETE messages" } else { "may end messages" });
        output::note(format!("what is not decided on is given back, which {may}: {summary}"));
        if !asks || (self.spend && risk < Risk::Destroy) {
            return Ok(true);
        }
        let (question, is_yes): (_, fn(&str, &str) -> bool) = match risk {
            Risk::Destroy => ("to receive anyway, type the address: ", |answer, address| answer == address),
            _ => ("receive anyway? [y/N] ", |answer, _| matches!(answer, "y" | "Y" | "yes")),
        };
        Ok(is_yes(output::ask(question).await?.unwrap_or_default().trim(), &address))
    }

    /// Each message is printed first and settled then: a reader that is gone loses nothing. As many as are held at a time are taken
    /// before the first is settled, so that the system does not give out more than is wanted.
    async fn decided(
        &self,
        gateway: &Gateway,
        held: &mut Held,
        messages: &mut Messages,
        wait: Duration,
        settlement: &Settlement,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        while tally.received < self.limit {
            let mut taken = Vec::new();
            let most = (self.limit - tally.received).min(self.at_once(Some(settlement))) as usize;
            while taken.len() < most {
                match next(held, wait, gateway.caller().stop()).await {
                    Next::Taken(HoldEvent::Message(delivery)) => {
                        tally.received += 1;
                        messages.received(&self.address.integration, &delivery)?;
                        messages.out.flush()?;
                        taken.extend(delivery.ticket.map(|ticket| (ticket, Given::from(&*delivery))));
                    }
                    Next::Taken(HoldEvent::Interrupted { fault, lost }) => {
                        taken.retain(|(ticket, _)| !lost.contains(ticket));
                        broken(fault, lost.len(), tally)?;
                    }
                    Next::Taken(HoldEvent::Resumed) => resumed(),
                    Next::Enough | Next::Stopped => break,
                }
            }
            let ended = taken.len() < most;
            if !taken.is_empty() && self.settle(gateway, held, taken, settlement.clone(), tally).await?.is_none() {
                output::note("nothing was decided on");
                break;
            }
            if ended {
                break;
            }
        }
        Ok(())
    }

    /// Shows what there is, and asks what is to become of it where there is somebody to ask.
    async fn looked(
        &self,
        gateway: &Gateway,
        held: &mut Held,
        messages: &mut Messages,
        wait: Duration,
        asks: bool,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let mut shown = Shown { command: self, messages, asks, stop: gateway.caller().stop(), unsettled: Vec::new() };
        while tally.received < self.limit {
            match next(held, wait, gateway.caller().stop()).await {
                Next::Taken(taken) => shown.take(taken, tally)?,
                Next::Enough => break,
                Next::Stopped => return Ok(()),
            }
        }
        if asks && tally.received < self.limit && !shown.unsettled.is_empty() {
            // What is published from now on is for others.
            gateway.stop_receiving(held.id).await?;
        }
        while asks && !shown.unsettled.is_empty() {
            let Some(typed) = shown.line(held, tally, prompt).await? else { break };
            let words: Vec<&str> = typed.split_whitespace().collect();
            let (effect, rest) = match words.as_slice() {
                [] => continue,
                ["leave" | "q" | "quit", ..] => {
                    let question = |held: &Held, unsettled: &[Unsettled]| {
                        format!("{} not decided on: what is held {}. Leave? [y/N] ", unsettled.len(), held.left_over)
                    };
                    match shown.line(held, tally, question).await?.as_deref().map(str::trim) {
                        Some("y" | "Y" | "yes") | None => break,
                        Some(_) => continue,
                    }
                }
                [word, rest @ ..] => match effect(word) {
                    Some(effect) => (effect, rest),
                    None => {
                        output::note(format!("write {} with numbers (1,3-5) or all, or leave", words_of(held)));
                        continue;
                    }
                },
            };
            let chosen = chosen(rest, &shown.unsettled).and_then(|(tickets, arguments)| {
                let settlement = Settlement { effect, arguments };
                settlement.check(held.verbs).map(|()| (tickets, settlement))
            });
            match chosen {
                Err(wrong) => output::note(wrong),
                Ok((tickets, settlement)) => match self.settle(gateway, held, shown.given(&tickets), settlement, tally).await {
                    Ok(Some(done)) => shown.settled(&tickets, &done, effect),
                    Ok(None) => output::note("nothing was decided on"),
                    // What is not allowed takes nothing away from the other decisions.
                    Err(error) if is_forbidden(&error) => output::note(error.to_string()),
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Carries out a decision once it is known what it does; `None` if that was not wanted then.
    async fn settle(
        &self,
        gateway: &Gateway,
        held: &Held,
        taken: Vec<(Ticket, Given)>,
        settlement: Settlement,
        tally: &mut Tally,
    ) -> anyhow::Result<Option<Done>> {
        let (tickets, given): (Vec<Ticket>, Vec<Given>) = taken.into_iter().unzip();
        let settles = gateway.settles(&self.address, settlement.effect, &given).await?;
        if settles.risk == Risk::Destroy || !matches!(settlement.effect, Effect::Ack | Effect::Extend) {
            output::note(settles.summary.as_str());
        }
        let plan = Plan::Settle { address: self.address.clone(), hold: held.id, tickets, settlement, settles };
        if !self.wanted(gateway, &plan).await? {
            return Ok(None);
        }
        let done = gateway.execute(plan).await?.done.unwrap_or_default();
        for (part, result) in &done.parts {
            match result {
                Ok(_) => tally.settled += 1,
                Err(fault) => {
                    tally.failed += 1;
                    output::note(format!("{part}: {fault}"));
                }
            }
        }
        Ok(Some(done))
    }

    /// Whether a decision is wanted now that it is known what it does: asked for where it deletes.
    async fn wanted(&self, gateway: &Gateway, plan: &Plan) -> anyhow::Result<bool> {
        if plan.risk() < Risk::Destroy {
            return Ok(true);
        }
        gateway.passes(plan)?;
        if self.execute {
            return Ok(true);
        }
        if !output::can_ask() {
            let fault = usage("settle messages of", &self.address.to_string(), "this deletes messages; cannot ask: not a terminal");
            return Err(fault.next("nothing was decided on: add --execute to carry it out").into());
        }
        super::change::asked(plan).await
    }
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Fault>().is_some_and(|fault| fault.kind == Kind::Forbidden)
}

/// A message that a person has not decided on.
struct Unsettled {
    number: u32,
    ticket: Ticket,
    given: Given,
    since: Instant,
}

/// What was shown to a person, and waits for a decision.
struct Shown<'a> {
    command: &'a Receive,
    messages: &'a mut Messages,
    /// The messages have numbers, to be named by.
    asks: bool,
    stop: &'a CancellationToken,
    unsettled: Vec<Unsettled>,
}

impl Shown<'_> {
    /// Shows a message, or says what became of those that were shown.
    fn take(&mut self, taken: HoldEvent, tally: &mut Tally) -> anyhow::Result<()> {
        let delivery = match taken {
            HoldEvent::Message(delivery) => delivery,
            HoldEvent::Interrupted { fault, lost } => {
                self.unsettled.retain(|held| !lost.contains(&held.ticket));
                return Ok(broken(fault, lost.len(), tally)?);
            }
            HoldEvent::Resumed => {
                resumed();
                return Ok(());
            }
        };
        tally.received += 1;
        let integration = &self.command.address.integration;
        if self.asks {
            if let Some(line) = self.messages.delivery(integration, &delivery) {
                self.messages.out.message(&line.numbered(tally.received))?;
            }
        } else {
            self.messages.received(integration, &delivery)?;
        }
        self.messages.out.flush()?;
        let (number, given) = (tally.received, Given::from(&*delivery));
        self.unsettled.extend(delivery.ticket.map(|ticket| Unsettled { number, ticket, given, since: Instant::now() }));
        Ok(())
    }

    /// The line that is typed as the answer; what happens to the messages meanwhile is said, and it is asked again. `None` at the end of
    /// the input, at Ctrl-C, and when there is nothing left to decide on.
    async fn line(
        &mut self,
        held: &mut Held,
        tally: &mut Tally,
        question: impl Fn(&Held, &[Unsettled]) -> String,
    ) -> anyhow::Result<Option<String>> {
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        let mut stopped = std::pin::pin!(self.stop.cancelled());
        output::question(question(held, &self.unsettled))?;
        let mut typed = std::pin::pin!(output::typed());
        loop {
            let taken = tokio::select! {
                typed = &mut typed => return Ok(typed?),
                () = &mut stopped => None,
                Some(taken) = held.later() => Some(taken),
            };
            output::leave_question()?;
            let Some(taken) = taken else { return Ok(None) };
            self.take(taken, tally)?;
            if self.unsettled.is_empty() {
                return Ok(None);
            }
            output::question(question(held, &self.unsettled))?;
        }
    }

    /// What is known of those that a decision is about.
    fn given(&self, tickets: &[Ticket]) -> Vec<(Ticket, Given)> {
        let chosen = self.unsettled.iter().filter(|held| tickets.contains(&held.ticket));
        chosen.map(|held| (held.ticket, held.given.clone())).collect()
    }

    /// What could not be settled cannot be settled at all: it went back.
    fn settled(&mut self, tickets: &[Ticket], done: &Done, effect: Effect) {
        let settled = done.parts.iter().filter(|(_, part)| part.is_ok()).count();
        if settled > 0 {
            output::note(format!("{settled} {}", effect.done()));
        }
        if effect.keeps() {
            self.unsettled.iter_mut().filter(|held| tickets.contains(&held.ticket)).for_each(|held| held.since = Instant::now());
        } else {
            self.unsettled.retain(|held| !tickets.contains(&held.ticket));
        }
    }
}

/// What there is next.
enum Next {
    Taken(HoldEvent),
    /// Nothing has come for long enough, everything that was wanted has, or the system has ended the receiving.
    Enough,
    /// Somebody pressed Ctrl-C.
    Stopped,
}

async fn next(held: &mut Held, wait: Duration, stop: &CancellationToken) -> Next {
    tokio::select! {
        biased;
        () = stop.cancelled() => Next::Stopped,
        next = tokio::time::timeout(wait, held.next()) => next.ok().flatten().map_or(Next::Enough, Next::Taken),
    }
}

/// Says that the connection broke, and what was lost with it. What does not pass by itself is the end.
fn broken(fault: Fault, lost: usize, tally: &mut Tally) -> Result<(), Fault> {
    if lost > 0 {
        tally.failed += u32::try_from(lost).unwrap_or(u32::MAX);
        output::note(format!("{lost} of those shown were lost with the connection: nothing can be decided on them any more"));
    }
    if !fault.kind.is_transient() {
        return Err(fault);
    }
    output::note(fault.to_string());
    Ok(())
}

fn resumed() {
    output::note("the connection is there again: receiving goes on");
}

fn prompt(held: &Held, unsettled: &[Unsettled]) -> String {
    let oldest = unsettled.iter().map(|held| held.since.elapsed()).max().unwrap_or_default();
    let left = match held.ack_timeout {
        None => String::new(),
        Some(ack_timeout) if oldest >= ack_timeout => ", the time of the first is over".to_owned(),
        Some(ack_timeout) => format!(", {} left", figure::duration(ack_timeout.saturating_sub(oldest))),
    };
    format!("{} unsettled{left}; {} NUMBERS|all, or leave: ", unsettled.len(), words_of(held))
}

/// The decisions that there are, as they are typed.
fn words_of(held: &Held) -> String {
    held.verbs.iter().map(|verb| verb.effect.word()).collect::<Vec<_>>().join(", ")
}

fn effect(word: &str) -> Option<Effect> {
    let word = if word == "nack" { "requeue" } else { word };
    [Effect::Ack, Effect::Requeue, Effect::Reject, Effect::Extend].into_iter().find(|effect| effect.word() == word)
}

/// What `1,3-5 reason=broken` means.
#[expect(clippy::type_complexity, reason = "tickets and arguments of one line")]
fn chosen(words: &[&str], unsettled: &[Unsettled]) -> Result<(Vec<Ticket>, Vec<(String, String)>), String> {
    let (fields, numbers): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.contains('='));
    let arguments = fields.into_iter().filter_map(|field| field.split_once('=')).map(|(id, value)| (id.to_owned(), value.to_owned()));
    let mut tickets = Vec::new();
    for piece in numbers.iter().flat_map(|word| word.split(',')).filter(|piece| !piece.is_empty()) {
        let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
        let (from, to) = match (piece, from.parse::<u32>(), to.parse::<u32>()) {
            ("all", ..) => (1, u32::MAX),
            (_, Ok(from), Ok(to)) => (from, to),
            _ => return Err(format!("`{piece}` is no number, no range and not `all`")),
        };
        let found = unsettled.iter().filter(|held| (from..=to).contains(&held.number)).map(|held| held.ticket);
        let before = tickets.len();
        tickets.extend(found);
        if tickets.len() == before {
            return Err(format!("nothing unsettled has the number {piece}"));
        }
    }
    if tickets.is_empty() { Err("say which: numbers, or `all`".to_owned()) } else { Ok((tickets, arguments.collect())) }
}
