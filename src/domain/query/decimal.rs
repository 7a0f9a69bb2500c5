//! Exact comparison of numbers in the digits in which they were written, never through a float.

use std::cmp::Ordering;

/// Whether a text is a number of RFC 8259.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = split_exponent(text);
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(whole, fraction)| (whole, Some(fraction)));
    let exponent = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

/// Compares two numbers of RFC 8259. Exponents beyond ±10^15 count as that.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Decimal::new(a), Decimal::new(b));
    match (a.sign(), b.sign()) {
        (0, 0) => Ordering::Equal,
        (x, y) if x != y => x.cmp(&y),
        (1, _) => a.magnitude(&b),
        _ => b.magnitude(&a),
    }
}

const LARGEST_EXPONENT: i64 = 1_000_000_000_000_000;

/// ± 0.d₁d₂d₃… · 10^`point`, where d₁ is not 0.
struct Decimal<'a> {
    negative: bool,
    /// The digits from d₁ on, perhaps with a point between them.
    digits: &'a str,
    point: i64,
}

impl<'a> Decimal<'a> {
    fn new(text: &'a str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = split_exponent(text);
        let before_point = mantissa.find('.').unwrap_or(mantissa.len());
        let first = mantissa.find(|c| matches!(c, '1'..='9')).unwrap_or(mantissa.len());
        let shift = if first < before_point { (before_point - first) as i64 } else { before_point as i64 + 1 - first as i64 };
        Self { negative, digits: &mantissa[first..], point: shift + exponent.map_or(0, exponent_value) }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        self.point.cmp(&other.point).then_with(|| {
            let (mut ours, mut theirs) = (self.significant(), other.significant());
            loop {
                match (ours.next(), theirs.next()) {
                    (None, None) => return Ordering::Equal,
                    (x, y) => match x.unwrap_or(b'0').cmp(&y.unwrap_or(b'0')) {
                        Ordering::Equal => {}
                        unequal => return unequal,
                    },
                }
            }
        })
    }

    fn significant(&self) -> impl Iterator<Item = u8> {
        self.digits.bytes().filter(u8::is_ascii_digit)
    }
}

fn split_exponent(text: &str) -> (&str, Option<&str>) {
    text.split_once(['e', 'E']).map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)))
}

fn exponent_value(text: &str) -> i64 {
    let digits = text.trim_start_matches(['+', '-']).trim_start_matches('0');
    let size = if digits.len() > 15 { LARGEST_EXPONENT } else { digits.parse().unwrap_or(0) };
    if text.starts_with('-') { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_by_what_they_mean() {
        for (a, order, b) in [
            ("1", '=', "1.0"),
            ("1", '=', "1e0"),
            ("100", '=', "1e2"),
            ("0.001", '=', "1E-3"),
            ("0.0010", '=', "10e-4"),
            ("-0", '=', "0"),
            ("-0.0e5", '=', "0"),
            ("9007199254740993", '>', "9007199254740992"),
            ("0.1", '<', "0.10000000000000000000000000000001"),
            ("1e400", '>', "1e399"),
            ("1e400", '=', "10e399"),
            ("1e-400", '>', "0"),
            ("-1e-400", '<', "0"),
            ("-2", '<', "-1"),
            ("-2", '<', "1"),
            ("9", '<', "10"),
            ("99.9", '<', "100"),
            ("123456789012345678901234567890", '>', "123456789012345678901234567889"),
            ("1e99999999999999999999", '>', "1e99"),
            ("1e-99999999999999999999", '<', "1e-99"),
            ("18446744073709551615", '=', "18446744073709551615.000"),
        ] {
            let order = match order {
                '<' => Ordering::Less,
                '>' => Ordering::Greater,
                _ => Ordering::Equal,
            };
            assert_eq!(compare(a, b), order, "{a} {b}");
            assert_eq!(compare(b, a), order.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn numbers_are_told_from_other_words() {
        for number in ["0", "-0", "10", "1.5", "1e5", "1E-05", "-1.0e+3"] {
            assert!(is_number(number), "{number}");
        }
        for other in ["", "-", "01", ".5", "1.", "1e", "1e+", "+1", "1_000", "0x1", "1.2.3", "NaN", "1-2", "٣"] {
            assert!(!is_number(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_are_ordered_as_integers_are(a in any::<i128>(), b in any::<i128>(), zeros in 0_usize..5) {
            prop_assert_eq!(compare(&a.to_string(), &b.to_string()), a.cmp(&b));
            let shifted = format!("{a}{}e-{zeros}", "0".repeat(zeros));
            prop_assert_eq!(compare(&shifted, &a.to_string()), Ordering::Equal);
        }

        #[test]
        fn floats_are_ordered_as_floats_are(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(Some(compare(&format!("{a:?}"), &format!("{b:?}"))), a.partial_cmp(&b));
        }
    }
}
