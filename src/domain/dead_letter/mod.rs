//! Dead letters: how a message died, read by declared dialects; failures that are the same one; what letters have that messages that
//! succeeded do not; where letters lie, by what systems are configured to do, and what will lose them.

mod death;
mod dialect;
mod differs;
mod failure;
pub mod finding;
mod form;
mod frame;
mod groups;
mod key;
mod letter;
pub mod name;
pub mod place;
mod rate;
mod slots;
mod words;

pub use dialect::{Deaths, Dialect, Dialects, Fact, Order, Pick, Place, Precedence, Rule, path, path_of_each};
pub use differs::{Contrast, Difference, Trait};
pub use failure::{Death, Failure, Origin, Replayed};
pub use form::Form;
pub use groups::{FailureGroup, FailureGroups, KeyBy, MOST_GROUPS, Route, Seen};
pub use letter::{Letter, Scratch};
pub use rate::Rate;
