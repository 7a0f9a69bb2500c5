//! What the record walk gives, and what it leaves out.

use super::super::codec::Codec;
use super::super::codec::tests::{CODECS, compress_xerial};
use super::super::sample::{Sample, Written, batch, marker, record, sample, with_body};
use super::*;
use proptest::prelude::*;

const ALL: i64 = i64::MAX;

fn partition() -> Partition {
    Partition { topic: "orders".into(), index: 3 }
}

fn walk(answer: &[u8], from: i64, until: i64) -> Walk {
    Walk::new(partition(), Bytes::copy_from_slice(answer), from, until)
}

/// Everything a walk gives, in steps of `most`.
fn run(walk: &mut Walk, most: usize) -> (Vec<Message>, Vec<Damage>) {
    let (mut messages, mut damages) = (Vec::new(), Vec::new());
    loop {
        match walk.step(most) {
            Step::Messages(some) => messages.extend(some),
            Step::Damaged(damage) => damages.push(damage),
            Step::End => return (messages, damages),
        }
    }
}

fn offsets(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|m| if let Position::Offset { offset, .. } = m.position { offset } else { -1 }).collect()
}

fn message(sample: &Sample) -> Message {
    Message {
        timestamp: (sample.timestamp != -1).then_some(Timestamp(sample.timestamp)),
        key: sample.key.clone(),
        headers: sample.headers.clone(),
        payload: sample.value.clone(),
        ..Message::at("orders", Position::Offset { partition: 3, offset: sample.offset })
    }
}

#[test]
fn compaction_holes_and_offsets_outside_of_the_range_are_left_out() {
    let answer = [batch(10, Written::default(), &[sample(10, "a"), sample(12, "c"), sample(17, "h")]), {
        let how = Written { last_offset: Some(29), ..Written::default() };
        batch(20, how, &[sample(21, "x"), sample(25, "y")])
    }]
    .concat();
    for (from, until, got, next) in [
        (10, ALL, &[10, 12, 17, 21, 25][..], 30),
        (11, ALL, &[12, 17, 21, 25], 30),
        (11, 17, &[12], 18),
        (12, 25, &[12, 17, 21], 30),
        (26, ALL, &[], 30),
        (11, 11, &[], 11),
    ] {
        for most in [1, 2, 100] {
            let mut walk = walk(&answer, from, until);
            assert_eq!(offsets(&run(&mut walk, most).0), got, "{from}..{until} by {most}");
            assert_eq!(walk.next_offset(), next, "{from}..{until}");
        }
    }
}

#[test]
fn a_batch_emptied_by_compaction_moves_the_walk_on() {
    let how = Written { last_offset: Some(19), ..Written::default() };
    let mut walk = walk(&batch(10, how, &[]), 10, ALL);
    assert_eq!(run(&mut walk, 10), (vec![], vec![]));
    assert_eq!(walk.next_offset(), 20);
}

#[test]
fn aborted_transactions_and_markers_are_left_out() {
    let by = |producer_id| Written { attributes: 0x10, producer_id, ..Written::default() };
    let answer = [
        batch(0, by(7), &[sample(0, "aborted")]),
        batch(1, by(8), &[sample(1, "committed")]),
        batch(2, Written { producer_id: 7, ..Written::default() }, &[sample(2, "not transactional")]),
        batch(3, by(7), &[sample(3, "aborted too")]),
        marker(4, 8, true),
        marker(5, 7, false),
        batch(6, by(7), &[sample(6, "the next transaction of the same producer")]),
        marker(7, 7, true),
        batch(8, by(7), &[sample(8, "aborted once more")]),
        marker(9, 7, false),
    ]
    .concat();
    let mut committed = walk(&answer, 0, ALL).without_aborted([(7, 8), (7, 0)]);
    assert_eq!(offsets(&run(&mut committed, 10).0), [1, 2, 6]);
    assert_eq!(committed.next_offset(), 10);
    assert_eq!(offsets(&run(&mut walk(&answer, 0, ALL), 10).0), [0, 1, 2, 3, 6, 8], "an answer that names none hides only markers");
}

#[test]
fn a_batch_stamped_by_the_broker_has_one_time_and_says_so() {
    let how = Written { attributes: 0x08, max_timestamp: Some(99_000), ..Written::default() };
    let (messages, _) = run(&mut walk(&batch(0, how, &[sample(0, "a"), sample(1, "b")]), 0, ALL), 10);
    assert!(messages.iter().all(|m| m.timestamp == Some(Timestamp(99_000)) && m.stamp == Stamp::Stored));
    let untimed = Sample { timestamp: -1, ..sample(0, "a") };
    let (messages, _) = run(&mut walk(&batch(0, Written::default(), &[untimed]), 0, ALL), 10);
    assert_eq!(messages[0].timestamp, None);
}

#[test]
fn messages_share_the_bytes_they_were_read_from() {
    let answer = Bytes::from(batch(0, Written::default(), &[sample(0, "shared")]));
    let (messages, _) = run(&mut Walk::new(partition(), answer.clone(), 0, ALL), 10);
    let payload = messages[0].payload.as_ref().unwrap();
    assert!(answer.as_ptr_range().contains(&payload.as_ptr()));
}

