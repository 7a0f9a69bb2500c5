//! Why a message was not published, or is not known to be: librdkafka's codes as faults with cause and next step.

use super::context::Trouble;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::text::SafeText;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

pub(super) const OP: &str = "publish to";

const UNKNOWN_OUTCOME: &str = "whether the message was stored is unknown";
const LOOK_FIRST: &str = "look for it at the end of the topic before you send it again";
const NOTHING_SENT: &str = "nothing was sent";

/// A refusal before anything left this machine.
pub(super) fn not_sent(target: &SafeText, kind: Kind, cause: &str, next: &str) -> Fault {
    Fault::new(kind, OP, target.clone(), format!("{cause}; {NOTHING_SENT}")).next(next)
}

/// No usable connection, found out before anything was sent.
pub(super) fn no_connection(target: &SafeText, trouble: Option<&Trouble>, waited: std::time::Duration) -> Fault {
    let Some(trouble) = trouble else {
        let cause = format!("no broker answered within {}", figure::duration(waited));
        return not_sent(target, Kind::Timeout, &cause, "check that the brokers are reachable from here");
    };
    let reason = trouble.reason.as_str();
    let (kind, next) = match trouble.code {
        _ if reason.contains("SSL alert") => {
            (Kind::Unauthorized, "the broker refuses our side of TLS: it may want a client certificate (client_cert in the tls block)")
        }
        Code::AllBrokersDown => {
            let cause = format!("the connection does not last: {reason}");
            let next = "check whether the endpoint's port wants TLS or a log-in";
            return not_sent(target, Kind::Unreachable, &cause, next);
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            (Kind::Unauthorized, "check the user, the password or the token in the profile's auth block")
        }
        Code::SSL => (Kind::Unauthorized, "check ca_cert, the client certificate and the host name in the profile's tls block"),
        Code::Fatal | Code::ClusterAuthorizationFailed => (Kind::Forbidden, IDEMPOTENT_WRITE),
        Code::Resolve => (Kind::Unreachable, "check the host in the profile's endpoint"),
        _ => (Kind::Unreachable, "check that the brokers run and that the endpoint's port speaks what the profile says (TLS or not)"),
    };
    not_sent(target, kind, reason, next)
}

const IDEMPOTENT_WRITE: &str = "ask for an ACL: Write on the topic (before Kafka 2.8 also IdempotentWrite on the cluster)";

/// The topic's own error in the metadata, before anything was sent.
pub(super) fn no_topic(target: &SafeText, code: Code) -> Fault {
    match refused(target, code, &Sent::default()) {
        Some(fault) => Fault { cause: format!("{}; {NOTHING_SENT}", fault.cause).into(), ..fault },
        None => not_sent(target, Kind::Unreachable, &code.to_string(), "try again"),
    }
}

/// A partition that nobody takes messages for, before anything was sent.
pub(super) fn no_leader(target: &SafeText, partition: i32, replicas: &[i32]) -> Fault {
    let brokers: Vec<String> = replicas.iter().map(ToString::to_string).collect();
    let what = if brokers.len() == 1 { "broker" } else { "brokers" };
    let cause = format!("partition {partition} has no leader: its replicas are on {what} {}", brokers.join(", "));
    not_sent(target, Kind::Unreachable, &cause, "see which brokers are down; other partitions may take messages")
}

/// What is known of a message that came back without a confirmation.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// Its bytes.
    pub(super) size: usize,
    /// The largest that the topic takes, if that is known.
    pub(super) limit: Option<u64>,
    /// What the client last complained about.
    pub(super) trouble: Option<String>,
    /// The fatal error that ended the producer.
    pub(super) fatal: Option<(Code, String)>,
}

/// A message that was handed to librdkafka and came back.
pub(super) fn undelivered(target: &SafeText, error: &KafkaError, sent: &Sent) -> Fault {
    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
    let code = match (&sent.fatal, code) {
        (Some((fatal, _)), Code::Fatal | Code::PurgeQueue | Code::PurgeInflight) => *fatal,
        _ => code,
    };
    refused(target, code, sent).unwrap_or_else(|| {
        let why = match (&sent.fatal, &sent.trouble) {
            (Some((_, reason)), _) | (None, Some(reason)) => format!(": {reason}"),
            (None, None) => String::new(),
        };
        let what = match code {
            Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut => "the broker did not confirm it in time".to_owned(),
            code => code.to_string(),
        };
        Fault::new(Kind::Timeout, OP, target.clone(), format!("{what}{why}; {UNKNOWN_OUTCOME}")).next(LOOK_FIRST)
    })
}

