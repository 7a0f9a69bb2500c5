//! Channels by their names: `queue:tasks`, `exchange:grey.tasks`, `stream:log`.

use super::Rabbit;
use super::management::text;
use crate::domain::address::{escape_bytes, split_kind, unescape_bytes};
use crate::domain::fault::{Fault, Kind};
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{ExchangeKind, Queue};

/// The kinds of channel, as the adapter's row says them. A bare name may be of any.
pub(super) const KINDS: &[&str] = &["queue", "exchange", "stream", "vhost"];

/// A channel that somebody named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Name {
    /// A classic or quorum queue.
    Queue(String),
    Exchange(String),
    /// A queue of the type stream.
    Stream(String),
}

impl Name {
    /// As lists and messages spell it.
    pub(super) fn text(&self) -> String {
        format!("{}:{}", self.kind(), escape_bytes(self.bare().as_bytes()))
    }

    /// The name of a vhost's row.
    pub(super) fn vhost(vhost: &str) -> String {
        format!("vhost:{vhost}")
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Queue(_) => "queue",
            Self::Exchange(_) => "exchange",
            Self::Stream(_) => "stream",
        }
    }

    pub(super) fn bare(&self) -> &str {
        let (Self::Queue(name) | Self::Exchange(name) | Self::Stream(name)) = self;
        name
    }

    /// What an address says; `None` for a bare name, whose kind has to be found out.
    pub(super) fn said(channel: &str) -> Option<Self> {
        match split_kind(KINDS, channel) {
            (Some("queue"), name) => Some(Self::Queue(plain(name))),
            (Some("exchange"), name) => Some(Self::Exchange(plain(name))),
            (Some("stream"), name) => Some(Self::Stream(plain(name))),
            _ => None,
        }
    }
}

/// A name without escapes. What is no UTF-8 stays as it is written: the client has no such names.
fn plain(name: &str) -> String {
    String::from_utf8(unescape_bytes(name)).unwrap_or_else(|_| name.to_owned())
}

impl Rabbit {
    /// The channel that is meant: a bare name is a queue or an exchange, whichever there is.
    pub(super) async fn resolve(&self, op: &'static str, channel: &str) -> Result<Name, Fault> {
        if let Some(name) = Name::said(channel) {
            return Ok(name);
        }
        let channel = &*plain(channel);
        let (queue, exchange) = tokio::join!(self.queue_is_there(op, channel), self.exchange_is_there(op, channel));
        // What may not be looked at is there.
        let there = |found: Result<(), Fault>| match found {
            Ok(()) => Ok(true),
            Err(fault) if matches!(fault.kind, Kind::Forbidden | Kind::Rejected) => Ok(true),
            Err(fault) if fault.kind == Kind::NotFound => Ok(false),
            Err(fault) => Err(fault),
        };
        match (there(queue.map(drop))?, there(exchange)?) {
            (true, true) => Err(Fault::new(Kind::Usage, op, channel, "there is a queue and an exchange of that name")
                .next(format!("write queue:{channel} or exchange:{channel}"))),
            (true, false) => Ok(self.queue_or_stream(channel).await),
            (false, true) => Ok(Name::Exchange(channel.to_owned())),
            (false, false) => Err(Fault::new(Kind::NotFound, op, channel, "there is no queue and no exchange of that name")
                .next("check the spelling and the vhost")),
        }
    }

    /// Streams and other queues share a name space; the management API tells them apart, AMQP does not.
    async fn queue_or_stream(&self, name: &str) -> Name {
        let said = self.management.get("queues", &[name], &[("columns", "type")]).await;
        match said.as_ref().ok().and_then(|said| text(said, &["type"])) {
            Some("stream") => Name::Stream(name.to_owned()),
            _ => Name::Queue(name.to_owned()),
        }
    }

    /// A passive declaration: the queue's ready messages and consumers, or a fault that says what is wrong.
    pub(super) async fn queue_is_there(&self, op: &'static str, name: &str) -> Result<Queue, Fault> {
        let (live, short) = (self.link.shared().await?, super::link::short(name, op)?);
        let channel = live.channel(op, name).await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let said = live.within(op, name, channel.queue_declare(short, options, FieldTable::default())).await;
        super::link::close(&channel);
        said
    }

    /// The same for an exchange.
    pub(super) async fn exchange_is_there(&self, op: &'static str, name: &str) -> Result<(), Fault> {
        let (live, short) = (self.link.shared().await?, super::link::short(name, op)?);
        let channel = live.channel(op, name).await?;
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let said = live.within(op, name, channel.exchange_declare(short, ExchangeKind::Direct, options, FieldTable::default())).await;
        super::link::close(&channel);
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::tests::{check_that_it_reads_back, names};
    use proptest::prelude::*;

    #[test]
    fn a_kind_is_the_first_word_and_the_rest_is_the_name() {
        for (text, name) in [
            ("queue:tasks", Name::Queue("tasks".into())),
            ("exchange:a:b", Name::Exchange("a:b".into())),
            ("stream:log", Name::Stream("log".into())),
            ("queue:exchange:x", Name::Queue("exchange:x".into())),
            ("queue:a\\x2317", Name::Queue("a#17".into())),
        ] {
            assert_eq!(Name::said(text).as_ref(), Some(&name));
            assert_eq!(name.text(), text);
        }
        assert_eq!(Name::said("tasks"), None);
        assert_eq!(Name::said("topic:tasks"), None, "not a kind of this system");
    }

    proptest! {
        #[test]
        fn any_queue_reads_back_from_its_address(bytes in names()) {
            let Ok(queue) = String::from_utf8(bytes) else { return Ok(()) };
            prop_assume!(!queue.is_empty());
            let name = Name::Queue(queue);
            check_that_it_reads_back(KINDS, &name.text());
            prop_assert_eq!(Name::said(&name.text()), Some(name));
        }
    }
}
