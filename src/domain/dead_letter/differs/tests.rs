//! What is found and what is left unsaid, on messages whose differences are known.

use super::super::dialect::{Dialects, Precedence};
use super::Contrast;
use crate::domain::message::HeaderTest;
use crate::domain::query::{Record, Undecodable};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use proptest::prelude::*;

struct Sample {
    headers: Vec<(String, String)>,
    value: Option<Value>,
}

fn tree(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => Value::Number(number.to_string().into()),
        serde_json::Value::String(text) => Value::Text(text.into()),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(tree).collect()),
        serde_json::Value::Object(entries) => Value::Object(entries.into_iter().map(|(key, value)| (key.into(), tree(value))).collect()),
    }
}

impl Record for Sample {
    fn topic(&self) -> &'static str {
        "orders"
    }
    fn partition(&self) -> Option<i32> {
        None
    }
    fn offset(&self) -> Option<i64> {
        None
    }
    fn timestamp(&self) -> Option<Timestamp> {
        None
    }
    fn size(&self) -> usize {
        0
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn any_header(&self, test: &mut HeaderTest<'_>) -> bool {
        self.headers.iter().any(|(name, value)| test(name.as_bytes(), Some(value.as_bytes())))
    }
    fn payload(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Result<Option<&Value>, Undecodable> {
        Ok(self.value.as_ref())
    }
    fn key_value(&self) -> Option<&Value> {
        None
    }
}

fn sample(headers: &[(&str, &str)], value: serde_json::Value) -> Sample {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sample { headers, value: Some(tree(value)) }
}

fn rows(letters: u32, delivered: u32, mut make: impl FnMut(u32, bool) -> Sample) -> Vec<String> {
    let (mut contrast, dialects) = (Contrast::new(), Dialects::new(&[], &[], &Precedence::default()));
    (0..letters).for_each(|number| contrast.letter(&dialects, &make(number, true)));
    (0..delivered).for_each(|number| contrast.delivered(&dialects, &make(number, false)));
    contrast.differences().iter().map(ToString::to_string).collect()
}

#[test]
fn what_letters_lack_and_what_they_alone_have_is_told_with_its_counts() {
    let found = rows(312, 8_120, |number, letter| {
        let version = if letter { "2.14.0" } else { ["2.13.8", "2.13.9"][number as usize % 2] };
        let mut order = serde_json::json!({"id": number, "amount": 5 + number % 90, "items": [{"sku": format!("A-{number}")}]});
        if !letter && number % 1_000 != 7 {
            order["currency"] = "EUR".into();
            order["bank"] = serde_json::json!({"iban": "x", "bic": "y"});
        }
        sample(&[("app-version", version), ("trace", &number.to_string())], order)
    });
    assert_eq!(
        found,
        [
            "headers.app-version is \"2.14.0\" in 312 of 312, in none of 8,120 delivered",
            "value.bank absent in 312 of 312, present in 99.8 % of 8,120 delivered",
            "value.currency absent in 312 of 312, present in 99.8 % of 8,120 delivered",
            "headers.trace at most 311 in 312 of 312, in 3.8 % of 8,120 delivered",
            "value.id at most 311 in 312 of 312, in 3.8 % of 8,120 delivered",
        ]
    );
}

#[test]
fn types_ranges_and_elements_are_told() {
    let found = rows(40, 400, |number, letter| {
        let total = if letter { serde_json::json!("12") } else { serde_json::json!(12) };
        let sku = if letter && number % 10 > 0 { "gift" } else { "book" };
        let amount = if letter { 1_000 + number } else { number % 990 };
        sample(&[], serde_json::json!({"total": total, "amount": amount, "items": [{"sku": sku}, {"sku": "x"}], "same": true}))
    });
    assert_eq!(
        found,
        [
            "value.amount above 399 in 40 of 40, in none of 400 delivered",
            "value.total is text in 40 of 40, in none of 400 delivered",
            "value.items[].sku is \"gift\" in 36 of 40, in none of 400 delivered",
        ]
    );
}

#[test]
fn nothing_is_told_where_chance_would_tell_it_as_well() {
    let one = |letters, delivered| {
        rows(letters, delivered, |number, letter| sample(&[], serde_json::json!({"only": letter, "id": (number * 7919) % 1000})))
    };
    assert_eq!(one(1, 1), [""; 0], "two messages are always different");
    assert_eq!(one(3, 3), [""; 0]);
    assert_eq!(one(0, 100), [""; 0]);
    assert_eq!(one(100, 0), [""; 0]);
    assert_eq!(one(30, 30).len(), 1);
    let mut seed = 7_u32;
    let noise = rows(300, 300, |_, _| {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 16
        };
        let value: serde_json::Map<String, serde_json::Value> = (0..60).map(|n| (format!("f{n}"), (next() % 9).into())).collect();
        sample(&[], serde_json::Value::Object(value))
    });
    assert_eq!(noise, [""; 0]);
}

#[test]
fn what_is_deep_wide_or_full_of_names_is_bounded() {
    let found = rows(50, 50, |number, letter| {
        let mut deep = serde_json::json!({"end": letter});
        for _ in 0..40 {
            deep = serde_json::json!({ "d": deep });
        }
        let wide: serde_json::Map<String, serde_json::Value> = (0..200).map(|n| (format!("{number}-{n}"), 1.into())).collect();
        sample(&[], serde_json::json!({"deep": deep, "wide": wide}))
    });
    assert_eq!(found, [""; 0]);
}

proptest! {
    #[test]
    fn comparing_never_panics(texts in prop::collection::vec("(\\{\"[ab]\":(-?[0-9]{1,4}|\"[a-z]{0,3}\"|null|\\[1,\"x\",\\{\"c\":1e400\\}\\])\\}|[0-9])", 0..40)) {
        let mut texts = texts.iter();
        rows(20, 20, |_, _| {
            let value = texts.next().and_then(|text| serde_json::from_str(text).ok());
            Sample { headers: vec![("a".into(), "1".into()), ("a".into(), "2".into())], value: value.map(tree) }
        });
    }
}
