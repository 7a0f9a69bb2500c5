//! What a profile is read with: the systems of this build, the environment and the variables that were given.

use super::rules::Rule;

/// A system as far as a profile needs to know it: one row of the adapters' table.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// The `type` of an integration.
    pub name: &'static str,
    /// The system's name as people write it.
    pub title: &'static str,
    /// URL schemes with their default port, the usual one first. `kafkas` beside `kafka` means TLS.
    pub schemes: &'static [(&'static str, u16)],
    /// What its `config` block may hold; `None`: not checked here.
    pub settings: Option<&'static [Rule]>,
    /// How settings are checked that no table has.
    pub check: Option<Check>,
    /// The types of log-in that it has, as the `auth` block writes them; `None`: not checked here.
    pub log_ins: Option<&'static [&'static str]>,
}

/// Checks a setting by its name; else what is wrong, without the value, and what to do about it.
pub type Check = fn(&str, &str) -> Result<(), (String, String)>;

impl System {
    /// A system of which no more is known.
    pub const fn named(name: &'static str, schemes: &'static [(&'static str, u16)]) -> Self {
        Self { name, title: name, schemes, settings: None, check: None, log_ins: None }
    }
}

/// What a profile is read with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The systems of this build.
    pub systems: &'a [System],
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The values of `--var name=value`.
    pub vars: &'a [(String, String)],
}
