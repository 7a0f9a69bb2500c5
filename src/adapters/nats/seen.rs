//! The subjects that tails of this session have seen: core NATS keeps no list of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Subjects remembered; a subject in which every message has its own word would fill any memory.
const MOST: usize = 2_000;

/// The subjects, with the messages seen of each.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<BTreeMap<Arc<str>, u64>>>);

impl Seen {
    /// Counts messages of a subject. Beyond the bound a new subject is not remembered.
    pub(super) fn count(&self, subject: &Arc<str>, messages: u64) {
        if messages == 0 {
            return;
        }
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seen.get_mut(subject) {
            *count += messages;
        } else if seen.len() < MOST {
            seen.insert(subject.clone(), messages);
        }
    }

    pub(super) fn all(&self) -> Vec<(Arc<str>, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(subject, count)| (subject.clone(), *count)).collect()
    }
}
