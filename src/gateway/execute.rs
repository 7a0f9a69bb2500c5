//! `execute`: the one way to change anything. Checks, writes down the intent, runs, writes down the outcome.

use super::audit::Phase;
use super::fanout::{self, Fanout, Outcomes, overall};
use super::supervisor::Supervised;
use super::{Gateway, cannot};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Outgoing};
use crate::domain::operation::{Change, Done, OperationSpec, PUBLISH, PartCounts, Plan, PublishSpec, Request, Risk};
use crate::domain::receipt::Receipt;
use crate::domain::safety::Gate;
use crate::domain::suggest;
use futures::future::join_all;
use futures::stream::{FuturesOrdered, StreamExt};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Publishes under way at once within one plan.
const IN_FLIGHT: usize = 1_000;

/// What became of each message of a plan, in its order. After the first failure nothing more is started, but everything
/// that was already handed over is waited for, so that its outcome is known.
#[derive(Debug, Default)]
pub struct Outcome {
    pub receipts: Vec<Result<Receipt, Fault>>,
    /// What became of the parts of a change, or of the messages that were settled.
    pub done: Option<Done>,
    /// Of a message to a fanout, what became of it at each of its targets; in the order of `receipts`.
    pub targets: Vec<Outcomes>,
    /// What was answered to a call.
    pub replies: Vec<Message>,
}

impl Outcome {
    /// Messages stored or parts done, and those that failed.
    pub fn counts(&self) -> PartCounts {
        let parts = PartCounts::of(self.done.iter().flat_map(|done| &done.parts).map(|(_, part)| part));
        let messages = PartCounts::of(self.receipts.iter());
        PartCounts { done: parts.done + messages.done, failed: parts.failed + messages.failed }
    }

    /// What became of a plan of one message.
    pub fn single(self) -> Result<Receipt, Fault> {
        self.receipts.into_iter().next().unwrap_or_else(|| Err(Fault::new(Kind::Usage, "publish", "", "the plan has no message")))
    }
}

