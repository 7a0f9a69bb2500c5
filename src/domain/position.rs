//! Where a message stands, and where a reading of history starts and ends.

use super::time::{Timestamp, parse_duration, parse_moment};
use jiff::Zoned;
use std::fmt;
use std::str::FromStr;

/// The place of one message in its channel. Ordered within one partition or log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Kafka: `3@1042`.
    Offset { partition: i32, offset: i64 },
    /// A log without partitions: `17`.
    Sequence(u64),
    /// A log whose places are times (a Redis stream's entry): milliseconds and a number within them, `1700000000000-0`.
    Entry { millis: u64, number: u64 },
    /// The system gives no places: the how-manieth message of this tail or peek. It finds nothing again.
    Arrival(u64),
}

impl Position {
    /// The partition, where there are partitions.
    pub fn partition(self) -> Option<i32> {
        match self {
            Self::Offset { partition, .. } => Some(partition),
            Self::Sequence(_) | Self::Entry { .. } | Self::Arrival(_) => None,
        }
    }

    /// The place as one number that grows along the log, where there is such a number.
    pub fn number(self) -> Option<i64> {
        match self {
            Self::Offset { offset, .. } => Some(offset),
            Self::Sequence(sequence) => i64::try_from(sequence).ok(),
            Self::Entry { .. } | Self::Arrival(_) => None,
        }
    }

    /// Whether the message can be found again by it.
    pub fn is_lasting(self) -> bool {
        !matches!(self, Self::Arrival(_))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { partition, offset } => write!(f, "{partition}@{offset}"),
            Self::Sequence(sequence) => write!(f, "{sequence}"),
            Self::Entry { millis, number } => write!(f, "{millis}-{number}"),
            Self::Arrival(_) => f.write_str("–"),
        }
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("`{text}` is not a position: write 3@1042 (partition@offset), 17 (sequence) or 1700000000000-0 (entry)");
        match text.split_once('@') {
            Some((partition, offset)) => {
                Ok(Self::Offset { partition: partition.parse().map_err(wrong)?, offset: offset.parse().map_err(wrong)? })
            }
            None => match text.split_once('-') {
                Some((millis, number)) => {
                    Ok(Self::Entry { millis: millis.parse().map_err(wrong)?, number: number.parse().map_err(wrong)? })
                }
                None => text.parse().map(Self::Sequence).map_err(wrong),
            },
        }
    }
}

/// One end of a half-open range of history. As a start it is the first message read, as an end the first one not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The oldest message that is still there.
    Earliest,
    /// The end of each partition at the moment of asking.
    Latest,
    /// This many messages before the end, in each partition: `end-500`.
    BeforeEnd(u64),
    /// This offset in each partition: `@12345`.
    Each(i64),
    /// This position in its partition; nothing of the others: `3@1042`.
    At(Position),
    /// The first message stamped at or after this moment, in each partition; in a range with an end, what is stamped so.
    Time(Timestamp),
}

/// A half-open range of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: Bound,
    pub end: Bound,
}

impl Bound {
    /// Reads a bound of PRODUCT section 4; `now` resolves `3h ago` and the like.
    pub fn parse(text: &str, now: &Zoned) -> Result<Self, String> {
        let text = text.trim();
        let number = |digits: &str| digits.replace('_', "").parse::<u64>().map_err(|_| format!("`{text}`: `{digits}` is not a number"));
        match text {
            "earliest" | "beginning" | "begin" => return Ok(Self::Earliest),
            "latest" | "end" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(back) = text.strip_prefix("end-").or_else(|| text.strip_prefix("end - ")) {
            return number(back).map(Self::BeforeEnd);
        }
        if let Some(offset) = text.strip_prefix('@') {
            return number(offset).map(|n| Self::Each(n as i64));
        }
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_entry = text.split_once('-').is_some_and(|(millis, number)| digits(millis) && digits(number));
        if is_entry || text.contains('@') {
            return text.parse().map(Self::At);
        }
        parse_moment(text, now).map(Self::Time).map_err(|_| {
            if parse_duration(text).is_ok() {
                return format!("`{text}` is a duration, not a place in a channel: did you mean `{text} ago`?");
            }
            format!("`{text}` is not a place in a channel: write earliest, latest, end-500, @12345, 3@1042, 1700000000000-0, `3h ago`, 2026-02-05T10:00Z or `yesterday 14:00`")
        })
    }
}

impl Range {
    /// The range between two bounds as somebody gave them; all there is without any.
    pub fn between(start: Option<Bound>, end: Option<Bound>) -> Self {
        let start = start.unwrap_or(Bound::Earliest);
        // An end that was given makes times a filter, also where it is the end of the log.
        let end = match (start, end) {
            (Bound::Time(_), Some(Bound::Latest)) => Bound::BeforeEnd(0),
            (_, end) => end.unwrap_or(Bound::Latest),
        };
        Self { start, end }
    }

