//! What the JSON reader and writer promise.

use super::*;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use std::sync::Arc;

fn value(text: &str) -> Value {
    read(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}")).value
}

#[test]
fn digits_order_and_duplicate_keys_stay_as_they_were_written() {
    for text in [
        "9007199254740993",
        "1.10",
        "-0",
        "-0.0",
        "1e400",
        "1E+05",
        "123456789012345678901234567890.000000000000000000001",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"[[],{},"",null,true,false]"#,
    ] {
        assert_eq!(compact(&value(text)), text);
    }
    let document = read(br#"{"a":1,"a":2,"b":{"c":1,"c":2},"a":3}"#).expect("JSON");
    assert_eq!(document.duplicate_keys, [Arc::<str>::from("c"), Arc::<str>::from("a")]);
    let many = format!("{{{},\"k7\":0}}", (0..40).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(","));
    assert_eq!(read(many.as_bytes()).expect("JSON").duplicate_keys, [Arc::<str>::from("k7")]);
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, offset, cause) in [
        ("", 0, "the text ends where a value was expected"),
        ("{\"a\":1,}", 7, "a key in double quotes was expected"),
        ("[1,]", 3, "a value was expected"),
        ("[1 2]", 3, "`,` or `]` was expected"),
        ("{\"a\" 1}", 5, "`:` was expected"),
        ("01", 1, "nothing more was expected"),
        ("1.", 2, "a digit was expected"),
        ("-", 1, "a digit was expected"),
        ("+1", 0, "a value was expected"),
        ("NaN", 0, "a value was expected"),
        ("'a'", 0, "a value was expected"),
        ("\"a\nb\"", 2, "a control character stands in a string"),
        ("\"\\x\"", 2, "an unknown escape stands in a string"),
        ("\"\\u12g4\"", 2, "an unknown escape stands in a string"),
        ("\"a", 2, "the string is not closed"),
        ("{\"a\":1]", 6, "`,` or `}` was expected"),
        ("\u{feff}1", 0, "a value was expected"),
        ("1 // c", 2, "nothing more was expected"),
    ] {
        assert_eq!(read(text.as_bytes()), Err(JsonError { offset, cause }), "{text}");
    }
    assert_eq!(read(b"\"\xff\"").map_err(|e| e.offset), Err(1));
}

