//! Names by which libraries and teams call channels of dead letters, and what is left of them: mostly the channel that the letters come from.

/// What a name of dead letters ends or begins with: parts of it in lower case, put together. `-dlq` of Spring and most teams, `.DLT` and `-dlt`
/// of Spring Kafka, `dead-letter` and `dead_letter_queue` of brokers' own guides, `parking-lot` of Spring AMQP, `poison` of Watermill and Azure.
const WORDS: &[&str] = &[
    "dlq",
    "dlqs",
    "dlt",
    "dead",
    "deadletter",
    "deadletters",
    "deadletterqueue",
    "deadlettertopic",
    "deadletterstream",
    "parkinglot",
    "poison",
    "poisoned",
    "poisonqueue",
];
/// `MassTransit` names a queue's faults and skipped messages after it. Anywhere else such words say too little.
const SUFFIXES: &[&str] = &["_error", "_skipped"];
/// Part of the names of Azure's own queues.
const AZURE: &str = "/$deadletterqueue";
/// A word has so many parts at most: `dead-letter-queue`.
const MOST_PARTS: usize = 3;
const SEPARATORS: &[char] = &['.', '-', '_', ':', '/'];

/// Whether a channel of that name holds dead letters, as far as its name says: then what the rest of the name is, which may be nothing.
pub fn rest_of_name(name: &str) -> Option<&str> {
    let lower = name.to_ascii_lowercase();
    let ends = SUFFIXES.iter().chain([&AZURE]).find(|end| lower.ends_with(**end) && lower.len() > end.len());
    if let Some(end) = ends {
        return name.get(..name.len() - end.len());
    }
    let is_word = |text: &str| WORDS.contains(&text.replace(SEPARATORS, "").as_str());
    if is_word(&lower) {
        return Some("");
    }
    let cuts: Vec<usize> = lower.match_indices(SEPARATORS).map(|(at, _)| at).collect();
    // From behind and from before, the longest first: `orders-dead-letter-queue` comes from `orders`.
    let mut back = cuts.iter().skip(cuts.len().saturating_sub(MOST_PARTS));
    if let Some(cut) = back.find(|cut| is_word(&lower[*cut + 1..])) {
        return name.get(..*cut);
    }
    let mut front = cuts.iter().take(MOST_PARTS).rev();
    front.find(|cut| is_word(&lower[..**cut])).and_then(|cut| name.get(cut + 1..)).or_else(|| camel_rest(name))
}

/// `ordersDlq`, `OrdersDLQ`, `ordersDeadLetter`: a part is seen by its capital alone.
fn camel_rest(name: &str) -> Option<&str> {
    const ENDS: &[&str] = &["Dlq", "DLQ", "Dlt", "DLT", "DeadLetter", "DeadLetters", "DeadLetterQueue"];
    let rest = ENDS.iter().find_map(|end| name.strip_suffix(end))?;
    rest.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dead_letters_are_told_by_their_parts() {
        for (name, rest) in [
            ("orders.created.dlt", Some("orders.created")),
            ("orders-DLT", Some("orders")),
            ("orders.DLQ", Some("orders")),
            ("llm-im-dlq", Some("llm-im")),
            ("orders-dead-letter", Some("orders")),
            ("orders-dead-letter-queue", Some("orders")),
            ("orders_dead_letters", Some("orders")),
            ("dead-letter.orders", Some("orders")),
            ("dlq.orders.eu", Some("orders.eu")),
            ("DLQ", Some("")),
            ("dead-letters", Some("")),
            ("dead", Some("")),
            ("payments_error", Some("payments")),
            ("payments_skipped", Some("payments")),
            ("sales/$DeadLetterQueue", Some("sales")),
            ("ordersDlq", Some("orders")),
            ("OrdersDLQ", Some("Orders")),
            ("orders.parking-lot", Some("orders")),
            ("orders", None),
            ("orders-error", None),
            ("error", None),
            ("_error", None),
            ("deadlines", None),
            ("undead", None),
            ("headlqs", None),
            ("adlt", None),
            ("XDLQ", None),
            ("orders.dlq.audit", None),
            ("", None),
            ("…", None),
            ("bestellungen-größe.dlq", Some("bestellungen-größe")),
        ] {
            assert_eq!(rest_of_name(name), rest, "{name:?}");
        }
    }
}
