//! Tokens → query. Every error says at which character it stands and, where it can, what was meant.

use super::super::position::Bound;
use super::super::suggest::nearest;
use super::super::time::parse_moment;
use super::super::value::Step;
use super::QueryError;
use super::ast::{Comparison, Expr, Field, Literal, Predicate, Query};
use super::cursor::Tokens;
use super::decimal::is_number;
use super::jq::Program;
use super::lexer::{Kind, column};
use super::pattern::Pattern;
use jiff::Zoned;

/// Parentheses and `not` may be nested this deep.
const MAX_DEPTH: usize = 64;

/// Words that mean something wherever a condition stands; as words to search for they need quotes.
const RESERVED: [&str; 11] = ["and", "or", "not", "contains", "contains~", "starts", "ends", "matches", "in", "exists", "limit"];

/// Operators as people write them elsewhere, and what they are called here.
const ELSEWHERE: [(&str, &str); 7] =
    [("=", "=="), ("<>", "!="), ("&&", "and"), ("||", "or"), ("!", "not"), ("=~", "matches /…/"), ("!~", "not … matches /…/")];

pub(super) fn parse(text: &str, now: &Zoned) -> Result<Query, QueryError> {
    Parser { tokens: Tokens::of(text)?, depth: 0, now }.query()
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    depth: usize,
    now: &'a Zoned,
}

/// Whether a word is a keyword, written small or in capitals.
fn is_keyword(word: &str, keyword: &str) -> bool {
    word == keyword || (word.bytes().any(|b| b.is_ascii_uppercase()) && word == keyword.to_ascii_uppercase())
}

