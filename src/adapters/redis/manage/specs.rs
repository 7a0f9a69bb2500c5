//! What Redis can be asked to do, as data.

use crate::domain::operation::{Field, OperationSpec, Risk, Target};

const STREAM: Target = Target::Channel(&["stream"]);
const TO: Field = Field::text("to", "To", "earliest, latest, end-500, an entry's id or a time");
const IDS: Field = Field::text("ids", "Ids", "of the entries, with commas between them");

pub(super) static GROUP_CREATE: OperationSpec = OperationSpec::new(Risk::Reversible, STREAM, "groups:create")
    .named("group.create", "Create group")
    .help("makes a consumer group of the stream (XGROUP CREATE)")
    .asks(&[
        Field::text("group", "Group", "its name"),
        Field::text("to", "From", "what it reads first; latest (what comes from now on) if missing"),
    ]);
pub(super) static GROUP_RESET: OperationSpec = OperationSpec::new(Risk::Bulk, Target::Group, "groups:reset")
    .named("group.reset", "Reset group")
    .help("sets what the group is given next (XGROUP SETID); what is pending stays so")
    .asks(&[TO]);
pub(super) static GROUP_DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Group, "groups:delete")
    .named("group.delete", "Delete group")
    .help("deletes the group, its position and its pending list (XGROUP DESTROY)");
pub(super) static CONSUMER_DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Group, "groups:delete")
    .named("consumer.delete", "Delete consumer")
    .help("deletes a consumer of the group; what was pending with it is never redelivered (XGROUP DELCONSUMER)")
    .asks(&[Field::text("consumer", "Consumer", "its name")]);
pub(super) static PENDING_ACK: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Group, "messages:settle")
    .named("pending.ack", "Acknowledge pending")
    .help("takes entries off the group's pending list as if they had been processed (XACK)")
    .asks(&[IDS]);
pub(super) static PENDING_CLAIM: OperationSpec = OperationSpec::new(Risk::Bulk, Target::Group, "messages:settle")
    .named("pending.claim", "Claim pending")
    .help("gives pending entries to another consumer (XCLAIM); those that were deleted from the stream stay where they are")
    .asks(&[
        Field::text("consumer", "Consumer", "who gets them"),
        Field::number("idle", "Idle", "seconds since they were last given to somebody, at least; 60 if missing", 0, 31_536_000),
        Field::text("from", "From", "only those of this consumer; of all if missing"),
    ]);
pub(super) static TRIM: OperationSpec = OperationSpec::new(Risk::Destroy, STREAM, "topics:purge")
    .named("stream.trim", "Trim stream")
    .help("deletes the entries before a place and leaves the stream (XTRIM MINID)")
    .asks(&[Field::text("before", "Before", "latest (all), end-500 (keeps 500), an entry's id or a time")]);
pub(super) static ENTRY_DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, STREAM, "topics:purge")
    .named("entry.delete", "Delete entries")
    .help("deletes single entries of the stream (XDEL)")
    .asks(&[IDS]);
pub(super) static KEY_DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Channel(&["stream", "key"]), "topics:delete")
    .named("key.delete", "Delete key")
    .help("deletes a stream or keys with everything in them (UNLINK)");

/// All of them, in the order of a menu.
pub(in crate::adapters::redis) static ALL: &[&OperationSpec] =
    &[&GROUP_CREATE, &GROUP_RESET, &GROUP_DELETE, &CONSUMER_DELETE, &PENDING_ACK, &PENDING_CLAIM, &TRIM, &ENTRY_DELETE, &KEY_DELETE];
