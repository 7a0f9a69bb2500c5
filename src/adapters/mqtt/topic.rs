//! Topics and filters (MQTT 5, section 4.7), and how addresses name them.

use crate::domain::address::{spell, split_kind, unescape_bytes};
use crate::domain::fault::{Fault, Kind};

/// The longest that either may be, in bytes.
const LONGEST: usize = 65_535;

/// The one kind of channel. A topic that begins with it is written with it: `topic:topic:a/b`.
pub(super) const KINDS: &[&str] = &["topic"];

/// The topic or filter that a channel's name means.
pub(super) fn of(op: &'static str, channel: &str) -> Result<String, Fault> {
    String::from_utf8(unescape_bytes(split_kind(KINDS, channel).1))
        .map_err(|_| Fault::new(Kind::Usage, op, channel, "this is no topic and no filter: those are UTF-8"))
}

/// How lists and messages name a topic or filter.
pub(super) fn name(topic: &str) -> String {
    spell(KINDS, KINDS[0], topic.as_bytes())
}

/// Whether it has wildcards, or is a shared subscription: a filter of topics and not one of them.
pub(super) fn is_filter(name: &str) -> bool {
    name.contains(['+', '#']) || is_shared(name)
}

/// Whether it is a part in a shared subscription: `$share/GROUP/FILTER` (section 4.8.2).
pub(super) fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

/// Whether the broker itself speaks there.
pub(super) fn is_internal(topic: &str) -> bool {
    topic.starts_with('$')
}

/// Refuses what cannot be published to.
pub(super) fn check_topic(op: &'static str, topic: &str) -> Result<(), Fault> {
    let wrong = |cause: &str| Err(Fault::new(Kind::Usage, op, topic, cause));
    if topic.is_empty() || topic.len() > LONGEST || topic.contains('\0') {
        return wrong("this is no topic: one has 1 to 65,535 bytes, and no null character");
    }
    if is_filter(topic) {
        return wrong("a filter is not a topic").map_err(|fault| fault.next("name one topic, without `+`, `#` and $share"));
    }
    Ok(())
}

/// Refuses what cannot be subscribed to.
pub(super) fn check_filter(op: &'static str, filter: &str) -> Result<(), Fault> {
    let plain = match filter.strip_prefix("$share/") {
        // A group's name has no wildcards.
        Some(rest) => rest.split_once('/').filter(|(group, _)| !group.is_empty() && !group.contains(['+', '#'])).map(|(_, filter)| filter),
        None => Some(filter),
    };
    let well = plain.is_some_and(rumqttc::valid_filter) && filter.len() <= LONGEST && !filter.contains('\0');
    if well {
        return Ok(());
    }
    Err(Fault::new(Kind::Usage, op, filter, "this is no topic and no filter")
        .next("`+` stands for one whole level, `#` for all that follow: a/+/b, a/#; a shared one is $share/GROUP/FILTER"))
}

/// Whether a filter has this topic, or everything that another filter has.
pub(super) fn covers(filter: &str, other: &str) -> bool {
    // Wildcards at the beginning leave out what belongs to the broker (section 4.7.2).
    if is_internal(other) != is_internal(filter) {
        return false;
    }
    let mut levels = other.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match levels.next() {
            Some("#") | None => return false,
            Some(_) if level == "+" => {}
            Some(other) if other == level => {}
            Some(_) => return false,
        }
    }
    levels.next().is_none()
}

/// The filters without those that others have wholly: a broker may send a message once for each that fits.
pub(super) fn without_covered(filters: &[String]) -> Vec<String> {
    let covered = |at: usize| {
        filters
            .iter()
            .enumerate()
            .any(|(by, filter)| by != at && covers(filter, &filters[at]) && (by < at || !covers(&filters[at], filter)))
    };
    (0..filters.len()).filter(|at| !covered(*at)).map(|at| filters[at].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::tests::{check_that_it_reads_back, names};
    use proptest::prelude::*;

    #[test]
    fn filters_cover_topics_and_each_other() {
        for (filter, other, covered) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/+", "a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "ü/b", true),
            ("#", "$SYS/broker", false),
            ("+/broker", "$SYS/broker", false),
            ("$SYS/#", "$SYS/broker/uptime", true),
            ("a/#", "a/+/c", true),
            ("a/+", "a/#", false),
            ("+", "#", false),
            ("a/+/c", "a/b/+", false),
            ("a", "", false),
            ("/+", "/a", true),
        ] {
            assert_eq!(covers(filter, other), covered, "{filter} and {other}");
        }
    }

    #[test]
    fn what_another_covers_is_left_out_once() {
        let left = |filters: &[&str]| without_covered(&filters.iter().map(|filter| (*filter).to_owned()).collect::<Vec<_>>()).join(" ");
        assert_eq!(left(&["a/b", "a/+", "c", "c", "a/#"]), "c a/#");
        assert_eq!(left(&["a/+", "+/b"]), "a/+ +/b");
        assert_eq!(left(&["#", "$SYS/#", "a"]), "# $SYS/#");
    }

    #[test]
    fn a_topic_that_reads_as_a_kind_or_a_position_is_named_apart() {
        for (topic, channel) in [
            ("a/b", "a/b"),
            ("topic:a/b", "topic:topic:a/b"),
            ("channel:5/temp", "channel:5/temp"),
            ("a/\\x41", "a/\\x5cx41"),
            ("$SYS/#", "$SYS/#"),
        ] {
            assert_eq!((name(topic).as_str(), of("tail", channel)), (channel, Ok(topic.to_owned())));
        }
        assert_eq!(of("tail", "topic:a/b"), Ok("a/b".to_owned()), "a prefix that is a kind is one");
        assert_eq!(of("tail", "a\\xff").expect_err("no UTF-8").kind, Kind::Usage);
    }

    #[test]
    fn what_cannot_be_a_topic_or_a_filter_is_refused() {
        for topic in ["", "a/+", "#", "a\0", "$share/g/a"] {
            assert_eq!(check_topic("publish to", topic).expect_err(topic).kind, Kind::Usage);
        }
        for filter in ["", "a#", "a/#/b", "a+/b", "$share/g", "$share/+/a", "$share//a", "a\0b"] {
            assert_eq!(check_filter("tail", filter).expect_err(filter).kind, Kind::Usage);
        }
        for filter in ["a", "/", "+/+", "a/#", "$share/g/a/#", "$SYS/#"] {
            check_filter("tail", filter).expect(filter);
        }
    }

    proptest! {
        #[test]
        fn any_topic_reads_back_from_its_address(bytes in names()) {
            let Ok(topic) = String::from_utf8(bytes) else { return Ok(()) };
            check_that_it_reads_back(KINDS, &name(&topic));
            prop_assert_eq!(of("tail", &name(&topic)), Ok(topic));
        }
    }
}
