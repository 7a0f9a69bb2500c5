//! What an error of a transactional call means: try again, abort, or begin the session anew. After KIP-447 and KIP-360, as librdkafka
//! reports them.

use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What was being done, for faults.
pub(super) const BEGIN: &str = "begin transactions as";
pub(super) const TAKE: &str = "consume as";
pub(super) const COMMIT: &str = "commit the transaction of";
pub(super) const ABORT: &str = "abort the transaction of";

pub(super) const WAS_ABORTED: &str = "the transaction was aborted: nothing of it took effect";
pub(super) const UNDECIDED: &str = "whether the transaction was committed is unknown";
pub(super) const SETTLE: &str = "begin again under the same name: that settles it";

/// What follows from an error.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The same call may be made again: it goes on where it was.
    Again,
    /// The transaction can only be aborted; the session goes on.
    Abort(Fault),
    /// The session is over; a new one may be begun under the name.
    Dead(Fault),
    /// The session is over because another one took the name or our place in the group.
    Fenced(Fault),
}

/// Judges an error of `op`.
pub(super) fn judge(op: &'static str, target: &SafeText, error: &KafkaError) -> Verdict {
    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
    let (fatal, again, abort, said) = match error {
        KafkaError::Transaction(error) => (error.is_fatal(), error.is_retriable(), error.txn_requires_abort(), error.string()),
        other => (code == Code::Fatal, false, true, other.to_string()),
    };
    let fault = reason(op, target, code, &said);
    match code {
        Code::Fenced | Code::ProducerFenced | Code::FencedInstanceId => Verdict::Fenced(fault),
        // A member that is known no more, or of an older generation: its successor has its partitions.
        Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::AssignmentLost if !fatal => {
            Verdict::Abort(fault)
        }
        Code::InvalidProducerEpoch if fatal => Verdict::Fenced(fault),
        _ if fatal => Verdict::Dead(fault),
        _ if again => Verdict::Again,
        _ if abort => Verdict::Abort(fault),
        _ => Verdict::Dead(fault),
    }
}

/// The fault for a code, with the next step.
pub(super) fn reason(op: &'static str, target: &SafeText, code: Code, said: &str) -> Fault {
    let (kind, cause, next) = match code {
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => (
            Kind::Lost,
            "fenced: another producer has begun transactions under this name, or the broker has ended ours for taking too long".to_owned(),
            "see who else uses the name; raise transaction.timeout.ms if nobody does",
        ),
        Code::FencedInstanceId => (
            Kind::Lost,
            "fenced: another member of the group has taken our place under this name, or its coordinator was away too long".to_owned(),
            "only one program at a time may use the name; raise session.timeout.ms if only one does",
        ),
        Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::AssignmentLost => (
            Kind::Timeout,
            "the group has given our partitions to others meanwhile".to_owned(),
            "what was taken comes again, here or there",
        ),
        Code::TransactionalIdAuthorizationFailed => (
            Kind::Forbidden,
            "our user may not use transactions of this name".to_owned(),
            "ask for an ACL: Write and Describe on the transactional id",
        ),
        Code::GroupAuthorizationFailed => {
            (Kind::Forbidden, "our user may not commit positions of the group".to_owned(), "ask for an ACL: Read on the group")
        }
        Code::TopicAuthorizationFailed => (
            Kind::Forbidden,
            "our user may not read or write one of the topics".to_owned(),
            "ask for ACLs: Read on what is consumed, Write on what is published",
        ),
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            (Kind::NotFound, format!("there is no such topic: {said}"), "check the spelling: names are case-sensitive")
        }
        Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut => {
            (Kind::Timeout, said.to_owned(), "check that the brokers are reachable from here")
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => {
            (Kind::Unreachable, said.to_owned(), "check that the brokers are reachable from here")
        }
        _ => (Kind::Rejected, said.to_owned(), ""),
    };
    Fault::new(kind, op, target.clone(), cause).next(next)
}

/// The same fault, with what became of the transaction.
pub(super) fn with_outcome(fault: &Fault, outcome: &str) -> Fault {
    Fault { cause: format!("{}; {outcome}", fault.cause).into(), ..fault.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_fenced_is_told_so_and_by_what() {
        for (code, word) in [
            (Code::Fenced, "another producer"),
            (Code::ProducerFenced, "another producer"),
            (Code::FencedInstanceId, "another member of the group"),
        ] {
            let Verdict::Fenced(fault) = judge(COMMIT, &"events as grey".into(), &KafkaError::ConsumerQueueClose(code)) else {
                panic!("{code:?}")
            };
            assert_eq!(fault.kind, Kind::Lost);
            assert!(fault.cause.as_str().starts_with("fenced: ") && fault.cause.as_str().contains(word), "{fault}");
        }
    }

    #[test]
    fn a_place_lost_in_the_group_ends_the_transaction_and_not_the_session() {
        for code in [Code::IllegalGeneration, Code::UnknownMemberId, Code::RebalanceInProgress] {
            let verdict = judge(COMMIT, &"events as grey".into(), &KafkaError::ConsumerQueueClose(code));
            assert!(matches!(&verdict, Verdict::Abort(fault) if fault.kind == Kind::Timeout), "{verdict:?}");
        }
    }
}
