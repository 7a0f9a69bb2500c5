//! Kafka's operations as data: what menus, forms, permissions and the command line show of them.

use crate::domain::operation::{Field, OperationSpec, Risk, Target};

const TOPIC: Target = Target::Channel(&["topic"]);

/// What every cluster can be asked.
pub(in crate::adapters::kafka) static ALL: &[&OperationSpec] =
    &[&CREATE, &PARTITIONS, &CONFIG, &ELECT, &PURGE, &DELETE, &GROUP_RESET, &GROUP_DELETE];
/// What is left where topics cannot be made.
pub(super) static POSITIONS: &[&OperationSpec] = &[&GROUP_RESET];

pub(super) static CREATE: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Integration, "topics:create")
    .named("topic.create", "Create topic")
    .help("makes an empty topic")
    .asks(&[
        Field::number("partitions", "Partitions", "how many; default: the broker's", 1, 100_000),
        Field::number("replicas", "Replicas", "copies of each partition; default: the broker's", 1, 1_000),
        Field::text("settings", "Settings", "retention.ms=86400000 cleanup.policy=compact …; the brokers' defaults if missing"),
    ]);
pub(super) static DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, TOPIC, "topics:delete")
    .named("topic.delete", "Delete topic")
    .help("deletes a topic with every message in it");
pub(super) static PURGE: OperationSpec = OperationSpec::new(Risk::Destroy, TOPIC, "topics:purge")
    .named("topic.purge", "Purge topic")
    .help("deletes the messages of a topic, all or the older ones, and leaves the topic")
    .asks(&[Field::text(
        "before",
        "Before",
        "what is older goes: latest (all), end-500, @12345, 3@1042,4@17, 3h ago, 2026-02-05T10:00Z; latest if missing",
    )]);
pub(super) static PARTITIONS: OperationSpec = OperationSpec::new(Risk::Bulk, TOPIC, "topics:alter")
    .named("partitions.add", "Add partitions")
    .help("gives a topic more partitions; they cannot be taken away again")
    .asks(&[Field::number("count", "Partitions", "how many it has afterwards, those of now included", 2, 100_000)]);
pub(super) static CONFIG: OperationSpec = OperationSpec::new(Risk::Reversible, TOPIC, "topics:alter")
    .named("settings.change", "Change settings")
    .help("changes settings of a topic, all of them or none")
    .asks(&[
        Field::text("set", "Set", "retention.ms=86400000 max.message.bytes=2000000 …"),
        Field::text("remove", "Remove", "names, separated by blanks: back to what the brokers say"),
        Field::text("append", "Append", "cleanup.policy=compact …: adds to a list"),
        Field::text("subtract", "Subtract", "cleanup.policy=compact …: takes from a list"),
    ]);
pub(super) static ELECT: OperationSpec = OperationSpec::new(Risk::Reversible, TOPIC, "topics:alter")
    .named("leaders.elect", "Elect leaders")
    .help("lets the preferred replicas lead again; or, unclean, any that is left where nobody leads")
    .asks(&[
        Field::choice("kind", "Kind", "preferred; unclean loses what the elected replica does not have", &["preferred", "unclean"]),
        Field::text("partitions", "Partitions", "0,3,4; all if missing"),
    ]);
pub(super) static GROUP_RESET: OperationSpec = OperationSpec::new(Risk::Bulk, Target::Group, "groups:reset")
    .named("group.reset", "Reset positions")
    .help("puts a group's positions elsewhere: its consumers read again, or skip")
    .asks(&[
        Field::text("to", "To", "earliest, latest, end-500, @12345, +100, -100, 3@1042,4@17, 3h ago, 2026-02-05T10:00Z"),
        Field::text("topic", "Topic", "all partitions of this one; every partition that the group has a position in if missing"),
    ]);
pub(super) static GROUP_DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Group, "groups:delete")
    .named("group.delete", "Delete group")
    .help("deletes a group without members, with its positions");
