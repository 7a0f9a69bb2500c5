//! `process`: consume, process, publish, exactly once. Seed 1's transactional pattern as a loop that survives rebalances, the loss of
//! brokers and its own death: what a transaction consumed and published takes effect together, or comes again.

use super::audit::Phase;
use super::{Gateway, cannot};
use crate::adapters::reopen::Backoff;
use crate::adapters::session::{Transact, Transaction};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::group::Source;
use crate::domain::message::{Message, Outgoing};
use crate::domain::operations::PROCESS;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long an empty source is listened to before the loop looks whether it should stop.
const LISTEN: Duration = Duration::from_millis(200);

/// What is to be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub integration: String,
    /// The name of the transactions and of the member: each process that works at the same time needs one of its own, and the same one
    /// again after a restart.
    pub name: String,
    pub source: Source,
    /// A transaction ends after so many messages,
    pub most: usize,
    /// or so long after its first one, whatever comes first.
    pub within: Duration,
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processed {
    /// Messages consumed by transactions that were committed.
    pub consumed: u64,
    /// Messages published by them.
    pub published: u64,
    pub commits: u64,
    /// Transactions that came to nothing; what they had consumed came again.
    pub aborts: u64,
    /// Why the last one did.
    pub trouble: Option<Fault>,
}

impl Gateway {
    /// Consumes channels as a member of a group, has each message turned into what is to be published, and ends with what was done
    /// when `stop` is cancelled; the transaction under way is finished first. Dropping the future aborts it.
    ///
    /// The fault is for what waiting does not mend: we were fenced off, something is forbidden or missing, or `work` failed; then
    /// nothing of the last transaction took effect. `work` may be called more than once for a message, and what it returns counts
    /// once: it must have no other effects. `progress` says meanwhile how far it is.
    pub async fn process<W, F>(
        &self,
        job: &Job,
        mut work: W,
        stop: CancellationToken,
        progress: &watch::Sender<Processed>,
    ) -> Result<(), Fault>
    where
        W: FnMut(Message) -> F,
        F: Future<Output = Result<Vec<(Arc<str>, Outgoing)>, Fault>>,
    {
        let _working = self.working.token();
        let sources: Vec<Address> = job.source.channels.iter().map(|channel| Address::new(&job.integration, channel)).collect();
        for source in &sources {
            self.permit(&PROCESS, PROCESS.risk, source)?;
        }
        let address = sources.into_iter().next().unwrap_or_else(|| Address::new(&job.integration, ""));
        let channels: Vec<&str> = job.source.channels.iter().map(|channel| &**channel).collect();
        let begun =
            self.begin(PROCESS.id, &address, json!({ "name": job.name, "group": &*job.source.group, "channels": channels })).await?;
        let outcome = self.keep_processing(job, &mut work, &stop, progress).await;
        let done = progress.borrow().clone();
        let detail = json!({
            "consumed": done.consumed, "published": done.published, "commits": done.commits, "aborts": done.aborts,
            "cause": outcome.as_ref().err().map(ToString::to_string),
        });
        begun.end(if outcome.is_ok() { Phase::Done } else { Phase::Failed }, detail).await;
        outcome
    }