impl Gateway {
    /// What the publish form of a channel's system asks.
    pub async fn publish_spec(&self, address: &Address) -> Result<&'static PublishSpec, Fault> {
        self.permit(&PUBLISH, PUBLISH.risk, address)?;
        self.publish_offer(&address.integration).await?.ok_or_else(|| cannot("publish", &address.integration, "publishing"))
    }

    /// What can be published through an integration, whether or not it is armed; `None` if it cannot publish.
    pub async fn publish_offer(&self, integration: &str) -> Result<Option<&'static PublishSpec>, Fault> {
        let session = self.reading(integration).await?;
        if self.fanouts.contains_key(integration) {
            return Ok((!self.read_only).then_some(&fanout::SPEC));
        }
        Ok(session.publish.map(|publish| publish.spec()))
    }

    /// Carries out a plan. What the profile's safety does not let pass is refused here, whoever asks. The fault is for what kept it
    /// from starting; what happened to each message is in the outcome. The intent is written to the audit log before anything else
    /// is asked, the outcome after, whatever it is.
    pub async fn execute(&self, plan: Plan) -> Result<Outcome, Fault> {
        // The end of the gateway waits for it.
        let _working = self.working.token();
        let (spec, address, risk) = (plan.spec(), plan.address().clone(), plan.risk());
        self.permit(spec, risk, &address)?;
        // A call has an entry of its own: replies come as they come.
        if let Plan::Call { address, request, wait } = plan {
            return self.called(&address, *request, wait).await;
        }
        let begun = self.begin(spec.id, &address, intent(&plan)).await?;
        let done = |done: Done| Outcome { done: Some(done), ..Outcome::default() };
        let result = match plan {
            Plan::Publish { address, messages } => self.publish(&address, messages).await,
            Plan::Change(change) => self.change(&change).await.map(done),
            Plan::Settle { hold, tickets, settlement, .. } => self.settle(hold, tickets, settlement).await.map(done),
            Plan::Call { .. } => Ok(Outcome::default()),
        };
        let (phase, detail) = outcome(&result);
        begun.end(phase, detail).await;
        result
    }

    /// What can be done to an integration, its channels and its groups, whether or not the profile lets it be done now.
    pub async fn operations(&self, integration: &str) -> Result<&'static [&'static OperationSpec], Fault> {
        self.supervised(integration)?.offers().await
    }

    /// Whether the profile's safety lets a plan pass as it is now, armed or not; why not otherwise.
    pub fn passes(&self, plan: &Plan) -> Result<(), Fault> {
        self.permits(plan.spec(), plan.risk(), plan.address())
    }

    /// The operation of that name.
    pub async fn operation(&self, address: &Address, id: &str) -> Result<&'static OperationSpec, Fault> {
        let operations = self.operations(&address.integration).await?;
        if operations.is_empty() {
            return Err(self.no_manage(address));
        }
        operations.iter().find(|spec| spec.id == id).copied().ok_or_else(|| {
            let known: Vec<&str> = operations.iter().map(|spec| spec.id).collect();
            let near = suggest::hint(id, known.iter().copied());
            let next = if near.is_empty() { format!("it has: {}", known.join(", ")) } else { near };
            Fault::new(Kind::Usage, "find operation", id, format!("{} has no such operation", address.integration)).next(next)
        })
    }

    /// Works out what a request would do, changing nothing: it need not be armed for that. Its arguments are checked
    /// against the operation's fields first.
    pub async fn plan(&self, request: Request) -> Result<Change, Fault> {
        let request = Request { address: self.resolve(&request.address)?, ..request };
        request.check()?;
        let session = self.reading(&request.address.integration).await?;
        let manage = session.manage.ok_or_else(|| self.no_manage(&request.address))?;
        manage.plan(request).await
    }

    async fn change(&self, change: &Change) -> Result<Done, Fault> {
        if let Some(refused) = &change.refused {
            return Err(refused.clone());
        }
        let session = self.changing(&change.request.address.integration).await?;
        let manage = session.manage.ok_or_else(|| self.no_manage(&change.request.address))?;
        manage.apply(change).await
    }

    /// Why there is nothing to manage by: the profile forbids it, or the system has nothing.
    fn no_manage(&self, address: &Address) -> Fault {
        self.gate_fault(Risk::Reversible, address).unwrap_or_else(|| cannot("change", &address.integration, "administration"))
    }

    /// Lets an operation begin, or says why not; a refusal is written down.
    pub(super) fn permit(&self, spec: &'static OperationSpec, risk: Risk, address: &Address) -> Result<(), Fault> {
        self.permits(spec, risk, address).inspect_err(|fault| {
            self.record(spec.id, Some(address), Phase::Refused, json!({ "cause": fault.cause.as_str() }));
        })
    }

    /// Whether the profile's safety and the caller's permissions let an operation of that risk begin there now; why not otherwise.
    pub fn permits(&self, spec: &'static OperationSpec, risk: Risk, address: &Address) -> Result<(), Fault> {
        self.caller.permits(spec, address)?;
        self.gate_fault(risk, address).map_or(Ok(()), Err)
    }

    /// Why the profile's safety does not let something of that risk be done now.
    pub(super) fn gate_fault(&self, risk: Risk, address: &Address) -> Option<Fault> {
        let refused = |cause: &str, next: String| Some(Fault::new(Kind::Forbidden, "change", address.to_string(), cause).next(next));
        let name = &self.profile.name;
        match self.gate(risk) {
            Gate::Open => None,
            Gate::ReadOnly if self.profile.safety.is_read_only() => {
                refused("this profile is open for reading only", "its safety block says so".to_owned())
            }
            Gate::ReadOnly => refused("this profile is open for reading only", "start without --read-only".to_owned()),
            Gate::Unarmed if self.safety.production => refused("this production profile is not armed", how_to_arm(name)),
            Gate::Unarmed => refused("what takes something away for good needs an armed profile", how_to_arm(name)),
        }
    }

    /// Publishes one message to every target of a fanout at once, and waits for all of them.
    /// Where it may not be published to one of them, nobody has it.
    async fn deliver(&self, fanout: &Fanout, channel: &str, message: &Outgoing) -> Result<Outcomes, Fault> {
        for target in &fanout.targets {
            self.caller.permits(&PUBLISH, &Address::new(&target.integration.name, channel))?;
        }
        let one = |target: &Arc<Supervised>| {
            let (name, message) = (target.integration.name.clone(), message.clone());
            async move {
                let publish = self.changing(&name).await.map(|session| session.publish);
                let result = match publish {
                    Ok(Some(publish)) => publish.publish(channel, message).await,
                    Ok(None) => Err(cannot("publish to", &name, "publishing")),
                    Err(fault) => Err(fault),
                };
                (name, result)
            }
        };
        Ok(join_all(fanout.targets.iter().map(one)).await)
    }

    /// One message after another, each to all targets at once; no more after one that did not reach all of them.
    async fn fan_out(&self, fanout: &Fanout, address: &Address, messages: Vec<Outgoing>) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::default();
        for message in messages {
            let outcomes = self.deliver(fanout, &address.within(), &message).await?;
            let receipt = overall(&address.to_string(), &outcomes);
            let failed = receipt.is_err();
            outcome.receipts.push(receipt);
            outcome.targets.push(outcomes);
            if failed {
                break;
            }
        }
        Ok(outcome)
    }

    async fn publish(&self, address: &Address, messages: Vec<Outgoing>) -> Result<Outcome, Fault> {
        if let Some(fanout) = self.fanouts.get(&address.integration) {
            return self.fan_out(fanout, address, messages).await;
        }
        let session = self.changing(&address.integration).await?;
        let publish = session.publish.ok_or_else(|| cannot("publish", &address.integration, "publishing"))?;
        let channel = self.named(address)?;
        let mut waiting = messages.into_iter();
        let mut under_way = FuturesOrdered::new();
        let mut outcome = Outcome::default();
        let mut failed = false;
        loop {
            while !failed && under_way.len() < IN_FLIGHT {
                let Some(message) = waiting.next() else { break };
                under_way.push_back(publish.publish(&channel, message));
            }
            let Some(receipt) = under_way.next().await else { return Ok(outcome) };
            failed |= receipt.is_err();
            outcome.receipts.push(receipt);
        }
    }
}