    /// Whether its times tell which messages belong to it, each by its own stamp: only where it has an end. Without one a time is a
    /// place, and nothing behind that is left out.
    pub fn is_timed(&self) -> bool {
        let timed = |bound| matches!(bound, Bound::Time(_));
        timed(self.end) || (timed(self.start) && self.end != Bound::Latest)
    }

    /// Whether a message of this stamp belongs to it, as far as its times tell. What has no stamp is in no range of times.
    pub fn admits(&self, timestamp: Option<Timestamp>) -> bool {
        let early = |time| matches!(self.start, Bound::Time(start) if time < start);
        let late = |time| matches!(self.end, Bound::Time(end) if time >= end);
        !self.is_timed() || timestamp.is_some_and(|time| !early(time) && !late(time))
    }

    /// Whether nothing can lie between its ends, whatever the channel holds.
    pub fn is_backwards(&self) -> bool {
        match (self.start, self.end) {
            (Bound::Latest, Bound::Earliest | Bound::BeforeEnd(_)) | (Bound::BeforeEnd(_), Bound::Earliest) => true,
            (Bound::BeforeEnd(start), Bound::BeforeEnd(end)) => start <= end,
            (Bound::Each(start), Bound::Each(end)) => start >= end,
            (Bound::Time(start), Bound::Time(end)) => start >= end,
            (Bound::At(start), Bound::At(end)) if start.partition() == end.partition() => {
                start.number().zip(end.number()).is_some_and(|(start, end)| start >= end)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::BeforeEnd(n) => write!(f, "end-{n}"),
            Self::Each(offset) => write!(f, "@{offset}"),
            // Digits alone would be read as a moment.
            Self::At(Position::Sequence(sequence)) => write!(f, "@{sequence}"),
            Self::At(position) => write!(f, "{position}"),
            Self::Time(time) => write!(f, "{time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_can_hold_nothing_is_told_from_one_that_may() {
        let now = Zoned::now();
        let bound = |text: &str| Bound::parse(text, &now).expect("a bound");
        for (start, end, backwards) in [
            ("latest", "earliest", true),
            ("end-5", "end-10", true),
            ("@7", "@7", true),
            ("3@9", "3@2", true),
            ("yesterday", "2h ago", false),
            ("today", "yesterday", true),
            ("end-10", "end-5", false),
            ("3@9", "4@2", false),
            ("earliest", "latest", false),
            ("@7", "latest", false),
        ] {
            assert_eq!(Range { start: bound(start), end: bound(end) }.is_backwards(), backwards, "{start} to {end}");
        }
    }

    #[test]
    fn times_are_a_filter_with_an_end_and_a_place_without_one() {
        let (now, time) = (Zoned::now(), |millis| Some(Timestamp(millis)));
        let bound = |text: &str| Bound::parse(text, &now).expect("a bound");
        for (start, end, timed, taken) in [
            ("earliest", "latest", false, [true, true, true]),
            ("1970-01-01T00:00:10Z", "latest", false, [true, true, true]),
            ("1970-01-01T00:00:10Z", "1970-01-01T00:00:20Z", true, [false, true, false]),
            ("1970-01-01T00:00:10Z", "end-5", true, [false, true, true]),
            ("@5", "1970-01-01T00:00:20Z", true, [true, true, false]),
            ("@5", "@7", false, [true, true, true]),
        ] {
            let range = Range { start: bound(start), end: bound(end) };
            assert_eq!(
                (range.is_timed(), [9_999, 10_000, 20_000].map(|millis| range.admits(time(millis)))),
                (timed, taken),
                "{start} to {end}"
            );
            assert_eq!(range.admits(None), !timed);
        }
        let since = |end| Range::between(Some(Bound::Time(Timestamp(1))), end).is_timed();
        assert!(!since(None) && since(Some(Bound::Latest)), "an end that was named is one");
        assert_eq!(Range::between(None, None), Range { start: Bound::Earliest, end: Bound::Latest });
    }

    #[test]
    fn bounds_are_read_and_written_alike() {
        let now = Zoned::now();
        for text in ["earliest", "latest", "end-500", "@12345", "3@1042", "1700000000000-3", "2026-02-05T10:00:00.000Z"] {
            assert_eq!(Bound::parse(text, &now).map(|b| b.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "@", "@-1", "x@3", "end-", "somewhere"] {
            assert!(Bound::parse(wrong, &now).is_err(), "{wrong}");
        }
    }
}