#[test]
fn snappy_in_javas_framing_is_read() {
    let samples = [sample(0, &"x".repeat(50_000)), sample(1, "y")];
    let body: Vec<u8> = samples.iter().flat_map(|s| record(0, 1_000, s)).collect();
    let how = Written { codec: Codec::Snappy, ..Written::default() };
    let answer = with_body(0, how, 1_000, &samples, &compress_xerial(&body));
    assert_eq!(run(&mut walk(&answer, 0, ALL), 10).0, samples.iter().map(message).collect::<Vec<_>>());
}

#[test]
fn damage_is_named_and_the_walk_goes_on_behind_it() {
    let first = batch(0, Written::default(), &[sample(0, "a"), sample(1, "b")]);
    let second = batch(2, Written::default(), &[sample(2, "c"), sample(3, "d")]);
    let third = batch(4, Written::default(), &[sample(4, "e")]);
    let size = second.len();
    for (at, with) in [(size - 2, 1_u8), (30, 1), (17, 1), (16, 9), (26, 0xff), (8, 0x80), (9, 0), (11, 0xff), (11, 1)] {
        let mut bad = second.clone();
        bad[at] ^= with;
        if bad == second {
            continue;
        }
        let mut walk = walk(&[first.clone(), bad, third.clone()].concat(), 0, ALL);
        walk.insist();
        let (messages, damages) = run(&mut walk, 10);
        assert_eq!(offsets(&messages), [0, 1, 4], "byte {at}");
        assert_eq!(damages.len(), 1, "byte {at}: {damages:?}");
        assert_eq!((damages[0].base_offset, damages[0].resume), (2, Some(4)), "byte {at}");
        assert_eq!(walk.next_offset(), 5);
    }
}

#[test]
fn damage_at_the_end_of_an_answer_goes_on_where_the_header_says_if_that_fits() {
    let mut bad = batch(2, Written::default(), &[sample(2, "c"), sample(3, "d")]);
    *bad.last_mut().unwrap() ^= 1;
    let mut walk = walk(&bad, 2, ALL);
    let (_, damages) = run(&mut walk, 10);
    assert_eq!(damages[0].resume, Some(4));
    assert_eq!(walk.next_offset(), 4);
    let fault = damages[0].fault("read", &partition());
    assert_eq!((fault.kind, fault.target.as_str()), (Kind::Protocol, "orders#3@2"));
    assert!(fault.cause.as_str().contains("CRC-32C"), "{fault}");
    assert!(fault.next.as_str().starts_with("reading goes on at offset 4"), "{fault}");
}

#[test]
fn messages_before_a_malformed_record_are_given_and_the_rest_of_the_batch_is_passed_over() {
    let samples = [sample(0, "a"), sample(1, "b"), sample(2, "c")];
    let mut body: Vec<u8> = samples[..2].iter().flat_map(|s| record(0, 1_000, s)).collect();
    body.extend([9; 3]);
    let answer = [with_body(0, Written::default(), 1_000, &samples, &body), batch(3, Written::default(), &[sample(3, "d")])].concat();
    let mut walk = walk(&answer, 0, ALL);
    assert!(matches!(walk.step(10), Step::Messages(m) if offsets(&m) == [0, 1]));
    assert!(matches!(walk.step(10), Step::Damaged(d) if matches!(d.cause, Cause::Record(_)) && d.resume == Some(3)));
    assert!(matches!(walk.step(10), Step::Messages(m) if offsets(&m) == [3]));
    assert_eq!(walk.step(10), Step::End);
}

#[test]
fn a_batch_that_cannot_be_decompressed_costs_no_message_behind_it() {
    let how = Written { codec: Codec::Gzip, ..Written::default() };
    let broken = with_body(1, how, 1_000, &[sample(1, "x")], b"no gzip");
    let answer = [batch(0, how, &[sample(0, "a")]), broken, batch(2, how, &[sample(2, "c")])].concat();
    let mut walk = walk(&answer, 0, 3);
    let (messages, damages) = run(&mut walk, 10);
    assert_eq!(offsets(&messages), [0, 2]);
    assert!(matches!(&damages[..], [Damage { base_offset: 1, cause: Cause::Codec(_), resume: Some(2) }]), "{damages:?}");
    assert_eq!(walk.next_offset(), 3);
}

#[test]
fn a_damaged_header_that_claims_to_end_before_the_asked_offset_does_not_stop_the_reading() {
    let mut bad = batch(5, Written::default(), &[sample(5, "a")]);
    *bad.last_mut().unwrap() ^= 1;
    let mut walk = walk(&bad, 9, ALL);
    let (_, damages) = run(&mut walk, 10);
    assert_eq!((damages[0].resume, walk.next_offset()), (None, 10));
}

#[test]
fn old_formats_are_recognised_and_named() {
    for magic in [0, 1] {
        let mut old = batch(5, Written::default(), &[sample(5, "old")]);
        old[16] = magic;
        let answer = [old, batch(6, Written::default(), &[sample(6, "new")])].concat();
        let (messages, damages) = run(&mut walk(&answer, 5, ALL), 10);
        assert_eq!(offsets(&messages), [6]);
        let fault = damages[0].fault("read", &partition());
        assert!(fault.cause.as_str().contains(&format!("record format {magic}, which Kafka wrote until 0.11")), "{fault}");
    }
}

