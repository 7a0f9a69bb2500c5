# How libraries and brokers write down why a message died. A profile declares its own in the same form; those come before all of these.
#
#   dialect "ours" {
#     origin   = headers.x-original-topic                                   # a place: headers.NAME, value.PATH, key
#     position = { from = headers.x-original-offset, as = "int64" }         # text unless said: int32, int64 (big-endian), json,
#     last     = { from = headers.x-failed-at, as = "seconds" }             #   and for times seconds, milliseconds, ticks
#     reason   = [headers.x-reason, value.error.code]                       # the first that is there
#   }
#
# Of headers that are there twice the last counts, or the first with pick = "first". `at` is a place in a header that is JSON. `after` and
# `before` cut a text: what stands behind the last of the one, before the first of the other. `kind` is the kind of the channel named.
# `when` is a condition that every letter of the dialect meets. `deaths` tells every death: `each` is a list, and its rules are places in
# each of its members; without `each` the n-th header of a name belongs to the n-th death. `tries` are reasons that are failed attempts.
# `writes` are further headers that say nothing of the failure and are no part of the message.

# Where several are on one letter: who is believed for why it died (reason, exception, message and stack, all of one), and who for where
# it came from (origin and deaths). A broker sees the route, the program the cause.
precedence {
  cause = [
    "spring-kafka", "spring-cloud-stream-kafka", "spring-amqp", "kafka-connect", "kafka-streams", "smallrye", "masstransit", "nservicebus",
    "rebus", "watermill", "kafka-share-group", "azure-service-bus", "google-pubsub", "amqp-1.0", "rabbitmq", "aws-sqs", "jetstream",
    "sidekiq", "bullmq", "pending",
  ]
  route = [
    "pending", "rabbitmq", "amqp-1.0", "spring-kafka", "spring-cloud-stream-kafka", "spring-amqp", "kafka-connect", "kafka-streams",
    "kafka-share-group", "smallrye", "masstransit", "nservicebus", "rebus", "watermill", "azure-service-bus", "google-pubsub", "aws-sqs",
    "jetstream", "sidekiq", "bullmq",
  ]
}

# The mark that a replay of mqdeck leaves. It makes no letter by itself: what was replayed may be well.
dialect "mqdeck" {
  replay_run     = { from = headers.x-mqdeck-replay, as = "json", at = "run" }
  replay_letter  = { from = headers.x-mqdeck-replay, as = "json", at = "letter" }
  replay_attempt = { from = headers.x-mqdeck-replay, as = "json", at = "attempt" }
}

# Dead-letter exchanges, by AMQP 0-9-1. `time` is when it died so first; the newest death is first in the list.
dialect "rabbitmq" {
  origin   = { from = headers.x-first-death-queue, kind = "queue" }
  reason   = [headers.x-last-death-reason, { from = headers.x-death, as = "table", at = "[0].reason" }, headers.x-first-death-reason]
  deaths {
    each         = { from = headers.x-death, as = "table" }
    order        = "newest-first"
    channel      = { from = each.queue, kind = "queue" }
    exchange     = each.exchange
    routing_keys = each.routing-keys
    reason       = each.reason
    count        = each.count
    first        = { from = each.time, as = "seconds" }
    tries        = ["rejected"]
  }
  writes = [
    "x-first-death-exchange", "x-first-death-reason", "x-last-death-exchange", "x-last-death-queue", "x-last-death-reason",
    "x-delivery-count", "x-acquired-count", "amqp_exchange", "amqp_types", "amqp_raw",
  ]
}

# The same by AMQP 1.0: a list of maps in the annotation x-opt-deaths, times in milliseconds.
dialect "amqp-1.0" {
  reason = { from = headers.x-opt-deaths, as = "table", at = "[0].reason" }
  deaths {
    each         = { from = headers.x-opt-deaths, as = "table" }
    order        = "newest-first"
    channel      = { from = each.queue, kind = "queue" }
    exchange     = each.exchange
    routing_keys = each.routing-keys
    reason       = each.reason
    count        = each.count
    first        = { from = each.first-time, as = "milliseconds" }
    last         = { from = each.last-time, as = "milliseconds" }
    tries        = ["rejected"]
  }
}

# RepublishMessageRecoverer, and republishToDlq of Spring Cloud Stream. The type of the exception is the first line of the stack.
dialect "spring-amqp" {
  when         = "headers.x-original-exchange exists or headers.x-original-routingKey exists"
  exchange     = headers.x-original-exchange
  routing_keys = headers.x-original-routingKey
  message      = headers.x-exception-message
  stack        = headers.x-exception-stacktrace
  writes       = ["spring_*"]
}

