//! When a condition holds.

use super::*;

/// Checks a query, and that its opposite is its exact complement.
fn check(record: &Fake, query: &str, expected: Result<bool, Undecided>) {
    assert_eq!(parse(query).matches(record), expected, "{query}");
    assert_eq!(parse(&format!("not ({query})")).matches(record), expected.map(|truth| !truth), "not ({query})");
}

fn all(record: &Fake, rows: &[(&str, bool)]) {
    for (query, expected) in rows {
        check(record, query, Ok(*expected));
    }
}

#[test]
fn comparisons_look_at_paths_and_fields() {
    all(
        &json(ORDER),
        &[
            ("value.order.total > 100", true),
            ("value.order.total >= 100.5", true),
            ("value.order.total == 1005e-1", true),
            ("value.order.total < 100.5", false),
            ("value.order.items[0].sku == \"A-1\"", true),
            ("value.order.items[1].sku == 'b'", true),
            ("value.order.items[2].sku == \"b\"", false),
            ("value[\"order\"].paid == true", true),
            ("value.order.paid != false", true),
            ("value.order.note == null", true),
            ("value.order.note exists", true),
            ("value.\"odd.name\" == 1", true),
            ("value.odd.name == 1", false),
            ("value.big == 9007199254740993", true),
            ("value.big == 9007199254740992", false),
            ("value.big > 9007199254740992", true),
            ("value.text < \"H\"", true),
            ("value.order exists", true),
            ("value.order.missing exists", false),
            ("topic == \"orders.created\"", true),
            ("partition == 3 and offset >= 1042 and size < 101", true),
            ("partition in (1, 2)", false),
            ("offset in (1, 1042)", true),
            ("value.order.id in (\"9\", 10)", true),
            ("value.order.id not in (9)", true),
        ],
    );
}

#[test]
fn a_missing_path_makes_its_comparison_false_and_its_not_true() {
    let order = json(ORDER);
    for predicate in [
        "== 1",
        "!= 1",
        "< 1",
        ">= \"a\"",
        "contains \"a\"",
        "contains~ \"a\"",
        "starts with \"\"",
        "ends with \"\"",
        "matches //",
        "in (1)",
        "exists",
        "== null",
        "!= null",
    ] {
        for field in
            ["value.nothing", "value.order.items[9]", "value[0]", "value.code.deeper", "headers.nothing", "key.id", "reason", "attempts"]
        {
            check(&order, &format!("{field} {predicate}"), Ok(false));
        }
    }
}

#[test]
fn a_text_never_equals_a_number() {
    all(
        &json(ORDER),
        &[
            ("value.order.id == 9", false),
            ("value.order.id != 9", true),
            ("value.order.id < 10", false),
            ("value.order.id >= 9", false),
            ("value.order.id == \"9\"", true),
            ("value.code == \"404\"", false),
            ("value.order.paid == \"true\"", false),
            ("value.order.note == \"null\"", false),
            ("headers.\"app.id\" == 7", false),
            ("headers.app.id == \"7\"", true),
        ],
    );
}