#[test]
fn a_codec_that_does_not_exist_is_named() {
    let answer = batch(0, Written { attributes: 5, ..Written::default() }, &[sample(0, "a")]);
    let (_, damages) = run(&mut walk(&answer, 0, ALL), 10);
    assert_eq!(damages[0].cause, Cause::Unknown("compression codec", 5));
}

#[test]
fn a_batch_that_is_cut_off_is_left_out_and_its_size_is_known() {
    let answer = [batch(0, Written::default(), &[sample(0, "a")]), batch(1, Written::default(), &[sample(1, "b")])].concat();
    let whole = answer.len() / 2;
    for cut in whole..answer.len() {
        let mut walk = walk(&answer[..cut], 0, ALL);
        let (messages, damages) = run(&mut walk, 10);
        assert_eq!((offsets(&messages), damages.len(), walk.next_offset()), (vec![0], 0, 1), "cut at {cut}");
        assert_eq!(walk.cut_off(), (cut >= whole + 12).then_some(whole), "cut at {cut}");
    }
}

#[test]
fn a_batch_can_be_searched_before_its_records_are_read() {
    let how = Written { codec: Codec::Zstd, ..Written::default() };
    let mut walk = walk(&batch(0, how, &[sample(0, "hay"), sample(1, "needle")]), 0, ALL);
    let open = walk.next_batch().unwrap().unwrap();
    assert!(memchr::memmem::find(&open.bytes, b"needle").is_some());
    let hits = Records::new(&open.bytes, open.header.count).filter_map(Result::ok).filter(|record| record.value == Some(b"needle"));
    assert_eq!(hits.map(|record| open.header.offset_of(&record)).collect::<Vec<_>>(), [1]);
    assert!(walk.next_batch().is_none());
}

fn any_bytes() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let header =
        (proptest::collection::vec(any::<u8>(), 0..9), any_bytes()).prop_map(|(name, value)| MessageHeader { name: name.into(), value });
    let one = (1..4_i64, any::<u32>(), any_bytes(), any_bytes(), proptest::collection::vec(header, 0..4));
    proptest::collection::vec(one, 1..20).prop_map(|samples| {
        let mut offset = 99;
        let place = |(gap, timestamp, key, value, headers)| {
            offset += gap;
            Sample { offset, timestamp: i64::from(timestamp), key, value, headers }
        };
        samples.into_iter().map(place).collect()
    })
}

proptest! {
    #[test]
    fn what_was_written_is_what_is_walked(samples in any_samples(), codec in 0..CODECS.len(), most in 1..30_usize) {
        let answer = batch(100, Written { codec: CODECS[codec], ..Written::default() }, &samples);
        let (messages, damages) = run(&mut walk(&answer, 0, ALL), most);
        prop_assert_eq!(damages, vec![]);
        prop_assert_eq!(messages, samples.iter().map(message).collect::<Vec<_>>());
    }

    #[test]
    fn an_answer_cut_anywhere_gives_its_whole_batches(samples in any_samples(), codec in 0..CODECS.len(), at in any::<prop::sample::Index>()) {
        let first = batch(100, Written { codec: CODECS[codec], ..Written::default() }, &samples);
        let second = batch(500, Written::default(), &[sample(500, "next")]);
        let answer = [first.clone(), second].concat();
        let cut = at.index(answer.len());
        let (messages, damages) = run(&mut walk(&answer[..cut], 0, ALL), 100);
        prop_assert_eq!(damages, vec![]);
        prop_assert_eq!(messages.len(), if cut >= first.len() { samples.len() } else { 0 });
    }

    #[test]
    fn a_flipped_byte_is_noticed_and_what_follows_is_read(samples in any_samples(), codec in 0..CODECS.len(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut first = batch(100, Written { codec: CODECS[codec], ..Written::default() }, &samples);
        let at = at.index(first.len());
        // The broker writes the base offset (0..8) and the leader's epoch (12..16) later: no checksum covers them.
        prop_assume!(!(0..8).contains(&at) && !(12..16).contains(&at));
        first[at] ^= 1 << bit;
        let answer = [first, batch(500, Written::default(), &[sample(500, "next")])].concat();
        let mut walk = walk(&answer, 0, ALL);
        walk.insist();
        let (messages, damages) = run(&mut walk, 100);
        prop_assert_eq!(damages.len(), 1, "byte {}", at);
        prop_assert_eq!(offsets(&messages), vec![500]);
    }

    #[test]
    fn garbage_never_panics_or_loops(bytes in proptest::collection::vec(any::<u8>(), 0..600), seal in any::<bool>()) {
        let mut bytes = bytes;
        if seal && bytes.len() > 61 {
            // Garbage in a frame that holds: the right length, format and checksum.
            let length = (bytes.len() - 12) as u32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        run(&mut walk(&bytes, i64::MIN, ALL).without_aborted([(1, 2)]), 10);
    }
}
