//! `Call` for RabbitMQ: requests answered by direct reply-to, the pseudo-queue `amq.rabbitmq.reply-to` of the caller's own channel.

use super::link::Live;
use super::name::Name;
use super::publisher::Letter;
use super::{Rabbit, faults, properties};
use crate::adapters::session::Call;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Outgoing};
use crate::domain::position::Position;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use lapin::options::{BasicConsumeOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Consumer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const OP: &str = "call";
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

#[async_trait]
impl Call for Rabbit {
    async fn call(
        &self,
        channel: &str,
        mut request: Outgoing,
        wait: Duration,
    ) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault> {
        let name = self.resolve(OP, channel).await?;
        if let Name::Stream(_) = name {
            return Err(Fault::new(Kind::Usage, OP, name.text(), "a stream gives a message to everybody, and nobody answers it")
                .next("call a queue, or an exchange"));
        }
        let until = Instant::now() + wait;
        let given = request.option("correlation_id").filter(|id| !id.is_empty());
        let correlation = given.map_or_else(|| format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)), str::to_owned);
        let mut set = vec![("reply_to", REPLY_TO.to_owned()), ("correlation_id", correlation.clone())];
        if !properties::expires(&request) {
            // Nobody needs a request after its caller has gone.
            set.push(("expiration", wait.as_millis().to_string()));
        }
        properties::set(&mut request, set);
        let letter = self.letter(&name, &request, true)?;
        // Replies come to the channel and the connection that asked, and to no other.
        let live = self.link.dedicated().await?;
        let channel = live.channel(OP, &letter.channel).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumed = channel.basic_consume(REPLY_TO.into(), "".into(), options, FieldTable::default());
        let consumer = live.within(OP, &letter.channel, consumed).await?;
        if let Err(fault) = send(&live, &channel, &letter).await {
            return Err(if live.blocked().is_some() { self.blamed(fault).await } else { fault });
        }
        let replies = Replies {
            _live: live,
            consumer,
            // A queue gives a request to one consumer; an exchange may to several.
            one: !matches!(name, Name::Exchange(_)),
            channel: name.text().into(),
            correlation,
            until,
            came: 0,
            ended: false,
        };
        Ok(futures::stream::unfold(replies, |mut replies| async { replies.next().await.map(|reply| (reply, replies)) }).boxed())
    }
}

async fn send(live: &Live, channel: &Channel, letter: &Letter) -> Result<(), Fault> {
    live.within(OP, &letter.channel, channel.confirm_select(ConfirmSelectOptions::default())).await?;
    let confirmed = async { letter.hand_over(channel).await?.await };
    match live.within(OP, &letter.channel, confirmed).await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(back)) | Confirmation::Nack(Some(back)) => Err(super::publisher::refused(&back, letter)),
        Confirmation::Nack(None) | Confirmation::NotRequested => {
            Err(Fault::new(Kind::Rejected, OP, &*letter.channel, "the server did not take the request"))
        }
    }
}

struct Replies {
    /// The connection lives as long as replies may come.
    _live: Live,
    consumer: Consumer,
    one: bool,
    channel: Arc<str>,
    correlation: String,
    until: Instant,
    came: u64,
    ended: bool,
}

impl Replies {
    async fn next(&mut self) -> Option<Result<Message, Fault>> {
        while !self.ended {
            let reply = match tokio::time::timeout_at(self.until, self.consumer.next()).await {
                Ok(Some(Ok(reply))) => reply,
                Ok(Some(Err(error))) => return Some(self.fail(faults::of(&error, OP, &*self.channel))),
                Ok(None) => {
                    return Some(self.fail(Fault::new(
                        Kind::Unreachable,
                        OP,
                        &*self.channel,
                        "the connection was closed before the reply",
                    )));
                }
                Err(_) if self.came == 0 => {
                    return Some(
                        self.fail(
                            Fault::new(Kind::Timeout, OP, &*self.channel, "no reply came in time")
                                .next("the request was routed: does a consumer serve it, and does it publish to the reply-to address?"),
                        ),
                    );
                }
                Err(_) => return None,
            };
            // The address is ours alone; some services leave the correlation id out.
            if properties::correlation_id(&reply.properties).is_some_and(|id| id != self.correlation) {
                continue;
            }
            self.came += 1;
            self.ended = self.one;
            return Some(Ok(properties::message(&self.channel, Position::Arrival(self.came), reply)));
        }
        None
    }

    fn fail(&mut self, fault: Fault) -> Result<Message, Fault> {
        self.ended = true;
        Err(fault)
    }
}
