//! How queries are written, what is wrong with them, and what is known before anything is read.

use super::*;
use crate::domain::position::{Bound, Position};

#[test]
fn the_parts_stand_in_their_order_and_each_may_be_missing() {
    let full = parse(
        "from \"3h ago\" until now where value.order.total > 100 and headers.env == \"prod\" and not key starts with \"test-\" limit 20",
    );
    assert_eq!(full.from, Some(Bound::Time(Timestamp(1_770_282_000_000))));
    assert_eq!(full.until, Some(Bound::Time(Timestamp(1_770_292_800_000))));
    assert_eq!(full.limit, Some(20));
    assert_eq!(
        full.condition.expect("a condition").to_string(),
        r#"value.order.total > 100 and headers.env == "prod" and not key starts with "test-""#
    );
    for (text, from, until, limit) in [
        ("", None, None, None),
        ("  ", None, None, None),
        ("limit 5", None, None, Some(5)),
        ("from end-500", Some(Bound::BeforeEnd(500)), None, None),
        (
            "from @12345 until 3@1042 limit 1",
            Some(Bound::Each(12345)),
            Some(Bound::At(Position::Offset { partition: 3, offset: 1042 })),
            Some(1),
        ),
        ("until latest", None, Some(Bound::Latest), None),
        (
            "from 2h ago until \"1h ago\"",
            Some(Bound::Time(Timestamp(1_770_285_600_000))),
            Some(Bound::Time(Timestamp(1_770_289_200_000))),
            None,
        ),
        ("FROM earliest WHERE a", Some(Bound::Earliest), None, None),
    ] {
        let query = parse(text);
        assert_eq!((query.from, query.until, query.limit), (from, until, limit), "{text}");
        assert_eq!(query.condition.is_some(), text.contains("WHERE"), "{text}");
    }
    assert!(parse("where a").condition.is_some());
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    for (text, meant) in [
        ("a or b and c", r#""a" or ("b" and "c")"#),
        ("a and b or c", r#"("a" and "b") or "c""#),
        ("not a and b", r#"not "a" and "b""#),
        ("not (a or b)", r#"not ("a" or "b")"#),
        ("a b or c d", r#"("a" and "b") or ("c" and "d")"#),
        ("key not contains \"a\" OR NOT key exists", r#"not key contains "a" or not key exists"#),
        ("don't 10.0.0.1 user@host a/b x|y", r#""don't" and "10.0.0.1" and "user@host" and "a/b" and "x|y""#),
        ("value.\"a b\"[0].c['d'].e>1", r#"value."a b"[0].c.d.e > 1"#),
        ("headers.\"a b\" contains~ 5", r#"headers."a b" contains~ "5""#),
        ("key matches /a\\/b\\d/i", r"key matches /a\/b\d/i"),
        ("timestamp >= 2026-02-05", r#"timestamp >= "2026-02-05T00:00:00.000Z""#),
    ] {
        assert_eq!(parse(text).to_string(), meant);
        assert_eq!(parse(meant), parse(text));
    }
}

#[test]
fn errors_stand_under_the_character_where_they_are() {
    for (text, column, message, hint) in [
        ("value.a = 1", 8, "`=` is not an operator", "did you mean `==`?"),
        ("value.a <> 1", 8, "`<>` is not an operator", "did you mean `!=`?"),
        ("key == a", 7, "a text, a number, true, false or null was expected", "put the text in quotes: \"a\""),
        ("größe == \"x", 9, "the text is not closed with \"", ""),
        ("vlaue.a == 1", 0, "`vlaue` is not a field", "did you mean `value.a`?"),
        ("order.total > 1", 0, "`order` is not a field", "did you mean `value.order.total`? To search for words, put them in quotes"),
        (
            "key",
            3,
            "after `key` an operator was expected: == != < <= > >= contains starts ends matches in exists",
            "to search for the word, put it in quotes: \"key\"",
        ),
        ("key contians \"a\"", 4, "`contians` is not an operator", "did you mean `contains`?"),
        ("key == \"a\" adn topic == \"b\"", 11, "`and`, `or`, `limit` was expected, not `adn`", "did you mean `and`?"),
        ("key == \"a\" && topic == \"b\"", 11, "`&&` does not stand here", "did you mean `and`?"),
        ("error topic == \"b\"", 6, "`and`, `or`, `limit` was expected, not `topic`", ""),
        ("(a or b", 0, "the parenthesis is not closed", ""),
        ("a)", 1, "`and`, `or`, `limit` was expected, not `)`", ""),
        ("a and", 5, "a condition was expected, but the query ends here", ""),
        ("a and or b", 6, "a condition was expected, not `or`", "to search for the word, put it in quotes"),
        ("!a", 0, "`!` does not stand here", "did you mean `not`?"),
        ("key matches \"a\"", 12, "after `matches` a regex was expected", "write /…/ or /…/i"),
        ("key matches /(a/", 12, "unclosed group", ""),
        ("key matches /a", 12, "the regex is not closed with /", "to search for a text with slashes, put it in quotes"),
        ("/var/log", 5, "after a regex only `i` may stand, not `log`", "to search for a text with slashes, put it in quotes"),
        ("key == /a/", 7, "a text, a number, true, false or null was expected", "write `matches` before a regex"),
        ("key starts \"a\"", 11, "`with` was expected after `starts`", ""),
        ("key in \"a\"", 7, "after `in` a list was expected", "write in (\"a\", \"b\")"),
        ("key in (\"a\" \"b\")", 12, "`,` or `)` was expected in the list", ""),
        ("value.a[x] == 1", 8, "an index was expected", "write [0] or [\"key\"]"),
        ("value.a[0 == 1", 10, "`]` was expected", ""),
        ("value..a == 1", 0, "a step of the path is missing between its points", ""),
        ("topic.a == 1", 0, "`topic` has no fields inside", ""),
        ("headers == 1", 0, "`headers` are many", "name one: headers.NAME"),
        ("headers[0] == 1", 0, "headers have names, not numbers", "write headers.NAME"),
        ("timestamp > \"soon\"", 12, "`soon` is not a time", "*"),
        ("from", 4, "after `from` a place was expected", "write \"3h ago\", earliest, end-500 or 3@1042"),
        ("from somewhere", 5, "`somewhere` is not a place in a channel", "*"),
        ("from \"1h ago\" a == 1", 14, "`until`, `where`, `limit` was expected, not `a`", ""),
        ("a limit x", 8, "after `limit` a whole number was expected", ""),
        ("a limit 1 b", 10, "`and`, `or`, `limit` was expected, not `b`", ""),
        ("key == \"\\q\"", 8, "unknown escape: write \\\\, \\\", \\', \\n, \\r, \\t or \\u0041", ""),
        ("key == \"\\ud800\"", 8, "after `\\u` four hex digits of a character were expected", ""),
        ("a and jq '.total >'", 18, "in jq, term was expected", ""),
        ("a and jq '.a | nothing'", 15, "jq has no filter `nothing` here", ""),
        ("jq '\\'é\\' $x'", 4, "in jq, token was expected", ""),
        ("jq 'input'", 4, "jq has no filter `input` here", ""),
        ("jq 'env.HOME'", 4, "jq has no filter `env` here", ""),
        ("jq '$ENV.HOME'", 4, "jq has no variable `$ENV` here", ""),
        ("jq 'include \"a\"; .'", 4, "jq programs cannot load files here", ""),
    ] {
        let error = Query::parse(text, &now()).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.message.starts_with(message), "{text}: {error}");
        if hint != "*" {
            assert_eq!(error.hint.as_deref().unwrap_or(""), hint, "{text}");
        }
    }
    assert_eq!(Query::parse("key = 1", &now()).expect_err("wrong").to_string(), "column 5: `=` is not an operator (did you mean `==`?)");
    assert!(Query::parse(&"(".repeat(10_000), &now()).is_err());
    assert!(Query::parse(&"a ".repeat(20_000), &now()).is_err());
}

#[test]
fn bounds_are_found_where_they_hold_for_every_match() {
    let reach = |text: &str| parse(text).reach();
    let all = i64::MIN..=i64::MAX;
    for (text, times, offsets, partitions) in [
        ("", all.clone(), all.clone(), None),
        ("offset >= 5 and offset < 9 and partition == 3", all.clone(), 5..=8, Some(vec![3])),
        ("offset == 5 or offset in (7, 9)", all.clone(), 5..=9, None),
        ("partition in (1, 2) and partition in (2, 3)", all.clone(), all.clone(), Some(vec![2])),
        ("partition == 1 or partition == 2", all.clone(), all.clone(), Some(vec![1, 2])),
        ("partition == 1 or key == \"a\"", all.clone(), all.clone(), None),
        ("not offset < 5", all.clone(), all.clone(), None),
        ("offset != 5", all.clone(), all.clone(), None),
        ("offset > 1.5", all.clone(), all.clone(), None),
        ("timestamp >= 1000000000000 and timestamp <= 2000000000000", 1_000_000_000_000..=2_000_000_000_000, all.clone(), None),
        ("(offset > 9 and offset < 3) or offset == 4", all.clone(), 4..=4, None),
    ] {
        let reach = reach(text);
        assert_eq!((reach.times, reach.offsets), (times, offsets), "{text}");
        assert_eq!(reach.partitions.map(|p| p.into_iter().collect::<Vec<_>>()), partitions, "{text}");
    }
    assert!(reach("offset > 9 and offset < 3").offsets.is_empty());
    assert_eq!(reach("from earliest until latest limit 3").limit, Some(3));
}

#[test]
fn needles_are_found_where_a_match_must_have_them() {
    let needles = |text: &str| {
        let groups = parse(text).needles();
        let shown = |n: &Needle| format!("{:?} {}{}", n.place, n.pattern.source, if n.pattern.any_case { "~" } else { "" });
        groups.iter().map(|group| group.iter().map(shown).collect::<Vec<_>>().join(" | ")).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("error Timeout", &["KeyOrPayload error~", "KeyOrPayload Timeout"][..]),
        ("value.a == \"x\" and key starts with \"k\"", &["Payload x", "Payload a", "Key k"]),
        ("value.a == \"x\" or headers.h contains~ \"y\"", &["Payload x | Headers y~"]),
        ("value.a == \"x\" or partition == 1", &[]),
        ("value.a in (\"x\", \"y\")", &["Payload x | Payload y", "Payload a"]),
        ("value.a in (\"x\", 1)", &["Payload a"]),
        ("value.a[0].\"b c\" > 1", &["Payload a", "Payload b c"]),
        ("value.a != \"x\"", &["Payload a"]),
        ("value == 1", &[]),
        ("not value.a == \"x\"", &[]),
        ("value matches /x+y/", &["Payload x+y"]),
        ("/x|y/i", &["KeyOrPayload x|y~"]),
        ("value matches /^x/", &[]),
        ("value matches /x*/", &[]),
        ("/\\bx/", &[]),
        ("value contains \"\"", &[]),
        ("jq '.a' and x", &["KeyOrPayload x~"]),
    ] {
        assert_eq!(needles(text), expected, "{text}");
    }
}

#[test]
fn completion_knows_what_may_come_next() {
    let paths = ["value.order.total".to_owned(), "value.order.id".to_owned(), "headers.env".to_owned()];
    let proposed = |text: &str| complete(text, text.chars().count(), &paths).into_iter().map(|c| (c.text, c.start)).collect::<Vec<_>>();
    for (text, first, start) in [
        ("", "key", 0),
        ("va", "value", 0),
        ("value.ord", "value.order.total", 0),
        ("value.order.i", "value.order.id", 0),
        ("größe and he", "headers", 10),
        ("value.order.total ", "==", 18),
        ("value.order.total >", ">=", 18),
        ("key st", "starts with", 4),
        ("key starts ", "with", 11),
        ("value.a == t", "true", 11),
        ("key exists ", "and", 11),
        ("key exists an", "and", 11),
        ("key == \"a\" ", "and", 11),
        ("from ", "\"3h ago\"", 5),
        ("from earliest ", "until", 14),
        ("from earliest until now w", "where", 24),
        ("from earliest where ", "key", 20),
        ("not (", "key", 5),
        ("value.items[0] ", "==", 15),
    ] {
        let found = proposed(text);
        assert_eq!(found.first(), Some(&(first.to_owned(), start)), "{text}: {found:?}");
    }
    for nothing in ["key == \"a", "limit ", "key matches /a", "value.order.total"] {
        assert_eq!(proposed(nothing), [], "{nothing}");
    }
    assert_eq!(complete("va == 1", 2, &[])[0].text, "value");
}

#[test]
fn bytes_are_written_with_escapes_and_a_mistake_is_told_where_it_stands() {
    for (text, meant) in [
        (r#"key == b"\xFF\x00id""#, r#"key == b"\xff\x00id""#),
        (r#"b"\\\"\n é""#, r#"b"\\\"\x0a \xc3\xa9""#),
        (r#"value not starts with b"\x01" and value.a contains b"\x02""#, r#"not value starts with b"\x01" and value.a contains b"\x02""#),
    ] {
        assert_eq!(parse(text).to_string(), meant);
    }
    for (text, error) in [
        (r#"key == b"\xg1""#, "column 10: after `\\x` two hex digits of a byte were expected"),
        (r#"key == b"é\u0041""#, "column 11: unknown escape in bytes: write \\xff, \\\\, \\\", \\n, \\r or \\t"),
        (r#"key == b"\xff"#, "column 8: the bytes are not closed with \""),
        (r#"topic == b"x""#, "column 10: `topic` is no bytes (b\"…\" is for keys, headers and values)"),
        (r#"key contains~ b"x""#, "column 15: bytes have no case: write `contains`"),
    ] {
        assert_eq!(Query::parse(text, &now()).expect_err(text).to_string(), error, "{text}");
    }
}
