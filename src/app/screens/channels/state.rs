//! What the Channels screen holds: which channels it shows, its cursor and marks, and the description that is open.

use crate::app::effect::TaskId;
use crate::app::list::List;
use crate::domain::address::Address;
use crate::domain::channel::{Channel, Description};
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Tells channels apart: integration, then name.
pub type Key = (Arc<str>, Arc<str>);

/// The channel list's own state.
#[derive(Default)]
pub struct Channels {
    /// Only the channels of this integration.
    pub only: Option<Arc<str>>,
    pub filter: String,
    pub tenant: Option<SafeText>,
    pub internal: bool,
    pub list: List<Key>,
    /// Integration and channel of each row shown.
    pub rows: Vec<(usize, usize)>,
    /// Channels in all, hidden ones included.
    pub total: usize,
    pub tenants: BTreeSet<SafeText>,
    /// What is known of any channel: columns of which nothing is known are left out.
    pub known: Known,
    pub describe: Option<Describe>,
    /// Since when the first list is waited for.
    pub(crate) asked_at: Option<Timestamp>,
}

/// Which facts any channel has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    pub parts: bool,
    pub bytes: bool,
    pub retention: bool,
    pub dead_letters: bool,
    /// Cells of the longest name that is shown.
    pub widest: u16,
}

impl Known {
    pub(super) fn note(&mut self, channel: &Channel) {
        self.parts |= channel.parts.is_some();
        self.bytes |= channel.bytes.number().is_some();
        self.retention |= retention(channel).is_some();
        self.dead_letters |= channel.dead_letters_to.is_some();
    }
}

/// The description pane.
pub struct Describe {
    pub address: Address,
    pub task: TaskId,
    pub asked_at: Timestamp,
    pub result: Option<Result<Box<Description>, Fault>>,
    pub offset: usize,
}

/// Which columns make sense for the channels that are there.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    Integration,
    Name,
    Tenant,
    Parts,
    Messages,
    Size,
    Rate,
    Spark,
    Groups,
    Retention,
    DeadLetters,
}

impl Channels {
    pub fn waiting_since(&self) -> impl Iterator<Item = Timestamp> {
        let describe = self.describe.as_ref().filter(|d| d.result.is_none()).map(|d| d.asked_at);
        self.asked_at.into_iter().chain(describe)
    }
}

/// The retention that the system tells.
pub fn retention(channel: &Channel) -> Option<&SafeText> {
    channel.attributes.iter().find(|a| a.name.as_str() == "retention").map(|a| &a.value)
}

impl Describe {
    /// Rows that the description has.
    pub(crate) fn rows(&self) -> usize {
        match &self.result {
            Some(Ok(description)) => {
                let channel = &description.channel;
                let told = [channel.fault.is_some(), channel.tenant.is_some(), channel.consumers.is_some(), channel.rate_out.is_some()];
                let facts = 4 + told.into_iter().filter(|told| *told).count() + channel.attributes.len();
                facts
                    + description.tables.iter().map(|table| table.rows.len() + 2 + usize::from(table.as_remark().is_none())).sum::<usize>()
            }
            _ => 1,
        }
    }
}
