//! The names of headers that rules look for, each with a number: looked up for every header of every message, so by length and end first.

/// Names with their numbers, counted from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Slots {
    /// By the length of the name.
    by_length: Vec<Vec<Slot>>,
    count: u16,
}

#[derive(Clone, Debug, PartialEq)]
struct Slot {
    /// Names of one library begin alike and end otherwise.
    end: u64,
    name: Box<[u8]>,
    number: u16,
}

/// The last eight bytes of a name, as a number.
fn end(name: &[u8]) -> u64 {
    name.last_chunk().map_or_else(|| name.iter().fold(0, |end, byte| end << 8 | u64::from(*byte)), |end| u64::from_be_bytes(*end))
}

impl Slots {
    /// The number of a name, which is given one if it has none.
    pub(super) fn add(&mut self, name: &[u8]) -> u16 {
        if let Some(slot) = self.get(name) {
            return slot;
        }
        if self.by_length.len() <= name.len() {
            self.by_length.resize_with(name.len() + 1, Vec::new);
        }
        let number = self.count;
        self.by_length[name.len()].push(Slot { end: end(name), name: name.into(), number });
        // Profiles are no larger than a MiB, and a name has more than 16 bytes of its own there.
        self.count = self.count.saturating_add(1);
        number
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<u16> {
        let same_length = self.by_length.get(name.len()).filter(|slots| !slots.is_empty())?;
        let end = end(name);
        same_length.iter().find(|slot| slot.end == end && *slot.name == *name).map(|slot| slot.number)
    }

    pub(super) fn count(&self) -> usize {
        usize::from(self.count)
    }
}
