//! Kafka's error codes as faults: kind, cause and next step.

use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use kafka_protocol::ResponseError;

/// The name and number of an error code as Kafka's documentation writes them: `TOPIC_AUTHORIZATION_FAILED (29)`.
pub(crate) fn code_name(code: i16) -> String {
    let Some(error) = ResponseError::try_from_code(code) else { return "NONE (0)".to_owned() };
    if let ResponseError::Unknown(code) = error {
        return format!("error code {code}");
    }
    let mut name = String::new();
    for c in format!("{error:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    format!("{name} ({code})")
}

/// The fault of a refusal. `said` is the broker's own message, if it sent one.
pub(crate) fn refused(op: &'static str, target: impl Into<SafeText>, code: i16, said: Option<&str>) -> Fault {
    let (kind, cause, next) = meaning(ResponseError::try_from_code(code));
    let name = code_name(code);
    let cause = match said.filter(|said| !said.is_empty()) {
        Some(said) => format!("{cause}: {said} [{name}]"),
        None => format!("{cause} [{name}]"),
    };
    Fault::new(kind, op, target, cause).next(next)
}

/// Whether asking again, after the metadata was read anew where needed, may succeed.
pub(crate) fn is_retryable(code: i16) -> bool {
    ResponseError::try_from_code(code).is_some_and(|error| error.is_retriable())
}

/// Whether the error says that the metadata in hand is stale: ask for it again and follow the leader.
pub(crate) fn moved(code: i16) -> bool {
    use ResponseError as E;
    matches!(
        ResponseError::try_from_code(code),
        Some(
            E::NotLeaderOrFollower
                | E::LeaderNotAvailable
                | E::UnknownTopicOrPartition
                | E::UnknownTopicId
                | E::InconsistentTopicId
                | E::FencedLeaderEpoch
                | E::UnknownLeaderEpoch
                | E::ReplicaNotAvailable
                | E::KafkaStorageError
                | E::ListenerNotFound
                | E::OffsetNotAvailable
        )
    )
}

type Meaning = (Kind, &'static str, &'static str);

fn meaning(error: Option<ResponseError>) -> Meaning {
    use ResponseError as E;
    let Some(error) = error else { return (Kind::Protocol, "the broker reports an error without a code", "") };
    match error {
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed
        | E::SecurityDisabled
        | E::PolicyViolation => forbidden(error),
        E::UnknownTopicOrPartition | E::UnknownTopicId | E::InvalidTopicException | E::GroupIdNotFound => not_found(error),
        E::SaslAuthenticationFailed | E::UnsupportedSaslMechanism | E::IllegalSaslState => (
            Kind::Unauthorized,
            "the broker does not accept our log-in",
            "check the user, the password or the token in the profile's auth block",
        ),
        E::OffsetOutOfRange => (
            Kind::Lost,
            "the offset is outside of what the partition holds",
            "older messages were deleted by retention; start at the beginning of what is left",
        ),
        E::RequestTimedOut => (Kind::Timeout, "the broker did not finish the request in time", "try again; the broker may be overloaded"),
        E::UnsupportedVersion | E::UnsupportedForMessageFormat => (Kind::Rejected, "the broker is too old for this request", ""),
        E::CorruptMessage => {
            (Kind::Protocol, "the broker found damaged data", "the log segment on the broker's disk may be corrupt: look at its own log")
        }
        E::KafkaStorageError => (Kind::Unreachable, "the broker cannot read its disk", "look at the broker's log and its disks"),
        E::MessageTooLarge | E::RecordListTooLarge => {
            (Kind::Rejected, "the message is larger than the broker takes", "raise max.message.bytes of the topic, or send less")
        }
        E::TopicAlreadyExists
        | E::InvalidReplicationFactor
        | E::InvalidPartitions
        | E::InvalidConfig
        | E::TopicDeletionDisabled
        | E::PreferredLeaderNotAvailable
        | E::EligibleLeadersNotAvailable
        | E::NonEmptyGroup
        | E::UnknownMemberId
        | E::GroupSubscribedToTopic => not_to_be_changed(error),
        _ if moved(error.code()) => (
            Kind::Unreachable,
            "the partition has no leader that answers",
            "a broker may be down or a leader is being elected: it is tried again",
        ),
        E::CoordinatorLoadInProgress | E::CoordinatorNotAvailable | E::NotCoordinator => {
            (Kind::Unreachable, "the group's coordinator is not ready", "it is loading or moving: try again in a few seconds")
        }
        _ if error.is_retriable() => (Kind::Unreachable, "the broker cannot answer this now", "try again"),
        _ => (Kind::Rejected, "the broker refuses the request", ""),
    }
}

fn forbidden(error: ResponseError) -> Meaning {
    use ResponseError as E;
    let (cause, next) = match error {
        E::TopicAuthorizationFailed => (
            "our user may not do this with the topic",
            "ask for an ACL: Describe to see it, Read to read it, Write to publish, Create, Delete, Alter or \
             AlterConfigs to change it; a topic without Describe is missing from every list",
        ),
        E::GroupAuthorizationFailed => (
            "our user may not do this with the group",
            "ask for an ACL on the group: Describe to see it, Read to set its positions, Delete to delete it",
        ),
        E::ClusterAuthorizationFailed => {
            ("our user may not do this with the cluster", "ask for an ACL on the cluster: Describe or DescribeConfigs")
        }
        E::TransactionalIdAuthorizationFailed => {
            ("our user may not use this transactional id", "ask for an ACL on the transactional id: Describe and Write")
        }
        E::SecurityDisabled => ("the broker has no authorizer", "its ACLs cannot be read or changed"),
        _ => ("a policy of the broker forbids it", ""),
    };
    (Kind::Forbidden, cause, next)
}

fn not_to_be_changed(error: ResponseError) -> Meaning {
    use ResponseError as E;
    let (cause, next) = match error {
        E::TopicAlreadyExists => ("there is a topic of this name already", "choose another name, or change the one that is there"),
        E::InvalidReplicationFactor => ("there cannot be so many replicas", "no more than there are brokers up"),
        E::InvalidPartitions => ("there cannot be so many partitions", ""),
        E::InvalidConfig => {
            ("a setting has a name or a value that the broker does not know", "look at the settings in a topic's description")
        }
        E::TopicDeletionDisabled => ("the brokers delete no topics", "delete.topic.enable is off there"),
        E::PreferredLeaderNotAvailable => {
            ("the preferred replica is down or not in sync", "start its broker, and wait until it has caught up")
        }
        E::EligibleLeadersNotAvailable => ("no replica is there that could lead", "start a broker that holds one"),
        E::GroupSubscribedToTopic => ("the group's members are subscribed to the topic", "stop the group's consumers first"),
        _ => ("the group has active members", "stop the group's consumers first"),
    };
    (Kind::Rejected, cause, next)
}

fn not_found(error: ResponseError) -> Meaning {
    use ResponseError as E;
    let (cause, next) = match error {
        E::InvalidTopicException => ("no topic can have this name", "a name has 1 to 249 letters, digits, dots, underscores and hyphens"),
        E::GroupIdNotFound => ("there is no such group", "check the spelling; an empty group is forgotten when its offsets expire"),
        _ => ("there is no such topic or partition", "check the spelling: names are case-sensitive"),
    };
    (Kind::NotFound, cause, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_documentation() {
        for (code, name) in [
            (29, "TOPIC_AUTHORIZATION_FAILED (29)"),
            (3, "UNKNOWN_TOPIC_OR_PARTITION (3)"),
            (-1, "UNKNOWN_SERVER_ERROR (-1)"),
            (0, "NONE (0)"),
            (12_345, "error code 12345"),
        ] {
            assert_eq!(code_name(code), name);
        }
    }

    #[test]
    fn every_refusal_has_its_kind() {
        for (code, kind) in [
            (29, Kind::Forbidden),
            (30, Kind::Forbidden),
            (31, Kind::Forbidden),
            (3, Kind::NotFound),
            (100, Kind::NotFound),
            (17, Kind::NotFound),
            (58, Kind::Unauthorized),
            (33, Kind::Unauthorized),
            (1, Kind::Lost),
            (7, Kind::Timeout),
            (6, Kind::Unreachable),
            (5, Kind::Unreachable),
            (14, Kind::Unreachable),
            (35, Kind::Rejected),
            (42, Kind::Rejected),
            (2, Kind::Protocol),
        ] {
            assert_eq!(refused("read", "orders", code, None).kind, kind, "{}", code_name(code));
        }
    }

    #[test]
    fn a_forbidden_topic_says_what_to_ask_for() {
        let fault = refused("describe topic", "forbidden", 29, None);
        assert_eq!(
            fault.to_string(),
            "describe topic forbidden: not authorized: our user may not do this with the topic [TOPIC_AUTHORIZATION_FAILED (29)] \
             (ask for an ACL: Describe to see it, Read to read it, Write to publish, Create, Delete, \
             Alter or AlterConfigs to change it; a topic without Describe is missing from every list)"
        );
    }

    #[test]
    fn what_the_broker_says_is_kept() {
        let fault = refused("log in to", "b:9092", 58, Some("Authentication failed: Invalid username or password"));
        assert!(fault.cause.as_str().contains("Invalid username or password [SASL_AUTHENTICATION_FAILED (58)]"), "{fault}");
    }

    #[test]
    fn stale_metadata_is_told_from_a_plain_refusal() {
        assert!(moved(6) && moved(3) && moved(74));
        assert!(!moved(29) && !moved(1) && !moved(0));
        assert!(is_retryable(14) && is_retryable(7) && !is_retryable(29));
    }
}