impl Parser<'_> {
    fn at_keyword(&self, keyword: &str) -> bool {
        matches!(self.tokens.kind(), Kind::Word(word) if is_keyword(word, keyword))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.tokens.advance();
        }
        found
    }

    fn query(mut self) -> Result<Query, QueryError> {
        let mut query = Query::default();
        if self.keyword("from") {
            query.from = Some(self.bound("from")?);
        }
        if self.keyword("until") {
            query.until = Some(self.bound("until")?);
        }
        let bounded = query.from.is_some() || query.until.is_some();
        let told = self.keyword("where");
        if told || (!bounded && !self.at_keyword("limit") && *self.tokens.kind() != Kind::End) {
            query.condition = Some(self.or()?);
        }
        if self.keyword("limit") {
            query.limit = Some(self.limit()?);
        }
        if *self.tokens.kind() == Kind::End { Ok(query) } else { Err(self.expected_end(bounded && query.condition.is_none())) }
    }

    fn expected_end(&self, before_where: bool) -> QueryError {
        let shown = self.tokens.shown();
        if let Some((_, meant)) = ELSEWHERE.iter().find(|(symbol, _)| *symbol == shown) {
            return self.tokens.error(format!("`{shown}` does not stand here")).hint(format!("did you mean `{meant}`?"));
        }
        let words: &[&str] = if before_where { &["until", "where", "limit"] } else { &["and", "or", "limit"] };
        let error = self.tokens.error(format!("`{}` was expected, not `{shown}`", words.join("`, `")));
        match nearest(shown, words.iter().copied()) {
            Some(word) => error.hint(format!("did you mean `{word}`?")),
            None => error,
        }
    }

    /// A place in the channel, in quotes or up to the next keyword.
    fn bound(&mut self, keyword: &str) -> Result<Bound, QueryError> {
        let first = self.tokens.at;
        let text = if let Kind::Text(text) = self.tokens.kind() {
            let text = text.clone();
            self.tokens.advance();
            text
        } else {
            while matches!(self.tokens.kind(), Kind::Word(_)) && !["until", "where", "limit"].iter().any(|keyword| self.at_keyword(keyword))
            {
                self.tokens.advance();
            }
            if first == self.tokens.at {
                return Err(self
                    .tokens
                    .error(format!("after `{keyword}` a place was expected"))
                    .hint("write \"3h ago\", earliest, end-500 or 3@1042"));
            }
            self.tokens.since(first).to_owned()
        };
        Bound::parse(&text, self.now).map_err(|message| self.tokens.error_at(first, message))
    }

    fn limit(&mut self) -> Result<u64, QueryError> {
        let limit = match self.tokens.kind() {
            Kind::Word(word) => word.parse().ok(),
            _ => None,
        };
        let limit = limit.ok_or_else(|| self.tokens.error("after `limit` a whole number was expected"))?;
        self.tokens.advance();
        Ok(limit)
    }

    fn or(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::Or(parts) })
    }

    fn and(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.not()?];
        // Words that stand side by side are all wanted; anything else needs its `and`, so that a slip of the pen is seen.
        while self.keyword("and") || (matches!(parts.last(), Some(Expr::Anywhere(_))) && self.at_search_word()) {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::And(parts) })
    }

    fn at_search_word(&self) -> bool {
        match self.tokens.kind() {
            Kind::Word(word) => !RESERVED.iter().any(|reserved| is_keyword(word, reserved)) && !starts_with_field(word),
            Kind::Text(_) | Kind::Bytes(_) | Kind::Regex { .. } => true,
            Kind::Symbol(_) | Kind::End => false,
        }
    }

    fn not(&mut self) -> Result<Expr, QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.tokens.error(format!("parentheses and `not` are nested deeper than {MAX_DEPTH}")));
        }
        let expr = if self.keyword("not") {
            Expr::Not(Box::new(self.not()?))
        } else if self.tokens.symbol("(") {
            let open = self.tokens.at - 1;
            let inner = self.or()?;
            if !self.tokens.symbol(")") {
                return Err(if *self.tokens.kind() == Kind::End {
                    self.tokens.error_at(open, "the parenthesis is not closed")
                } else {
                    self.expected_end(false)
                });
            }
            inner
        } else {
            self.term()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn term(&mut self) -> Result<Expr, QueryError> {
        let start = self.tokens.at;
        let anywhere =
            |pattern: Result<Pattern, String>| pattern.map(Expr::Anywhere).map_err(|message| self.tokens.error_at(start, message));
        let expr = match self.tokens.kind().clone() {
            Kind::Text(text) => anywhere(Pattern::word(&text))?,
            Kind::Bytes(bytes) => Expr::Anywhere(Pattern::bytes(&bytes)),
            Kind::Regex { pattern, any_case } => anywhere(Pattern::regex(&pattern, any_case))?,
            Kind::Word(word) if is_keyword(&word, "jq") && matches!(self.tokens.all[self.tokens.at + 1].kind, Kind::Text(_)) => {
                return self.jq();
            }
            Kind::Word(word) if starts_with_field(&word) => return self.test(),
            Kind::Word(word) if RESERVED.iter().any(|reserved| is_keyword(&word, reserved)) => {
                return Err(self
                    .tokens
                    .error(format!("a condition was expected, not `{word}`"))
                    .hint("to search for the word, put it in quotes"));
            }
            Kind::Word(word) => {
                self.not_a_field(&word)?;
                anywhere(Pattern::word(&word))?
            }
            Kind::End => return Err(self.tokens.error("a condition was expected, but the query ends here")),
            Kind::Symbol("!") => return Err(self.tokens.error("`!` does not stand here").hint("did you mean `not`?")),
            Kind::Symbol(symbol) => return Err(self.tokens.error(format!("a condition was expected, not `{symbol}`"))),
        };
        self.tokens.advance();
        Ok(expr)
    }

    fn jq(&mut self) -> Result<Expr, QueryError> {
        self.tokens.advance();
        let Kind::Text(source) = self.tokens.kind().clone() else { return Err(self.tokens.error("a jq program in quotes was expected")) };
        let start = self.tokens.token().span.start;
        let program = Program::compile(&source).map_err(|fault| {
            // Every character of the program stands in the query as it is, only its quotes have a backslash before them.
            let before = &source[..fault.offset];
            let quote = self.tokens.text[start..].chars().next();
            let escapes = before.chars().filter(|c| Some(*c) == quote).count();
            QueryError::new(column(self.tokens.text, start) + 1 + before.chars().count() + escapes, fault.message)
        })?;
        self.tokens.advance();
        Ok(Expr::Jq(program))
    }

    /// A word that is no field but is followed by an operator was meant as one.
    fn not_a_field(&self, word: &str) -> Result<(), QueryError> {
        let next = &self.tokens.all[self.tokens.at + 1].kind;
        let compared = match next {
            Kind::Symbol(symbol) => !matches!(*symbol, "(" | ")" | "," | "&&" | "||" | "&"),
            Kind::Word(word) => RESERVED[3..10].iter().any(|operator| is_keyword(word, operator)),
            _ => false,
        };
        if !compared {
            return Ok(());
        }
        let first = word.split('.').next().unwrap_or(word);
        let error = self.tokens.error(format!("`{first}` is not a field"));
        Err(match nearest(first, Field::NAMES) {
            Some(field) => error.hint(format!("did you mean `{field}{}`?", &word[first.len()..])),
            None => error.hint(format!("did you mean `value.{word}`? To search for words, put them in quotes")),
        })
    }

    fn test(&mut self) -> Result<Expr, QueryError> {
        let start = self.tokens.at;
        let field = self.field()?;
        let negated = self.keyword("not");
        let predicate = self.predicate(&field, start)?;
        let needs_name = matches!(predicate, Predicate::Compare(..) | Predicate::In(_) | Predicate::StartsWith(_) | Predicate::EndsWith(_));
        if field == Field::Headers && needs_name {
            return Err(self.tokens.error_at(start, "`headers` are many").hint("name one: headers.NAME"));
        }
        let test = Expr::Test(field, predicate);
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn field(&mut self) -> Result<Field, QueryError> {
        let start = self.tokens.at;
        let Kind::Word(word) = self.tokens.kind().clone() else { return Err(self.tokens.error("a field was expected")) };
        let name = word.split('.').next().unwrap_or(&word);
        let mut steps = Vec::new();
        let open = self.steps(&word[name.len()..], &mut steps)?;
        self.tokens.advance();
        self.more_steps(open, &mut steps)?;
        let simple = match name {
            "key" => return Ok(Field::Key(steps)),
            "value" => return Ok(Field::Value(steps)),
            "headers" if steps.is_empty() => return Ok(Field::Headers),
            "headers" => return self.header(start, &steps),
            "topic" => Field::Topic,
            "partition" => Field::Partition,
            "offset" => Field::Offset,
            "timestamp" => Field::Timestamp,
            "size" => Field::Size,
            "reason" => Field::Reason,
            "exception" => Field::Exception,
            "origin" => Field::Origin,
            _ => Field::Attempts,
        };
        if steps.is_empty() { Ok(simple) } else { Err(self.tokens.error_at(start, format!("`{name}` has no fields inside"))) }
    }

    /// Header names may have points in them, so that all of a path is one name.
    fn header(&self, start: usize, steps: &[Step]) -> Result<Field, QueryError> {
        let names: Option<Vec<&str>> = steps.iter().map(|step| if let Step::Key(key) = step { Some(&**key) } else { None }).collect();
        let names = names.ok_or_else(|| self.tokens.error_at(start, "headers have names, not numbers").hint("write headers.NAME"))?;
        Ok(Field::Header(names.join(".").into()))
    }

    /// The steps in `.order.total`; says whether the last point still waits for its step.
    fn steps(&self, text: &str, steps: &mut Vec<Step>) -> Result<bool, QueryError> {
        if text.is_empty() {
            return Ok(false);
        }
        let mut parts = text.split('.').skip(1).peekable();
        while let Some(part) = parts.next() {
            if part.is_empty() {
                let next = &self.tokens.all[self.tokens.at + 1];
                let quoted = matches!(next.kind, Kind::Text(_)) && next.span.start == self.tokens.token().span.end;
                return if parts.peek().is_none() && quoted {
                    Ok(true)
                } else {
                    Err(self.tokens.error("a step of the path is missing between its points"))
                };
            }
            steps.push(Step::Key(part.into()));
        }
        Ok(false)
    }

    /// `[0]`, `["quoted"]`, `."quoted"` and `.more`, as long as nothing stands between.
    fn more_steps(&mut self, mut open: bool, steps: &mut Vec<Step>) -> Result<(), QueryError> {
        while self.tokens.is_joined() {
            match self.tokens.kind().clone() {
                Kind::Text(key) if open => {
                    steps.push(Step::Key(key.into()));
                    open = false;
                    self.tokens.advance();
                }
                Kind::Word(word) if word.starts_with('.') => {
                    open = self.steps(&word, steps)?;
                    self.tokens.advance();
                }
                Kind::Symbol("[") => {
                    self.tokens.advance();
                    steps.push(self.index()?);
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Result<Step, QueryError> {
        let step = match self.tokens.kind() {
            Kind::Text(key) => Some(Step::Key(key.as_str().into())),
            Kind::Word(word) => word.parse().ok().filter(|_| word.bytes().all(|b| b.is_ascii_digit())).map(Step::Index),
            _ => None,
        };
        let step = step.ok_or_else(|| self.tokens.error("an index was expected").hint("write [0] or [\"key\"]"))?;
        self.tokens.advance();
        if self.tokens.symbol("]") { Ok(step) } else { Err(self.tokens.error("`]` was expected")) }
    }

    fn predicate(&mut self, field: &Field, start: usize) -> Result<Predicate, QueryError> {
        if let Kind::Symbol(symbol) = *self.tokens.kind() {
            let all =
                [Comparison::Equal, Comparison::Unequal, Comparison::AtMost, Comparison::AtLeast, Comparison::Less, Comparison::Greater];
            if let Some(comparison) = all.into_iter().find(|comparison| comparison.symbol() == symbol) {
                self.tokens.advance();
                return Ok(Predicate::Compare(comparison, self.literal(field)?));
            }
            if let Some((_, meant)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == symbol) {
                return Err(self.tokens.error(format!("`{symbol}` is not an operator")).hint(format!("did you mean `{meant}`?")));
            }
        }
        if self.keyword("exists") {
            return Ok(Predicate::Exists);
        }
        if self.keyword("in") {
            return self.list(field);
        }
        if self.keyword("matches") {
            return self.regex();
        }
        for (word, any_case) in [("contains", false), ("contains~", true)] {
            if self.keyword(word) {
                let place = self.tokens.at;
                let pattern = match self.text_literal(word, field)? {
                    Literal::Bytes(_) if any_case => Err("bytes have no case: write `contains`".to_owned()),
                    Literal::Bytes(bytes) => Ok(Pattern::bytes(&bytes)),
                    other => Pattern::text(std::str::from_utf8(other.as_bytes()).unwrap_or_default(), any_case),
                };
                return pattern.map(Predicate::Contains).map_err(|message| self.tokens.error_at(place, message));
            }
        }
        for word in ["starts", "ends"] {
            if self.keyword(word) {
                if !self.keyword("with") {
                    return Err(self.tokens.error(format!("`with` was expected after `{word}`")));
                }
                let literal = self.text_literal("with", field)?;
                return Ok(if word == "starts" { Predicate::StartsWith(literal) } else { Predicate::EndsWith(literal) });
            }
        }
        Err(self.expected_operator(start))
    }

    fn expected_operator(&self, start: usize) -> QueryError {
        let field = self.tokens.since(start).to_owned();
        let words = ["contains", "starts with", "ends with", "matches", "exists", "in"];
        let Kind::Word(word) = self.tokens.kind() else {
            return self
                .tokens
                .error(format!("after `{field}` an operator was expected: == != < <= > >= contains starts ends matches in exists"))
                .hint(format!("to search for the word, put it in quotes: \"{field}\""));
        };
        let error = self.tokens.error(format!("`{word}` is not an operator"));
        match nearest(word, words) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("write == != < <= > >= contains, starts with, ends with, matches, in or exists"),
        }
    }

    fn list(&mut self, field: &Field) -> Result<Predicate, QueryError> {
        if !self.tokens.symbol("(") {
            return Err(self.tokens.error("after `in` a list was expected").hint("write in (\"a\", \"b\")"));
        }
        let mut literals = vec![self.literal(field)?];
        while self.tokens.symbol(",") {
            literals.push(self.literal(field)?);
        }
        if self.tokens.symbol(")") { Ok(Predicate::In(literals)) } else { Err(self.tokens.error("`,` or `)` was expected in the list")) }
    }

    fn regex(&mut self) -> Result<Predicate, QueryError> {
        let Kind::Regex { pattern, any_case } = self.tokens.kind() else {
            return Err(self.tokens.error("after `matches` a regex was expected").hint("write /…/ or /…/i"));
        };
        let pattern = Pattern::regex(pattern, *any_case).map_err(|message| self.tokens.error(message))?;
        self.tokens.advance();
        Ok(Predicate::Matches(pattern))
    }

    /// A text, digits that are looked for as they are written, or bytes.
    fn text_literal(&mut self, after: &str, field: &Field) -> Result<Literal, QueryError> {
        let text = match self.tokens.kind() {
            Kind::Text(text) => Literal::Text(text.clone()),
            Kind::Word(word) if is_number(word) => Literal::Text(word.clone()),
            Kind::Bytes(bytes) => self.bytes_of(field, bytes)?,
            _ => return Err(self.no_literal(&format!("after `{after}` a text was expected"))),
        };
        self.tokens.advance();
        Ok(text)
    }

    fn literal(&mut self, field: &Field) -> Result<Literal, QueryError> {
        let literal = match self.tokens.kind() {
            Kind::Word(word) if is_keyword(word, "null") => Literal::Null,
            Kind::Word(word) | Kind::Text(word) if *field == Field::Timestamp => {
                let read = if is_number(word) { word.parse().ok().map(super::super::time::Timestamp) } else { None };
                let moment = read.map_or_else(|| parse_moment(word, self.now), Ok);
                Literal::Moment(moment.map_err(|message| self.tokens.error(message))?)
            }
            Kind::Text(text) => Literal::Text(text.clone()),
            Kind::Bytes(bytes) => self.bytes_of(field, bytes)?,
            Kind::Word(word) if is_keyword(word, "true") => Literal::Bool(true),
            Kind::Word(word) if is_keyword(word, "false") => Literal::Bool(false),
            Kind::Word(word) if is_number(word) => Literal::Number(word.clone()),
            _ => return Err(self.no_literal("a text, a number, true, false or null was expected")),
        };
        self.tokens.advance();
        Ok(literal)
    }

    /// Bytes are compared with what messages hold, never with what the system says of them.
    fn bytes_of(&self, field: &Field, bytes: &[u8]) -> Result<Literal, QueryError> {
        match field {
            Field::Key(_) | Field::Value(_) | Field::Headers | Field::Header(_) => Ok(Literal::Bytes(bytes.to_vec())),
            _ => Err(self.tokens.error(format!("`{field}` is no bytes")).hint("b\"…\" is for keys, headers and values")),
        }
    }

    fn no_literal(&self, expected: &str) -> QueryError {
        let error = self.tokens.error(expected);
        match self.tokens.kind() {
            Kind::Word(word) => error.hint(format!("put the text in quotes: \"{word}\"")),
            Kind::Regex { .. } => error.hint("write `matches` before a regex"),
            _ => error,
        }
    }
}

fn starts_with_field(word: &str) -> bool {
    word.split('.').next().is_some_and(|name| Field::NAMES.contains(&name))
}
