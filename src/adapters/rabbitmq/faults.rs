//! What AMQP's and the client's errors mean.

use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use lapin::{Error, ErrorKind};

/// Reply codes of AMQP 0-9-1 (section 1.2 of its reference), what they mean and what to do.
const CODES: &[(u16, Kind, &str)] = &[
    (311, Kind::Rejected, "the server's max_message_size is smaller than the message"),
    (312, Kind::Rejected, "no queue is bound for this key: look at the exchange's bindings"),
    (320, Kind::Unreachable, "an operator closed the connection, or the server is shutting down: it is tried again"),
    (403, Kind::Forbidden, "the user's permissions do not allow it: `rabbitmqctl list_user_permissions USER` shows what they allow"),
    (404, Kind::NotFound, "check the spelling and the vhost"),
    (405, Kind::Rejected, "another connection has it for itself"),
    (406, Kind::Rejected, "what is there was declared otherwise, or is in use"),
    (530, Kind::Rejected, "the server's limits or permissions do not allow it"),
    (540, Kind::Rejected, "this kind of queue cannot do that"),
];

/// The fault for an error of a request.
pub(super) fn of(error: &Error, op: &'static str, target: impl Into<SafeText>) -> Fault {
    match error.kind() {
        ErrorKind::ProtocolError(said) => {
            let (code, text) = (said.get_id(), said.get_message().as_str());
            if code == 404 && text.contains("is down or inaccessible") {
                return Fault::new(Kind::Unreachable, op, target, text)
                    .next("the node that keeps it is down, or just starting: it is tried again");
            }
            let known = CODES.iter().find(|(known, ..)| *known == code);
            let (kind, next) = known.map_or((Kind::Protocol, ""), |(_, kind, next)| (*kind, *next));
            Fault::new(kind, op, target, text).next(next)
        }
        ErrorKind::IOError(inside) => match inside.get_ref().and_then(|inside| inside.downcast_ref::<Fault>()) {
            Some(fault) => fault.clone(),
            None => lost(op, target, &format!("the connection broke: {inside}")),
        },
        ErrorKind::MissingHeartbeatError => lost(op, target, "the server gave no sign of life for two heartbeats"),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_) | ErrorKind::InvalidChannel(_) => {
            lost(op, target, "the connection is closed")
        }
        ErrorKind::ChannelsLimitReached => Fault::new(Kind::Rejected, op, target, "the connection has as many channels as it may")
            .next("raise channel_max, here or at the server"),
        ErrorKind::InvalidProtocolVersion(_) => {
            Fault::new(Kind::Protocol, op, target, error.to_string()).next("is this RabbitMQ's AMQP port (5672, or 5671 with TLS)?")
        }
        _ => Fault::new(Kind::Protocol, op, target, error.to_string()),
    }
}

/// The fault for an error while connecting.
pub(super) fn connecting(error: &Error, peer: &SafeText, vhost: &str) -> Fault {
    const OP: &str = "connect to";
    if let ErrorKind::ProtocolError(said) = error.kind() {
        let (code, text) = (said.get_id(), said.get_message().as_str());
        return match code {
            // The server says so for a wrong password, an unknown user, and one that may not come from here.
            403 => Fault::new(Kind::Unauthorized, OP, peer.clone(), text)
                .next("check user and password; the user guest may come from the server's own machine alone"),
            530 if text.contains("not found") => {
                Fault::new(Kind::NotFound, OP, peer.clone(), text).next(format!("is there a vhost `{vhost}`? The usual one is called `/`"))
            }
            530 if text.contains("access to vhost") => Fault::new(Kind::Forbidden, OP, peer.clone(), text)
                .next("an administrator can allow it: rabbitmqctl set_permissions -p VHOST USER ^conf ^write ^read"),
            _ => of(error, OP, peer.clone()),
        };
    }
    let mut fault = of(error, OP, peer.clone());
    if fault.kind == Kind::Unreachable && fault.op == OP && fault.next.as_str() == AGAIN {
        fault.next =
            "it is tried again; if it breaks each time: does the port speak AMQP, does it want TLS, or a client certificate?".into();
    }
    fault
}

const AGAIN: &str = "it is opened again";

fn lost(op: &'static str, target: impl Into<SafeText>, cause: &str) -> Fault {
    Fault::new(Kind::Unreachable, op, target, cause).next(AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::AMQPError;

    fn error(code: u16, text: &str) -> Error {
        ErrorKind::ProtocolError(AMQPError::from_id(code, text.into()).expect("a code of AMQP")).into()
    }

    #[test]
    fn each_code_has_its_kind_and_a_next_step() {
        for (code, kind) in [(403, Kind::Forbidden), (404, Kind::NotFound), (405, Kind::Rejected), (320, Kind::Unreachable)] {
            let fault = of(&error(code, "said"), "describe", "queue:tasks");
            assert_eq!((fault.kind, fault.cause.as_str()), (kind, "said"));
            assert!(!fault.next.as_str().is_empty());
        }
    }

    #[test]
    fn a_refused_login_a_missing_vhost_and_a_forbidden_one_are_told_apart() {
        for (code, text, kind) in [
            (403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.", Kind::Unauthorized),
            (530, "NOT_ALLOWED - vhost nowhere not found", Kind::NotFound),
            (530, "NOT_ALLOWED - access to vhost 'b' refused for user 'a'", Kind::Forbidden),
        ] {
            assert_eq!(connecting(&error(code, text), &"host:5672".into(), "b").kind, kind, "{text}");
        }
    }
}
