//! RabbitMQ's operations as data: what menus, forms, permissions and the command line show of them.

use crate::domain::operation::{Field, Input, OperationSpec, Risk, Target};

pub(in crate::adapters::rabbitmq) static ALL: &[&OperationSpec] =
    &[&TENANT, &QUEUE, &EXCHANGE, &BIND, &UNBIND, &PURGE, &DELETE_QUEUE, &DELETE_EXCHANGE];

const fn text(id: &'static str, title: &'static str, help: &'static str) -> Field {
    Field { id, title, help, input: Input::Text }
}

const DURABLE: Field =
    Field { id: "durable", title: "Durable", help: "whether it outlives a restart of the server", input: Input::Choice(&["yes", "no"]) };
const ROUTING_KEY: Field = text("routing_key", "Routing key", "or a topic's pattern: tasks.*; empty if missing");
const IF_UNUSED: Field = Field {
    id: "if_unused",
    title: "Only if unused",
    help: "refused while it has consumers (a queue) or bindings (an exchange)",
    input: Input::Choice(&["no", "yes"]),
};

pub(super) static TENANT: OperationSpec = OperationSpec {
    id: "tenant.declare",
    title: "Declare tenant queue",
    help: "makes a tenant's exchanges, queue, bindings and dead-letter queue (the channel's name is the tenant)",
    risk: Risk::Reversible,
    permission: "queues:declare",
    on: Target::Integration,
    fields: &[],
};

pub(super) static QUEUE: OperationSpec = OperationSpec {
    id: "queue.declare",
    title: "Declare queue",
    help: "makes an empty queue",
    risk: Risk::Reversible,
    permission: "queues:declare",
    on: Target::Integration,
    fields: &[
        Field {
            id: "type",
            title: "Type",
            help: "quorum queues and streams are replicated",
            input: Input::Choice(&["classic", "quorum", "stream"]),
        },
        DURABLE,
        Field { id: "max_priority", title: "Priorities", help: "0 to this; none if missing", input: Input::Number { min: 1, max: 255 } },
        Field {
            id: "message_ttl",
            title: "Messages live",
            help: "milliseconds; for ever if missing",
            input: Input::Number { min: 0, max: u32::MAX as i64 },
        },
        Field {
            id: "max_length",
            title: "At most",
            help: "messages; the oldest are dropped or die beyond it; no bound if missing",
            input: Input::Number { min: 1, max: i64::MAX },
        },
        text("dead_letter_exchange", "Dead letters to", "an exchange; dead letters are gone if missing"),
        text("dead_letter_routing_key", "Dead letters' key", "replaces the messages' own"),
        text("exchange", "Bind to", "an exchange; not bound if missing"),
        ROUTING_KEY,
    ],
};

pub(super) static EXCHANGE: OperationSpec = OperationSpec {
    id: "exchange.declare",
    title: "Declare exchange",
    help: "makes an exchange",
    risk: Risk::Reversible,
    permission: "exchanges:declare",
    on: Target::Integration,
    fields: &[
        Field {
            id: "type",
            title: "Type",
            help: "how it routes: by pattern, by key, to all, by headers",
            input: Input::Choice(&["topic", "direct", "fanout", "headers"]),
        },
        DURABLE,
    ],
};

pub(super) static BIND: OperationSpec = OperationSpec {
    id: "binding.create",
    title: "Bind",
    help: "binds an exchange to this queue or exchange",
    risk: Risk::Reversible,
    permission: "bindings:create",
    on: Target::Channel(&["queue", "exchange", "stream"]),
    fields: &[text("exchange", "From", "the exchange that feeds it"), ROUTING_KEY],
};

pub(super) static UNBIND: OperationSpec = OperationSpec {
    id: "binding.delete",
    title: "Unbind",
    help: "unbinds an exchange from this queue or exchange",
    risk: Risk::Bulk,
    permission: "bindings:delete",
    on: Target::Channel(&["queue", "exchange", "stream"]),
    fields: &[text("exchange", "From", "the exchange that feeds it"), ROUTING_KEY],
};

pub(super) static PURGE: OperationSpec = OperationSpec {
    id: "queue.purge",
    title: "Purge queue",
    help: "deletes the ready messages of a queue and leaves the queue",
    risk: Risk::Destroy,
    permission: "queues:purge",
    on: Target::Channel(&["queue"]),
    fields: &[],
};

pub(super) static DELETE_QUEUE: OperationSpec = OperationSpec {
    id: "queue.delete",
    title: "Delete queue",
    help: "deletes a queue or a stream with every message in it",
    risk: Risk::Destroy,
    permission: "queues:delete",
    on: Target::Channel(&["queue", "stream"]),
    fields: &[
        IF_UNUSED,
        Field { id: "if_empty", title: "Only if empty", help: "refused while it has messages", input: Input::Choice(&["no", "yes"]) },
    ],
};

pub(super) static DELETE_EXCHANGE: OperationSpec = OperationSpec {
    id: "exchange.delete",
    title: "Delete exchange",
    help: "deletes an exchange with its bindings",
    risk: Risk::Destroy,
    permission: "exchanges:delete",
    on: Target::Channel(&["exchange"]),
    fields: &[IF_UNUSED],
};
