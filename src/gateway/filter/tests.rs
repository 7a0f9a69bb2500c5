//! Whatever is told by raw bytes or by a path alone must be what the whole decoded message says.

use super::*;
use crate::domain::message::{Header, HeaderTest};
use crate::domain::position::Position;
use crate::domain::query::Undecodable;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::wire::decoder::Decoder;
use crate::wire::json;
use bytes::Bytes;
use proptest::prelude::*;

/// A message as a query sees it when everything is decoded first.
struct Decoded<'a> {
    message: &'a Message,
    value: Result<Option<Value>, Undecodable>,
    key: Option<Value>,
}

impl<'a> Decoded<'a> {
    fn new(message: &'a Message) -> Self {
        let found = message.payload.as_deref().map(|bytes| Decoder::default().find(bytes, &message.headers));
        let value = match found {
            Some(found) if !found.understood => Err(Undecodable),
            found => Ok(found.map(|found| found.value)),
        };
        let key = message.key.as_deref().and_then(|key| json::read(key).ok()).map(|document| document.value);
        Self { message, value, key }
    }
}

impl Record for Decoded<'_> {
    fn topic(&self) -> &str {
        &self.message.channel
    }
    fn partition(&self) -> Option<i32> {
        self.message.position.partition()
    }
    fn offset(&self) -> Option<i64> {
        self.message.position.number()
    }
    fn timestamp(&self) -> Option<Timestamp> {
        self.message.timestamp
    }
    fn size(&self) -> usize {
        self.message.size()
    }
    fn key(&self) -> Option<&[u8]> {
        self.message.key.as_deref()
    }
    fn any_header(&self, test: &mut HeaderTest<'_>) -> bool {
        self.message.headers.iter().any(|header| test(&header.name, header.value.as_deref()))
    }
    fn payload(&self) -> Option<&[u8]> {
        self.message.payload.as_deref()
    }
    fn value(&self) -> Result<Option<&Value>, Undecodable> {
        self.value.as_ref().map(Option::as_ref).map_err(|error| *error)
    }
    fn key_value(&self) -> Option<&Value> {
        self.key.as_ref()
    }
}

fn expected(query: &Query, message: &Message) -> Verdict {
    match query.matches(&Decoded::new(message)) {
        Ok(true) => Verdict::Passes,
        Ok(false) => Verdict::Fails,
        Err(Undecided::Undecodable) => Verdict::Undecodable,
        Err(Undecided::Failed(_)) => Verdict::Failed,
    }
}

/// Words that stand in messages and in queries.
const WORDS: [&str; 14] = ["a", "b", "ab", "B", "é", "ß", "K", "\u{212a}", "1", "12", "true", "x y", "c\"d", "e\\f"];

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&WORDS[..])
}

/// A JSON string, some of its characters escaped that need not be.
fn quoted() -> impl Strategy<Value = String> {
    (word(), word(), any::<u8>(), any::<bool>()).prop_map(|(one, two, escaped, long)| {
        let text = if long { format!("{one}{two}") } else { one.to_owned() };
        let written = text.chars().enumerate().map(|(index, c)| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if escaped >> (index % 8) & 1 == 1 && escaped > 200 => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        });
        format!("\"{}\"", written.collect::<String>())
    })
}

