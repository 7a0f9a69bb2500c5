//! What is shown of groups: a board of all, one in full, and how long each is behind.

use super::{GroupLag, PartitionLag};
use crate::domain::fault::Fault;
use crate::domain::group::Member;
use std::time::Duration;

/// The groups of one integration, judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// In the order of their names.
    pub groups: Vec<GroupLag>,
    /// What could not be listed: groups may be missing because of it.
    pub gaps: Vec<Fault>,
}

/// One group in full.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    pub lag: GroupLag,
    pub partitions: Vec<PartitionLag>,
    pub members: Vec<Member>,
}

/// How long the oldest message that a group has not read has been waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// `None`: nothing of it is known.
    pub time: Option<Duration>,
    /// Every partition that is behind was asked and answered; else it may be longer.
    pub whole: bool,
}
