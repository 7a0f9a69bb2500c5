//! What can be done to JetStream, as forms.

use crate::domain::operation::{Field, Input, OperationSpec, Risk, Target};

/// In the order of a menu.
pub(super) const ALL: &[&OperationSpec] =
    &[&CREATE, &CREATE_CONSUMER, &PURGE, &DELETE_MESSAGE, &DELETE, &PAUSE, &RESUME, &DELETE_CONSUMER, &CAPTURE];

static CREATE: OperationSpec = OperationSpec {
    id: "stream.create",
    title: "Create stream",
    help: "makes a stream that keeps what is published to its subjects",
    risk: Risk::Reversible,
    permission: "channels:create",
    on: Target::Integration,
    fields: &[
        Field { id: "subjects", title: "Subjects", help: "with commas between them; the stream's name without it", input: Input::Text },
        Field {
            id: "retention",
            title: "Retention",
            help: "limits keeps until a limit, workqueue until acknowledged, interest while somebody wants it",
            input: Input::Choice(&["limits", "workqueue", "interest"]),
        },
        Field { id: "storage", title: "Storage", help: "where it is kept", input: Input::Choice(&["file", "memory"]) },
        Field { id: "replicas", title: "Replicas", help: "servers that keep it; 1 without it", input: Input::Number { min: 1, max: 5 } },
        Field { id: "max_messages", title: "Most messages", help: "no limit without it", input: Input::Number { min: 1, max: i64::MAX } },
        Field { id: "max_age", title: "Longest age", help: "7d, 12h; no limit without it", input: Input::Text },
    ],
};

static CREATE_CONSUMER: OperationSpec = OperationSpec {
    id: "consumer.create",
    title: "Create consumer",
    help: "makes a durable pull consumer of a stream, whose messages are acknowledged one by one",
    risk: Risk::Reversible,
    permission: "groups:create",
    on: Target::Channel(&["stream"]),
    fields: &[
        Field { id: "name", title: "Name", help: "letters, digits, - and _", input: Input::Text },
        Field { id: "filter", title: "Subject", help: "only messages of this subject or pattern; all without it", input: Input::Text },
        Field {
            id: "from",
            title: "From",
            help: "the first message, or those that come from now on",
            input: Input::Choice(&["earliest", "latest"]),
        },
        Field { id: "ack_wait", title: "Time to decide", help: "30s, 5m; half a minute without it", input: Input::Text },
        Field {
            id: "max_deliver",
            title: "Deliveries",
            help: "of one message, at most; no limit without it",
            input: Input::Number { min: 1, max: 1_000_000 },
        },
    ],
};

static PURGE: OperationSpec = OperationSpec {
    id: "stream.purge",
    title: "Purge",
    help: "deletes messages of a stream",
    risk: Risk::Destroy,
    permission: "channels:purge",
    on: Target::Channel(&["stream"]),
    fields: &[
        Field { id: "subject", title: "Subject", help: "only these; all without it", input: Input::Text },
        Field { id: "before", title: "Before", help: "only those with a lower sequence", input: Input::Number { min: 1, max: i64::MAX } },
        Field { id: "keep", title: "Keep", help: "the newest so many stay", input: Input::Number { min: 1, max: i64::MAX } },
    ],
};

static DELETE_MESSAGE: OperationSpec = OperationSpec {
    id: "message.delete",
    title: "Delete message",
    help: "deletes one message of a stream",
    risk: Risk::Destroy,
    permission: "messages:delete",
    on: Target::Channel(&["stream"]),
    fields: &[
        Field { id: "sequence", title: "Sequence", help: "its place in the stream", input: Input::Number { min: 1, max: i64::MAX } },
        Field { id: "erase", title: "Erase", help: "overwrite its bytes as well", input: Input::Choice(&["no", "yes"]) },
    ],
};

pub(super) static DELETE: OperationSpec = OperationSpec {
    id: "stream.delete",
    title: "Delete stream",
    help: "deletes a stream with its messages and consumers",
    risk: Risk::Destroy,
    permission: "channels:delete",
    on: Target::Channel(&["stream"]),
    fields: &[],
};

static PAUSE: OperationSpec = OperationSpec {
    id: "consumer.pause",
    title: "Pause consumer",
    help: "gives nothing to a consumer for a while",
    risk: Risk::Reversible,
    permission: "groups:change",
    on: Target::Group,
    fields: &[Field { id: "for", title: "For", help: "30m, 2h; one hour without it", input: Input::Text }],
};

pub(super) static RESUME: OperationSpec = OperationSpec {
    id: "consumer.resume",
    title: "Resume consumer",
    help: "ends a pause",
    risk: Risk::Reversible,
    permission: "groups:change",
    on: Target::Group,
    fields: &[],
};

pub(super) static DELETE_CONSUMER: OperationSpec = OperationSpec {
    id: "consumer.delete",
    title: "Delete consumer",
    help: "deletes a consumer and its position",
    risk: Risk::Destroy,
    permission: "groups:delete",
    on: Target::Group,
    fields: &[],
};

/// Advisories are sent once and kept by nobody: without a stream, which messages died is known only to who listened then.
static CAPTURE: OperationSpec = OperationSpec {
    id: "advisories.capture",
    title: "Capture advisories",
    help: "makes a stream that keeps which messages consumers gave up or terminated",
    risk: Risk::Reversible,
    permission: "channels:create",
    on: Target::Integration,
    fields: &[],
};