#[test]
fn escapes_are_resolved_and_lone_surrogates_are_counted() {
    for (text, meant, lone) in [
        (r#""\u0061\n\t\"\\\/\b\f\r""#, "a\n\t\"\\/\u{8}\u{c}\r", 0),
        (r#""\ud83d\ude00""#, "😀", 0),
        (r#""\ud83d""#, "\u{fffd}", 1),
        (r#""\ude00x""#, "\u{fffd}x", 1),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀", 1),
        (r#""\ud83d\n""#, "\u{fffd}\n", 1),
        (r#""\ufffd""#, "\u{fffd}", 0),
    ] {
        let document = read(text.as_bytes()).expect(text);
        assert_eq!(document.value, Value::Text(meant.into()), "{text}");
        assert_eq!(document.lone_surrogates, lone, "{text}");
    }
}

#[test]
fn depth_is_capped_and_costs_no_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(is_valid(nested(MAX_DEPTH as usize).as_bytes()));
    let error = read(nested(MAX_DEPTH as usize + 1).as_bytes()).expect_err("too deep");
    assert_eq!((error.offset, error.cause), (128, "arrays and objects are nested deeper than 128"));
    assert!(!is_valid("[".repeat(10_000_000).as_bytes()));
    let mixed = format!("{}1{}", "{\"a\":[".repeat(64), "]}".repeat(64));
    assert_eq!(compact(&value(&mixed)), mixed);
}

#[test]
fn pretty_text_has_two_spaces_a_level() {
    assert_eq!(
        pretty(&value(r#"{"a":[1,{"b":[]}],"c":{}}"#)),
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}"
    );
}

#[test]
fn minifying_keeps_strings_and_digits_as_written() {
    assert_eq!(
        minify(" { \"a\\u0061 \" : [ 1.0 , \"\\ud800\" , { } ] , \"b\" : null } ").as_deref(),
        Ok(r#"{"a\u0061 ":[1.0,"\ud800",{}],"b":null}"#)
    );
}

#[test]
fn an_object_is_split_without_touching_its_values() {
    let found = members(" { \"a\" : [1, 2] ,\"a\":\"x\" } ").expect("members");
    assert_eq!(found.iter().map(|m| (m.name.as_str(), m.value)).collect::<Vec<_>>(), [("a", "[1, 2]"), ("a", "\"x\"")]);
    assert_eq!(members(" {} "), Ok(Vec::new()));
    assert_eq!(items(" [ 1 , {\"a\":2} ] "), Ok(vec!["1", "{\"a\":2}"]));
    assert_eq!(items("[]"), Ok(Vec::new()));
    for wrong in ["", "[]", "{\"a\":1,}", "{\"a\":1}x", "{a:1}", "{\"a\":}"] {
        assert!(members(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "{}", "[1,]", "[1]x", "[,]"] {
        assert!(items(wrong).is_err(), "{wrong}");
    }
}

/// What `serde_json` says, which does not look at UTF-8 where it skips a value.
fn valid_elsewhere(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// JSON trees of every kind.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Number(n.to_string().into())),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| Value::Number(format!("{n:?}").into())),
        any::<String>().prop_map(|text| Value::Text(text.into())),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((any::<String>().prop_map(Into::into), inner), 0..6).prop_map(Value::Object),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same(tree in any_value()) {
        for text in [compact(&tree), pretty(&tree)] {
            prop_assert_eq!(&read(text.as_bytes()).expect("JSON").value, &tree);
        }
        prop_assert_eq!(minify(&pretty(&tree)).expect("JSON"), compact(&tree));
    }

    #[test]
    fn texts_mean_what_serde_json_says(tree in any_value()) {
        let text = compact(&tree);
        let theirs: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if let (Value::Text(ours), serde_json::Value::String(theirs)) = (&tree, &theirs) {
            prop_assert_eq!(&**ours, theirs);
        }
        prop_assert_eq!(theirs.is_object(), matches!(tree, Value::Object(_)));
    }

    #[test]
    fn validity_agrees_with_serde_json(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(is_valid(&bytes), valid_elsewhere(&bytes));
    }

    #[test]
    fn validity_of_json_like_text_agrees_with_serde_json(text in "[\\[\\]{},:\"\\\\0-9eE.+\\-tfnu \n\tral\u{e9}\u{1}]{0,24}") {
        prop_assert_eq!(is_valid(text.as_bytes()), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        prop_assert_eq!(read(text.as_bytes()).is_ok(), is_valid(text.as_bytes()));
        prop_assert_eq!(minify(&text).is_ok(), is_valid(text.as_bytes()));
    }

    #[test]
    fn validity_of_damaged_json_agrees_with_serde_json(tree in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = compact(&tree).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert_eq!(is_valid(&bytes), valid_elsewhere(&bytes));
        bytes.remove(at);
        prop_assert_eq!(is_valid(&bytes), valid_elsewhere(&bytes));
    }

    #[test]
    fn skipping_ends_where_reading_does_and_with_the_same_error(
        text in prop_oneof![
            "[\\[\\]{},:\"\\\\0-9eE.+\\-tfnu \n\tral\u{e9}\u{1}]{0,24}",
            (any_value(), any::<prop::sample::Index>(), "[\\[\\]{},:\"\\\\0a ]").prop_map(|(tree, at, with)| {
                let mut text = pretty(&tree);
                let at = (0..=at.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                text.insert_str(at, &with);
                text
            }),
        ]
    ) {
        let mut by_tokens = Reader::new(&text);
        let read = std::iter::from_fn(|| by_tokens.token().transpose()).find_map(Result::err);
        prop_assert_eq!(check(&text).err(), read, "{}", text);
    }

    #[test]
    fn splitting_agrees_with_reading(text in "[\\[\\]{},:\"a0 ]{0,16}") {
        let document = read(text.as_bytes()).ok().map(|d| d.value);
        prop_assert_eq!(members(&text).is_ok(), matches!(document, Some(Value::Object(_))), "{}", text);
        prop_assert_eq!(items(&text).is_ok(), matches!(document, Some(Value::Array(_))), "{}", text);
    }
}