# DeadLetterPublishingRecoverer and retry topics. Each pass appends another set of `original` headers, so that the first is the origin;
# those of the exception are replaced. Numbers are big-endian.
dialect "spring-kafka" {
  origin    = { from = headers.kafka_dlt-original-topic, pick = "first" }
  partition = { from = headers.kafka_dlt-original-partition, as = "int32", pick = "first" }
  position  = { from = headers.kafka_dlt-original-offset, as = "int64", pick = "first" }
  timestamp = { from = headers.kafka_dlt-original-timestamp, as = "int64", pick = "first" }
  consumer  = { from = headers.kafka_dlt-original-consumer-group, pick = "first" }
  exception = [headers.kafka_dlt-exception-fqcn, headers.kafka_dlt-key-exception-fqcn]
  cause     = [headers.kafka_dlt-exception-cause-fqcn, headers.kafka_dlt-key-exception-cause-fqcn]
  message   = [headers.kafka_dlt-exception-message, headers.kafka_dlt-key-exception-message]
  stack     = [headers.kafka_dlt-exception-stacktrace, headers.kafka_dlt-key-exception-stacktrace]
  attempts  = [
    { from = headers.retry_topic-attempts, as = "int32" },
    { from = headers.kafka_deliveryAttempt, as = "int32" },
  ]
  deaths {
    channel = headers.kafka_dlt-original-topic
  }
  writes = ["kafka_dlt-*", "kafka_exception-*", "retry_topic-*"]
}

# The binder's own, before it hands over to Spring Kafka.
dialect "spring-cloud-stream-kafka" {
  when      = "headers.x-original-topic exists and (headers.x-exception-fqcn exists or headers.x-original-timestamp-type exists)"
  origin    = { from = headers.x-original-topic, pick = "first" }
  partition = { from = headers.x-original-partition, as = "int32", pick = "first" }
  position  = { from = headers.x-original-offset, as = "int64", pick = "first" }
  timestamp = { from = headers.x-original-timestamp, as = "int64", pick = "first" }
  exception = headers.x-exception-fqcn
  message   = headers.x-exception-message
  stack     = headers.x-exception-stacktrace
  writes    = ["x-original-timestamp-type"]
}

# Sink connectors with errors.deadletterqueue.context.headers.enable; all of it is text.
dialect "kafka-connect" {
  origin    = headers.__connect.errors.topic
  partition = headers.__connect.errors.partition
  position  = headers.__connect.errors.offset
  consumer  = headers.__connect.errors.connector.name
  reason    = headers.__connect.errors.stage
  exception = headers.__connect.errors.exception.class.name
  message   = headers.__connect.errors.exception.message
  stack     = headers.__connect.errors.exception.stacktrace
  writes    = ["__connect.errors.*"]
}

# Kafka Streams from 4.2 on (errors.deadletterqueue.topic.name).
dialect "kafka-streams" {
  origin    = headers.__streams.errors.topic
  partition = headers.__streams.errors.partition
  position  = headers.__streams.errors.offset
  exception = headers.__streams.errors.exception
  message   = headers.__streams.errors.message
  stack     = headers.__streams.errors.stacktrace
  writes    = ["__streams.errors.*"]
}

# Share groups (KIP-1191).
dialect "kafka-share-group" {
  origin    = headers.__dlq.errors.topic
  partition = headers.__dlq.errors.partition
  position  = headers.__dlq.errors.offset
  consumer  = headers.__dlq.errors.group
  attempts  = headers.__dlq.errors.delivery.count
  message   = headers.__dlq.errors.message
  writes    = ["__dlq.errors.*"]
}

# Quarkus and other users of SmallRye Reactive Messaging. Its `reason` is the exception's message.
dialect "smallrye" {
  origin    = headers.dead-letter-topic
  partition = headers.dead-letter-partition
  position  = headers.dead-letter-offset
  exception = headers.dead-letter-exception-class-name
  cause     = headers.dead-letter-cause-class-name
  message   = [headers.dead-letter-cause, headers.dead-letter-reason]
  writes    = ["dead-letter-*"]
}

# Queues whose names end with _error and _skipped.
dialect "masstransit" {
  origin    = { from = headers.MT-Fault-InputAddress, after = "/", before = "?" }
  consumer  = headers.MT-Fault-ConsumerType
  reason    = headers.MT-Reason
  exception = headers.MT-Fault-ExceptionType
  message   = headers.MT-Fault-Message
  stack     = headers.MT-Fault-StackTrace
  attempts  = headers.MT-Fault-RetryCount
  last      = headers.MT-Fault-Timestamp
  writes    = ["MT-Fault-*", "MT-Host-*"]
}

