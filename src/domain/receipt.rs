//! `Receipt`: what the system really promised about a published message.

use super::position::Position;
use std::fmt;

/// From the strongest promise to none. A bare success does not exist, because systems promise different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Stored at this position, on as many replicas as the system was asked for.
    Stored(Position),
    /// Put into at least one queue by the broker, which confirmed it.
    Routed,
    /// Taken by the system, which does not say where it stands.
    Accepted,
    /// Given to this many who were listening at that moment; nothing is kept.
    Handed(u64),
    /// Sent; the system confirms nothing.
    Unconfirmed,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(position) => write!(f, "stored at {position}"),
            Self::Routed => f.write_str("routed"),
            Self::Accepted => f.write_str("accepted"),
            Self::Handed(0) => f.write_str("handed to nobody: nobody listened"),
            Self::Handed(1) => f.write_str("handed to 1 receiver"),
            Self::Handed(n) => write!(f, "handed to {n} receivers"),
            Self::Unconfirmed => f.write_str("sent, unconfirmed"),
        }
    }
}
