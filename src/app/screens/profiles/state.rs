//! The profiles there are, and what is being opened.

use crate::app::event::ProfileEntry;
use crate::app::list::List;
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;

/// The profile picker.
#[derive(Default)]
pub struct Profiles {
    /// `None` until they were looked for.
    pub entries: Option<Vec<ProfileEntry>>,
    /// What is being opened, and since when.
    pub opening: Option<(SafeText, Timestamp)>,
    /// Why the last one could not be opened.
    pub failed: Option<(SafeText, Fault)>,
    pub list: List<Arc<str>>,
    pub asked_at: Timestamp,
}
