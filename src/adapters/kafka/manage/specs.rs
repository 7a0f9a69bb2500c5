//! Kafka's operations as data: what menus, forms, permissions and the command line show of them.

use crate::domain::operation::{Field, Input, OperationSpec, Risk, Target};

/// What every cluster can be asked.
pub(in crate::adapters::kafka) static ALL: &[&OperationSpec] =
    &[&CREATE, &PARTITIONS, &CONFIG, &ELECT, &PURGE, &DELETE, &GROUP_RESET, &GROUP_DELETE];
/// What is left where topics cannot be made.
pub(super) static POSITIONS: &[&OperationSpec] = &[&GROUP_RESET];

const fn text(id: &'static str, title: &'static str, help: &'static str) -> Field {
    Field { id, title, help, input: Input::Text }
}

pub(super) static CREATE: OperationSpec = OperationSpec {
    id: "topic.create",
    title: "Create topic",
    help: "makes an empty topic",
    risk: Risk::Reversible,
    permission: "topics:create",
    on: Target::Integration,
    fields: &[
        Field {
            id: "partitions",
            title: "Partitions",
            help: "how many; default: the broker's",
            input: Input::Number { min: 1, max: 100_000 },
        },
        Field {
            id: "replicas",
            title: "Replicas",
            help: "copies of each partition; default: the broker's",
            input: Input::Number { min: 1, max: 1_000 },
        },
        text("settings", "Settings", "retention.ms=86400000 cleanup.policy=compact …; the brokers' defaults if missing"),
    ],
};

pub(super) static DELETE: OperationSpec = OperationSpec {
    id: "topic.delete",
    title: "Delete topic",
    help: "deletes a topic with every message in it",
    risk: Risk::Destroy,
    permission: "topics:delete",
    on: Target::Channel(&["topic"]),
    fields: &[],
};

pub(super) static PURGE: OperationSpec = OperationSpec {
    id: "topic.purge",
    title: "Purge topic",
    help: "deletes the messages of a topic, all or the older ones, and leaves the topic",
    risk: Risk::Destroy,
    permission: "topics:purge",
    on: Target::Channel(&["topic"]),
    fields: &[text(
        "before",
        "Before",
        "what is older goes: latest (all), end-500, @12345, 3@1042,4@17, 3h ago, 2026-02-05T10:00Z; latest if missing",
    )],
};

pub(super) static PARTITIONS: OperationSpec = OperationSpec {
    id: "partitions.add",
    title: "Add partitions",
    help: "gives a topic more partitions; they cannot be taken away again",
    risk: Risk::Bulk,
    permission: "topics:alter",
    on: Target::Channel(&["topic"]),
    fields: &[Field {
        id: "count",
        title: "Partitions",
        help: "how many it has afterwards, those of now included",
        input: Input::Number { min: 2, max: 100_000 },
    }],
};

pub(super) static CONFIG: OperationSpec = OperationSpec {
    id: "settings.change",
    title: "Change settings",
    help: "changes settings of a topic, all of them or none",
    risk: Risk::Reversible,
    permission: "topics:alter",
    on: Target::Channel(&["topic"]),
    fields: &[
        text("set", "Set", "retention.ms=86400000 max.message.bytes=2000000 …"),
        text("remove", "Remove", "names, separated by blanks: back to what the brokers say"),
        text("append", "Append", "cleanup.policy=compact …: adds to a list"),
        text("subtract", "Subtract", "cleanup.policy=compact …: takes from a list"),
    ],
};

pub(super) static ELECT: OperationSpec = OperationSpec {
    id: "leaders.elect",
    title: "Elect leaders",
    help: "lets the preferred replicas lead again; or, unclean, any that is left where nobody leads",
    risk: Risk::Reversible,
    permission: "topics:alter",
    on: Target::Channel(&["topic"]),
    fields: &[
        Field {
            id: "kind",
            title: "Kind",
            help: "preferred; unclean loses what the elected replica does not have",
            input: Input::Choice(&["preferred", "unclean"]),
        },
        text("partitions", "Partitions", "0,3,4; all if missing"),
    ],
};

pub(super) static GROUP_RESET: OperationSpec = OperationSpec {
    id: "group.reset",
    title: "Reset positions",
    help: "puts a group's positions elsewhere: its consumers read again, or skip",
    risk: Risk::Bulk,
    permission: "groups:reset",
    on: Target::Group,
    fields: &[
        text("to", "To", "earliest, latest, end-500, @12345, +100, -100, 3@1042,4@17, 3h ago, 2026-02-05T10:00Z"),
        text("topic", "Topic", "all partitions of this one; every partition that the group has a position in if missing"),
    ],
};

pub(super) static GROUP_DELETE: OperationSpec = OperationSpec {
    id: "group.delete",
    title: "Delete group",
    help: "deletes a group without members, with its positions",
    risk: Risk::Destroy,
    permission: "groups:delete",
    on: Target::Group,
    fields: &[],
};
