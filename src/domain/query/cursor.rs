//! `Tokens`: the tokens of a text, read from the first to the last.

use super::QueryError;
use super::lexer::{Kind, Token, column, tokens};

pub(in crate::domain) struct Tokens<'a> {
    pub(in crate::domain) text: &'a str,
    /// The last one is `End`, and is never passed.
    pub(in crate::domain) all: Vec<Token>,
    /// The place of the current token.
    pub(in crate::domain) at: usize,
}

impl<'a> Tokens<'a> {
    pub(in crate::domain) fn of(text: &'a str) -> Result<Self, QueryError> {
        Ok(Self { text, all: tokens(text)?, at: 0 })
    }

    pub(in crate::domain) fn token(&self) -> &Token {
        &self.all[self.at]
    }

    pub(in crate::domain) fn kind(&self) -> &Kind {
        &self.token().kind
    }

    pub(in crate::domain) fn advance(&mut self) {
        self.at = (self.at + 1).min(self.all.len() - 1);
    }

    /// Passes this symbol, if it stands here.
    pub(in crate::domain) fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.kind(), Kind::Symbol(found) if *found == symbol);
        if found {
            self.advance();
        }
        found
    }

    /// Whether the current token follows the one before it without a space.
    pub(in crate::domain) fn is_joined(&self) -> bool {
        self.at > 0 && self.all[self.at - 1].span.end == self.token().span.start
    }

    /// The source of the current token, for messages.
    pub(in crate::domain) fn shown(&self) -> &str {
        &self.text[self.token().span.clone()]
    }

    /// The source from a token that has been passed up to the current one.
    pub(in crate::domain) fn since(&self, first: usize) -> &str {
        &self.text[self.all[first].span.start..self.all[self.at - 1].span.end]
    }

    /// An error at a token.
    pub(in crate::domain) fn error_at(&self, place: usize, message: impl Into<String>) -> QueryError {
        QueryError::new(column(self.text, self.all[place].span.start), message)
    }

    /// An error at the current token.
    pub(in crate::domain) fn error(&self, message: impl Into<String>) -> QueryError {
        self.error_at(self.at, message)
    }
}
