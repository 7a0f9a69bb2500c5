//! What a group of letters is called, and where its letters came from and lie.

use super::groups::FailureGroup;
use crate::domain::text::SafeText;
use std::collections::BTreeSet;
use std::sync::Arc;

impl FailureGroup {
    /// The failure in one line: the exception without the package it is of, and what it said; else the reason.
    pub fn words(&self) -> SafeText {
        if let Some(key) = &self.key {
            return if key.as_str().is_empty() { "(nothing there)".into() } else { key.clone() };
        }
        let said = self.message.as_ref().and_then(|message| message.as_str().lines().next()).filter(|line| !line.is_empty());
        match (&self.exception, &self.reason, said) {
            (Some(exception), _, Some(said)) => format!("{}: {said}", short(exception.as_str())).into(),
            (Some(exception), _, None) => short(exception.as_str()).into(),
            (None, Some(reason), Some(said)) => format!("{reason}: {said}").into(),
            (None, Some(reason), None) => reason.clone(),
            (None, None, Some(said)) => said.into(),
            (None, None, None) if self.unknown => "unknown: no dialect is on these letters".into(),
            (None, None, None) => "no reason given".into(),
        }
    }

    /// The channels that letters came from, as far as they say it.
    pub fn origins(&self) -> impl Iterator<Item = &Arc<str>> {
        self.routes.iter().filter_map(|route| route.from.as_ref()).collect::<BTreeSet<_>>().into_iter()
    }

    /// The channels in which letters lie.
    pub fn died_in(&self) -> impl Iterator<Item = &Arc<str>> {
        self.routes.iter().map(|route| &route.died_in).collect::<BTreeSet<_>>().into_iter()
    }
}

/// A type without its package: `com.shop.OrderException` is `OrderException`.
fn short(exception: &str) -> &str {
    let name = exception.trim();
    let end = name.find(['(', ' ', ':']).unwrap_or(name.len());
    match name[..end].rfind(['.', '/', '\\']) {
        Some(dot) if dot + 1 < end => &name[dot + 1..],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn an_exception_is_called_by_its_own_name() {
        for (exception, name) in [
            ("com.shop.OrderException", "OrderException"),
            ("System.InvalidOperationException", "InvalidOperationException"),
            ("ValueError", "ValueError"),
            ("com.shop.Outer$Inner", "Outer$Inner"),
            ("github.com/shop/orders.ErrMissing", "ErrMissing"),
            ("a.b: c.d", "b: c.d"),
            ("trailing.", "trailing."),
            ("", ""),
        ] {
            assert_eq!(short(exception), name);
        }
    }
}
