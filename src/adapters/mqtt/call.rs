//! `Call` for MQTT 5: a request that names where its answer is to go, and the bytes that the answer repeats (section 4.10).

use super::connection::{Connection, inbox};
use super::dial::Role;
use super::message::{self, Reader};
use super::wire::{Answer, Subscription, Version};
use super::{Mqtt, topic};
use crate::adapters::backlog::{Backlog, backlog};
use crate::adapters::session::Call;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Outgoing};
use crate::domain::tail::TailEvent;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

const OP: &str = "call";

#[async_trait]
impl Call for Mqtt {
    async fn call(&self, channel: &str, request: Outgoing, wait: Duration) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault> {
        let channel = &*topic::of(OP, channel)?;
        topic::check_topic(OP, channel)?;
        let settings = &self.dialler.settings;
        let mut packet = message::packet(channel, request, settings).map_err(|cause| Fault::new(Kind::Usage, OP, channel, cause))?;
        let own = || format!("{}/replies/{:016x}", settings.client_id, fastrand::u64(..));
        let reply_to = packet.properties.response_topic.get_or_insert_with(own).clone();
        let mark = packet.properties.correlation.get_or_insert_with(|| format!("{:016x}", fastrand::u64(..)).into()).clone();
        topic::check_topic(OP, &reply_to)?;
        let (feed, backlog) = backlog();
        let connection = self.dialler.open(Role::default(), inbox(&feed, Reader::new(), |packet| !packet.retain)).await?;
        if connection.server.version == Version::V3 {
            return Err(Fault::new(Kind::Usage, OP, channel, "MQTT 3.1.1 has no requests and answers: its messages cannot say where to")
                .next("publish, and tail the topic of the answers"));
        }
        let wanted = Subscription { filter: reply_to, qos: settings.subscribe_qos(), retained: false, as_published: false };
        connection.subscribe(OP, vec![wanted]).await?;
        match connection.publish(OP, packet).await? {
            Answer::Nobody => {
                return Err(Fault::new(Kind::NotFound, OP, channel, "nobody listens there: the request reached no one")
                    .next("is the service up, and the topic right?"));
            }
            Answer::Refused(refusal) => return Err(refusal.fault(OP, channel)),
            Answer::Taken | Answer::Unsaid => {}
        }
        let replies = Replies { end: Instant::now() + wait, ready: Vec::new(), over: false, connection, backlog, mark };
        Ok(stream::unfold(replies, |mut replies| async move { replies.next().await.map(|reply| (reply, replies)) }).boxed())
    }
}

struct Replies {
    connection: Connection,
    backlog: Backlog,
    mark: Bytes,
    end: Instant,
    /// The last of them comes next.
    ready: Vec<Message>,
    over: bool,
}

impl Replies {
    /// Nobody says which answer is the last: they are taken until the time is over.
    async fn next(&mut self) -> Option<Result<Message, Fault>> {
        loop {
            if let Some(reply) = self.ready.pop() {
                return Some(Ok(reply));
            }
            if self.over {
                return None;
            }
            tokio::select! {
                biased;
                event = timeout_at(self.end, self.backlog.next()) => match event {
                    Ok(Some(TailEvent::Messages(messages))) => {
                        let ours = |reply: &Message| message::correlation(reply).is_none_or(|said| *said == self.mark);
                        self.ready.extend(messages.into_iter().filter(ours).rev());
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => self.over = true,
                },
                fault = self.connection.gone() => {
                    self.over = true;
                    return Some(Err(Fault { op: OP, ..fault }));
                }
            }
        }
    }
}
