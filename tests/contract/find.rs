//! A search finds what a reading of everything finds: the same messages, in the same order, and counts all of them.

use super::history::WHOLE;
use crate::support::subjects::{Subject, header, outgoing, place, read, subjects};
use mqdeck::domain::message::Message;
use mqdeck::domain::position::{Bound, Range};
use mqdeck::domain::search::{Scope, Tally, Verdict};
use mqdeck::domain::time::Timestamp;
use mqdeck::gateway::filter::{Filter, Prefilter, Wanted};
use mqdeck::wire::decoder::Decoder;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// 2026-02-05T10:00:00Z.
const FIRST: i64 = 1_770_285_600_000;
const MESSAGES: i64 = 600;

/// JSON with and without escapes, MessagePack, text, bytes that nobody can decode, and tombstones, in two of three partitions.
async fn fill(subject: &Subject) {
    let publish = subject.session.publish.as_ref().expect("the system takes messages");
    let sent = (0..MESSAGES).map(|n| {
        let payload = match n % 10 {
            0 => Some(format!("{{\"n\":{n},\"word\":\"\\u006eeedle\"}}").into_bytes()),
            1 => Some([&[0x82, 0xa1, b'n', 0xcd][..], &(n as u16).to_be_bytes(), b"\xa4word\xa6needle"].concat()),
            2 => Some(b"only words, one of them a needle".to_vec()),
            3 => Some(vec![0xff, 0xfe, n as u8]),
            4 => None,
            _ => Some(format!("{{\"n\":{n},\"word\":\"hay\",\"n\":-1}}").into_bytes()),
        };
        let mut message = outgoing((n % 2) as i32, Some(&format!("k{}", n % 7)), None);
        message.payload = payload.map(Into::into);
        message.headers = vec![header("env", Some(if n % 50 == 0 { b"prod" } else { b"test" }))];
        message.timestamp = Some(Timestamp(FIRST + n));
        publish.publish(&subject.topic, message)
    });
    for receipt in futures::future::join_all(sent).await {
        receipt.expect("stored");
    }
}

/// What a search keeps and counts, lane by lane.
async fn scan(subject: &Subject, scope: &Scope, query: &str, wanted: Wanted) -> (Vec<Message>, Tally) {
    let history = subject.session.history.as_ref().expect("the system has history");
    let filter = Arc::new(Prefilter::new(Filter::parse(query).expect("a query"), wanted));
    let (mut kept, mut counts) = (Vec::new(), Tally::default());
    for mut lane in history.scan(&subject.topic, scope, filter).await.expect("a search").lanes {
        let mut passed = 0;
        while let Some(item) = futures::StreamExt::next(&mut lane.batches).await {
            let item = item.expect("nothing is damaged");
            passed += item.counts.passed;
            counts.add(&item.counts);
            kept.extend(item.kept.into_iter().map(|kept| kept.message));
        }
        assert!(passed <= lane.at_most, "{}: a lane passed more than it announced", subject.system);
    }
    (kept, counts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_and_counts_what_a_reading_of_everything_does() {
    for subject in subjects("find", 3).await {
        fill(&subject).await;
        let all = read(&subject.session, &subject.topic, WHOLE).await.expect("history");
        assert_eq!(all.len() as i64, MESSAGES, "{}", subject.system);
        for query in [
            "",
            "needle",
            "Needle",
            "value contains \"needle\"",
            "value.word == \"needle\"",
            "value.n > 100",
            "value.n == -1",
            "value.missing exists",
            "value == null",
            "value matches /ne+dle/",
            "value matches /^only/",
            "headers.env == \"prod\"",
            "key == \"k3\" and not value.word == \"hay\"",
            "nowhere or headers.env == \"prod\"",
            "jq '.n > 100'",
            "jq '.n + 1 == 2'",
        ] {
            let filter = Filter::parse(query).expect("a query");
            let by = |verdicts: &[Verdict]| {
                all.iter().filter(|m| verdicts.contains(&filter.test(m, &Decoder::default()))).cloned().collect::<Vec<_>>()
            };
            let (matched, undecodable, failed) = (by(&[Verdict::Passes]), by(&[Verdict::Undecodable]), by(&[Verdict::Failed]));
            let (kept, counts) = scan(&subject, &Scope::of(WHOLE), query, Wanted::Matches).await;
            assert_eq!(kept, matched, "{}: {query}", subject.system);
            assert_eq!(
                (counts.scanned, counts.matched, counts.undecodable, counts.failed),
                (all.len() as u64, matched.len() as u64, undecodable.len() as u64, failed.len() as u64),
                "{}: {query}",
                subject.system
            );
            assert_eq!(counts.bytes, all.iter().map(|message| message.size() as u64).sum::<u64>(), "{}: {query}", subject.system);
            assert_eq!(counts.paths.iter().sum::<u64>(), counts.scanned, "{}: {query}", subject.system);
            let (kept, _) = scan(&subject, &Scope::of(WHOLE), query, Wanted::Undecided).await;
            assert_eq!(kept, by(&[Verdict::Undecodable, Verdict::Failed]), "{}: {query}", subject.system);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_outside_of_a_scope_may_be_left_out_and_what_lies_inside_may_not() {
    for subject in subjects("scope", 3).await {
        fill(&subject).await;
        let all = read(&subject.session, &subject.topic, WHOLE).await.expect("history");
        let scopes = [
            Scope { partitions: Some(BTreeSet::from([1])), ..Scope::of(WHOLE) },
            Scope { offsets: 100..=149, ..Scope::of(WHOLE) },
            Scope { times: FIRST + 500..=i64::MAX, ..Scope::of(WHOLE) },
            Scope { offsets: 280..=i64::MAX, times: i64::MIN..=FIRST + 590, ..Scope::of(WHOLE) },
            Scope { offsets: RangeInclusive::new(5, 4), ..Scope::of(WHOLE) },
            Scope { partitions: Some(BTreeSet::from([17])), ..Scope::of(WHOLE) },
            Scope { offsets: 10..=20, ..Scope::of(Range { start: Bound::Each(15), end: Bound::Latest }) },
        ];
        for scope in scopes {
            let (kept, counts) = scan(&subject, &scope, "", Wanted::Matches).await;
            let kept: BTreeSet<_> = kept.iter().map(place).collect();
            let from = if let Bound::Each(from) = scope.range.start { from } else { 0 };
            let inside = all.iter().filter(|message| {
                let (partition, offset) = place(message);
                let time = message.timestamp.expect("a time").0;
                scope.holds(partition) && offset >= from && scope.offsets.contains(&offset) && scope.times.contains(&time)
            });
            let missing: Vec<_> = inside.map(place).filter(|place| !kept.contains(place)).collect();
            assert_eq!(missing, [], "{}: {scope:?}", subject.system);
            if subject.system == "kafka" && *scope.times.start() > 0 {
                assert_eq!(counts.scanned, 100, "the broker knows where a time begins");
            }
        }
    }
}
