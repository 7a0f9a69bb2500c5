//! `Claim`: what is asserted of a group: `lag < 1000 and eta < 10m and verdict in (keeps_up, draining)`.
//!
//! The words are those of the query language. The truth is not: there a missing path makes a comparison false and its `not` true;
//! here what is unknown is neither, and never passes.

use super::{Eta, GroupLag, Verdict};
use crate::domain::query::QueryError;
use crate::domain::query::cursor::Tokens;
use crate::domain::query::lexer::Kind;
use crate::domain::suggest::nearest;
use crate::domain::time::parse_duration;
use std::time::Duration;

/// A condition on a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim(Expr);

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Number(Field, Order, f64),
    Word(Field, Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Lag,
    Seconds,
    Eta,
    RateIn,
    RateOut,
    Members,
    Verdict,
    State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Less,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    Greater,
}

/// What a claim may speak about.
const FIELDS: [(&str, Field); 8] = [
    ("lag", Field::Lag),
    ("seconds", Field::Seconds),
    ("eta", Field::Eta),
    ("rate_in", Field::RateIn),
    ("rate_out", Field::RateOut),
    ("members", Field::Members),
    ("verdict", Field::Verdict),
    ("state", Field::State),
];
const STATES: [&str; 5] = ["unknown", "stable", "rebalancing", "empty", "dead"];
/// Parentheses and `not` may be nested this deep.
const MAX_DEPTH: usize = 32;

/// A group with the time that it is behind, as far as that is known: at least this much, and at most that.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub lag: &'a GroupLag,
    pub behind: Option<(Duration, Option<Duration>)>,
}

impl Claim {
    /// Reads a claim.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser { tokens: Tokens::of(text)?, depth: 0 };
        let expr = parser.or()?;
        match parser.tokens.kind() {
            Kind::End => Ok(Self(expr)),
            _ => Err(parser.tokens.error("`and` or `or` was expected here")),
        }
    }

    /// Whether it holds; `None` if that depends on what is not known.
    pub fn holds(&self, subject: &Subject<'_>) -> Option<bool> {
        holds(&self.0, subject)
    }
}

fn holds(expr: &Expr, subject: &Subject<'_>) -> Option<bool> {
    match expr {
        Expr::And(parts) => any(parts, |part| holds(part, subject).map(|truth| !truth)).map(|truth| !truth),
        Expr::Or(parts) => any(parts, |part| holds(part, subject)),
        Expr::Not(inner) => holds(inner, subject).map(|truth| !truth),
        Expr::Number(field, order, value) => compare(range(*field, subject)?, *order, *value),
        Expr::Word(Field::State, words) => is_one_of(subject.lag.group.state.word(), words),
        Expr::Word(_, words) => verdict_is(subject.lag, words),
    }
}

/// To be unknown is what may be asked for; anything else is not known then.
fn is_one_of(word: &str, words: &[String]) -> Option<bool> {
    let named = words.iter().any(|named| named == word);
    if word == "unknown" && !named { None } else { Some(named) }
}

/// A partition that is not judged may be worse than the worst that is: then only what holds of that and of everything worse holds.
fn verdict_is(lag: &GroupLag, words: &[String]) -> Option<bool> {
    let judged = lag.unjudged == 0 && lag.group.fault.is_none() || matches!(lag.verdict, Verdict::Unknown | Verdict::NoCommits);
    if judged {
        return is_one_of(lag.verdict.id(), words);
    }
    let mut possible = Verdict::ALL.into_iter().filter(|verdict| *verdict >= lag.verdict).map(|verdict| is_one_of(verdict.id(), words));
    let first = possible.next().flatten();
    first.filter(|_| possible.all(|truth| truth == first))
}

fn any(parts: &[Expr], each: impl Fn(&Expr) -> Option<bool>) -> Option<bool> {
    let mut answer = Some(false);
    for part in parts {
        match each(part) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => answer = None,
        }
    }
    answer
}

/// What a number lies between.
fn range(field: Field, subject: &Subject<'_>) -> Option<(f64, f64)> {
    let exactly = |n: f64| (n, n);
    match field {
        Field::Lag => {
            subject.lag.lag.number()?;
            let (low, high) = subject.lag.lag.bounds();
            Some((low as f64, high.map_or(f64::INFINITY, |high| high as f64)))
        }
        Field::Seconds => subject.behind.map(|(low, high)| (low.as_secs_f64(), high.map_or(f64::INFINITY, |high| high.as_secs_f64()))),
        Field::Eta => match subject.lag.eta {
            Eta::Unknown => None,
            Eta::In(time) => Some(exactly(time.as_secs_f64())),
            Eta::Never => Some(exactly(f64::INFINITY)),
        },
        Field::RateIn => subject.lag.rate_in.map(exactly),
        Field::RateOut => subject.lag.rate_out.map(exactly),
        Field::Members => subject.lag.group.members.map(|n| exactly(f64::from(n))),
        Field::Verdict | Field::State => None,
    }
}

