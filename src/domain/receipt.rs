//! `Receipt`: what the system really promised about a published message.

use super::position::Position;
use std::fmt;

/// From the strongest promise to none. A bare success does not exist, because systems promise different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Stored at this position, on as many replicas as the system was asked for.
    Stored(Position),
    /// Taken by the system, which does not say where it stands.
    Accepted,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(position) => write!(f, "stored at {position}"),
            Self::Accepted => f.write_str("accepted"),
        }
    }
}
