//! `OffsetChange`: one partition's position from where it is to where it is to go; and what many of them mean together.

use super::channel::Table;
use super::figure::{self, Amount};
use super::position::{Bound, Position};
use super::reset::{Place, Reset};
use super::text::SafeText;
use super::time::Timestamp;
use std::sync::Arc;

/// One partition as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The first message that is still there.
    pub start: i64,
    pub end: i64,
    /// Where the group stands; `None` if it has no position.
    pub committed: Option<i64>,
    /// The first message of the moment that was asked for; `None` where there is none so late, or no moment was asked for.
    pub at: Option<i64>,
}

/// One partition's position, moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetChange {
    pub channel: Arc<str>,
    pub partition: i32,
    pub offsets: PartitionOffsets,
    /// Where it goes; `None` takes the position away.
    pub to: Option<i64>,
    /// The offset that was asked for, where the partition does not reach so far.
    pub beyond: Option<i64>,
    /// When the message at the old place was made, and that at the new one; `None` where there is none, or nobody told.
    pub times: [Option<Timestamp>; 2],
}

impl Reset {
    /// Where one partition's position goes; `None` if it is left where it is: nothing is said of it, or it has no position to shift.
    /// What lies outside of the partition goes to its nearest end, as Kafka's own tool does it.
    pub fn of(&self, channel: &Arc<str>, partition: i32, offsets: PartitionOffsets) -> Option<OffsetChange> {
        let wanted = match self {
            Self::Shift(count) => Some(offsets.committed?.saturating_add(*count)),
            Self::Places(places) => {
                let mine = |place: &&Place| place.partition == partition && place.channel.as_ref().is_none_or(|of| of == channel);
                places.iter().find(mine)?.offset
            }
            Self::To(bound) => Some(match *bound {
                Bound::Earliest => offsets.start,
                Bound::Latest => offsets.end,
                Bound::BeforeEnd(back) => offsets.end.saturating_sub(i64::try_from(back).unwrap_or(i64::MAX)),
                Bound::Each(offset) => offset,
                Bound::At(Position::Offset { partition: of, offset }) if of == partition => offset,
                Bound::At(_) => return None,
                Bound::Time(_) => offsets.at.unwrap_or(offsets.end),
            }),
        };
        let to = wanted.map(|offset| offset.clamp(offsets.start, offsets.end.max(offsets.start)));
        // Counting back from the end or from where it stands, everything that there is was meant.
        let said = matches!(self, Self::Places(_) | Self::To(Bound::Each(_) | Bound::At(_)));
        let beyond = if said && to != wanted { wanted } else { None };
        Some(OffsetChange { channel: Arc::clone(channel), partition, offsets, to, beyond, times: [None; 2] })
    }
}

impl OffsetChange {
    /// Messages between the two places: positive are skipped, negative read again. `None` where one of the places is unknown.
    pub fn distance(&self) -> Option<i64> {
        let inside = |offset: i64| offset.clamp(self.offsets.start, self.offsets.end.max(self.offsets.start));
        Some(inside(self.to?) - inside(self.offsets.committed?))
    }

    /// The most messages that are skipped or read again. Without a position consumers begin at the start or at the end.
    pub fn touches(&self) -> u64 {
        match (self.distance(), self.to.or(self.offsets.committed)) {
            (Some(distance), _) => distance.unsigned_abs(),
            (None, Some(offset)) => (offset - self.offsets.start).max(self.offsets.end - offset).max(0).unsigned_abs(),
            (None, None) => 0,
        }
    }

    /// Whether anything changes.
    pub fn changes_position(&self) -> bool {
        self.to != self.offsets.committed
    }

    /// What takes the moves back, as a reset is written.
    pub fn back(changes: &[Self]) -> Reset {
        let place = |one: &Self| Place { channel: Some(Arc::clone(&one.channel)), partition: one.partition, offset: one.offsets.committed };
        Reset::Places(changes.iter().map(place).collect())
    }

    /// The most messages that all of them touch.
    pub fn all_touch(changes: &[Self]) -> Amount {
        Amount::AtMost(changes.iter().map(Self::touches).sum())
    }

    /// The preview.
    pub fn table(changes: &[Self]) -> Table {
        let columns = vec!["channel", "partition", "from", "to", "messages", "time"];
        Table { title: "positions", columns, rows: changes.iter().map(Self::cells).collect() }
    }

    /// What of them the operator should know beside the preview.
    pub fn notes(changes: &[Self]) -> Vec<SafeText> {
        let beyond = changes.iter().filter_map(|one| Some((one, one.beyond?)));
        let beyond = beyond.map(|(one, wanted)| {
            let (partition, PartitionOffsets { start, end, .. }) = (one.partition, one.offsets);
            format!("{} partition {partition} has {start} to {end}: {wanted} lies outside, the nearest end is taken", one.channel).into()
        });
        let unknown = changes.iter().filter(|one| one.changes_position() && one.distance().is_none()).count();
        let unknown = (unknown > 0).then(|| {
            let parts = if unknown == 1 { "1 partition has".to_owned() } else { format!("{unknown} partitions have") };
            format!("{parts} no position before or after: there consumers begin as they are configured, at the start or at the end").into()
        });
        beyond.chain(unknown).collect()
    }

