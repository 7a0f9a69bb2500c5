//! Questions with yes and no.

use crate::domain::address::Address;
use crate::domain::text::SafeText;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Confirm {
    /// Quit although work runs?
    Quit { jobs: usize },
    /// Leave the form and lose what was typed?
    Discard,
    /// Look at a queue although that leaves marks?
    Peek { address: Address, most: u32, marks: SafeText },
    /// Take messages, as that group of the channel `of`, although giving them back undecided may end them?
    Receive { address: Address, of: Address, most: u32, why: SafeText },
    /// Leave what was not decided on? What becomes of each is the end of a sentence about it.
    Release { address: Address, unsettled: usize, left_over: &'static str },
}
