//! What Redis's errors mean.

use crate::adapters::tls;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use redis::{ErrorKind, RedisError};
use std::error::Error;
use std::io;
use std::sync::Arc;

/// The codes that a server's error begins with, what they mean and what to do.
const CODES: &[(&str, Kind, &str)] = &[
    ("WRONGPASS", Kind::Unauthorized, "check user and password; the server says the same of a disabled user"),
    ("NOAUTH", Kind::Unauthorized, "the server wants a log-in: write an auth block of type password"),
    ("NOPERM", Kind::Forbidden, "the user's ACL does not allow it: ACL LIST shows what it allows"),
    ("WRONGTYPE", Kind::Usage, "the key holds something other than a stream"),
    ("NOGROUP", Kind::NotFound, "the group or the stream does not exist"),
    ("BUSYGROUP", Kind::Rejected, "there is a group of that name already"),
    ("READONLY", Kind::Rejected, "this server is a replica: connect to the master"),
    ("MOVED", Kind::Rejected, "this server is one of a cluster and the key is on another: name that server's address"),
    ("CLUSTERDOWN", Kind::Unreachable, "the cluster has no master for this key at the moment"),
    ("MASTERDOWN", Kind::Unreachable, "the replica has lost its master"),
    ("LOADING", Kind::Unreachable, "the server is still reading its data from the disk"),
    ("OOM", Kind::Rejected, "the server's memory is full (maxmemory)"),
    ("MISCONF", Kind::Rejected, "the server cannot write to its disk and refuses changes"),
    ("NOREPLICAS", Kind::Rejected, "too few replicas are connected (min-replicas-to-write)"),
    ("BUSY", Kind::Timeout, "a script keeps the server busy"),
];

/// What a server says without a code of its own, and what it means.
const TEXTS: &[(&str, Kind, &str, &str)] =
    &[("no such key", Kind::NotFound, "there is no stream of that name", "`mqdeck channels` lists what there is")];

/// The fault for an error of the client.
pub(super) fn of(error: &RedisError, op: &'static str, target: impl Into<SafeText>, peer: &SafeText) -> Fault {
    let said = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    if let Some(code) = error.code() {
        // The client turns `ERR …` into a code as well.
        if let Some((_, kind, cause, next)) = TEXTS.iter().find(|(text, ..)| code == "ERR" && *text == said) {
            return Fault::new(*kind, op, target, *cause).next(*next);
        }
        let known = CODES.iter().find(|(known, ..)| *known == code);
        return match known {
            Some((_, kind, next)) => Fault::new(*kind, op, target, format!("{code} {said}")).next(*next),
            None if said.starts_with("DB index") => {
                Fault::new(Kind::Rejected, op, target, said).next("check the setting `db`; a cluster has only 0")
            }
            None => Fault::new(Kind::Rejected, op, target, if code == "ERR" { said } else { format!("{code} {said}") }),
        };
    }
    if error.is_timeout() {
        return Fault::new(Kind::Timeout, op, target, "no answer in time").next("the server may be busy or stopped: it is tried again");
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => Fault::new(Kind::Unauthorized, op, target, said).next("check user and password"),
        ErrorKind::RESP3NotSupported => {
            Fault::new(Kind::Rejected, op, target, "the server is older than Redis 6").next("mqdeck needs Redis 6 or later")
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            Fault::new(Kind::Protocol, op, target, said).next("is this a Redis server's port?")
        }
        _ => broken(error, op, target.into(), peer),
    }
}

/// A connection that broke: the reason may be TLS's, which shows only afterwards.
fn broken(error: &RedisError, op: &'static str, target: SafeText, peer: &SafeText) -> Fault {
    let source = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(fault) = io.and_then(|error| tls::meaning(error, peer)) {
        return fault;
    }
    Fault::new(Kind::Unreachable, op, target, format!("the connection broke: {error}"))
        .next("it is opened again; if it breaks each time: does the port speak TLS, and does it want a client certificate?")
}
