//! What can be done to JetStream, as forms.

use crate::domain::operation::{Field, Input, OperationSpec, Risk, Target};

/// In the order of a menu.
pub(super) const ALL: &[&OperationSpec] = &[&CREATE, &PURGE, &DELETE_MESSAGE, &DELETE, &PAUSE, &RESUME, &DELETE_CONSUMER, &CAPTURE];

static CREATE: OperationSpec = OperationSpec {
    id: "create-stream",
    title: "Create stream",
    help: "makes a stream that keeps what is published to its subjects",
    risk: Risk::Reversible,
    permission: "channels:create",
    on: Target::Integration,
    fields: &[
        Field { id: "name", title: "Name", help: "letters, digits, - and _", input: Input::Text },
        Field { id: "subjects", title: "Subjects", help: "with commas between them; the name without it", input: Input::Text },
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

static PURGE: OperationSpec = OperationSpec {
    id: "purge-stream",
    title: "Purge",
    help: "deletes messages of a stream",
    risk: Risk::Destroy,
    permission: "channels:purge",
    on: Target::Channel,
    fields: &[
        Field { id: "subject", title: "Subject", help: "only these; all without it", input: Input::Text },
        Field { id: "before", title: "Before", help: "only those with a lower sequence", input: Input::Number { min: 1, max: i64::MAX } },
        Field { id: "keep", title: "Keep", help: "the newest so many stay", input: Input::Number { min: 1, max: i64::MAX } },
    ],
};

static DELETE_MESSAGE: OperationSpec = OperationSpec {
    id: "delete-message",
    title: "Delete message",
    help: "deletes one message of a stream",
    risk: Risk::Destroy,
    permission: "messages:delete",
    on: Target::Channel,
    fields: &[
        Field { id: "sequence", title: "Sequence", help: "its place in the stream", input: Input::Number { min: 1, max: i64::MAX } },
        Field { id: "erase", title: "Erase", help: "overwrite its bytes as well", input: Input::Choice(&["no", "yes"]) },
    ],
};

static DELETE: OperationSpec = OperationSpec {
    id: "delete-stream",
    title: "Delete stream",
    help: "deletes a stream with its messages and consumers",
    risk: Risk::Destroy,
    permission: "channels:delete",
    on: Target::Channel,
    fields: &[],
};

static PAUSE: OperationSpec = OperationSpec {
    id: "pause-consumer",
    title: "Pause consumer",
    help: "gives nothing to a consumer for a while",
    risk: Risk::Reversible,
    permission: "groups:change",
    on: Target::Group,
    fields: &[Field { id: "for", title: "For", help: "30m, 2h; one hour without it", input: Input::Text }],
};

static RESUME: OperationSpec = OperationSpec {
    id: "resume-consumer",
    title: "Resume consumer",
    help: "ends a pause",
    risk: Risk::Reversible,
    permission: "groups:change",
    on: Target::Group,
    fields: &[],
};

static DELETE_CONSUMER: OperationSpec = OperationSpec {
    id: "delete-consumer",
    title: "Delete consumer",
    help: "deletes a consumer and its position",
    risk: Risk::Destroy,
    permission: "groups:delete",
    on: Target::Group,
    fields: &[],
};

/// Advisories are sent once and kept by nobody: without a stream, which messages died is known only to who listened then.
pub(super) static CAPTURE: OperationSpec = OperationSpec {
    id: "capture-advisories",
    title: "Capture advisories",
    help: "makes a stream that keeps which messages consumers gave up or terminated",
    risk: Risk::Reversible,
    permission: "channels:create",
    on: Target::Integration,
    fields: &[],
};
