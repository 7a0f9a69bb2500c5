//! Figures: amounts that may be unknown or bounds, and how they are written.

use std::fmt;
use std::time::Duration;

/// A count that says how well it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Amount {
    #[default]
    Unknown,
    Exactly(u64),
    /// An upper bound, shown as `≤ N`.
    AtMost(u64),
    /// A lower bound, shown as `≥ N`.
    AtLeast(u64),
}

impl Amount {
    /// The number itself, bound or not.
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Exactly(n) | Self::AtMost(n) | Self::AtLeast(n) => Some(n),
        }
    }

    /// What it lies between; an end that is not known is `None`.
    pub fn bounds(self) -> (u64, Option<u64>) {
        match self {
            Self::Unknown => (0, None),
            Self::Exactly(n) => (n, Some(n)),
            Self::AtMost(n) => (0, Some(n)),
            Self::AtLeast(n) => (n, None),
        }
    }

    /// All of these together, as well as that is known: one that is unknown makes the sum a lower bound. Unknown if none is known.
    pub fn total(amounts: impl IntoIterator<Item = Self>) -> Self {
        let (mut low, mut high, mut known) = (0_u64, Some(0_u64), false);
        for amount in amounts {
            let (least, most) = amount.bounds();
            low = low.saturating_add(least);
            high = high.zip(most).map(|(sum, most)| sum.saturating_add(most));
            known |= amount != Self::Unknown;
        }
        match high {
            _ if !known => Self::Unknown,
            None => Self::AtLeast(low),
            Some(high) if high == low => Self::Exactly(high),
            Some(high) => Self::AtMost(high),
        }
    }

    /// Written with `unit`, a formatter such as [`count`] or [`bytes()`]; unknown is `–`.
    pub fn show(self, unit: fn(u64) -> String) -> String {
        match self {
            Self::Unknown => "–".to_owned(),
            Self::Exactly(n) => unit(n),
            // Nothing cannot be less than at most zero.
            Self::AtMost(0) => unit(0),
            Self::AtMost(n) => format!("≤ {}", unit(n)),
            Self::AtLeast(n) => format!("≥ {}", unit(n)),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.show(count))
    }
}

/// `999`, `48,211`, `8.41 M`: whole below a million, three digits above.
pub fn count(n: u64) -> String {
    if n < 1_000_000 { grouped(n) } else { scaled(n as f64, &["", "k", "M", "G", "T", "P"], 1000.0) }
}

/// `48,211`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Messages in a sentence: `1 message`, `2,000 messages`.
pub fn messages(n: usize) -> String {
    if n == 1 { "1 message".to_owned() } else { format!("{} messages", grouped(n as u64)) }
}

/// `214 B`, `88 kB`, `1.9 GB` (powers of 1000).
pub fn bytes(n: u64) -> String {
    if n < 1000 { format!("{n} B") } else { scaled(n as f64, &["B", "kB", "MB", "GB", "TB", "PB"], 1000.0) }
}

/// Messages a second: `0.4`, `840`, `12.4 k`.
pub fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        scaled(per_second, &["", "k", "M", "G"], 1000.0)
    }
}

/// `< 1 s`, `12 s`, `4 m 10 s`, `3 h 12 m`, `2 d 4 h`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0 => "< 1 s".to_owned(),
        1..60 => format!("{s} s"),
        60..3_600 => format!("{} m {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} m", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// The age of something in coarse steps, so that an idle screen seldom changes: 3 s, 10 s, 30 s, then minutes, hours, days.
pub fn age(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..3 => "now".to_owned(),
        3..10 => "3 s".to_owned(),
        10..30 => "10 s".to_owned(),
        30..60 => "30 s".to_owned(),
        60..3_600 => format!("{} m", s / 60),
        3_600..86_400 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}

fn scaled(n: f64, units: &[&str], step: f64) -> String {
    let mut value = n;
    let mut unit = 0;
    while value >= step * 0.9995 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", units[unit]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_known_as_well_as_its_parts() {
        let (exactly, most, least) = (Amount::Exactly, Amount::AtMost, Amount::AtLeast);
        for (parts, sum) in [
            (vec![exactly(1), exactly(2)], exactly(3)),
            (vec![exactly(1), most(2)], most(3)),
            (vec![exactly(1), least(2)], least(3)),
            (vec![most(5), least(2)], least(2)),
            (vec![exactly(0), Amount::Unknown], least(0)),
            (vec![most(5), Amount::Unknown], least(0)),
            (vec![Amount::Unknown, Amount::Unknown], Amount::Unknown),
            (vec![], Amount::Unknown),
        ] {
            assert_eq!(Amount::total(parts.iter().copied()), sum, "{parts:?}");
        }
    }

    #[test]
    fn figures_are_short_and_honest() {
        for (n, shown) in
            [(0, "0"), (999, "999"), (48_211, "48,211"), (999_999, "999,999"), (8_410_000, "8.41 M"), (12_400_000_000, "12.4 G")]
        {
            assert_eq!(count(n), shown);
        }
        for (n, shown) in [(0, "0 B"), (214, "214 B"), (88_000, "88.0 kB"), (1_900_000_000, "1.90 GB")] {
            assert_eq!(bytes(n), shown);
        }
        for (n, shown) in [(0.0, "0"), (0.4, "0.4"), (840.0, "840"), (12_400.0, "12.4 k"), (999.9, "1.00 k")] {
            assert_eq!(rate(n), shown);
        }
        assert_eq!(Amount::Unknown.to_string(), "–");
        assert_eq!(Amount::AtMost(312).to_string(), "≤ 312");
        assert_eq!(Amount::AtMost(0).to_string(), "0");
        assert_eq!(duration(Duration::from_secs(250)), "4 m 10 s");
        assert_eq!(age(Duration::from_secs(29)), "10 s");
    }
}