/// What the audit log says of a plan before it is carried out.
fn intent(plan: &Plan) -> Json {
    match plan {
        Plan::Publish { messages, .. } => json!({ "messages": messages.len() }),
        Plan::Change(change) => json!({ "digest": change.digest(), "summary": change.summary.as_str(), "steps": &*change.steps }),
        Plan::Settle { tickets, settlement, .. } => {
            let arguments: Vec<_> = settlement.arguments.iter().map(|(id, value)| json!({ "field": id, "value": value })).collect();
            json!({ "messages": tickets.len(), "effect": settlement.effect.word(), "arguments": arguments })
        }
        Plan::Call { request, wait, .. } => {
            json!({ "bytes": request.payload.as_ref().map_or(0, bytes::Bytes::len), "wait_s": wait.as_secs() })
        }
    }
}

/// What it says after: how many were done, how many failed, and why the first did. Of a fanout, at each of its targets.
fn outcome(result: &Result<Outcome, Fault>) -> (Phase, Json) {
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(fault) => return (Phase::Failed, json!({ "cause": fault.to_string() })),
    };
    let PartCounts { done, failed } = outcome.counts();
    let parts = outcome.done.iter().flat_map(|done| &done.parts).filter_map(|(_, part)| part.as_ref().err());
    let first = outcome.receipts.iter().filter_map(|receipt| receipt.as_ref().err()).chain(parts).next().map(ToString::to_string);
    let mut detail = json!({ "done": done, "failed": failed, "cause": first });
    if !outcome.targets.is_empty() {
        let mut targets: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (name, result) in outcome.targets.iter().flatten() {
            let (done, failed) = targets.entry(name).or_default();
            *(if result.is_ok() { done } else { failed }) += 1;
        }
        detail["targets"] = targets.into_iter().map(|(name, (done, failed))| (name, json!({ "done": done, "failed": failed }))).collect();
    }
    (if failed == 0 { Phase::Done } else { Phase::Failed }, detail)
}

fn how_to_arm(name: &str) -> String {
    format!("`!` in the console, or --arm {name}")
}
