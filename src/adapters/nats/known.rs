//! What publishing needs to know of streams, as it was told lately: what one takes, and which one keeps a subject.
//!
//! Each is asked for once by those who need it at the same time, who are then served in their order; those who need another do not wait.

use super::api::Api;
use super::model::StreamInfo;
use crate::domain::fault::{Fault, Kind};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as Queue, OwnedMappedMutexGuard, OwnedMutexGuard};

const OP: &str = "publish to";
/// How long an answer is taken to be true: streams are changed by others.
const FRESH: Duration = Duration::from_secs(1);
/// How long nobody is asked who keeps a subject when that could not be told.
const QUIET: Duration = Duration::from_secs(10);
/// Subjects of the server's own, which no stream keeps.
const OWN: [&str; 4] = ["$JS.", "$SYS.", "$SRV.", "_INBOX."];
/// Answers kept at most; a subject in which every message has its own word would fill any memory.
const MOST: usize = 4_096;

pub(super) struct Known {
    api: Api,
    streams: Answers<Option<StreamInfo>>,
    keepers: Answers<Option<String>>,
    /// Until when nobody is asked who keeps a subject.
    quiet: Mutex<Option<Instant>>,
}

/// An answer, and when it came.
type Place<T> = Arc<Queue<Option<(Instant, T)>>>;
type Answers<T> = Mutex<HashMap<String, Place<T>>>;
/// An answer. Whoever needs the same one waits until this is dropped.
type Answer<T> = OwnedMappedMutexGuard<Option<(Instant, T)>, T>;

fn place<T>(answers: &Answers<T>, name: &str) -> Place<T> {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    if answers.len() >= MOST && !answers.contains_key(name) {
        answers.clear();
    }
    answers.entry(name.to_owned()).or_default().clone()
}

async fn fresh<T: Default, E>(place: Place<T>, ask: impl Future<Output = Result<T, E>>) -> Result<Answer<T>, E> {
    let mut kept = place.lock_owned().await;
    if kept.as_ref().is_none_or(|(came, _)| came.elapsed() > FRESH) {
        *kept = None;
        *kept = Some((Instant::now(), ask.await?));
    }
    Ok(OwnedMutexGuard::map(kept, |kept| &mut kept.get_or_insert_with(|| (Instant::now(), T::default())).1))
}

impl Known {
    pub(super) fn new(api: Api) -> Self {
        Self { api, streams: Mutex::default(), keepers: Mutex::default(), quiet: Mutex::default() }
    }

    /// A stream as it is set; `None` if there is none.
    pub(super) async fn stream(&self, stream: &str) -> Result<Answer<Option<StreamInfo>>, Fault> {
        let ask = async { self.api.stream(OP, stream).await.map(Some) };
        fresh(place(&self.streams, stream), ask).await
    }

    /// The next who needs it asks anew.
    pub(super) fn forget(&self, stream: &str) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }

    /// The stream that keeps a subject and says so; `None` also where that cannot be told: without JetStream, or the permission to ask.
    pub(super) async fn keeper(&self, subject: &str) -> Answer<Option<String>> {
        let ask = async { Ok::<_, Infallible>(self.ask_keeper(subject).await) };
        match fresh(place(&self.keepers, subject), ask).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    async fn ask_keeper(&self, subject: &str) -> Option<String> {
        let until = *self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if OWN.iter().any(|own| subject.starts_with(own)) || until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let asked: Result<Value, Fault> = self.api.call(OP, subject, "STREAM.NAMES", &json!({ "subject": subject })).await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(fault) => {
                if fault.kind != Kind::NotFound {
                    *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + QUIET);
                }
                return None;
            }
        };
        let name = answer.get("streams").and_then(Value::as_array)?.first()?.as_str()?.to_owned();
        // Who acknowledges nothing is not waited for.
        let info = self.api.stream(OP, &name).await.ok()?;
        (!info.flag("no_ack")).then_some(name)
    }
}
