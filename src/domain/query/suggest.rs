//! "Did you mean": the known word that is nearest to what was typed.

/// The nearest word, if no more than a third of it differs; at least one letter, at most two.
pub(super) fn closest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (typed.chars().count() / 3).clamp(1, 2);
    let near = known.map(|word| (distance(&typed.to_lowercase(), word), word)).filter(|(distance, _)| *distance <= allowed);
    near.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().take(40).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn slips_of_the_pen_find_their_word() {
        let known = || ["value", "headers", "and", "or", "contains"].into_iter();
        for (typed, meant) in [
            ("vlaue", Some("value")),
            ("VALUE", Some("value")),
            ("header", Some("headers")),
            ("adn", Some("and")),
            ("contians", Some("contains")),
            ("total", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(closest(typed, known()), meant, "{typed}");
        }
    }
}
