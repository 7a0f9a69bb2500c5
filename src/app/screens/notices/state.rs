//! Notices: what has to be said. A few stand above the footer for a while, all are kept in a list.

use crate::app::event::Level;
use crate::app::list::List;
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::collections::VecDeque;

/// Notices kept.
const KEPT: usize = 200;
/// Notices shown at once above the footer.
pub const SHOWN: usize = 3;

/// One thing that was said.
#[derive(Clone, Debug)]
pub struct Notice {
    pub number: u64,
    pub level: Level,
    pub text: SafeText,
    /// The next step, where there is one.
    pub next: SafeText,
    pub at: Timestamp,
    /// The same was said so often.
    pub times: u32,
    /// No longer shown above the footer.
    pub gone: bool,
}

/// Everything that was said, newest last.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    pub all: VecDeque<Notice>,
    pub list: List<u64>,
    said: u64,
}

impl Notices {
    /// Says something. What was just said already is counted instead.
    pub fn say(&mut self, level: Level, text: impl Into<SafeText>, now: Timestamp) {
        self.add(level, text.into(), SafeText::default(), now);
    }

    /// Keeps something that stands on the screen elsewhere.
    pub(crate) fn record(&mut self, level: Level, text: SafeText, now: Timestamp) {
        let group_offset = self.all.back().is_some_and(|last| !last.gone && last.level == level && last.text == text);
        self.add(level, text, SafeText::default(), now);
        if let Some(last) = self.all.back_mut().filter(|_| !group_offset) {
            last.gone = true;
        }
    }

    pub fn fault(&mut self, fault: &Fault, now: Timestamp) {
        let target = if fault.target.as_str().is_empty() { String::new() } else { format!(" {}", fault.target) };
        let text = format!("{}{target}: {}: {}", fault.op, fault.kind.word(), fault.cause);
        self.add(Level::Error, text.into(), fault.next.clone(), now);
    }

    fn add(&mut self, level: Level, text: SafeText, next: SafeText, now: Timestamp) {
        self.said += 1;
        if let Some(last) = self.all.back_mut().filter(|last| last.level == level && last.text == text) {
            last.times += 1;
            last.at = now;
            last.gone = false;
            return;
        }
        if self.all.len() == KEPT {
            self.all.pop_front();
        }
        self.all.push_back(Notice { number: self.said, level, text, next, at: now, times: 1, gone: false });
    }

    /// Those that stand above the footer, newest last.
    pub fn shown(&self) -> impl Iterator<Item = &Notice> {
        let skip = self.all.iter().filter(|n| !n.gone).count().saturating_sub(SHOWN);
        self.all.iter().filter(|n| !n.gone).skip(skip)
    }

    /// Takes down all that stand; false if none did.
    pub fn dismiss(&mut self) -> bool {
        let mut any = false;
        for notice in self.all.iter_mut().filter(|n| !n.gone) {
            notice.gone = true;
            any = true;
        }
        any
    }

    /// Takes down those whose time is over; true if any was.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        for notice in self.all.iter_mut().filter(|n| !n.gone) {
            if notice.until().is_some_and(|until| until <= now) {
                notice.gone = true;
                any = true;
            }
        }
        any
    }

    /// When the next one is to be taken down.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.all.iter().filter(|n| !n.gone).filter_map(Notice::until).min()
    }
}

impl Notice {
    fn until(&self) -> Option<Timestamp> {
        let seconds = match self.level {
            Level::Info => 4,
            Level::Warning => 8,
            Level::Error => return None,
        };
        Some(Timestamp(self.at.0 + seconds * 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted_and_errors_stay_until_dismissed() {
        let mut notices = Notices::default();
        notices.say(Level::Error, "broker refused", Timestamp(0));
        notices.say(Level::Error, "broker refused", Timestamp(1));
        notices.say(Level::Info, "copied", Timestamp(1));
        assert_eq!(notices.shown().map(|n| n.times).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(notices.next_expiry(), Some(Timestamp(4001)));
        assert!(notices.expire(Timestamp(4001)));
        assert_eq!(notices.shown().count(), 1);
        assert!(notices.dismiss() && !notices.dismiss());
        assert_eq!(notices.all.len(), 2, "all are kept");
    }
}
