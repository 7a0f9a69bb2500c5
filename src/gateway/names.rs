//! `Names`: the one place where the names that we show and the names of a system are translated into each other.
//!
//! With `topic_prefix` (seed 4) the channels of an integration are named without the prefix that they all have. A name outside of it is
//! written with a slash before it, so that every channel still has exactly one name and none is hidden.

use crate::domain::address::{Address, split_kind};
use crate::domain::channel::Channel;
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Found, Letter, Place, Target};
use crate::domain::delivery::Delivery;
use crate::domain::group::Mark;
use crate::domain::message::Message;
use crate::domain::operation::{Change, Request};
use std::sync::Arc;

/// How an integration's channels are named. Without a prefix nothing is translated.
#[derive(Debug, Default)]
pub(super) struct Names {
    prefix: Option<String>,
    /// The kinds of channel that the system has.
    kinds: &'static [&'static str],
}

impl Names {
    /// A prefix is joined by a point, unless it ends with a separator of its own (MQTT's slash).
    pub(super) fn under(prefix: &str, kinds: &'static [&'static str]) -> Self {
        let joined = prefix.ends_with(['.', '/', ':', '-', '_']);
        Self { prefix: Some(if joined { prefix.to_owned() } else { format!("{prefix}.") }), kinds }
    }

    /// Whether names are the same on both sides.
    pub(super) fn are_plain(&self) -> bool {
        self.prefix.is_none()
    }

    /// The system's own name of a channel that is given to us.
    pub(super) fn full(&self, name: &str) -> Arc<str> {
        let Some(prefix) = &self.prefix else { return name.into() };
        let (kind, bare) = split_kind(self.kinds, name);
        let full = match bare.strip_prefix('/') {
            _ if bare.is_empty() => String::new(),
            Some(outside) => outside.to_owned(),
            None => format!("{prefix}{bare}"),
        };
        self.with_kind(kind, &full)
    }

    /// The name that we show of a channel as the system names it.
    pub(super) fn shown(&self, name: &Arc<str>) -> Arc<str> {
        let Some(prefix) = &self.prefix else { return name.clone() };
        let (kind, bare) = split_kind(self.kinds, name);
        let inside = bare.strip_prefix(prefix.as_str()).filter(|inside| !inside.is_empty() && !inside.starts_with('/'));
        self.with_kind(kind, &inside.map_or_else(|| format!("/{bare}"), str::to_owned))
    }

    /// A name with its kind, also where it begins like one only now.
    fn with_kind(&self, kind: Option<&'static str>, name: &str) -> Arc<str> {
        let needed = || self.kinds.first().copied().filter(|_| split_kind(self.kinds, name).0.is_some());
        let kind = if self.kinds.len() == 1 { needed() } else { kind.or_else(needed) };
        kind.map_or_else(|| name.into(), |kind| format!("{kind}:{name}").into())
    }

    pub(super) fn messages(&self, mut messages: Vec<Message>) -> Vec<Message> {
        if !self.are_plain() {
            for message in &mut messages {
                message.channel = self.shown(&message.channel);
            }
        }
        messages
    }

    pub(super) fn channel(&self, channel: Channel) -> Channel {
        if self.are_plain() {
            return channel;
        }
        let dead_letters_to = channel.dead_letters_to.map(|name| (*self.shown(&name.as_str().into())).into());
        let kept_by = channel.kept_by.map(|name| self.shown(&name));
        Channel { name: self.shown(&channel.name), dead_letters_to, kept_by, ..channel }
    }

    pub(super) fn delivery(&self, mut delivery: Delivery) -> Delivery {
        delivery.message.channel = self.shown(&delivery.message.channel);
        delivery
    }

    pub(super) fn full_assumptions(&self, assumed: &Assumptions) -> Assumptions {
        Assumptions { channels: assumed.channels.iter().map(|name| self.full(name)).collect(), ..assumed.clone() }
    }

    pub(super) fn dead_letter_map(&self, map: DeadLetterMap) -> DeadLetterMap {
        if self.are_plain() {
            return map;
        }
        let mut map = map;
        for path in &mut map.paths {
            path.from = self.shown(&path.from);
            if let Target::Channel(name) | Target::Place(Place { name, .. }) = &mut path.to {
                *name = self.shown(name);
            }
        }
        for finding in &mut map.findings {
            finding.channel = self.shown(&finding.channel);
            finding.others.iter_mut().for_each(|name| *name = self.shown(name));
        }
        map.sorted()
    }

    pub(super) fn letter(&self, mut letter: Letter) -> Letter {
        letter.channel = self.shown(&letter.channel);
        if let Found::Message(message) = &mut letter.message {
            message.channel = self.shown(&message.channel);
        }
        letter
    }

    pub(super) fn marks(&self, marks: &[Mark]) -> Vec<Mark> {
        marks.iter().map(|mark| Mark { channel: self.full(&mark.channel), ..mark.clone() }).collect()
    }

    /// A request as the system names its channel.
    pub(super) fn full_request(&self, request: &Request) -> Request {
        self.renamed(request, |name| self.full(name))
    }

    /// A change as its system planned it, with the names that we show.
    pub(super) fn shown_change(&self, change: Change) -> Change {
        let shown = |request: &Request| self.renamed(request, |name| self.shown(name));
        Change { request: shown(&change.request), undo: change.undo.as_ref().map(shown), ..change }
    }

    /// The same back.
    pub(super) fn full_change(&self, change: &Change) -> Change {
        Change { request: self.full_request(&change.request), ..change.clone() }
    }

    /// A request with its channel named by `name`; a group has a name of its own.
    fn renamed(&self, request: &Request, name: impl Fn(&Arc<str>) -> Arc<str>) -> Request {
        let mut request = request.clone();
        if !self.are_plain() && !request.address.is_group() && !request.address.channel.is_empty() {
            request.address = Address::new(&request.address.integration, &name(&request.address.within())).split(self.kinds);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::spell;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_channel_has_one_name_and_every_name_one_channel(
            prefix in "[a-c./]{1,4}",
            name in "[a-c./]{0,4}(topic:|queue:)?[a-c./]{1,8}",
            kind in prop::sample::select(vec![None, Some("queue"), Some("stream")]),
        ) {
            let one = Names::under(&prefix, &["topic"]);
            let spelled: Arc<str> = spell(one.kinds, "topic", name.as_bytes()).into();
            prop_assert_eq!(one.full(&one.shown(&spelled)), spelled);
            let several = Names::under(&prefix, &["queue", "stream"]);
            let spelled: Arc<str> =
                kind.map_or_else(|| spell(several.kinds, "queue", name.as_bytes()), |kind| format!("{kind}:{name}")).into();
            let full = several.full(&several.shown(&spelled));
            // A bare name is of the first kind, and may come back with it.
            let with_kind = kind.is_none().then(|| format!("queue:{spelled}"));
            prop_assert!(full == spelled || with_kind.as_deref() == Some(&*full), "{full} {spelled}");
        }
    }
}
