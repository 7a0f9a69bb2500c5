//! The line of a tail: when a disturbance is worth telling, and when it is over.

use crate::domain::fault::Fault;
use crate::domain::tail::TailEvent;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Leaders move when a broker is restarted in good order; a move that is over within this time is not worth telling.
const GRACE: Duration = Duration::from_secs(1);

/// Whether the tail's line is held, and what is to be told of it.
#[derive(Debug)]
pub(super) struct Line {
    /// To be told, in order.
    waiting: VecDeque<TailEvent>,
    /// Interrupted and not yet resumed.
    interrupted: bool,
    /// Something is wrong that may settle by itself, since when.
    unsettled: Option<(Fault, Instant)>,
    lost: Option<u64>,
}

impl Default for Line {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), interrupted: false, unsettled: None, lost: Some(0) }
    }
}

impl Line {
    /// Reading has stopped, of some partitions or of all. Told once until it goes on.
    pub(super) fn broken(&mut self, fault: Fault) {
        self.unsettled = None;
        if !std::mem::replace(&mut self.interrupted, true) {
            self.waiting.push_back(TailEvent::Interrupted(fault));
        }
    }

    /// Reading has stopped for a reason that mostly passes at once. Told if it lasts.
    pub(super) fn unsettled(&mut self, fault: Fault, now: Instant) {
        if !self.interrupted && self.unsettled.is_none() {
            self.unsettled = Some((fault, now + GRACE));
        }
    }

    /// When [`Line::overdue_reached`] is to be called, if at all.
    pub(super) fn overdue(&self) -> Option<Instant> {
        self.unsettled.as_ref().map(|(_, at)| *at)
    }

    /// What was unsettled did not settle in time.
    pub(super) fn overdue_reached(&mut self) {
        if let Some((fault, _)) = self.unsettled.take() {
            self.broken(fault);
        }
    }

    /// Messages are gone: so many, or nobody knows how many. Told as an interruption, which ends when reading goes on.
    pub(super) fn lost(&mut self, fault: Option<Fault>, count: Option<u64>) {
        self.lost = self.lost.zip(count).map(|(lost, count)| lost.saturating_add(count));
        if let Some(fault) = fault {
            self.broken(fault);
        }
    }

    /// A batch could not be read and was passed over; each one is told.
    pub(super) fn damaged(&mut self, fault: Fault, count: Option<u64>) {
        if self.interrupted {
            self.lost(None, count);
            self.waiting.push_back(TailEvent::Interrupted(fault));
        } else {
            self.lost(Some(fault), count);
        }
    }

    /// The next event to tell; `whole` says that every partition is being read.
    pub(super) fn next(&mut self, whole: bool) -> Option<TailEvent> {
        if whole {
            self.unsettled = None;
            if std::mem::take(&mut self.interrupted) {
                let lost = self.lost.replace(0);
                self.waiting.push_back(TailEvent::Resumed { lost });
            }
        }
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::Kind;

    fn fault(cause: &str) -> Fault {
        Fault::new(Kind::Unreachable, "tail", "orders", cause)
    }

    #[test]
    fn a_broken_line_is_told_once_and_so_is_its_return() {
        let mut line = Line::default();
        assert_eq!(line.next(true), None);
        line.broken(fault("a"));
        line.broken(fault("b"));
        assert_eq!(line.next(false), Some(TailEvent::Interrupted(fault("a"))));
        assert_eq!(line.next(false), None);
        assert_eq!(line.next(true), Some(TailEvent::Resumed { lost: Some(0) }));
        assert_eq!(line.next(true), None);
    }

    #[test]
    fn a_leader_that_moves_is_told_only_if_it_takes_long() {
        let (mut line, now) = (Line::default(), Instant::now());
        line.unsettled(fault("moved"), now);
        assert_eq!(line.next(true), None, "settled in time");
        assert_eq!(line.overdue(), None);
        line.unsettled(fault("moved again"), now);
        assert_eq!(line.overdue(), Some(now + GRACE));
        line.overdue_reached();
        assert_eq!(line.next(false), Some(TailEvent::Interrupted(fault("moved again"))));
    }

    #[test]
    fn what_was_lost_is_added_up_and_unknown_once_it_is_unknown() {
        let mut line = Line::default();
        line.lost(Some(fault("retention")), Some(5));
        line.damaged(fault("crc"), Some(2));
        assert_eq!(line.next(true), Some(TailEvent::Interrupted(fault("retention"))));
        assert_eq!(line.next(true), Some(TailEvent::Interrupted(fault("crc"))));
        assert_eq!(line.next(true), Some(TailEvent::Resumed { lost: Some(7) }));
        line.lost(Some(fault("cut off")), None);
        line.lost(None, Some(3));
        line.next(false);
        assert_eq!(line.next(true), Some(TailEvent::Resumed { lost: None }));
    }
}
