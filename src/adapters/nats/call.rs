//! Asking: a request to a subject or a service, and its replies.

use super::link::{Inbox, is_nobody};
use super::names::{Name, is_pattern, plain, shown};
use super::publish::{block, payload};
use super::{Shared, headers, services};
use crate::adapters::session::Call;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Message, Outgoing, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::time::{Duration, Instant};

const OP: &str = "ask";

pub(super) struct NatsCall {
    shared: Shared,
}

/// A question that is not answered to the end.
struct Asked {
    inbox: Inbox,
    subject: String,
    until: Instant,
    /// Replies that were asked for and have not come.
    left: u64,
    came: u64,
    /// What a service answered instead of doing what it was asked: told behind all replies.
    refused: Option<Fault>,
}

impl NatsCall {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// The subject that a service with a single endpoint answers on.
    async fn endpoint(&self, channel: &str, name: &str) -> Result<String, Fault> {
        let found = services::discover(&self.shared.api.link, Some(name)).await?.remove(name).unwrap_or_default();
        let mut subjects: Vec<&str> = found.iter().flat_map(|one| one.endpoints.iter().map(|endpoint| endpoint.subject.as_str())).collect();
        subjects.sort_unstable();
        subjects.dedup();
        match subjects[..] {
            [only] => Ok(only.to_owned()),
            [] => Err(Fault::new(Kind::NotFound, OP, channel, "no instance of this service answers with an endpoint")
                .next("it may be down, or our user may not ask $SRV")),
            ref several => Err(Fault::new(Kind::Usage, OP, channel, "the service has several endpoints")
                .next(format!("ask one of their subjects: {}", several.join(", ")))),
        }
    }
}

#[async_trait]
impl Call for NatsCall {
    /// One reply is waited for; the option `replies` says how many, 0 all that come in time.
    async fn call(&self, channel: &str, request: Outgoing, wait: Duration) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault> {
        let wrong = |cause: &str| Fault::new(Kind::Usage, OP, channel, cause.to_owned());
        let subject = match Name::of(OP, channel)? {
            Name::Subject(subject) if is_pattern(subject) => return Err(wrong("this names many subjects").next("ask one of them")),
            Name::Subject(subject) => plain(subject),
            Name::Service(name) => self.endpoint(channel, name).await?,
            _ => return Err(wrong("only subjects and services answer requests")),
        };
        let left = match request.option("replies") {
            Some(replies) => replies.parse().map_err(|_| wrong("replies: this is no number"))?,
            None => 1,
        };
        let until = Instant::now() + wait;
        let (headers, payload) = (block(channel, &request.headers)?, payload(channel, &request)?);
        let inbox = self.shared.api.link.ask(OP, &subject, &headers, &payload).await?;
        let mut asked = Asked { inbox, subject, until, left: if left == 0 { u64::MAX } else { left }, came: 0, refused: None };
        // That nobody is there, or that we may not ask, is known at once: with the first answer.
        let Some(first) = asked.next().await else { return Ok(stream::empty().boxed()) };
        let first = first?;
        let rest = stream::unfold(asked, |mut asked| async { asked.next().await.map(|reply| (reply, asked)) });
        Ok(stream::iter([Ok(first)]).chain(rest).boxed())
    }
}

impl Asked {
    /// The next reply, and behind the last what a service refused; `None` when no more are waited for.
    async fn next(&mut self) -> Option<Result<Message, Fault>> {
        match self.reply().await {
            Some(reply) => Some(reply),
            None => self.refused.take().map(Err),
        }
    }

    async fn reply(&mut self) -> Option<Result<Message, Fault>> {
        if self.left == 0 {
            return None;
        }
        let limit = self.until.saturating_duration_since(Instant::now());
        let reply = match self.inbox.next(OP, &self.subject, limit).await {
            Ok(reply) => reply,
            // Whoever asked for all has them now; whoever waited for one was not answered.
            Err(fault) if fault.kind == Kind::Timeout && self.came > 0 => return None,
            Err(fault) => {
                self.left = 0;
                return Some(Err(fault));
            }
        };
        if is_nobody(&reply) {
            self.left = 0;
            let cause = "nobody answers requests on this subject";
            return Some(Err(
                Fault::new(Kind::NotFound, OP, self.subject.as_str(), cause).next("is the service up, and the subject right?")
            ));
        }
        self.left -= 1;
        self.came += 1;
        let headers = headers::of(&reply.block);
        if self.refused.is_none() {
            self.refused = service_error(&self.subject, &headers);
        }
        Some(Ok(Message {
            channel: shown(self.subject.as_bytes()).into(),
            position: Position::Arrival(self.came),
            timestamp: Some(Timestamp(jiff::Timestamp::now().as_millisecond())),
            stamp: Stamp::Seen,
            key: None,
            headers,
            payload: Some(reply.payload),
        }))
    }
}

/// The error that a service answers with (ADR-32): a reply whose headers say so.
fn service_error(subject: &str, headers: &[Header]) -> Option<Fault> {
    let text = |name: &str| {
        let at = headers::at(headers, name)?;
        headers[at].value.as_deref().map(String::from_utf8_lossy)
    };
    let (code, error) = (text("Nats-Service-Error-Code"), text("Nats-Service-Error"));
    if code.is_none() && error.is_none() {
        return None;
    }
    let cause = format!("the service answered with an error: {} {}", code.unwrap_or_default(), error.unwrap_or_default());
    Some(Fault::new(Kind::Rejected, OP, subject, cause.trim_end().to_owned()).next("its reply may say more; look at the service's log"))
}
