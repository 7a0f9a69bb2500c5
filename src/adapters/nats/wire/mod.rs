//! NATS's client protocol, spoken by us: foreign bytes of names, headers and payloads are handed on as they came and end nothing.
//!
//! `frame` reads what a server sends, in place; `out` holds what is written and who waits for it; `hub` routes what comes to
//! subscriptions; `connection` keeps one connection up; `servers` knows which servers there are.

pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod hub;
pub(crate) mod mailbox;
pub(crate) mod out;
pub(crate) mod servers;
