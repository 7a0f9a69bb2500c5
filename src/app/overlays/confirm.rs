//! Questions with yes and no.

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Confirm {
    /// Quit although work runs?
    Quit { jobs: usize },
    /// Leave the form and lose what was typed?
    Discard,
}
