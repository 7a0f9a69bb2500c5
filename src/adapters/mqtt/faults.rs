//! What the broker's reasons and the client's errors mean.

use crate::adapters::tls;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use std::error::Error;
use std::fmt::Display;
use std::io;

pub(super) const CONNECT: &str = "connect to";
/// Why a connection that was there is gone.
const READ: &str = "read from";

/// How a connection ended, or why there is none.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) fault: Fault,
    pub(super) why: Why,
}

/// What is decided by; everything else is only shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The broker closed the connection without a word.
    WithoutWord,
    /// Another client has connected by our client id.
    TakenOver,
    /// The broker does not speak this version of the protocol.
    OtherVersion,
    Other,
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self { fault, why: Why::Other }
    }
}

impl Ending {
    /// What the broker gave as its reason.
    fn of(reason: &str, fault: Fault) -> Self {
        let why = match reason {
            "SessionTakenOver" => Why::TakenOver,
            "RefusedProtocolVersion" | "UnsupportedProtocolVersion" => Why::OtherVersion,
            _ => Why::Other,
        };
        Self { fault, why }
    }
}

/// Why the broker said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) cause: SafeText,
    pub(super) next: &'static str,
}

impl Refusal {
    pub(super) fn fault(&self, op: &'static str, target: impl Into<SafeText>) -> Fault {
        Fault::new(self.kind, op, target, self.cause.clone()).next(self.next)
    }
}

/// Reasons by their names in the client crate: what they mean and what to do (MQTT 5, section 2.4).
const REASONS: &[(&str, Kind, &str, &str)] = &[
    ("NotAuthorized", Kind::Forbidden, "the broker's rules do not allow it", "ask for the permission in the broker's access list"),
    ("BadUserNamePassword", Kind::Unauthorized, "the broker does not accept user and password", "check both"),
    ("BadAuthenticationMethod", Kind::Unauthorized, "the broker wants another way to log in", "an auth block of type password or bearer"),
    ("Banned", Kind::Forbidden, "the broker has banned us", "ask whoever runs it"),
    ("BadClientId", Kind::Rejected, "the broker does not accept our client id", "set client_id in the config block"),
    ("ClientIdentifierNotValid", Kind::Rejected, "the broker does not accept our client id", "set client_id in the config block"),
    ("ServiceUnavailable", Kind::Unreachable, "the broker is not available", "it is tried again"),
    ("ServerUnavailable", Kind::Unreachable, "the broker is not available", "it is tried again"),
    ("ServerBusy", Kind::Unreachable, "the broker is busy", "it is tried again"),
    ("ServerShuttingDown", Kind::Unreachable, "the broker is shutting down", "it is tried again"),
    ("ConnectionRateExceeded", Kind::Unreachable, "the broker is opened too often", "it is tried again"),
    ("UseAnotherServer", Kind::Rejected, "the broker sends us to another one", "name that one's address"),
    ("ServerMoved", Kind::Rejected, "the broker has moved", "name its new address"),
    ("RefusedProtocolVersion", Kind::Rejected, "the broker does not speak this version of MQTT", "leave `version` out of the config block"),
    (
        "UnsupportedProtocolVersion",
        Kind::Rejected,
        "the broker does not speak this version of MQTT",
        "leave `version` out of the config block",
    ),
    ("PacketTooLarge", Kind::Rejected, "it is larger than the broker takes", "send less at once"),
    ("QuotaExceeded", Kind::Rejected, "a quota of the broker is used up", "ask whoever runs it"),
    ("MessageRateTooHigh", Kind::Rejected, "the broker takes no more messages at this rate", "send slower"),
    ("ReceiveMaximumExceeded", Kind::Protocol, "more was under way than the broker allows", ""),
    ("TopicNameInvalid", Kind::Rejected, "the broker does not accept this topic", "check its name"),
    ("TopicFilterInvalid", Kind::Rejected, "the broker does not accept this filter", "check it"),
    ("PayloadFormatInvalid", Kind::Rejected, "the payload is not the text that it is said to be", "leave the payload format out"),
    ("RetainNotSupported", Kind::Rejected, "the broker keeps no retained messages", "leave `retain` out"),
    ("QoSNotSupported", Kind::Rejected, "the broker does not offer this QoS", "use a lower one"),
    ("SharedSubscriptionsNotSupported", Kind::Rejected, "the broker has no shared subscriptions", "leave $share out"),
    ("SharedSubscriptionNotSupported", Kind::Rejected, "the broker has no shared subscriptions", "leave $share out"),
    ("WildcardSubscriptionsNotSupported", Kind::Rejected, "the broker has no wildcards", "name whole topics"),
    ("SessionTakenOver", Kind::Rejected, "somebody else connected by our client id", "give each program a client_id of its own"),
    ("KeepAliveTimeout", Kind::Unreachable, "the broker heard nothing of us for too long", "it is opened again"),
    ("AdministrativeAction", Kind::Rejected, "the broker's administration closed the connection", "ask whoever runs it"),
    ("MaximumConnectTime", Kind::Unreachable, "the connection lasted as long as it may", "it is opened again"),
    ("Failure", Kind::Rejected, "the broker refuses the subscription and does not say why", "usually its access list forbids it"),
];

