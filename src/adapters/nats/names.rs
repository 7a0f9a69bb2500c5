//! What a channel's name means here. A bare name is a subject, because every subject is there for whoever uses it; streams, services
//! consumers and queue groups are said: `stream:ORDERS`, `service:billing`, `consumer:ORDERS/billing`, `queue:orders.>/workers`.

use crate::domain::address::{spell, split_kind, unescape_bytes};
use crate::domain::fault::{Fault, Kind};
use std::sync::Arc;

/// The kinds of channel, as the adapter's row says them.
pub(super) const KINDS: &[&str] = &["subject", "stream", "consumer", "service", "queue"];

/// A channel by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// May hold the wildcards `*` and `>`.
    Subject(&'a str),
    /// What a stream keeps.
    Stream(&'a str),
    /// A consumer of a stream: what it is given is held and settled.
    Consumer { stream: &'a str, consumer: &'a str },
    /// What is called by its name.
    Service(&'a str),
    /// A queue group of a subject: each message goes to one of its members.
    Queue { subject: &'a str, group: &'a str },
}

impl<'a> Name<'a> {
    /// Reads a name and checks that it can be one.
    pub(super) fn of(op: &'static str, channel: &'a str) -> Result<Self, Fault> {
        let wrong = |cause: &str, next: &str| Fault::new(Kind::NotFound, op, channel, cause.to_owned()).next(next.to_owned());
        match split_kind(KINDS, channel) {
            (Some("stream"), name) if is_name(name) => Ok(Self::Stream(name)),
            (Some("service"), name) if is_name(name) => Ok(Self::Service(name)),
            (Some("consumer"), name) => {
                Self::consumer(name).ok_or_else(|| wrong("no consumer can have this name", "write consumer:STREAM/CONSUMER"))
            }
            (Some("queue"), name) => name
                .rsplit_once('/')
                .filter(|(subject, group)| is_subject(subject) && is_name(group))
                .map(|(subject, group)| Self::Queue { subject, group })
                .ok_or_else(|| wrong("no queue group can have this name", "write queue:SUBJECT/GROUP")),
            (None | Some("subject"), subject) if is_subject(subject) => Ok(Self::Subject(subject)),
            (None | Some("subject"), _) => {
                Err(wrong("no subject can have this name", "a subject has words with dots between them and no blanks: orders.created"))
            }
            _ => Err(wrong("no stream or service can have this name", "a name has no blanks, dots, slashes and wildcards")),
        }
    }

    /// `STREAM/CONSUMER`.
    pub(super) fn consumer(name: &'a str) -> Option<Self> {
        let (stream, consumer) = name.split_once('/').filter(|(stream, consumer)| is_name(stream) && is_name(consumer))?;
        Some(Self::Consumer { stream, consumer })
    }
}

/// Whether a stream or a consumer can have that name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c))
}

/// Whether it is a subject, with or without wildcards: `>` alone at the end, `*` alone between dots.
pub(super) fn is_subject(subject: &str) -> bool {
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let plain = !token.is_empty() && !token.chars().any(|c| c.is_whitespace() || c.is_control());
        if !plain || (token == ">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

/// How lists and messages name a subject: one that begins like another kind of channel says that it is a subject.
pub(super) fn shown(subject: &[u8]) -> String {
    spell(KINDS, "subject", subject)
}

/// The name of a channel of a stream, as addresses have it.
pub(super) fn stream_channel(stream: &str) -> Arc<str> {
    format!("stream:{stream}").into()
}

/// The subject that is meant by its name, as it goes over the wire. What is no UTF-8 stays as it is written: the client has no such subjects.
pub(super) fn plain(name: &str) -> String {
    String::from_utf8(unescape_bytes(name)).unwrap_or_else(|_| name.to_owned())
}

/// Whether it names more than one subject.
pub(super) fn is_pattern(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}

/// Whether everything that `inner` names is named by `outer` as well.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    let (mut outer, mut inner) = (outer.split('.'), inner.split('.'));
    loop {
        match (outer.next(), inner.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// The subjects that no other one covers: a message that fits two subscriptions would come twice.
pub(super) fn widest<'a>(subjects: &[&'a str]) -> Vec<&'a str> {
    let mut kept: Vec<&str> = Vec::new();
    for subject in subjects {
        if kept.iter().any(|other| covers(other, subject)) {
            continue;
        }
        kept.retain(|other| !covers(subject, other));
        kept.push(subject);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::tests::{check_that_it_reads_back, names};
    use proptest::prelude::*;

    #[test]
    fn a_bare_name_is_a_subject_and_the_other_kinds_are_said() {
        for (channel, name) in [
            ("orders.created", Name::Subject("orders.created")),
            ("subject:orders.>", Name::Subject("orders.>")),
            ("stream:ORDERS", Name::Stream("ORDERS")),
            ("consumer:ORDERS/billing", Name::Consumer { stream: "ORDERS", consumer: "billing" }),
            ("service:billing", Name::Service("billing")),
            ("subject:subject:z", Name::Subject("subject:z")),
            ("topic:orders", Name::Subject("topic:orders")),
            ("queue:orders.>/workers", Name::Queue { subject: "orders.>", group: "workers" }),
        ] {
            assert_eq!(Name::of("x", channel), Ok(name));
        }
        for wrong in ["a..b", "a b", ">.a", "stream:a.b", "consumer:ORDERS", "consumer:ORDERS/a.b", "queue:orders", "a\u{7}b"] {
            assert_eq!(Name::of("x", wrong).expect_err(wrong).kind, Kind::NotFound);
        }
    }

    #[test]
    fn a_pattern_covers_what_it_names() {
        for (outer, inner, covered) in [
            ("orders.>", "orders.created", true),
            ("orders.>", "orders", false),
            ("orders.*", "orders.created", true),
            ("orders.*", "orders.>", false),
            ("orders.>", "orders.*.x", true),
            ("*.created", "orders.created", true),
            ("a", "b", false),
            (">", "a.b", true),
        ] {
            assert_eq!(covers(outer, inner), covered, "{outer} {inner}");
        }
    }

    #[test]
    fn a_message_comes_once_however_its_subject_is_asked_for() {
        assert_eq!(widest(&["orders.created", "orders.>", "orders.paid", "a", "a"]), ["orders.>", "a"]);
    }

    proptest! {
        #[test]
        fn any_subject_reads_back_from_its_address(bytes in names()) {
            let Ok(subject) = String::from_utf8(bytes) else { return Ok(()) };
            let name = shown(subject.as_bytes());
            check_that_it_reads_back(KINDS, &name);
            if is_subject(&subject) {
                let Ok(Name::Subject(read)) = Name::of("tail", &name) else { panic!("{name}") };
                prop_assert_eq!(plain(read), subject);
            }
        }
    }
}
