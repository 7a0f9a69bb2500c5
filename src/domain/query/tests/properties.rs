//! What holds for every query and every record.

use super::*;
use crate::domain::position::Bound;
use crate::domain::value::Step;
use proptest::prelude::*;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-zA-Z0-9 .\"'\\\\/\\[\\]-]{0,8}"]
}

fn any_field() -> impl Strategy<Value = Field> {
    let step = prop_oneof![any_text().prop_map(|key| Step::Key(key.into())), (0_usize..20).prop_map(Step::Index)];
    let steps = prop::collection::vec(step, 0..4);
    prop_oneof![
        steps.clone().prop_map(Field::Key),
        steps.prop_map(Field::Value),
        any_text().prop_map(|name| Field::Header(name.into())),
        Just(Field::Topic),
        Just(Field::Partition),
        Just(Field::Offset),
        Just(Field::Size),
        Just(Field::Reason),
        Just(Field::Attempts),
    ]
}

fn any_literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any_text().prop_map(Literal::Text),
        any::<i64>().prop_map(|n| Literal::Number(n.to_string())),
        Just(Literal::Number("1.50e-3".into())),
        any::<bool>().prop_map(Literal::Bool),
        Just(Literal::Null),
        any_bytes().prop_map(Literal::Bytes),
    ]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any::<Vec<u8>>(), prop::sample::select(vec![b"k".to_vec(), b"c-9".to_vec(), b"\x81".to_vec(), b"\xff\xfe".to_vec()])]
}

fn any_predicate() -> impl Strategy<Value = Predicate> {
    let comparison = prop::sample::select(vec![
        Comparison::Equal,
        Comparison::Unequal,
        Comparison::Less,
        Comparison::AtMost,
        Comparison::Greater,
        Comparison::AtLeast,
    ]);
    let pattern = (any_text(), any::<bool>()).prop_map(|(text, any_case)| Pattern::text(&text, any_case).expect("a short text"));
    let regex = ("[a-z/\\.^$]{0,6}", any::<bool>()).prop_filter_map("a regex", |(text, any_case)| Pattern::regex(&text, any_case).ok());
    prop_oneof![
        (comparison, any_literal()).prop_map(|(comparison, literal)| Predicate::Compare(comparison, literal)),
        prop::collection::vec(any_literal(), 1..4).prop_map(Predicate::In),
        pattern.prop_map(Predicate::Contains),
        any_text().prop_map(|text| Predicate::StartsWith(Literal::Text(text))),
        any_text().prop_map(|text| Predicate::EndsWith(Literal::Text(text))),
        any_bytes().prop_map(|bytes| Predicate::StartsWith(Literal::Bytes(bytes))),
        any_bytes().prop_map(|bytes| Predicate::EndsWith(Literal::Bytes(bytes))),
        any_bytes().prop_map(|bytes| Predicate::Contains(Pattern::bytes(&bytes))),
        regex.prop_map(Predicate::Matches),
        Just(Predicate::Exists),
    ]
}

fn any_expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        any_text().prop_map(|word| Expr::Anywhere(Pattern::word(&word).expect("a short text"))),
        any_bytes().prop_map(|bytes| Expr::Anywhere(Pattern::bytes(&bytes))),
        (any_field(), any_predicate()).prop_map(|(field, predicate)| {
            // Only of what messages hold can it be asked which bytes it is.
            let has_bytes =
                predicate.is_of_bytes() || matches!(&predicate, Predicate::In(all) if all.iter().any(|l| matches!(l, Literal::Bytes(_))));
            let takes_bytes = matches!(field, Field::Key(_) | Field::Value(_) | Field::Header(_));
            Expr::Test(field, if has_bytes && !takes_bytes { Predicate::Exists } else { predicate })
        }),
        Just(Expr::Test(Field::Timestamp, Predicate::Compare(Comparison::AtLeast, Literal::Moment(Timestamp(1_770_285_600_123))))),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn any_record() -> impl Strategy<Value = Fake> {
    prop::sample::select(vec![0, 1, 2, 3]).prop_map(|which| match which {
        0 => json(ORDER),
        1 => json("[\"a\",{\"a\":1}]"),
        2 => binary(),
        _ => tombstone(),
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same(condition in prop::option::of(any_expr()), from in prop::option::of(0_u64..9), limit in prop::option::of(any::<u64>())) {
        let query = Query { from: from.map(Bound::BeforeEnd), until: None, condition, limit };
        let text = query.to_string();
        let read = Query::parse(&text, &now());
        prop_assert_eq!(read.as_ref(), Ok(&query), "{}", text);
    }

    #[test]
    fn not_is_the_exact_complement_except_for_errors(expr in any_expr(), record in any_record()) {
        let truth = eval::holds(&expr, &record);
        prop_assert_eq!(eval::holds(&Expr::Not(Box::new(expr)), &record), truth.map(|truth| !truth));
    }

    #[test]
    fn the_order_of_parts_never_changes_an_answer(parts in prop::collection::vec(any_expr(), 2..5), record in any_record()) {
        let reversed: Vec<Expr> = parts.iter().rev().cloned().collect();
        prop_assert_eq!(eval::holds(&Expr::And(parts.clone()), &record), eval::holds(&Expr::And(reversed.clone()), &record));
        prop_assert_eq!(eval::holds(&Expr::Or(parts), &record), eval::holds(&Expr::Or(reversed), &record));
    }

    #[test]
    fn a_match_lies_within_reach(expr in any_expr(), record in any_record()) {
        let query = Query { condition: Some(expr), ..Query::default() };
        if query.matches(&record) == Ok(true) {
            let reach = query.reach();
            prop_assert!(reach.offsets.contains(&1042));
            prop_assert!(reach.partitions.is_none_or(|partitions| partitions.contains(&3)));
            prop_assert!(record.timestamp.is_none_or(|time| reach.times.contains(&time.0)));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        text in any::<String>(),
        words in prop::collection::vec(prop::sample::select(vec!["value", ".a", "[0]", "[", "==", "!=", "\"x\"", "(", ")", "and", "or", "not", "in", ",", "contains~", "starts", "with", "/a/i", "b\"", "\\xf", "from", "now", "limit", "3", "é", "'", "\\", "jq"]), 0..12),
        cursor in 0_usize..30,
    ) {
        for text in [text, words.join(" "), words.concat()] {
            if let Err(error) = Query::parse(&text, &now()) {
                prop_assert!(error.column <= text.chars().count(), "{}: {}", text, error);
            }
            for candidate in complete(&text, cursor, &[]) {
                prop_assert!(candidate.start <= cursor);
            }
        }
    }
}