/// The refusal that a reason stands for. `said` is what the broker wrote with it.
pub(super) fn refusal(reason: &str, said: Option<&str>) -> Refusal {
    let known = REASONS.iter().find(|(name, ..)| *name == reason);
    let (kind, cause, next) = known.map_or((Kind::Rejected, reason, ""), |(_, kind, cause, next)| (*kind, *cause, *next));
    let cause = match said.filter(|said| !said.is_empty()) {
        Some(said) => SafeText::new(&format!("{cause}: {said}")),
        None => cause.into(),
    };
    Refusal { kind, cause, next }
}

/// The broker said no to a connection: there the same words mean that it does not know us.
pub(super) fn refused(reason: &str, peer: &SafeText) -> Ending {
    if reason == "NotAuthorized" {
        let cause = "the broker does not let us in: user or password are missing or wrong";
        let fault = Fault::new(Kind::Unauthorized, CONNECT, peer.clone(), cause);
        return fault.next("check the auth block, and the broker's access list").into();
    }
    Ending::of(reason, refusal(reason, None).fault(CONNECT, peer.clone()))
}

/// The broker closed the connection and said why.
pub(super) fn ended(reason: &str, said: Option<&str>, peer: &SafeText) -> Ending {
    Ending::of(reason, refusal(reason, said).fault(READ, peer.clone()))
}

/// An error of the socket, or of TLS on it.
pub(super) fn io(error: &io::Error, connected: bool, peer: &SafeText) -> Ending {
    if let Some(fault) = tls::meaning(error, peer) {
        return fault.into();
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            closed(connected, peer)
        }
        _ if connected => {
            Fault::new(Kind::Unreachable, READ, peer.clone(), format!("the connection broke: {error}")).next("it is opened again").into()
        }
        _ => tls::no_connection(error, peer).into(),
    }
}

/// The broker closed the connection without a word.
pub(super) fn closed(connected: bool, peer: &SafeText) -> Ending {
    let fault = if connected {
        Fault::new(Kind::Unreachable, READ, peer.clone(), "the broker closed the connection").next("it is opened again")
    } else {
        Fault::new(Kind::Unreachable, CONNECT, peer.clone(), "the broker closed the connection before it answered")
            .next("does the port speak MQTT as we do (TLS, websocket), and does it want a client certificate?")
    };
    Ending { fault, why: Why::WithoutWord }
}

/// What came cannot be understood.
pub(super) fn strange(error: &dyn Display, connected: bool, peer: &SafeText) -> Fault {
    let op = if connected { READ } else { CONNECT };
    Fault::new(Kind::Protocol, op, peer.clone(), error.to_string()).next("is this an MQTT broker's port?")
}

/// The broker is silent.
pub(super) fn silent(connected: bool, peer: &SafeText) -> Fault {
    let (op, next) = if connected {
        (READ, "it may be busy or stopped: the connection is opened again")
    } else {
        (CONNECT, "check the address; a broker that wants TLS may be silent to us")
    };
    Fault::new(Kind::Timeout, op, peer.clone(), "no answer in time").next(next)
}

/// An error of the websocket: of what carries it, or of its own.
pub(super) fn websocket(error: &(dyn Error + 'static), connected: bool, peer: &SafeText) -> Ending {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return io(error, connected, peer);
        }
        cause = error.source();
    }
    let fault = strange(&format!("the websocket failed: {error}"), connected, peer);
    if connected { fault.into() } else { fault.next("check port and path: ws://host:port/mqtt is usual").into() }
}