fn json_text() -> impl Strategy<Value = String> {
    let number = prop::sample::select(vec!["1", "12", "1.0", "-0", "1e1", "12345678901234567890"]);
    let leaf = prop_oneof![
        3 => quoted(),
        2 => number.prop_map(str::to_owned),
        1 => prop::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned),
    ];
    let space = prop::sample::select(vec!["", " ", "\n"]);
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let member = (prop_oneof![quoted(), Just("\"a\"".to_owned()), Just("\"b\"".to_owned())], inner.clone(), space.clone());
        prop_oneof![
            3 => prop::collection::vec(member, 0..4).prop_map(|members| {
                let members: Vec<_> = members.into_iter().map(|(name, value, space)| format!("{space}{name}:{space}{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

/// A MessagePack map of short texts, numbers and bytes.
fn message_pack() -> impl Strategy<Value = Vec<u8>> {
    let text = |word: &str| [&[0xa0 | word.len() as u8][..], word.as_bytes()].concat();
    let value = prop_oneof![
        word().prop_map(text),
        prop::sample::select(vec![vec![1], vec![12], vec![0xcd, 0x30, 0x39], vec![0xc4, 2, b'a', 0xff], vec![0xc3], vec![0xc0]]),
    ];
    prop::collection::vec((word(), value), 0..4).prop_map(move |entries| {
        let body: Vec<u8> = entries.iter().flat_map(|(name, value)| [text(name), value.clone()].concat()).collect();
        [vec![0x80 | entries.len() as u8], body].concat()
    })
}

fn payload() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        6 => json_text().prop_map(|text| Some(text.into_bytes())),
        2 => json_text().prop_map(|text| Some([b"\0\0\0\0\x01", text.as_bytes()].concat())),
        2 => message_pack().prop_map(Some),
        2 => (word(), word()).prop_map(|(a, b)| Some(format!("{a} {b}").into_bytes())),
        1 => json_text().prop_map(|text| Some(text.as_bytes()[..text.len() - 1].to_vec())),
        1 => json_text().prop_map(|text| Some([vec![b'['; 129], text.into_bytes(), vec![b']'; 129]].concat())),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(Some),
        1 => prop::sample::select(vec![None, Some(Vec::new()), Some(b"\x0c".to_vec()), Some(b"\0\0\0\0\x02\x02a".to_vec())]),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let key = prop_oneof![Just(None), word().prop_map(|word| Some(word.to_owned())), json_text().prop_map(Some)];
    let kind = prop::sample::select(vec![None, None, None, Some("application/json"), Some("application/msgpack"), Some("text/plain")]);
    let own = prop::option::of(prop::option::of(word()));
    (key, payload(), kind, own, 0_i64..9).prop_map(|(key, payload, kind, own, offset)| {
        let mut headers = Vec::new();
        headers.extend(own.map(|own| Header { name: "h".into(), value: own.map(Bytes::from) }));
        headers.extend(kind.map(|kind| Header { name: "content-type".into(), value: Some(kind.into()) }));
        Message {
            timestamp: Some(Timestamp(offset)),
            key: key.map(Bytes::from),
            headers,
            payload: payload.map(Bytes::from),
            ..Message::at("orders", Position::Offset { partition: 0, offset })
        }
    })
}

fn in_quotes(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

fn regex() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["/a.?b/", "/^a/", "/b$/", "/[ab]+1?/", "/é|K/i", "/\\ba/", "/1\\d/", "/k/i", "/true|12/", "/a*/"])
}

/// Bytes that stand in some of the payloads, texts or not.
fn bytes() -> impl Strategy<Value = String> {
    let some = prop::sample::select(vec![&b"a\xff"[..], b"\xff", b"\0\0\0\0", b"{", b"\x0c", b"\xcd\x30", b"true", b""]);
    prop_oneof![word().prop_map(|word| word.as_bytes().to_vec()), some.prop_map(<[u8]>::to_vec)]
        .prop_map(|bytes| crate::domain::query::Literal::Bytes(bytes).to_string())
}

fn test() -> impl Strategy<Value = String> {
    let text = || word().prop_map(in_quotes);
    let predicate = prop_oneof![
        text().prop_map(|text| format!("== {text}")),
        text().prop_map(|text| format!("!= {text}")),
        prop::sample::select(vec!["== 1", "!= 12", "> 0", "<= 1", "== true", "== null", "exists", "in (\"a\", 12)", "in (\"ab\", null)"])
            .prop_map(str::to_owned),
        text().prop_map(|text| format!("contains {text}")),
        text().prop_map(|text| format!("contains~ {text}")),
        text().prop_map(|text| format!("starts with {text}")),
        text().prop_map(|text| format!("ends with {text}")),
        regex().prop_map(|regex| format!("matches {regex}")),
        (text(), text()).prop_map(|(a, b)| format!("in ({a}, {b})")),
        (bytes(), prop::sample::select(vec!["==", "!=", "contains", "starts with", "ends with"])).prop_map(|(b, is)| format!("{is} {b}")),
        (bytes(), text()).prop_map(|(a, b)| format!("in ({a}, {b})")),
    ];
    let field = prop::sample::select(vec![
        "value",
        "value",
        "value.a",
        "value.a",
        "value.b",
        "value.a.b",
        "value[0]",
        "value.a[1].b",
        "value.\"x y\"",
        "key",
        "key.a",
        "headers.h",
    ]);
    (field, predicate).prop_map(|(field, predicate)| format!("{field} {predicate}"))
}

fn query() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => test(),
        2 => word().prop_map(in_quotes),
        1 => bytes(),
        1 => regex().prop_map(str::to_owned),
        1 => prop::sample::select(vec!["headers contains \"a\"", "offset > 3", "size < 9", "jq '.a == 1'", "jq '.a | length > 1'"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn neither_the_look_at_raw_bytes_nor_the_lazy_reader_changes_an_answer(
        messages in prop::collection::vec(message(), 1..5),
        query in query(),
    ) {
        let filter = Filter::parse(&query).expect("a query");
        let message_filter = Prefilter::new(filter.clone(), Wanted::Matches);
        // As a batch has them: one behind the other, with something else in between.
        let mut bytes = Vec::new();
        for message in &messages {
            bytes.extend_from_slice(&[0xd0, 0x5c, b'a']);
            bytes.extend(message.key.iter().flatten());
            bytes.push(0x92);
            bytes.extend(message.payload.iter().flatten());
            for header in &message.headers {
                bytes.extend(header.name.iter().chain([&1]).chain(header.value.iter().flatten()));
            }
        }
        let hint = message_filter.prefilter_chunk(&bytes);
        for message in &messages {
            let expected = expected(&filter.query, message);
            prop_assert_eq!(filter.test(message, &Decoder::default()), expected, "as a whole: {} {:?}", query, message);
            prop_assert_eq!(message_filter.evaluate(&message.into(), ChunkHint::default()).verdict, expected, "alone: {} {:?}", query, message);
            prop_assert_eq!(message_filter.evaluate(&message.into(), hint).verdict, expected, "in a batch: {} {:?}", query, message);
        }
    }
}

fn judged(query: &str, payload: &[u8]) -> (Verdict, Path) {
    let message = Message { payload: Some(Bytes::copy_from_slice(payload)), ..Message::at("orders", Position::Sequence(1)) };
    let message_filter = Prefilter::new(Filter::parse(query).expect("a query"), Wanted::Matches);
    let evaluation = message_filter.evaluate(&(&message).into(), message_filter.prefilter_chunk(payload));
    (evaluation.verdict, evaluation.path)
}

#[test]
fn the_cheapest_way_that_is_sure_decides() {
    for (query, payload, verdict, path) in [
        ("Missing", &br#"{"a":"b"}"#[..], Verdict::Fails, Path::Literal),
        ("value.missing > 1", br#"{"a":"b"}"#, Verdict::Fails, Path::Literal),
        ("value matches /mis+ing/", br#"{"a":"b"}"#, Verdict::Fails, Path::Literal),
        ("value.a > 1", br#"{"a":2}"#, Verdict::Passes, Path::Lazy),
        // What is escaped is not in the raw bytes, and must be found all the same.
        ("Missing", br#"{"a":"\u004dissing"}"#, Verdict::Passes, Path::Lazy),
        ("value.missing > 1", br#"{"m\u0069ssing":2}"#, Verdict::Passes, Path::Lazy),
        // 12345 as a MessagePack number.
        ("value contains \"12345\"", b"\x81\xa1a\xcd\x30\x39", Verdict::Passes, Path::Decoded),
        ("Missing", b"\xff\xfe", Verdict::Undecodable, Path::Decoded),
        // Bytes are what is stored: nothing is decoded for them, whatever it is.
        ("value contains b\"\\xff\\xfd\"", b"\xff\xfe", Verdict::Fails, Path::Literal),
        ("value starts with b\"\\xff\"", b"\xff\xfe", Verdict::Passes, Path::Literal),
        ("value == b\"Missing\"", br#"{"a":"\u004dissing"}"#, Verdict::Fails, Path::Literal),
        ("jq '.a == 2'", br#"{"a":2}"#, Verdict::Passes, Path::Jq),
        ("jq '.a.b'", br#"{"a":2}"#, Verdict::Failed, Path::Jq),
        // Cut off at its end it is no JSON, so that it has no places.
        ("value.a > 1", br#"{"a":2"#, Verdict::Fails, Path::Decoded),
    ] {
        assert_eq!(judged(query, payload), (verdict, path), "{query} {payload:?}");
    }
}
