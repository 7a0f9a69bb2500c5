//! Mutation fuzz over everything that the link decodes: answers as a real broker gave them (`captured.txt`: API, version, body) and
//! batches of every kind, with bytes flipped, lengths changed, cut off and extended. Nothing may panic, run on, or allocate more than
//! the bytes that came can justify.
//!
//! Runs in a process of its own, so that nothing else is measured. `MQDECK_FUZZ_SEED=N` repeats a run, `MQDECK_FUZZ_SECONDS=N` makes it
//! longer.

use super::api::Request;
use super::batch::HEADER;
use super::codec::OUTPUT_CAP;
use super::codec::tests::CODECS;
use super::fetch::Part;
use super::sample::{Sample, Written, batch, marker, sample};
use super::walk::{Partition, Step};
use crate::domain::message::Header;
use bytes::Bytes;
use fastrand::Rng;
use kafka_protocol::messages::{
    ApiVersionsRequest, ConsumerGroupDescribeRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeShareGroupOffsetsRequest, ElectLeadersRequest, FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    ListGroupsRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    SaslAuthenticateRequest, SaslHandshakeRequest, ShareGroupDescribeRequest,
};
use kafka_protocol::protocol::VersionRange;
use peak_alloc::PeakAlloc;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const CHILD: &str = "MQDECK_FUZZ_CHILD";
const CAPTURED: &str = include_str!("captured.txt");
/// Mutated inputs of each kind, if no time is given.
const ROUNDS: u32 = 12_000;
/// Every array element was checked to be there, with a byte at least, before room for it is made; the largest struct has some 300 bytes.
const PER_BYTE: usize = 400;
/// What a fault's text and the like may take.
const SLACK: usize = 256 << 10;

/// One kind of answer.
struct Target {
    name: &'static str,
    spoken: VersionRange,
    decode: fn(Bytes, i16),
}

fn target<A: Request>(name: &'static str) -> Target {
    let decode = |body, version| {
        if let Ok(answer) = A::read(body, version) {
            A::throttle_ms(&answer);
            A::about_answer(&answer);
        }
    };
    Target { name, spoken: A::SPOKEN, decode }
}

/// Every request of the link.
fn targets() -> Vec<Target> {
    vec![
        target::<ApiVersionsRequest>("ApiVersions"),
        target::<ConsumerGroupDescribeRequest>("ConsumerGroupDescribe"),
        target::<CreatePartitionsRequest>("CreatePartitions"),
        target::<CreateTopicsRequest>("CreateTopics"),
        target::<DeleteGroupsRequest>("DeleteGroups"),
        target::<DeleteRecordsRequest>("DeleteRecords"),
        target::<DeleteTopicsRequest>("DeleteTopics"),
        target::<DescribeAclsRequest>("DescribeAcls"),
        target::<DescribeConfigsRequest>("DescribeConfigs"),
        target::<DescribeGroupsRequest>("DescribeGroups"),
        target::<DescribeLogDirsRequest>("DescribeLogDirs"),
        target::<DescribeShareGroupOffsetsRequest>("DescribeShareGroupOffsets"),
        target::<ElectLeadersRequest>("ElectLeaders"),
        target::<FetchRequest>("Fetch"),
        target::<FindCoordinatorRequest>("FindCoordinator"),
        target::<IncrementalAlterConfigsRequest>("IncrementalAlterConfigs"),
        target::<ListGroupsRequest>("ListGroups"),
        target::<ListOffsetsRequest>("ListOffsets"),
        target::<MetadataRequest>("Metadata"),
        target::<OffsetCommitRequest>("OffsetCommit"),
        target::<OffsetDeleteRequest>("OffsetDelete"),
        target::<OffsetFetchRequest>("OffsetFetch"),
        target::<SaslAuthenticateRequest>("SaslAuthenticate"),
        target::<SaslHandshakeRequest>("SaslHandshake"),
        target::<ShareGroupDescribeRequest>("ShareGroupDescribe"),
    ]
}

