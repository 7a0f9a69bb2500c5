//! The operations that every system has: a row each, with its risk and the permission that it needs. Reading has rows as changing has, so
//! that a permission, a tenant or a metric can be put to it. What one system alone can do comes from its adapter.

use super::spec::{OperationSpec, Risk, Target};

/// Every row, reading first.
pub const OPERATIONS: &[&OperationSpec] = &[
    &CHECK,
    &LIST_CHANNELS,
    &DESCRIBE_CHANNEL,
    &TAIL,
    &READ,
    &PEEK,
    &LIST_GROUPS,
    &DESCRIBE_GROUP,
    &MAP_DEAD_LETTERS,
    &READ_DEAD_LETTERS,
    &PUBLISH,
    &PROCESS,
    &RECEIVE,
    &SETTLE,
    &CALL,
];

/// Whether an integration answers.
pub const CHECK: OperationSpec =
    reading("integration.check", "Check", "asks whether the system answers", "integrations:read", Target::Integration);

/// The channels of an integration; each is listed only to whoever may see it.
pub const LIST_CHANNELS: OperationSpec =
    reading("channel.list", "List channels", "lists the channels of a system", "channels:read", Target::Integration);

/// Everything known of one channel.
pub const DESCRIBE_CHANNEL: OperationSpec =
    reading("channel.describe", "Describe", "tells everything known of a channel", "channels:read", Target::Channel(&[]));

/// Live messages.
pub const TAIL: OperationSpec = reading("tail", "Tail", "shows messages as they come", "messages:read", Target::Channel(&[]));

/// Messages that a system keeps: history, search, export, following.
pub const READ: OperationSpec = reading("read", "Read", "reads messages that the system keeps", "messages:read", Target::Channel(&[]));

/// The first messages of a queue, given back afterwards.
pub const PEEK: OperationSpec =
    reading("peek", "Peek", "looks at the first messages of a queue and gives them back", "messages:peek", Target::Channel(&[]));

/// Groups and how far each is behind.
pub const LIST_GROUPS: OperationSpec =
    reading("group.list", "List groups", "lists groups and how far each is behind", "groups:read", Target::Integration);

/// Everything known of one group.
pub const DESCRIBE_GROUP: OperationSpec =
    reading("group.describe", "Describe group", "tells everything known of a group", "groups:read", Target::Group);

/// Where messages go that fail; each path is shown only to whoever may see its channels.
pub const MAP_DEAD_LETTERS: OperationSpec = reading(
    "dead_letters.map",
    "Map dead letters",
    "finds where messages go that fail, and what loses them",
    "channels:read",
    Target::Integration,
);

/// Dead letters of a place that is no channel of its own.
pub const READ_DEAD_LETTERS: OperationSpec =
    reading("dead_letters.read", "Read dead letters", "reads messages that failed, where they are", "messages:read", Target::Channel(&[]));

/// Publishing one or more messages.
pub const PUBLISH: OperationSpec = changing("publish", "Publish", "sends messages to a channel", "messages:publish");

/// Consuming as a member of a group and publishing what comes of it, all or nothing.
pub const PROCESS: OperationSpec =
    changing("process", "Process", "consumes messages and publishes what is made of them, all or nothing", "messages:process");

/// Taking messages of a queue without settling them: they are nobody else's until then.
pub const RECEIVE: OperationSpec =
    changing("receive", "Receive", "takes messages of a queue, unsettled until it is decided on them", "messages:receive");

/// Deciding on messages that are held.
pub const SETTLE: OperationSpec =
    changing("settle", "Settle", "acks, requeues, rejects or extends messages that are held", "messages:settle");

/// A request to whoever serves a channel.
pub const CALL: OperationSpec = changing("call", "Call", "sends a request and waits for the replies", "rpc:call");

const fn reading(id: &'static str, title: &'static str, help: &'static str, permission: &'static str, on: Target) -> OperationSpec {
    OperationSpec::new(Risk::Read, on, permission).named(id, title).help(help)
}

const fn changing(id: &'static str, title: &'static str, help: &'static str, permission: &'static str) -> OperationSpec {
    OperationSpec::new(Risk::Reversible, Target::Channel(&[]), permission).named(id, title).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_an_id_of_its_own_and_a_permission_of_a_thing_and_a_verb() {
        let ids: BTreeSet<&str> = OPERATIONS.iter().map(|spec| spec.id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
        for spec in OPERATIONS {
            let (thing, verb) = spec.permission.split_once(':').expect(spec.id);
            assert!(!thing.is_empty() && !verb.is_empty() && !spec.help.is_empty(), "{}", spec.id);
        }
    }
}
