//! The window of messages: the newest within a number and a byte budget.

use crate::domain::view::MessageView;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Messages kept at most.
pub const MESSAGES: usize = 2_000;
/// Bytes of messages kept at most.
const BYTES: usize = 12_000_000;

/// The newest messages, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Window {
    views: VecDeque<Arc<MessageView>>,
    bytes: usize,
}

impl Window {
    pub fn len(&self) -> usize {
        self.views.len()
    }

    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    pub fn from_newest(&self, row: usize) -> Option<&Arc<MessageView>> {
        self.views.get(self.views.len().checked_sub(row + 1)?)
    }

    pub fn from_oldest(&self, row: usize) -> Option<&Arc<MessageView>> {
        self.views.get(row)
    }

    /// Takes messages in and lets the oldest go.
    pub fn extend(&mut self, views: impl IntoIterator<Item = MessageView>) {
        views.into_iter().for_each(|view| self.push(Arc::new(view)));
    }

    /// Takes in everything of another window.
    pub fn append(&mut self, other: &mut Self) {
        other.views.drain(..).for_each(|view| self.push(view));
        other.bytes = 0;
    }

    /// Puts the messages in the order of their times, those without one last, and each once: what came live may be found in history too.
    pub(crate) fn sort(&mut self) {
        let mut known = HashSet::new();
        let bytes = &mut self.bytes;
        self.views.retain(|view| {
            let place = view.message.position;
            let is_new = !place.is_lasting() || known.insert((view.address.clone(), place));
            if !is_new {
                *bytes -= held(view);
            }
            is_new
        });
        self.views.make_contiguous().sort_by_key(|view| (view.message.timestamp.map_or(i64::MAX, |time| time.0), view.id));
    }

    fn push(&mut self, view: Arc<MessageView>) {
        self.bytes += held(&view);
        self.views.push_back(view);
        while self.views.len() > MESSAGES || (self.bytes > BYTES && self.views.len() > 1) {
            if let Some(gone) = self.views.pop_front() {
                self.bytes -= held(&gone);
            }
        }
    }
}

/// Bytes that a view holds in memory, roughly.
fn held(view: &MessageView) -> usize {
    view.message.size() + 300
}
