//! `Timestamp`, and the words people use for moments: `3h ago`, `yesterday 14:00`, `2026-02-05T10:00Z`.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};
use std::fmt;

/// Milliseconds since 1970-01-01 UTC, as Kafka and most brokers stamp their messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Time from `earlier` to `self`; zero if the order is the other way round.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whether its year is written with the four digits that everybody reads: 1970 to 9999.
    pub fn has_usual_year(self) -> bool {
        (0..253_402_300_800_000).contains(&self.0)
    }

    /// The moment in a time zone; `None` outside of the years that a calendar can show.
    pub fn zoned(self, zone: &TimeZone) -> Option<Zoned> {
        jiff::Timestamp::from_millisecond(self.0).ok().map(|t| t.to_zoned(zone.clone()))
    }

    /// `14:07:12.338` in the zone.
    pub fn clock(self, zone: &TimeZone) -> String {
        self.zoned(zone).map_or_else(|| self.0.to_string(), |z| z.strftime("%H:%M:%S%.3f").to_string())
    }

    /// `14:07` in the zone.
    pub fn minute(self, zone: &TimeZone) -> String {
        self.zoned(zone).map_or_else(|| self.0.to_string(), |z| z.strftime("%H:%M").to_string())
    }
}

/// RFC 3339 in UTC with milliseconds; the bare number where no calendar date exists.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The usual case goes the short way: a flood has a moment in each line.
        if let Some(common) = jiff::Timestamp::from_millisecond(self.0).ok().filter(|_| self.has_usual_year()) {
            return write!(f, "{common:.3}");
        }
        match self.zoned(&TimeZone::UTC) {
            Some(z) => write!(f, "{}", z.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Reads a moment: RFC 3339 (seconds, date alone or zone may be missing; then local), `3h ago`, `90s ago`, `now`,
/// `today 9:00`, `yesterday 14:00`, or milliseconds since 1970 (13 digits).
pub fn parse_moment(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let text = text.trim();
    let at = |zoned: &Zoned| Timestamp(zoned.timestamp().as_millisecond());
    if text == "now" {
        return Ok(at(now));
    }
    if let Some(ago) = text.strip_suffix("ago") {
        let span = parse_duration(ago.trim())?;
        return now.checked_sub(span).map(|z| at(&z)).map_err(|e| e.to_string());
    }
    if text.len() == 13 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(Timestamp).map_err(|_| format!("`{text}` is not a time in milliseconds"));
    }
    let (day, rest) = text.split_once(' ').unwrap_or((text, ""));
    let date = match day {
        "today" => Some(now.date()),
        "yesterday" => now.date().yesterday().ok(),
        _ => None,
    };
    if let Some(date) = date {
        let time = if rest.is_empty() { Time::midnight() } else { parse_clock(rest.trim())? };
        return date.to_datetime(time).to_zoned(now.time_zone().clone()).map(|z| at(&z)).map_err(|e| e.to_string());
    }
    parse_date(text, now).ok_or_else(|| {
        format!("`{text}` is not a time: write 2026-02-05T10:00Z, 2026-02-05 10:00, `3h ago`, `yesterday 14:00` or milliseconds")
    })
}

/// Reads `90s`, `5m`, `3h`, `2d`, `250ms`, `1h30m`, `3 hours`, `0`.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("`{text}` is not a duration: write 90s, 5m, 3h, 2d or 1h30m");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    // Nothing is the same in every unit.
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let millis = match &rest[..letters] {
            "ms" => 1,
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            "w" | "week" | "weeks" => 604_800_000,
            _ => return Err(wrong()),
        };
        let part = count.checked_mul(millis).map(SignedDuration::from_millis).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = rest[letters..].trim_start();
    }
    Ok(total)
}

fn parse_clock(text: &str) -> Result<Time, String> {
    let wrong = || format!("`{text}` is not a time of day: write 14:00 or 14:00:30");
    let mut parts = text.splitn(3, ':').map(str::parse::<i8>);
    let mut part = |default: Option<i8>| match (parts.next(), default) {
        (Some(part), _) => part.map_err(|_| wrong()),
        (None, Some(value)) => Ok(value),
        (None, None) => Err(wrong()),
    };
    let (hour, minute, second) = (part(None)?, part(None)?, part(Some(0))?);
    Time::new(hour, minute, second, 0).map_err(|_| wrong())
}

fn parse_date(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(instant.as_millisecond()));
    }
    let (naive, zone) = match text.strip_suffix('Z') {
        Some(naive) => (naive, TimeZone::UTC),
        None => (text, now.time_zone().clone()),
    };
    let civil: DateTime = naive.parse().ok().or_else(|| DateTime::strptime("%Y-%m-%dT%H:%M", naive.replace(' ', "T")).ok())?;
    civil.to_zoned(zone).ok().map(|z| Timestamp(z.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Zoned = "2026-02-05T12:00:00+01:00[Europe/Berlin]".parse().expect("a date");
        for (given, utc) in [
            ("now", "2026-02-05T11:00:00.000Z"),
            ("3h ago", "2026-02-05T08:00:00.000Z"),
            ("1h30m ago", "2026-02-05T09:30:00.000Z"),
            ("2 days ago", "2026-02-03T11:00:00.000Z"),
            ("yesterday 14:00", "2026-02-04T13:00:00.000Z"),
            ("today", "2026-02-04T23:00:00.000Z"),
            ("2026-02-05T10:00Z", "2026-02-05T10:00:00.000Z"),
            ("2026-02-05T10:00:30+02:00", "2026-02-05T08:00:30.000Z"),
            ("2026-02-05 10:00", "2026-02-05T09:00:00.000Z"),
            ("2026-02-05", "2026-02-04T23:00:00.000Z"),
            ("1770285600000", "2026-02-05T10:00:00.000Z"),
        ] {
            assert_eq!(parse_moment(given, &now).map(|t| t.to_string()), Ok(utc.to_owned()), "{given}");
        }
        for wrong in ["", "soon", "3 parsecs ago", "yesterday 25:00", "2026-13-01", "99999999999999999h ago"] {
            assert!(parse_moment(wrong, &now).is_err(), "{wrong}");
        }
    }
}
