//! Questions with yes and no.

use crate::domain::operation::Plan;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Confirm {
    /// Carry out this plan?
    Plan(Plan),
    /// Quit although work runs?
    Quit { jobs: usize },
    /// Leave the form and lose what was typed?
    Discard,
}
