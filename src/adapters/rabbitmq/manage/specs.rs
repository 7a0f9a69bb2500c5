//! RabbitMQ's operations as data: what menus, forms, permissions and the command line show of them.

use crate::domain::operation::{Field, OperationSpec, Risk, Target};

pub(in crate::adapters::rabbitmq) static ALL: &[&OperationSpec] =
    &[&TENANT, &QUEUE, &EXCHANGE, &BIND, &UNBIND, &PURGE, &DELETE_QUEUE, &DELETE_EXCHANGE];

const ANY: Target = Target::Channel(&["queue", "exchange", "stream"]);
const DURABLE: Field = Field::choice("durable", "Durable", "whether it outlives a restart of the server", &["yes", "no"]);
const FROM: Field = Field::text("exchange", "From", "the exchange that feeds it");
const ROUTING_KEY: Field = Field::text("routing_key", "Routing key", "or a topic's pattern: tasks.*; empty if missing");
const IF_UNUSED: Field =
    Field::choice("if_unused", "Only if unused", "refused while it has consumers (a queue) or bindings (an exchange)", &["no", "yes"]);

pub(super) static TENANT: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Integration, "queues:declare")
    .named("tenant.declare", "Declare tenant queue")
    .help("makes a tenant's exchanges, queue, bindings and dead-letter queue (the channel's name is the tenant)");
pub(super) static QUEUE: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Integration, "queues:declare")
    .named("queue.declare", "Declare queue")
    .help("makes an empty queue")
    .asks(&[
        Field::choice("type", "Type", "quorum queues and streams are replicated", &["classic", "quorum", "stream"]),
        DURABLE,
        Field::number("max_priority", "Priorities", "0 to this; none if missing", 1, 255),
        Field::number("message_ttl", "Messages live", "milliseconds; for ever if missing", 0, u32::MAX as i64),
        Field::number("max_length", "At most", "messages; the oldest are dropped or die beyond it; no bound if missing", 1, i64::MAX),
        Field::text("dead_letter_exchange", "Dead letters to", "an exchange; dead letters are gone if missing"),
        Field::text("dead_letter_routing_key", "Dead letters' key", "replaces the messages' own"),
        Field::text("exchange", "Bind to", "an exchange; not bound if missing"),
        ROUTING_KEY,
    ]);
pub(super) static EXCHANGE: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Integration, "exchanges:declare")
    .named("exchange.declare", "Declare exchange")
    .help("makes an exchange")
    .asks(&[
        Field::choice("type", "Type", "how it routes: by pattern, by key, to all, by headers", &["topic", "direct", "fanout", "headers"]),
        DURABLE,
    ]);
pub(super) static BIND: OperationSpec = OperationSpec::new(Risk::Reversible, ANY, "bindings:create")
    .named("binding.create", "Bind")
    .help("binds an exchange to this queue or exchange")
    .asks(&[FROM, ROUTING_KEY]);
pub(super) static UNBIND: OperationSpec = OperationSpec::new(Risk::Bulk, ANY, "bindings:delete")
    .named("binding.delete", "Unbind")
    .help("unbinds an exchange from this queue or exchange")
    .asks(&[FROM, ROUTING_KEY]);
pub(super) static PURGE: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Channel(&["queue"]), "queues:purge")
    .named("queue.purge", "Purge queue")
    .help("deletes the ready messages of a queue and leaves the queue");
pub(super) static DELETE_QUEUE: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Channel(&["queue", "stream"]), "queues:delete")
    .named("queue.delete", "Delete queue")
    .help("deletes a queue or a stream with every message in it")
    .asks(&[IF_UNUSED, Field::choice("if_empty", "Only if empty", "refused while it has messages", &["no", "yes"])]);
pub(super) static DELETE_EXCHANGE: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Channel(&["exchange"]), "exchanges:delete")
    .named("exchange.delete", "Delete exchange")
    .help("deletes an exchange with its bindings")
    .asks(&[IF_UNUSED]);