# The error queue of NServiceBus, which ServiceControl reads too.
dialect "nservicebus" {
  origin    = { from = headers.NServiceBus.FailedQ, before = "@" }
  exception = headers.NServiceBus.ExceptionInfo.ExceptionType
  cause     = headers.NServiceBus.ExceptionInfo.InnerExceptionType
  message   = headers.NServiceBus.ExceptionInfo.Message
  stack     = headers.NServiceBus.ExceptionInfo.StackTrace
  attempts  = headers.NServiceBus.Retries
  last      = headers.NServiceBus.TimeOfFailure
  writes    = ["NServiceBus.ExceptionInfo.*", "NServiceBus.Retries*", "ServiceControl.*"]
}

# Rebus puts all that it knows into one text.
dialect "rebus" {
  origin   = headers.rbs2-source-queue
  stack    = headers.rbs2-error-details
  attempts = headers.rbs2-delivery-count
}

# The poison queue of Watermill; its reason is the error's text.
dialect "watermill" {
  origin   = headers.topic_poisoned
  consumer = headers.handler_poisoned
  reason   = headers.reason_poisoned
  writes   = ["subscriber_poisoned"]
}

# /$DeadLetterQueue of a queue or subscription.
dialect "azure-service-bus" {
  origin   = headers.DeadLetterSource
  reason   = headers.DeadLetterReason
  message  = headers.DeadLetterErrorDescription
  attempts = headers.DeliveryCount
}

# Dead-letter topics of Google Pub/Sub; the timestamp is when it was published to the topic it came from.
dialect "google-pubsub" {
  origin    = headers.CloudPubSubDeadLetterSourceSubscription
  timestamp = headers.CloudPubSubDeadLetterSourceTopicPublishTime
  reason    = headers.CloudPubSubDeadLetterSourceDeliveryErrorMessage
  attempts  = headers.CloudPubSubDeadLetterSourceDeliveryCount
  writes    = ["CloudPubSubDeadLetter*"]
}

# Attributes of Amazon SQS; the queue is the end of its ARN.
dialect "aws-sqs" {
  origin    = { from = headers.DeadLetterQueueSourceArn, after = ":" }
  timestamp = { from = headers.SentTimestamp, as = "milliseconds" }
  attempts  = headers.ApproximateReceiveCount
  first     = { from = headers.ApproximateFirstReceiveTimestamp, as = "milliseconds" }
  writes    = ["ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"]
}

# Advisories of JetStream about a message that was delivered as often as its consumer allows, or terminated.
dialect "jetstream" {
  when = <<-EOT
    value.type in ("io.nats.jetstream.advisory.v1.max_deliver", "io.nats.jetstream.advisory.v1.terminated") and value.stream_seq exists
  EOT
  origin   = { from = value.stream, kind = "stream" }
  position = value.stream_seq
  consumer = value.consumer
  reason   = [value.reason, { from = value.type, after = "." }]
  attempts = value.deliveries
  last     = value.timestamp
}

# A job in Sidekiq's retry or dead set. Newer versions pack `error_backtrace` (zlib in base64), which is shown as it stands.
dialect "sidekiq" {
  when      = "value.jid exists and value.class exists and value.error_class exists"
  origin    = value.queue
  consumer  = value.class
  exception = value.error_class
  message   = value.error_message
  stack     = value.error_backtrace
  attempts  = value.retry_count
  first     = value.failed_at
  last      = [value.retried_at, value.discarded_at]
}

# A failed job of BullMQ, as its JSON or as the fields of its hash.
dialect "bullmq" {
  when      = "value.failedReason exists and value.attemptsMade exists"
  origin    = [{ from = value.queueQualifiedName, after = ":" }, value.queueName]
  consumer  = value.name
  message   = value.failedReason
  stack     = [{ from = value.stacktrace, as = "json", at = "[0]" }, value.stacktrace]
  attempts  = value.attemptsMade
  timestamp = { from = value.timestamp, as = "milliseconds" }
  last      = { from = value.finishedOn, as = "milliseconds" }
}

# What mqdeck itself writes of a letter that a system keeps as a message like any other: an entry of a Redis stream that is given out
# too often, a message of JetStream that its consumer is not given any more.
dialect "pending" {
  origin   = headers.mqdeck-pending-channel
  consumer = headers.mqdeck-pending-group
  reason   = headers.mqdeck-pending-reason
  attempts = headers.mqdeck-pending-deliveries
}