    fn cells(&self) -> Vec<SafeText> {
        let place = |offset: Option<i64>| offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
        let messages = match self.distance() {
            _ if !self.changes_position() => "stays".to_owned(),
            None => "–".to_owned(),
            Some(0) => "0".to_owned(),
            Some(n) => {
                let count = Amount::AtMost(n.unsigned_abs());
                if n > 0 { format!("skips {count}") } else { format!("{count} again") }
            }
        };
        let time = match self.times {
            [Some(from), Some(to)] if from != to => {
                let span = if to > from { to.since(from) } else { from.since(to) };
                format!("{from} → {to} ({}{})", if to > from { "+" } else { "-" }, figure::duration(span))
            }
            [_, Some(to)] => format!("→ {to}"),
            [Some(from), None] => format!("{from} →"),
            [None, None] => "–".to_owned(),
        };
        vec![
            SafeText::new(&self.channel),
            self.partition.to_string().into(),
            place(self.offsets.committed).into(),
            place(self.to).into(),
            messages.into(),
            time.into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Zoned;

    const STAND: PartitionOffsets = PartitionOffsets { start: 100, end: 200, committed: Some(150), at: Some(120) };

    fn moved(text: &str, offsets: PartitionOffsets) -> Option<OffsetChange> {
        Reset::parse(text, &Zoned::now()).expect(text).of(&"orders".into(), 3, offsets)
    }

    #[test]
    fn a_position_goes_where_it_is_told_and_not_beyond_the_partition() {
        for (text, to, touches, beyond) in [
            ("earliest", 100, 50, None),
            ("latest", 200, 50, None),
            ("end-30", 170, 20, None),
            ("end-500", 100, 50, None),
            ("@160", 160, 10, None),
            ("@7", 100, 50, Some(7)),
            ("+20", 170, 20, None),
            ("+100", 200, 50, None),
            ("-20", 130, 20, None),
            ("-999", 100, 50, None),
            ("3@150", 150, 0, None),
            ("orders:3@999", 200, 50, Some(999)),
            ("1h ago", 120, 30, None),
        ] {
            let moved = moved(text, STAND).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((moved.to, moved.touches(), moved.beyond), (Some(to), touches, beyond), "{text}");
        }
    }

    #[test]
    fn what_is_not_named_or_has_no_position_to_shift_is_left_alone() {
        assert_eq!(moved("4@150", STAND), None);
        assert_eq!(moved("payments:3@150", STAND), None);
        assert_eq!(moved("+1", PartitionOffsets { committed: None, ..STAND }), None);
        assert_eq!(
            moved("1h ago", PartitionOffsets { at: None, ..STAND }).map(|one| one.to),
            Some(Some(200)),
            "nothing is so late: the end"
        );
    }

    #[test]
    fn without_a_position_the_worst_is_counted() {
        let fresh = moved("@120", PartitionOffsets { committed: None, ..STAND }).expect("a move");
        assert_eq!((fresh.distance(), fresh.touches()), (None, 80));
        let gone = moved("3@none", STAND).expect("a move");
        assert_eq!((gone.to, gone.touches()), (None, 50));
    }

    #[test]
    fn a_position_outside_of_what_is_left_counts_what_is_left() {
        let behind = moved("latest", PartitionOffsets { committed: Some(10), ..STAND }).expect("a move");
        assert_eq!(behind.distance(), Some(100), "messages 10 to 99 are gone in any case");
    }

    #[test]
    fn moves_taken_back_are_where_they_were() {
        let changes =
            [moved("earliest", STAND).expect("a move"), moved("@120", PartitionOffsets { committed: None, ..STAND }).expect("a move")];
        assert_eq!(OffsetChange::back(&changes).to_string(), "orders:3@150,orders:3@none");
    }

    #[test]
    fn a_preview_says_what_is_skipped_and_what_comes_again() {
        let mut again = moved("-20", STAND).expect("a move");
        again.times = [Some(Timestamp(1_770_285_600_000)), Some(Timestamp(1_770_282_000_000))];
        let rows = OffsetChange::table(&[again, moved("+20", STAND).expect("a move"), moved("3@150", STAND).expect("a move")]).rows;
        let shown: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().skip(2).map(SafeText::as_str).collect()).collect();
        assert_eq!(
            shown,
            [
                ["150", "130", "≤ 20 again", "2026-02-05T10:00:00.000Z → 2026-02-05T09:00:00.000Z (-1 h 0 m)"],
                ["150", "170", "skips ≤ 20", "–"],
                ["150", "150", "stays", "–"],
            ]
        );
    }
}
