//! JSON read only as far as a path asks: one pass over the tokens, no tree, nothing copied but texts with escapes.

use super::reader::{JsonError, Quoted, Reader, Token};
use crate::domain::query::Node;
use crate::domain::value::Step;
use crate::domain::value::Value;
use std::borrow::Cow;

/// Whether a test holds for one of the places that a path leads to. All of the text is read, because what is wrong at its end is not JSON
/// either; an error says so, whatever the test said before.
pub fn any_at(text: &str, steps: &[Step], test: &mut dyn FnMut(&Node<'_>) -> bool) -> Result<bool, JsonError> {
    let mut search = Search { text, reader: Reader::new(text), test, found: false, stop: false };
    search.value(steps)?;
    search.reader.token()?;
    Ok(search.found)
}

/// The same in a text that is known to be JSON; what stands behind the first place that passes is not read.
pub fn any_at_valid(text: &str, steps: &[Step], test: &mut dyn FnMut(&Node<'_>) -> bool) -> bool {
    let mut search = Search { text, reader: Reader::new(text), test, found: false, stop: true };
    // An error would be one of the text, which has none.
    search.value(steps).is_ok() && search.found
}

struct Search<'a, 't> {
    text: &'a str,
    reader: Reader<'a>,
    test: &'t mut dyn FnMut(&Node<'_>) -> bool,
    found: bool,
    /// Whether the first success ends the search.
    stop: bool,
}

impl Search<'_, '_> {
    fn over(&self) -> bool {
        self.stop && self.found
    }

    /// Searches the value that comes next, and goes behind it.
    fn value(&mut self, steps: &[Step]) -> Result<(), JsonError> {
        let Some((step, rest)) = steps.split_first() else { return self.test() };
        match (self.reader.next_byte(), step) {
            (Some(b'{'), Step::Key(name)) => {
                self.reader.token()?;
                while let Some(key) = self.reader.next_key()? {
                    if is(key, name) {
                        self.value(rest)?;
                    } else {
                        self.reader.skip_value()?;
                    }
                    if self.over() {
                        break;
                    }
                }
            }
            (Some(b'['), Step::Index(wanted)) => {
                self.reader.token()?;
                let mut index = 0;
                while self.reader.next_item()? {
                    if index == *wanted {
                        self.value(rest)?;
                    } else {
                        self.reader.skip_value()?;
                    }
                    if self.over() {
                        return Ok(());
                    }
                    index += 1;
                }
            }
            _ => self.reader.skip_value()?,
        }
        Ok(())
    }

    fn test(&mut self) -> Result<(), JsonError> {
        let first = self.reader.next_byte();
        // After a success only the grammar is of interest.
        if self.found {
            return self.reader.skip_value();
        }
        if matches!(first, Some(b'{' | b'[')) {
            let start = self.reader.position();
            self.reader.skip_value()?;
            let part = &self.text[start..self.reader.position()];
            self.found = (self.test)(&Node::Within(&|search| any_within(part, search)));
            return Ok(());
        }
        self.found = match self.reader.token()? {
            Some(Token::Text(text)) => (self.test)(&Node::Text(text.resolve().0)),
            Some(Token::Number(digits)) => (self.test)(&Node::Number(Cow::Borrowed(digits))),
            Some(Token::Bool(truth)) => (self.test)(&Node::Tree(&Value::Bool(truth))),
            Some(Token::Null) => (self.test)(&Node::Tree(&Value::Null)),
            _ => false,
        };
        Ok(())
    }
}

fn is(key: Quoted<'_>, name: &str) -> bool {
    if key.is_escaped() { key.resolve().0 == name } else { key.raw == name }
}

/// Whether a search is true for a name or a scalar, as it is printed, in a text that is known to be JSON.
fn any_within(text: &str, search: &dyn Fn(&[u8]) -> bool) -> bool {
    let mut reader = Reader::new(text);
    while let Ok(Some(token)) = reader.token() {
        let found = match token {
            Token::Key(text) | Token::Text(text) => search(text.resolve().0.as_bytes()),
            Token::Number(digits) => search(digits.as_bytes()),
            Token::Bool(truth) => search(if truth { b"true" } else { b"false" }),
            Token::Null => search(b"null"),
            Token::BeginObject | Token::EndObject | Token::BeginArray | Token::EndArray => false,
        };
        if found {
            return true;
        }
    }
    false
}
