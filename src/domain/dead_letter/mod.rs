//! Dead letters: how a message died, read by declared dialects; failures that are the same one; what letters have that messages that
//! succeeded do not.

mod death;
mod dialect;
mod differs;
mod failure;
mod form;
mod frame;
mod groups;
mod key;
mod letter;
mod rate;
mod slots;

pub use dialect::{Deaths, Dialect, Dialects, Fact, Order, Pick, Place, Precedence, Rule, path, path_of_each};
pub use differs::{Contrast, Difference, Trait};
pub use failure::{Death, Failure, Origin, Replayed};
pub use form::Form;
pub use groups::{FailureGroup, FailureGroups, KeyBy, MOST_GROUPS, Route, Seen};
pub use letter::{Letter, Scratch};
pub use rate::Rate;
