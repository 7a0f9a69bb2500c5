//! "Did you mean": the known name that is nearest to a misspelled one.

/// The nearest of the known names, if it is near enough to have been meant.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given: Vec<char> = given.to_lowercase().chars().take(64).collect();
    let limit = (given.len() / 3).clamp(1, 3);
    known.into_iter().map(|name| (distance(&given, name), name)).filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name)
}

/// "did you mean `type`?", or nothing.
pub(super) fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, known).map_or_else(String::new, |name| format!("did you mean `{name}`?"))
}

/// "a, b or c", each in backquotes.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [first @ .., last] => format!("`{}` or `{last}`", first.join("`, `")),
    }
}

/// Letters to insert, remove, replace, or swap with their neighbour (optimal string alignment).
fn distance(given: &[char], name: &str) -> usize {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=name.len()).collect();
    for (i, a) in given.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in name.iter().enumerate() {
            let mut best = (above[j] + usize::from(a != b)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == name[j - 1] && given[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let known = ["address", "addresses", "port", "tls", "brokers", "bootstrap.servers"];
        for (given, meant) in [
            ("adress", Some("address")),
            ("prot", Some("port")),
            ("Brokers", Some("brokers")),
            ("bootstrap.server", Some("bootstrap.servers")),
            ("tsl", Some("tls")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
    }
}