/// Bodies of this API as a broker gave them, each with its version.
fn captured(name: &str) -> Vec<(i16, Vec<u8>)> {
    let lines = CAPTURED.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split_once(' '));
    let byte = |hex: &str| u8::from_str_radix(hex, 16).expect("hex");
    lines
        .map(|(version, hex)| (version.parse().expect("a version"), (0..hex.len()).step_by(2).map(|at| byte(&hex[at..at + 2])).collect()))
        .collect()
}

/// A body for an API of which none was captured: counts and lengths that can be true.
fn small_numbers(random: &mut Rng) -> Vec<u8> {
    (0..random.usize(..200)).map(|_| if random.u32(..3) == 0 { random.u8(..6) } else { 0 }).collect()
}

/// Partitions as a broker or client writes them.
fn partitions() -> Vec<Vec<u8>> {
    let headers = vec![
        Header { name: Bytes::from_static(b"a"), value: None },
        Header { name: Bytes::new(), value: Some(Bytes::from_static(b"\xff\x00")) },
    ];
    let peculiar = |offset| Sample { offset, timestamp: -1, key: Some(Bytes::new()), value: None, headers: headers.clone() };
    let mut all: Vec<Vec<u8>> = CODECS
        .iter()
        .map(|codec| {
            let how = Written { codec: *codec, attributes: 0x10, producer_id: 7, last_offset: Some(30), ..Written::default() };
            let records: Vec<Sample> = (3..20).map(|n| if n % 3 == 0 { peculiar(n) } else { sample(n, "0123456789 0123456789") }).collect();
            [batch(3, how, &records), marker(31, 7, false), batch(40, Written { codec: *codec, ..Written::default() }, &[sample(40, "x")])]
                .concat()
        })
        .collect();
    all.push(batch(0, Written { last_offset: Some(9), ..Written::default() }, &[]));
    all
}

/// Changes a few things, as damage and malice do.
fn mutate(random: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..random.u32(1..5) {
        let at = random.usize(..=bytes.len().saturating_sub(1));
        match random.u32(..7) {
            0 => bytes.truncate(at),
            1 => bytes.extend((0..random.usize(..20)).map(|_| random.u8(..))),
            2 => {
                let part = bytes[at.min(bytes.len())..].iter().copied().take(16).collect::<Vec<u8>>();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), part);
            }
            3 => {
                // A count or a length, in all its widths.
                let value =
                    *random.choice(&[0_u32, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x00ff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX]).expect("one");
                let width = random.usize(1..=4);
                for (place, byte) in bytes.iter_mut().skip(at).zip(&value.to_be_bytes()[4 - width..]) {
                    *place = *byte;
                }
            }
            4 => {
                // A long varint.
                for place in bytes.iter_mut().skip(at).take(random.usize(1..10)) {
                    *place |= 0x80;
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u32(..8);
                }
            }
        }
    }
}

/// Makes the checksums right, so that what they cover is read.
fn with_checksums(bytes: &mut [u8]) {
    let mut at = 0;
    while at + HEADER <= bytes.len() {
        let length = bytes[at + 8..at + 12].iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
        let Some(end) = (at + 12).checked_add(length).filter(|end| *end <= bytes.len() && length > HEADER - 12) else { return };
        let sum = crc32c::crc32c(&bytes[at + 21..end]).to_be_bytes();
        bytes[at + 17..at + 21].copy_from_slice(&sum);
        at = end;
    }
}

/// Reads a partition's bytes in every way that the link does.
fn walk(bytes: &Bytes) {
    let partition = Partition { topic: "orders".into(), index: 0 };
    let part = || Part::good(partition.clone(), bytes.clone());
    part().end();
    for whole in [false, true] {
        let mut walk = part().walk(5, i64::MAX - 1).without_aborted([(7, 3), (7, 35)]);
        if whole {
            walk.insist();
        }
        // Each step brings a message, or passes over a batch.
        for step in 0.. {
            assert!(step <= bytes.len() * 1_100 + 10, "the walk runs on");
            match walk.step(500) {
                Step::Messages(messages) => assert!(!messages.is_empty()),
                Step::Damaged(damage) => drop((damage.offsets(), damage.fault("read", &partition).to_string())),
                Step::End => break,
            }
        }
        walk.cut_off();
        walk.next_offset();
    }
}