/// The codes that say for certain that the message is not in the log; `None` where it may be.
fn refused(target: &SafeText, code: Code, sent: &Sent) -> Option<Fault> {
    let fault = |kind, cause: String, next: &str| Some(Fault::new(kind, OP, target.clone(), cause).next(next));
    match code {
        Code::TopicAuthorizationFailed => {
            fault(Kind::Forbidden, "our user may not write to the topic".into(), "ask for an ACL: Write on the topic")
        }
        Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed => {
            fault(Kind::Forbidden, "our user may not write here".into(), IDEMPOTENT_WRITE)
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            fault(Kind::NotFound, "there is no such topic".into(), "check the spelling: names are case-sensitive")
        }
        Code::UnknownPartition => fault(Kind::NotFound, "there is no such partition".into(), "partitions are counted from 0"),
        Code::InvalidTopic => fault(
            Kind::NotFound,
            "no topic can have this name".into(),
            "a name has 1 to 249 letters, digits, dots, underscores and hyphens",
        ),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => Some(too_large(target, sent)),
        Code::InvalidTimestamp => fault(
            Kind::Rejected,
            "the topic does not take this timestamp".into(),
            "its settings message.timestamp.before.max.ms and message.timestamp.after.max.ms bound it",
        ),
        Code::PolicyViolation => fault(Kind::Rejected, "a policy of the broker refuses the message".into(), ""),
        Code::Authentication | Code::SaslAuthenticationFailed => fault(
            Kind::Unauthorized,
            "the broker does not accept our log-in".into(),
            "check the user, the password or the token in the profile's auth block",
        ),
        Code::NotEnoughReplicas => fault(
            Kind::Unreachable,
            "too few replicas are in step for the topic's min.insync.replicas".into(),
            "see which brokers are down",
        ),
        Code::InvalidRecord => {
            fault(Kind::Rejected, "the broker finds the record invalid".into(), "a compacted topic takes no message without a key")
        }
        Code::UnsupportedCompressionType => fault(Kind::Rejected, "the broker does not know this compression".into(), "choose another"),
        Code::QueueFull => fault(
            Kind::Timeout,
            format!("too many messages wait to be sent; {NOTHING_SENT}"),
            "wait until the brokers have taken what is waiting",
        ),
        _ => None,
    }
}

fn too_large(target: &SafeText, sent: &Sent) -> Fault {
    let limit = match sent.limit {
        Some(limit) => format!("max.message.bytes is {} bytes", figure::grouped(limit)),
        None => "see max.message.bytes of the topic and message.max.bytes of the broker and of the profile".to_owned(),
    };
    let cause = format!("the message has {} bytes, which is more than is taken here: {limit}", figure::grouped(sent.size as u64));
    Fault::new(Kind::Rejected, OP, target.clone(), cause).next("send less, compress it, or raise the limit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn came_back(code: Code, sent: &Sent) -> Fault {
        undelivered(&"events/orders".into(), &KafkaError::MessageProduction(code), sent)
    }

    #[test]
    fn a_message_that_may_be_stored_says_so() {
        for code in [
            Code::MessageTimedOut,
            Code::RequestTimedOut,
            Code::PurgeInflight,
            Code::NotEnoughReplicasAfterAppend,
            Code::BrokerTransportFailure,
            Code::OutOfOrderSequenceNumber,
            Code::KafkaStorageError,
        ] {
            let fault = came_back(code, &Sent::default());
            assert_eq!(fault.kind, Kind::Timeout, "{code:?}");
            assert!(fault.cause.as_str().ends_with(UNKNOWN_OUTCOME), "{fault}");
        }
    }

    #[test]
    fn a_refused_message_is_not_called_unknown() {
        for (code, kind) in [
            (Code::TopicAuthorizationFailed, Kind::Forbidden),
            (Code::ClusterAuthorizationFailed, Kind::Forbidden),
            (Code::UnknownTopicOrPartition, Kind::NotFound),
            (Code::UnknownPartition, Kind::NotFound),
            (Code::MessageSizeTooLarge, Kind::Rejected),
            (Code::InvalidTimestamp, Kind::Rejected),
            (Code::InvalidRecord, Kind::Rejected),
            (Code::PolicyViolation, Kind::Rejected),
        ] {
            let fault = came_back(code, &Sent::default());
            assert_eq!(fault.kind, kind, "{code:?}");
            assert!(!fault.cause.as_str().contains("unknown"), "{fault}");
        }
    }

    #[test]
    fn a_large_message_names_its_size_and_the_limit() {
        let sent = Sent { size: 50_000_000, limit: Some(1_048_588), ..Sent::default() };
        let cause = came_back(Code::MessageSizeTooLarge, &sent).cause;
        assert!(cause.as_str().contains("50,000,000 bytes") && cause.as_str().contains("max.message.bytes is 1,048,588"), "{cause}");
    }

    #[test]
    fn a_fatal_error_stands_for_the_messages_that_it_swept_away() {
        let sent = Sent { fatal: Some((Code::ClusterAuthorizationFailed, "not allowed".into())), ..Sent::default() };
        assert_eq!(came_back(Code::PurgeQueue, &sent).kind, Kind::Forbidden);
    }

    #[test]
    fn without_a_connection_nothing_was_sent() {
        let trouble = |code, reason: &str| Trouble { code, reason: reason.to_owned(), hopeless: true, refused: false };
        for (trouble, kind) in [
            (Some(trouble(Code::BrokerTransportFailure, "Connection refused")), Kind::Unreachable),
            (Some(trouble(Code::Authentication, "invalid credentials")), Kind::Unauthorized),
            (Some(trouble(Code::SSL, "certificate verify failed")), Kind::Unauthorized),
            (None, Kind::Timeout),
        ] {
            let fault = no_connection(&"events/orders".into(), trouble.as_ref(), Duration::from_secs(10));
            assert_eq!(fault.kind, kind);
            assert!(fault.cause.as_str().ends_with(NOTHING_SENT), "{fault}");
        }
    }
}
