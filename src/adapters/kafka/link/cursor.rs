//! Where a reader stands in one partition, and how it gets past what cannot be read.

use super::batch::Damage;
use super::fetch::{Part, Want};
use super::walk::{Partition, Walk};
use crate::domain::fault::Fault;

/// The largest batch that is asked for; answers of more than the link's frame cap are not read at all.
const LARGEST_BATCH: usize = 120 << 20;

/// A place in a partition.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub(crate) partition: Partition,
    /// The offset to fetch at.
    pub(crate) at: i64,
    /// The first message wanted: before `at` while the end of damage is being looked for.
    from: i64,
    /// Bytes asked for in one answer.
    usual: usize,
    /// Bytes asked for now: more while a larger batch is in the way.
    most: usize,
    /// An answer with room for the next batch was had, and the batch was still cut off.
    insist: bool,
    /// The base offset of the last damage that was told.
    told: Option<i64>,
    /// How far to jump next when the damage does not say where it ends.
    stride: Option<i64>,
}

impl Cursor {
    pub(crate) fn new(partition: Partition, at: i64, most: usize) -> Self {
        Self { partition, at, from: at, usual: most, most, insist: false, told: None, stride: None }
    }

    /// What to fetch.
    pub(crate) fn want(&self) -> Want {
        Want { partition: self.partition.clone(), offset: self.at, most: self.most }
    }

    /// Goes elsewhere.
    pub(crate) fn jump(&mut self, at: i64) {
        *self = Self::new(self.partition.clone(), at, self.usual);
    }

    /// Walks what was fetched for this place.
    pub(crate) fn walk(&self, part: Part, until: i64) -> Walk {
        let mut walk = part.walk(self.from, until);
        if self.insist {
            walk.insist();
        }
        walk
    }

    /// Takes note of damage met by a walk or named by the broker. The fault to tell, unless it was told before.
    pub(crate) fn damaged(&mut self, op: &'static str, damage: &Damage) -> Option<Fault> {
        let again = self.told == Some(damage.base_offset);
        self.stride = match damage.resume {
            Some(_) => None,
            // Twice as far each time: a batch holds thousands of offsets, and each attempt costs a round trip.
            None if again => Some(self.at.saturating_sub(damage.base_offset).max(1)),
            None => Some(1),
        };
        self.told = Some(damage.base_offset);
        (!again).then(|| damage.fault(op, &self.partition))
    }

    /// Moves on behind what a walk has seen.
    pub(crate) fn walked(&mut self, walk: &Walk) {
        let reached = walk.next_offset();
        if self.stride.is_some() {
            self.jump_blindly();
        } else if reached > self.at {
            (self.at, self.from) = (reached, reached);
            (self.most, self.insist) = (self.usual, false);
        } else if let Some(size) = walk.cut_off() {
            // Kafka sends a first batch whole, whatever its size; what is still cut off needs room, or lies about its size.
            if size > self.most && size <= LARGEST_BATCH {
                self.most = size;
            } else {
                self.insist = true;
            }
        }
    }

    /// Looks for the end of damage that does not say where it ends. What lies between is given once it is found.
    pub(crate) fn jump_blindly(&mut self) {
        if let Some(stride) = self.stride.take() {
            self.at = self.at.saturating_add(stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Cause;
    use super::super::sample::{Written, batch, sample};
    use super::super::walk::Step;
    use super::*;

    fn cursor(at: i64, most: usize) -> Cursor {
        Cursor::new(Partition { topic: "orders".into(), index: 0 }, at, most)
    }

    /// Reads an answer to its end: the offsets given, and how often damage was told.
    fn read(cursor: &mut Cursor, answer: &[u8]) -> (Vec<i64>, usize) {
        let mut walk = cursor.walk(Part::good(cursor.partition.clone(), answer.to_vec().into()), i64::MAX);
        let (mut offsets, mut told) = (Vec::new(), 0);
        loop {
            match walk.step(100) {
                Step::Messages(messages) => offsets.extend(messages.iter().map(|message| message.position.number().unwrap_or(-1))),
                Step::Damaged(damage) => told += usize::from(cursor.damaged("read", &damage).is_some()),
                Step::End => break,
            }
        }
        cursor.walked(&walk);
        (offsets, told)
    }

    #[test]
    fn a_batch_with_no_room_is_asked_for_with_room_and_then_taken_for_damaged() {
        let large = batch(5, Written::default(), &[sample(5, &"x".repeat(9_000))]);
        let mut reader = cursor(5, 1_000);
        assert_eq!(read(&mut reader, &large[..1_000]), (vec![], 0));
        assert_eq!((reader.at, reader.want().most), (5, large.len()));
        assert_eq!(read(&mut reader, &large), (vec![5], 0));
        assert_eq!((reader.at, reader.want().most), (6, 1_000), "one large batch is no reason to ask for more from then on");

        let mut lies = [batch(5, Written::default(), &[sample(5, "a")]), batch(6, Written::default(), &[sample(6, "b")])].concat();
        lies[8] = 0x7f;
        let mut reader = cursor(5, 1_000);
        assert_eq!(read(&mut reader, &lies), (vec![], 0));
        assert_eq!(read(&mut reader, &lies), (vec![6], 1));
        assert_eq!(reader.at, 7);
    }

    #[test]
    fn the_end_of_damage_is_looked_for_in_growing_steps_and_nothing_behind_it_is_missed() {
        let mut reader = cursor(100, 1_000);
        let damage = Damage { base_offset: 100, cause: Cause::Length(-1), resume: None };
        let mut asked = Vec::new();
        let mut told = 0;
        for _ in 0..5 {
            asked.push(reader.at);
            told += usize::from(reader.damaged("read", &damage).is_some());
            reader.jump_blindly();
        }
        assert_eq!((asked, told), (vec![100, 101, 102, 104, 108], 1));
        let intact = batch(110, Written::default(), &[sample(110, "a"), sample(116, "b"), sample(118, "c")]);
        assert_eq!(read(&mut reader, &intact), (vec![110, 116, 118], 0), "the batch begins before the offset that was asked for");
        assert_eq!(reader.at, 119);
    }
}