fn compare((low, high): (f64, f64), order: Order, value: f64) -> Option<bool> {
    let less = |strictly: bool| {
        let below = |n: f64| if strictly { n < value } else { n <= value };
        match (below(low), below(high)) {
            (true, true) => Some(true),
            (false, false) => Some(false),
            _ => None,
        }
    };
    let equal = || {
        if low >= value && high <= value {
            Some(true)
        } else if high < value || low > value {
            Some(false)
        } else {
            None
        }
    };
    match order {
        Order::Less => less(true),
        Order::AtMost => less(false),
        Order::Equal => equal(),
        Order::Unequal => equal().map(|truth| !truth),
        Order::AtLeast => less(true).map(|truth| !truth),
        Order::Greater => less(false).map(|truth| !truth),
    }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.kind(), Kind::Word(found) if found == word);
        if found {
            self.tokens.advance();
        }
        found
    }

    fn or(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::Or(parts) })
    }

    fn and(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.term()?];
        while self.keyword("and") {
            parts.push(self.term()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::And(parts) })
    }

    fn term(&mut self) -> Result<Expr, QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.tokens.error(format!("parentheses and `not` are nested deeper than {MAX_DEPTH}")));
        }
        let expr = if self.keyword("not") {
            Expr::Not(Box::new(self.term()?))
        } else if self.tokens.symbol("(") {
            let inner = self.or()?;
            if !self.tokens.symbol(")") {
                return Err(self.tokens.error("`)` was expected here"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn comparison(&mut self) -> Result<Expr, QueryError> {
        let names = || FIELDS.map(|(name, _)| name);
        let Kind::Word(word) = self.tokens.kind().clone() else {
            return Err(self.tokens.error(format!("one of {} was expected here", names().join(", "))));
        };
        let Some((_, field)) = FIELDS.iter().find(|(name, _)| *name == word) else {
            let error = self.tokens.error(format!("`{word}` is none of {}", names().join(", ")));
            return Err(match nearest(&word, names()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error,
            });
        };
        self.tokens.advance();
        let words: Option<Vec<&str>> = match field {
            Field::Verdict => Some(Verdict::ALL.map(Verdict::id).to_vec()),
            Field::State => Some(STATES.to_vec()),
            _ => None,
        };
        match words {
            Some(words) => self.words(*field, &words),
            None => self.number(*field),
        }
    }

    fn words(&mut self, field: Field, known: &[&str]) -> Result<Expr, QueryError> {
        if self.keyword("in") {
            if !self.tokens.symbol("(") {
                return Err(self.tokens.error("after `in` a list in parentheses was expected"));
            }
            let mut words = vec![self.word(known)?];
            while self.tokens.symbol(",") {
                words.push(self.word(known)?);
            }
            if !self.tokens.symbol(")") {
                return Err(self.tokens.error("`,` or `)` was expected here"));
            }
            return Ok(Expr::Word(field, words));
        }
        let not = self.tokens.symbol("!=");
        if !not && !self.tokens.symbol("==") {
            return Err(self.tokens.error("`==`, `!=` or `in (…)` was expected here"));
        }
        let is = Expr::Word(field, vec![self.word(known)?]);
        Ok(if not { Expr::Not(Box::new(is)) } else { is })
    }

    fn word(&mut self, known: &[&str]) -> Result<String, QueryError> {
        let (Kind::Word(said) | Kind::Text(said)) = self.tokens.kind().clone() else {
            return Err(self.tokens.error(format!("one of {} was expected here", known.join(", "))));
        };
        let said = said.replace([' ', '-'], "_");
        if !known.contains(&said.as_str()) {
            let error = self.tokens.error(format!("`{said}` is none of {}", known.join(", ")));
            return Err(match nearest(&said, known.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error,
            });
        }
        self.tokens.advance();
        Ok(said)
    }

    fn number(&mut self, field: Field) -> Result<Expr, QueryError> {
        let orders = [
            ("<", Order::Less),
            ("<=", Order::AtMost),
            ("==", Order::Equal),
            ("!=", Order::Unequal),
            (">=", Order::AtLeast),
            (">", Order::Greater),
        ];
        let Some((_, order)) = orders.into_iter().find(|(symbol, _)| self.tokens.symbol(symbol)) else {
            return Err(self.tokens.error("`<`, `<=`, `==`, `!=`, `>=` or `>` was expected here"));
        };
        let (Kind::Word(said) | Kind::Text(said)) = self.tokens.kind().clone() else {
            return Err(self.tokens.error("a number was expected here"));
        };
        let time = matches!(field, Field::Seconds | Field::Eta);
        let plain = said.replace('_', "").parse::<f64>().ok().filter(|n| n.is_finite());
        let value = match plain {
            Some(number) => number,
            None if time => parse_duration(&said).map_err(|cause| self.tokens.error(cause))?.as_secs_f64(),
            None => return Err(self.tokens.error(format!("`{said}` is not a number"))),
        };
        self.tokens.advance();
        Ok(Expr::Number(field, order, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::figure::Amount;
    use crate::domain::group::{Group, State};

    fn group(lag: Amount, eta: Eta, verdict: Verdict) -> GroupLag {
        let group = Group { members: Some(3), ..Group::new("payments", "classic", State::Stable) };
        let (summary, _) =
            super::super::judge_group(&group, &[], |_| unreachable!(), crate::domain::time::Timestamp(0), &super::super::Rules::default());
        GroupLag { lag, verdict, eta, ..summary }
    }

    #[test]
    fn a_claim_holds_fails_or_cannot_be_told() {
        let known = group(Amount::Exactly(900), Eta::In(Duration::from_secs(90)), Verdict::Draining);
        let behind = group(Amount::AtMost(2_000), Eta::Never, Verdict::FallingBehind);
        let unknown = group(Amount::Unknown, Eta::Unknown, Verdict::Unknown);
        for (claim, of_known, of_behind, of_unknown) in [
            ("lag < 1000", Some(true), None, None),
            ("lag < 3_000", Some(true), Some(true), None),
            ("not lag < 1000", Some(false), None, None),
            ("lag > 2000", Some(false), Some(false), None),
            ("eta < 2m", Some(true), Some(false), None),
            ("eta <= 90", Some(true), Some(false), None),
            ("seconds < 60s", Some(true), Some(true), Some(true)),
            ("seconds > 5s", Some(true), Some(true), Some(true)),
            ("verdict in (keeps_up, draining)", Some(true), Some(false), None),
            ("verdict != stalled", Some(true), Some(true), None),
            ("verdict == unknown", Some(false), Some(false), Some(true)),
            ("lag < 10 or eta < 2m", Some(true), None, None),
            ("lag < 10 and members >= 1", Some(false), None, None),
            ("(state == stable or lag == 0) and members == 3", Some(true), Some(true), Some(true)),
            ("rate_out > 0", None, None, None),
        ] {
            let parsed = Claim::parse(claim).expect(claim);
            for (lag, expected) in [(&known, of_known), (&behind, of_behind), (&unknown, of_unknown)] {
                let subject = Subject { lag, behind: Some((Duration::from_secs(10), Some(Duration::from_secs(12)))) };
                assert_eq!(parsed.holds(&subject), expected, "{claim} of {:?}", lag.verdict);
            }
        }
        let partly = Subject { lag: &known, behind: Some((Duration::from_secs(10), None)) };
        assert_eq!(Claim::parse("seconds < 60").expect("a claim").holds(&partly), None, "one partition was not asked");
        assert_eq!(Claim::parse("seconds < 9").expect("a claim").holds(&partly), Some(false));
    }

    #[test]
    fn mistakes_say_where_they_stand() {
        for (claim, message) in [
            ("", "column 1: one of lag, seconds"),
            ("lagg < 3", "column 1: `lagg` is none of lag, seconds, eta, rate_in, rate_out, members, verdict, state (did you mean `lag`?)"),
            ("lag 3", "column 5: `<`, `<=`"),
            ("lag < many", "column 7: `many` is not a number"),
            ("eta < 3 parsecs", "column 9: `and` or `or` was expected here"),
            ("verdict == stale", "column 12: `stale` is none of"),
            ("(lag < 3", "column 9: `)` was expected here"),
            ("lag < 3 lag", "column 9: `and` or `or`"),
        ] {
            let error = Claim::parse(claim).expect_err(claim).to_string();
            assert!(error.starts_with(message), "{claim}: {error}");
        }
    }
}