    /// Begins sessions until one ends as it should.
    async fn keep_processing<W, F>(
        &self,
        job: &Job,
        work: &mut W,
        stop: &CancellationToken,
        progress: &watch::Sender<Processed>,
    ) -> Result<(), Fault>
    where
        W: FnMut(Message) -> F,
        F: Future<Output = Result<Vec<(Arc<str>, Outgoing)>, Fault>>,
    {
        let reconnect = self.supervised(&job.integration)?.integration.reconnect.clone();
        let mut backoff = Backoff::new(&reconnect);
        while !stop.is_cancelled() {
            let commits = progress.borrow().commits;
            let ended = match self.transact(&job.integration).await {
                Ok(transact) => work_on(&*transact, job, work, stop, progress).await,
                Err(fault) => Err(Failed::System(fault)),
            };
            // What `work` itself failed at is not mended by waiting, whatever kind of fault it says it is.
            let fault = match ended {
                Ok(()) => return Ok(()),
                Err(Failed::Ours(fault)) => return Err(fault),
                Err(Failed::System(fault)) if !fault.kind.is_transient() => return Err(fault),
                Err(Failed::System(fault)) => fault,
            };
            progress.send_modify(|done| done.trouble = Some(fault));
            if progress.borrow().commits > commits {
                backoff.reset();
            }
            tokio::select! {
                () = sleep(backoff.delay()) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn transact(&self, integration: &str) -> Result<Arc<dyn Transact>, Fault> {
        // Begun when it was permitted, it goes on: it must not stop in the middle because a time is over.
        self.changing(integration).await?.transact.ok_or_else(|| cannot("process", integration, "transactions"))
    }
}

/// One session: transaction after transaction.
async fn work_on<W, F>(
    transact: &dyn Transact,
    job: &Job,
    work: &mut W,
    stop: &CancellationToken,
    progress: &watch::Sender<Processed>,
) -> Result<(), Failed>
where
    W: FnMut(Message) -> F,
    F: Future<Output = Result<Vec<(Arc<str>, Outgoing)>, Fault>>,
{
    let mut session = transact.begin(&job.name, Some(job.source.clone())).await.map_err(Failed::System)?;
    while !stop.is_cancelled() {
        let failed = match transaction(&mut *session, job, work, stop).await {
            Ok(Some((consumed, published))) => {
                progress.send_modify(|done| {
                    done.consumed += consumed;
                    done.published += published;
                    done.commits += 1;
                });
                continue;
            }
            Ok(None) => continue,
            Err(failed) => failed,
        };
        session.abort().await.map_err(Failed::System)?;
        progress.send_modify(|done| {
            done.aborts += 1;
            done.trouble = Some(failed.fault().clone());
        });
        // What the group gave to others, or what a broker did not take in time, comes again.
        if !matches!(&failed, Failed::System(fault) if fault.kind.is_transient()) {
            return Err(failed);
        }
    }
    session.end().await.map_err(Failed::System)
}

enum Failed {
    /// `work` itself, or what it wanted published.
    Ours(Fault),
    System(Fault),
}

impl Failed {
    fn fault(&self) -> &Fault {
        let (Self::Ours(fault) | Self::System(fault)) = self;
        fault
    }
}

/// One transaction; `None` if nothing came.
async fn transaction<W, F>(
    session: &mut dyn Transaction,
    job: &Job,
    work: &mut W,
    stop: &CancellationToken,
) -> Result<Option<(u64, u64)>, Failed>
where
    W: FnMut(Message) -> F,
    F: Future<Output = Result<Vec<(Arc<str>, Outgoing)>, Fault>>,
{
    let (mut consumed, mut published, mut until) = (0, 0, None::<Instant>);
    while consumed < job.most {
        let wait = until.map_or(LISTEN, |until| until.saturating_duration_since(Instant::now()));
        let messages = session.take(job.most - consumed, wait).await.map_err(Failed::System)?;
        if messages.is_empty() && consumed == 0 {
            return Ok(None);
        }
        until.get_or_insert_with(|| Instant::now() + job.within);
        for message in messages {
            for (channel, outgoing) in work(message).await.map_err(Failed::Ours)? {
                session
                    .publish(&channel, outgoing)
                    .await
                    .map_err(|fault| if fault.kind.is_transient() { Failed::System(fault) } else { Failed::Ours(fault) })?;
                published += 1;
            }
            consumed += 1;
        }
        if stop.is_cancelled() || until.is_some_and(|until| until <= Instant::now()) {
            break;
        }
    }
    session.commit().await.map_err(Failed::System)?;
    Ok(Some((consumed as u64, published)))
}

#[cfg(test)]
mod tests {
    use super::super::Access;
    use super::super::guard::{Caller, Policy};
    use super::*;
    use crate::adapters::memory::Memory;
    use crate::domain::fault::Kind;
    use crate::domain::operation::{OperationSpec, PUBLISH};
    use crate::domain::principal::Principal;
    use crate::domain::text::SafeText;

    /// Denies publishing to one channel.
    struct DenyPublishTo(&'static str);

    impl Policy for DenyPublishTo {
        fn permits(&self, _: &Principal, operation: &OperationSpec, address: &Address) -> Result<(), SafeText> {
            if operation.id == PUBLISH.id && *address.channel == *self.0 { Err("the test denies it".into()) } else { Ok(()) }
        }
    }

    fn memory() -> Memory {
        let memory = Memory::with(crate::config::profile::Integration::new("jobs", "memory", Vec::new()));
        memory.create("in", 1);
        memory.create("out", 1);
        memory.publish_now("in", Outgoing { payload: Some("x".into()), ..Outgoing::default() });
        memory
    }

    fn job() -> Job {
        let source = Source { group: "workers".into(), channels: vec!["in".into()] };
        Job { integration: "jobs".to_owned(), name: "one".to_owned(), source, most: 1, within: Duration::from_millis(10) }
    }

    /// Processes with a work that gives up the whole after so many messages: who asks for more would ask for ever.
    async fn processed(
        gateway: &Gateway,
        mut work: impl FnMut(Message) -> Result<Vec<(Arc<str>, Outgoing)>, Fault>,
    ) -> (Result<(), Fault>, Processed, u32) {
        const PATIENT: u32 = 20;
        let (stop, (progress, _seen)) = (CancellationToken::new(), watch::channel(Processed::default()));
        let (giving_up, mut asked) = (stop.clone(), 0);
        let counted = |message: Message| {
            asked += 1;
            if asked == PATIENT {
                giving_up.cancel();
            }
            std::future::ready(work(message))
        };
        // The clock is the test's: this is over at once when nothing goes on any more.
        let job = job();
        let processing = gateway.process(&job, counted, stop, &progress);
        let outcome = tokio::time::timeout(Duration::from_secs(600), processing).await.unwrap_or(Ok(()));
        let done = progress.borrow().clone();
        (outcome, done, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_work_that_fails_ends_the_processing_whatever_kind_of_fault_it_says_it_is() {
        for kind in [Kind::Timeout, Kind::Unreachable, Kind::Rejected] {
            let memory = memory();
            let gateway = Gateway::over(Access::default(), &memory);
            let (outcome, done, asked) = processed(&gateway, |_| Err(Fault::new(kind, "work", "x", "it does not work"))).await;
            let fault = outcome.expect_err("the work failed");
            assert_eq!((fault.kind, fault.cause.as_str(), asked), (kind, "it does not work", 1), "it is not tried again");
            assert_eq!((done.commits, done.aborts), (0, 1), "{done:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_processed_into_a_channel_that_may_not_be_published_to() {
        let memory = memory();
        let caller = Caller::new(Principal::local(Some("alice")), Arc::new(DenyPublishTo("out")), CancellationToken::new());
        let gateway = Gateway::over(Access { caller, ..Access::default() }, &memory);
        let copy = |message: Message| Ok(vec![("out".into(), Outgoing { payload: message.payload, ..Outgoing::default() })]);
        let (outcome, done, asked) = processed(&gateway, copy).await;
        let fault = outcome.expect_err("it is denied");
        assert!(fault.kind == Kind::Forbidden && fault.to_string().contains("jobs/out"), "{fault}");
        assert_eq!((asked, done.commits, done.published, memory.stored("out").len()), (1, 0, 0, 0), "{done:?}");
        // Who may publish there processes the same message: it was not consumed.
        let gateway = Gateway::over(Access::default(), &memory);
        let (stop, (progress, _seen)) = (CancellationToken::new(), watch::channel(Processed::default()));
        let once = stop.clone();
        let work = |message| {
            once.cancel();
            std::future::ready(copy(message))
        };
        gateway.process(&job(), work, stop, &progress).await.expect("it is permitted");
        assert_eq!(memory.stored("out").len(), 1);
    }
}
