//! What Redis can be asked to do, as data.

use crate::domain::operation::{Field, Input, OperationSpec, Risk, Target};

const TO: Field = Field { id: "to", title: "To", help: "earliest, latest, end-500, an entry's id or a time", input: Input::Text };
const IDS: Field = Field { id: "ids", title: "Ids", help: "of the entries, with commas between them", input: Input::Text };

pub(super) static GROUP_CREATE: OperationSpec = OperationSpec {
    id: "group.create",
    title: "Create group",
    help: "makes a consumer group of the stream (XGROUP CREATE)",
    risk: Risk::Reversible,
    permission: "groups:create",
    on: Target::Channel(&["stream"]),
    fields: &[
        Field { id: "group", title: "Group", help: "its name", input: Input::Text },
        Field { id: "to", title: "From", help: "what it reads first; latest (what comes from now on) if missing", input: Input::Text },
    ],
};
pub(super) static GROUP_RESET: OperationSpec = OperationSpec {
    id: "group.reset",
    title: "Reset group",
    help: "sets what the group is given next (XGROUP SETID); what is pending stays so",
    risk: Risk::Bulk,
    permission: "groups:reset",
    on: Target::Group,
    fields: &[TO],
};
pub(super) static GROUP_DELETE: OperationSpec = OperationSpec {
    id: "group.delete",
    title: "Delete group",
    help: "deletes the group, its position and its pending list (XGROUP DESTROY)",
    risk: Risk::Destroy,
    permission: "groups:delete",
    on: Target::Group,
    fields: &[],
};
pub(super) static CONSUMER_DELETE: OperationSpec = OperationSpec {
    id: "consumer.delete",
    title: "Delete consumer",
    help: "deletes a consumer of the group; what was pending with it is never redelivered (XGROUP DELCONSUMER)",
    risk: Risk::Destroy,
    permission: "groups:delete",
    on: Target::Group,
    fields: &[Field { id: "consumer", title: "Consumer", help: "its name", input: Input::Text }],
};
pub(super) static PENDING_ACK: OperationSpec = OperationSpec {
    id: "pending.ack",
    title: "Acknowledge pending",
    help: "takes entries off the group's pending list as if they had been processed (XACK)",
    risk: Risk::Destroy,
    permission: "messages:settle",
    on: Target::Group,
    fields: &[IDS],
};
pub(super) static PENDING_CLAIM: OperationSpec = OperationSpec {
    id: "pending.claim",
    title: "Claim pending",
    help: "gives pending entries to another consumer (XCLAIM); those that were deleted from the stream stay where they are",
    risk: Risk::Bulk,
    permission: "messages:settle",
    on: Target::Group,
    fields: &[
        Field { id: "consumer", title: "Consumer", help: "who gets them", input: Input::Text },
        Field {
            id: "idle",
            title: "Idle",
            help: "seconds since they were last given to somebody, at least; 60 if missing",
            input: Input::Number { min: 0, max: 31_536_000 },
        },
        Field { id: "from", title: "From", help: "only those of this consumer; of all if missing", input: Input::Text },
    ],
};
pub(super) static TRIM: OperationSpec = OperationSpec {
    id: "stream.trim",
    title: "Trim stream",
    help: "deletes the entries before a place and leaves the stream (XTRIM MINID)",
    risk: Risk::Destroy,
    permission: "topics:purge",
    on: Target::Channel(&["stream"]),
    fields: &[Field {
        id: "before",
        title: "Before",
        help: "latest (all), end-500 (keeps 500), an entry's id or a time",
        input: Input::Text,
    }],
};
pub(super) static ENTRY_DELETE: OperationSpec = OperationSpec {
    id: "entry.delete",
    title: "Delete entries",
    help: "deletes single entries of the stream (XDEL)",
    risk: Risk::Destroy,
    permission: "topics:purge",
    on: Target::Channel(&["stream"]),
    fields: &[IDS],
};
pub(super) static KEY_DELETE: OperationSpec = OperationSpec {
    id: "key.delete",
    title: "Delete key",
    help: "deletes a stream or keys with everything in them (UNLINK)",
    risk: Risk::Destroy,
    permission: "topics:delete",
    on: Target::Channel(&["stream", "key"]),
    fields: &[],
};

/// All of them, in the order of a menu.
pub(in crate::adapters::redis) static ALL: &[&OperationSpec] =
    &[&GROUP_CREATE, &GROUP_RESET, &GROUP_DELETE, &CONSUMER_DELETE, &PENDING_ACK, &PENDING_CLAIM, &TRIM, &ENTRY_DELETE, &KEY_DELETE];