/// Runs one input; what it allocated at most beyond what was there before.
fn run(name: &str, seed: u64, bytes: &[u8], read: impl Fn(Bytes)) -> usize {
    let body = Bytes::copy_from_slice(bytes);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let done = catch_unwind(AssertUnwindSafe(|| read(body)));
    let most = MEMORY.peak_usage().saturating_sub(before);
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(done.is_ok(), "{name} of MQDECK_FUZZ_SEED={seed} panicked on {}", hex());
    most
}

/// Not a test: what the one below starts.
#[test]
fn fuzzing() {
    let Some(seconds) = std::env::var(CHILD).ok() else { return };
    let limit = seconds.parse().ok().map(Duration::from_secs);
    let seed: u64 = std::env::var("MQDECK_FUZZ_SEED").ok().map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"));
    let began = Instant::now();
    let goes_on = |round: u32| limit.map_or(round < ROUNDS, |limit| began.elapsed() < limit);
    let mut random = Rng::with_seed(seed);
    let (targets, partitions) = (targets(), partitions());
    let bodies: Vec<_> = targets.iter().map(|target| captured(target.name)).collect();
    let (mut round, mut greed) = (0, 0);
    while goes_on(round) {
        for (target, bodies) in targets.iter().zip(&bodies) {
            let (mut version, mut bytes) =
                random.choice(bodies).cloned().unwrap_or_else(|| (target.spoken.max, small_numbers(&mut random)));
            if random.u32(..4) == 0 {
                version = random.i16(target.spoken.min..=target.spoken.max);
            }
            mutate(&mut random, &mut bytes);
            let most = run(target.name, seed, &bytes, |body| (target.decode)(body, version));
            assert!(
                most <= bytes.len() * PER_BYTE + SLACK,
                "{} of MQDECK_FUZZ_SEED={seed}: {} bytes made it allocate {most}",
                target.name,
                bytes.len()
            );
            greed = greed.max(most / bytes.len().max(1));
        }
        let kind = random.usize(..partitions.len());
        let mut bytes = partitions[kind].clone();
        mutate(&mut random, &mut bytes);
        if random.u32(..4) > 0 {
            with_checksums(&mut bytes);
        }
        let most = run("a partition", seed, &bytes, |body| walk(&body));
        // A batch may be compressed, and no batch becomes larger than the cap; the buffer doubles while it grows.
        let cap = if kind == 0 { bytes.len() * PER_BYTE + SLACK } else { 3 * OUTPUT_CAP };
        assert!(most <= cap, "MQDECK_FUZZ_SEED={seed}: a partition of {} bytes made the walk allocate {most}", bytes.len());
        round += 1;
    }
    println!("MQDECK_FUZZ_SEED={seed}: {round} rounds, at most {greed} bytes allocated a byte of an answer, {:?}", began.elapsed());
}

#[test]
fn no_answer_however_damaged_makes_the_link_panic_run_on_or_allocate_without_bound() {
    let name = concat!(module_path!(), "::fuzzing");
    let (_, name) = name.split_once("::").expect("the crate's name before it");
    let seconds = std::env::var("MQDECK_FUZZ_SECONDS").unwrap_or_default();
    let mut child = Command::new(std::env::current_exe().expect("the test binary"));
    let done = child.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, seconds).output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    println!("{said}");
    assert!(done.status.success() && said.contains("rounds"), "{said}");
}

#[test]
fn every_answer_that_the_link_reads_is_fuzzed() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters/kafka/link");
    let names: Vec<&str> = targets().iter().map(|target| target.name).collect();
    for file in std::fs::read_dir(here).expect("the link's sources").map(|file| file.expect("a file").path()) {
        let text = std::fs::read_to_string(&file).expect("text");
        for line in text.lines().filter_map(|line| line.strip_prefix("impl Ask for ")) {
            let name = line.split_once("Request").expect("a request").0;
            assert!(names.contains(&name), "{}: {name} is missing in `targets()`", file.display());
        }
    }
}
