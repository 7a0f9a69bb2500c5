//! `Principal`: who asks.

use std::fmt;
use std::sync::Arc;

/// Who asks for an operation: the operator at this machine, until somebody logs in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// `local:USER` for the operator at this machine.
    pub subject: Arc<str>,
}

impl Principal {
    /// The operator at this machine, by the name or the number of her account where it is known.
    pub fn local(user: Option<&str>) -> Self {
        Self { subject: format!("local:{}", user.unwrap_or("unknown")).into() }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)
    }
}