#[test]
fn contains_looks_at_the_raw_text_and_at_every_decoded_scalar_as_printed() {
    let record = json(r#"{"a":"caf\u00e9","\u0062b":[1.50,"x\"y"],"deep":{"t":true,"n":null}}"#);
    all(
        &record,
        &[
            ("value contains \"café\"", true),
            ("value contains \"caf\\\\u00e9\"", true),
            ("value contains \"bb\"", true),
            ("value contains \"x\\\"y\"", true),
            ("value contains \"true\"", true),
            ("value contains \"\\\"deep\\\":{\"", true),
            ("value contains 1.5", true),
            ("value contains \"CAFÉ\"", false),
            ("value contains~ \"CAFÉ\"", true),
            ("value.deep contains \"true\"", true),
            ("value.deep contains \"café\"", false),
            ("value.a matches /^caf.$/", true),
            ("value.a matches /^CAF.$/", false),
            ("value.a matches /^CAF.$/i", true),
            ("value starts with \"{\\\"a\"", true),
            ("value ends with \"}\"", true),
            ("value.a starts with \"caf\" and value.a ends with \"é\"", true),
            ("value.deep starts with \"\"", false),
        ],
    );
    all(&json("\"\\u0061bc\""), &[("value starts with \"abc\"", true), ("value starts with \"\\\"\"", true), ("value == \"abc\"", true)]);
    all(&json(ORDER), &[("value.code starts with \"4\"", true), ("value.code contains 0", true)]);
}

#[test]
fn any_case_is_unicode_simple_folding() {
    all(
        &json(ORDER),
        &[
            ("value.text contains~ \"gröẞe\"", true),
            ("value.text contains~ \"groesse\"", false),
            ("größe", true),
            ("Größe", true),
            ("GRÖßE", false),
            ("/GRÖ/i", true),
            ("ORDER-1", false),
            ("order-1", true),
        ],
    );
}

#[test]
fn words_alone_are_looked_for_in_key_and_value() {
    all(
        &json(ORDER),
        &[
            ("order-1", true),
            ("total", true),
            ("order-1 total", true),
            ("order-1 missing", false),
            ("\"A-1\" or missing", true),
            ("missing or order-1 total", true),
            ("not missing", true),
            ("/sku.*b/", true),
            ("prod", false),
            ("404", true),
        ],
    );
}

#[test]
fn headers_that_stand_twice_match_if_one_does() {
    all(
        &json(ORDER),
        &[
            ("headers.env == \"prod\"", true),
            ("headers.env == \"blue\"", true),
            ("headers.env == \"test\"", false),
            ("headers.content-type starts with \"application/\"", true),
            ("headers.none exists", true),
            ("headers.none == null", true),
            ("headers.none contains \"\"", false),
            ("headers.binary exists", true),
            ("headers.binary == \"\"", false),
            ("headers contains \"app.i\"", true),
            ("headers contains~ \"PROD\"", true),
            ("headers exists", true),
            ("headers.env in (\"a\", \"blue\")", true),
        ],
    );
}

#[test]
fn a_missing_key_or_payload_is_null_and_not_empty() {
    all(
        &tombstone(),
        &[
            ("value exists", false),
            ("key exists", false),
            ("value == null", true),
            ("key == null", true),
            ("key in (\"a\", null)", true),
            ("key != \"a\"", false),
            ("key == \"\"", false),
            ("value contains \"\"", false),
            ("value.a exists", false),
            ("timestamp > \"1h ago\"", false),
            ("timestamp exists", false),
            ("anything", false),
        ],
    );
    let empty = Fake { key: Some(b""), ..json("null") };
    all(&empty, &[("key exists", true), ("key == \"\"", true), ("key == null", false), ("value == null", true), ("value exists", true)]);
}

#[test]
fn moments_are_compared_as_moments() {
    all(
        &json(ORDER),
        &[
            ("timestamp > \"3h ago\"", true),
            ("timestamp >= \"2h ago\"", true),
            ("timestamp == 2026-02-05T10:00Z", true),
            ("timestamp < 1770285600001", true),
            ("timestamp < now", true),
            ("timestamp == \"2026-02-05T11:00:00+01:00\"", true),
            ("timestamp starts with \"2026-02-05T10\"", true),
            ("timestamp in (\"1h ago\", \"2h ago\")", true),
        ],
    );
}

#[test]
fn dead_letters_have_fields_of_their_own() {
    let dead = Fake { dead: true, ..json(ORDER) };
    all(
        &dead,
        &[("reason == \"rejected\"", true), ("exception ends with \"Boom\"", true), ("origin exists", false), ("attempts >= 4", true)],
    );
}

#[test]
fn only_an_undecodable_payload_that_matters_is_an_error() {
    let damaged = binary();
    for (query, expected) in [
        ("value.a == 1", Err(Undecided::Undecodable)),
        ("value == \"x\"", Err(Undecided::Undecodable)),
        ("value contains \"zzz\"", Err(Undecided::Undecodable)),
        ("value contains \"abc\"", Ok(true)),
        ("value exists", Ok(true)),
        ("zzz", Err(Undecided::Undecodable)),
        ("abc", Ok(true)),
        ("order-1", Ok(true)),
        ("key == \"order-1\"", Ok(true)),
        ("value.a == 1 or partition == 3", Ok(true)),
        ("partition == 3 or value.a == 1", Ok(true)),
        ("value.a == 1 and partition == 4", Ok(false)),
        ("partition == 4 and value.a == 1", Ok(false)),
        ("value.a == 1 and partition == 3", Err(Undecided::Undecodable)),
        ("value.a == 1 or partition == 4", Err(Undecided::Undecodable)),
    ] {
        check(&damaged, query, expected);
    }
}

#[test]
fn a_jq_program_holds_if_an_output_is_neither_false_nor_null() {
    all(
        &json(ORDER),
        &[
            ("jq '.order.total > 100'", true),
            ("jq '.order.total > 101'", false),
            ("jq '.order.items[].sku == \"b\"'", true),
            ("jq 'empty'", false),
            ("jq 'null, false, 0'", true),
            ("jq '.missing.deeper'", false),
            ("jq '[.order.items[].sku | test(\"^[A-Z]-\\\\d$\")] | any'", true),
            (r#"jq '.text == "Größe \"L\""'"#, true),
            ("jq '$partition == 3 and $offset == 1042 and $topic == \"orders.created\"'", true),
            ("jq '$key == \"order-1\" and $headers.env == \"blue\"'", true),
            ("partition == 3 and jq '.code == 404'", true),
        ],
    );
    all(&tombstone(), &[("jq '. == null'", true), ("jq '$key == null'", true)]);
    check(&binary(), "jq 'true'", Err(Undecided::Undecodable));
}

#[test]
fn integers_of_a_program_are_exact_and_decimals_keep_their_digits_until_they_are_compared() {
    all(
        &json(ORDER),
        &[
            ("jq '.big == 9007199254740993'", true),
            ("jq '.big == 9007199254740992'", false),
            ("jq '.big + 1 == 9007199254740994'", true),
            ("jq '.order.total | tostring == \"100.5\"'", true),
            ("jq '.order.total == 100.50000000000000000001'", true),
        ],
    );
}

#[test]
fn what_goes_wrong_in_a_program_is_an_error_with_what_it_said() {
    let said = |query: &str| match parse(query).matches(&json(ORDER)) {
        Err(Undecided::Failed(said)) => said.to_string(),
        other => panic!("{query}: {other:?}"),
    };
    for (query, expected) in [
        ("jq '.text.a'", "cannot index"),
        ("jq 'error(\"mine\")'", "mine"),
        ("jq 'def f: f; f'", "does not come to an end"),
        ("jq 'last(repeat(1))'", "does not come to an end"),
        ("jq '[range(1000000000)] | length'", "does not come to an end"),
        ("jq '[limit(1000000000; repeat(1))]'", "does not come to an end"),
        ("jq 'def f: 1 + f; f'", "recurses too deep"),
        ("jq 'def f: [f]; f'", "recurses too deep"),
    ] {
        assert!(said(query).contains(expected), "{query}: {}", said(query));
    }
    assert_eq!(parse("jq '.text.a' or partition == 3").matches(&json(ORDER)), Ok(true));
    assert_eq!(parse("jq '.text.a' and partition == 4").matches(&json(ORDER)), Ok(false));
    check(&json(ORDER), "jq '[range(3)] == [0,1,2] and [range(5; 0; -2)] == [5,3,1] and [range(2; 4)] == [2,3]'", Ok(true));
}

#[test]
fn bytes_are_compared_as_they_are_and_nothing_is_decoded_for_them() {
    all(
        &binary(),
        &[
            (r#"value == b"\xff\x00abc""#, true),
            (r#"value != b"\xff\x00abc""#, false),
            (r#"value != b"\xff""#, true),
            (r#"value starts with b"\xff\x00""#, true),
            (r#"value ends with b"\x62c""#, true),
            (r#"value contains b"\x00a""#, true),
            (r#"value contains b"\x01""#, false),
            (r#"value in (b"x", b"\xff\x00abc")"#, true),
            (r#"value in ("x", b"\xff\x00abc")"#, true),
            (r#"key == b"\x6frder-1""#, true),
            (r#"key contains b"er-""#, true),
            (r#"key in (b"\xff", "order-1")"#, true),
            (r#"headers.binary == b"\xff\x00""#, true),
            (r#"headers.binary != b"\xff""#, true),
            (r#"headers.binary == "x""#, false),
            (r#"headers.none == b"""#, false),
            (r#"headers contains b"\xff""#, true),
            (r#"b"\x00ab""#, true),
            (r#"b"\xfe""#, false),
        ],
    );
    all(
        &json(ORDER),
        &[
            (r#"value.text starts with b"Gr\xc3\xb6""#, true),
            (r#"value.order.id == b"9""#, true),
            (r#"value == b"9""#, false),
            (r#"value starts with b"{\"order\"""#, true),
            (r#"value contains b"100.50,""#, true),
        ],
    );
    all(&tombstone(), &[(r#"value == b"""#, false), (r#"value != b"x""#, false), (r#"key contains b"""#, false)]);
    let binary = Fake { value: Some(Value::Bytes(Bytes::from_static(b"\xfe\x01"))), damaged: false, ..binary() };
    all(&binary, &[(r#"value == "/gE=""#, true), (r#"value contains b"\xfe""#, false)]);
}
