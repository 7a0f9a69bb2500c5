//! Where positions in partitions are to go, as people write it: `earliest`, `end-500`, `@12345`, `+100`, `3@1042,4@17`, `3h ago`.
//!
//! Resetting a group and purging a channel ask the same question, and take the same words.

use super::position::{Bound, Position};
use jiff::Zoned;
use std::fmt;
use std::sync::Arc;

/// Where positions are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The same place for every partition.
    To(Bound),
    /// So many messages forward, or back where negative, from where each stands.
    Shift(i64),
    /// Each of these partitions to a place of its own; nothing of the others.
    Places(Vec<Place>),
}

/// One partition's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Only needed where more than one channel is meant.
    pub channel: Option<Arc<str>>,
    pub partition: i32,
    /// `None`: no position at all, as if nothing had ever been committed.
    pub offset: Option<i64>,
}

impl Reset {
    /// Reads what was written; `now` resolves `3h ago` and the like.
    pub fn parse(text: &str, now: &Zoned) -> Result<Self, String> {
        let text = text.trim();
        if let Some(digits) = text.strip_prefix(['+', '-']) {
            let count: i64 = digits.replace('_', "").parse().map_err(|_| format!("`{text}`: `{digits}` is not a number"))?;
            return Ok(Self::Shift(if text.starts_with('-') { -count } else { count }));
        }
        if text.starts_with('@') || !text.contains('@') {
            return Bound::parse(text, now)
                .map(Self::To)
                .map_err(|e| format!("{e}; or +100 and -100 to go on or back from where each stands, 3@1042,4@17 for single partitions"));
        }
        let mut places = text.split(',').map(|place| place.trim().parse()).collect::<Result<Vec<Place>, String>>()?;
        places.sort_unstable();
        match places.windows(2).find(|pair| (&pair[0].channel, pair[0].partition) == (&pair[1].channel, pair[1].partition)) {
            Some(pair) => Err(format!("partition {} is named twice", pair[0].partition)),
            None => Ok(Self::Places(places)),
        }
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(bound) => write!(f, "{bound}"),
            Self::Shift(count) => write!(f, "{count:+}"),
            Self::Places(places) => {
                for (index, place) in places.iter().enumerate() {
                    write!(f, "{}{place}", if index == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    /// Reads `3@1042`, `orders:3@1042`, `3@none`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a partition's place: write 3@1042, orders:3@1042 or 3@none");
        let (place, offset) = text.rsplit_once('@').ok_or_else(wrong)?;
        let (channel, partition) = place.rsplit_once(':').map_or((None, place), |(channel, partition)| (Some(channel), partition));
        let offset = match offset {
            "none" => None,
            number => Some(number.parse().ok().filter(|n| *n >= 0).ok_or_else(wrong)?),
        };
        let partition = partition.parse().ok().filter(|n| *n >= 0).ok_or_else(wrong)?;
        Ok(Self { channel: channel.map(Into::into), partition, offset })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(channel) = &self.channel {
            write!(f, "{channel}:")?;
        }
        match self.offset {
            Some(offset) => write!(f, "{}", Position::Offset { partition: self.partition, offset }),
            None => write!(f, "{}@none", self.partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_alike() {
        let now = Zoned::now();
        for text in ["earliest", "latest", "end-500", "@12345", "+100", "-100", "3@1042", "3@1042,4@17", "a.b:0@1,a.b:1@none,c:0@5"] {
            assert_eq!(Reset::parse(text, &now).map(|reset| reset.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn one_partition_is_a_place_and_a_moment_is_a_bound() {
        let now = Zoned::now();
        let place = Place { channel: None, partition: 3, offset: Some(1042) };
        assert_eq!(Reset::parse("3@1042", &now), Ok(Reset::Places(vec![place])));
        assert!(matches!(Reset::parse("3h ago", &now), Ok(Reset::To(Bound::Time(_)))));
        assert!(matches!(Reset::parse("2026-02-05T10:00Z", &now), Ok(Reset::To(Bound::Time(_)))));
    }

    #[test]
    fn what_cannot_be_meant_says_what_can() {
        let now = Zoned::now();
        for (wrong, word) in [
            ("", "earliest"),
            ("somewhere", "3@1042"),
            ("+x", "not a number"),
            ("-", "not a number"),
            ("3@-1", "3@1042"),
            ("-3@1", "not a number"),
            ("3@1,3@2", "named twice"),
            ("x@1", "3@none"),
            ("3@1,", "3@none"),
        ] {
            let said = Reset::parse(wrong, &now).expect_err(wrong);
            assert!(said.contains(word), "{wrong}: {said}");
        }
    }
}
