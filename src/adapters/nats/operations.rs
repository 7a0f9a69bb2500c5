//! What can be done to JetStream, as forms.

use crate::domain::operation::{Field, OperationSpec, Risk, Target};

const STREAM: Target = Target::Channel(&["stream"]);

/// In the order of a menu.
pub(super) const ALL: &[&OperationSpec] =
    &[&CREATE, &CREATE_CONSUMER, &PURGE, &DELETE_MESSAGE, &DELETE, &PAUSE, &RESUME, &DELETE_CONSUMER, &CAPTURE];

static CREATE: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Integration, "channels:create")
    .named("stream.create", "Create stream")
    .help("makes a stream that keeps what is published to its subjects")
    .asks(&[
        Field::text("subjects", "Subjects", "with commas between them; the stream's name without it"),
        Field::choice(
            "retention",
            "Retention",
            "limits keeps until a limit, workqueue until acknowledged, interest while somebody wants it",
            &["limits", "workqueue", "interest"],
        ),
        Field::choice("storage", "Storage", "where it is kept", &["file", "memory"]),
        Field::number("replicas", "Replicas", "servers that keep it; 1 without it", 1, 5),
        Field::number("max_messages", "Most messages", "no limit without it", 1, i64::MAX),
        Field::text("max_age", "Longest age", "7d, 12h; no limit without it"),
    ]);
static CREATE_CONSUMER: OperationSpec = OperationSpec::new(Risk::Reversible, STREAM, "groups:create")
    .named("consumer.create", "Create consumer")
    .help("makes a durable pull consumer of a stream, whose messages are acknowledged one by one")
    .asks(&[
        Field::text("name", "Name", "letters, digits, - and _"),
        Field::text("filter", "Subject", "only messages of this subject or pattern; all without it"),
        Field::choice("from", "From", "the first message, or those that come from now on", &["earliest", "latest"]),
        Field::text("ack_wait", "Time to decide", "30s, 5m; half a minute without it"),
        Field::number("max_deliver", "Deliveries", "of one message, at most; no limit without it", 1, 1_000_000),
    ]);
static PURGE: OperationSpec = OperationSpec::new(Risk::Destroy, STREAM, "channels:purge")
    .named("stream.purge", "Purge")
    .help("deletes messages of a stream")
    .asks(&[
        Field::text("subject", "Subject", "only these; all without it"),
        Field::number("before", "Before", "only those with a lower sequence", 1, i64::MAX),
        Field::number("keep", "Keep", "the newest so many stay", 1, i64::MAX),
    ]);
static DELETE_MESSAGE: OperationSpec = OperationSpec::new(Risk::Destroy, STREAM, "messages:delete")
    .named("message.delete", "Delete message")
    .help("deletes one message of a stream")
    .asks(&[
        Field::number("sequence", "Sequence", "its place in the stream", 1, i64::MAX),
        Field::choice("erase", "Erase", "overwrite its bytes as well", &["no", "yes"]),
    ]);
pub(super) static DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, STREAM, "channels:delete")
    .named("stream.delete", "Delete stream")
    .help("deletes a stream with its messages and consumers");
static PAUSE: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Group, "groups:change")
    .named("consumer.pause", "Pause consumer")
    .help("gives nothing to a consumer for a while")
    .asks(&[Field::text("for", "For", "30m, 2h; one hour without it")]);
pub(super) static RESUME: OperationSpec =
    OperationSpec::new(Risk::Reversible, Target::Group, "groups:change").named("consumer.resume", "Resume consumer").help("ends a pause");
pub(super) static DELETE_CONSUMER: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Group, "groups:delete")
    .named("consumer.delete", "Delete consumer")
    .help("deletes a consumer and its position");
/// Advisories are sent once and kept by nobody: without a stream, which messages died is known only to who listened then.
static CAPTURE: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Integration, "channels:create")
    .named("advisories.capture", "Capture advisories")
    .help("makes a stream that keeps which messages consumers gave up or terminated");
