//! Every built-in dialect with a sample as its library or broker writes it.

use super::tests::{JAVA, check, sample, spring};

#[test]
fn brokers_tell_the_route() {
    let death = br#"[{"count":1,"reason":"expired","queue":"orders.wait","time":1770285700,"exchange":"","routing-keys":["orders.wait"]},{"count":3,"reason":"rejected","queue":"orders","time":1770285600,"exchange":"shop","routing-keys":["orders.created","all"]}]"#;
    let rabbit: &[(&str, &[u8])] = &[
        ("amqp_exchange", b"dlx"),
        ("x-death", death),
        ("x-first-death-queue", b"orders"),
        ("x-first-death-reason", b"rejected"),
        ("x-last-death-reason", b"expired"),
        ("amqp_types", br#"{"x-death":"A"}"#),
    ];
    let route = ["origin=queue:orders", "exchange=\"shop\"", "keys=orders.created,all"];
    let times = ["attempts=3", "first=2026-02-05T10:00:00.000Z", "last=2026-02-05T10:01:40.000Z"];
    let deaths = ["death=queue:orders rejected Some(3)", "death=queue:orders.wait expired Some(1)"];
    check("rabbitmq", &sample(rabbit, "{}"), &[&["from=rabbitmq/rabbitmq"][..], &route, &["reason=expired"], &times, &deaths].concat());
    let spring: Vec<(&str, &[u8])> = [
        rabbit,
        &[
            ("x-original-exchange", b"shop"),
            ("x-original-routingKey", b"orders.created"),
            ("x-exception-message", b"Listener failed"),
            ("x-exception-stacktrace", JAVA),
        ],
    ]
    .concat();
    let cause = [
        "exception=org.springframework.kafka.listener.ListenerExecutionFailedException",
        "cause=com.acme.SchemaMismatch",
        "message=Listener failed",
        "stack=5",
    ];
    check(
        "spring-amqp beside the broker",
        &sample(&spring, "{}"),
        &[&["from=spring-amqp/rabbitmq"][..], &route, &cause, &times, &deaths].concat(),
    );
    check(
        "spring-amqp alone",
        &sample(&spring[rabbit.len()..], "{}"),
        &[&["from=spring-amqp/spring-amqp", "exchange=\"shop\"", "keys=orders.created"][..], &cause].concat(),
    );
    let maps = br#"[{"queue":"orders","reason":"delivery_limit","count":1,"first-time":1770285600123,"last-time":1770285600123,"exchange":"shop","routing-keys":["o"]}]"#;
    check(
        "amqp-1.0",
        &sample(&[("x-opt-deaths", maps)], ""),
        &[
            "from=amqp-1.0/amqp-1.0",
            "origin=queue:orders",
            "exchange=\"shop\"",
            "keys=o",
            "reason=delivery_limit",
            "first=2026-02-05T10:00:00.123Z",
            "last=2026-02-05T10:00:00.123Z",
            "death=queue:orders delivery_limit Some(1)",
        ],
    );
    let advisory = r#"{"type":"io.nats.jetstream.advisory.v1.max_deliver","id":"x","timestamp":"2026-02-05T10:00:00.5Z","stream":"JOBS","consumer":"billing","stream_seq":17,"deliveries":5}"#;
    let facts = ["origin=stream:JOBS", "at=@17", "consumer=billing", "reason=max_deliver", "attempts=5", "last=2026-02-05T10:00:00.500Z"];
    check("jetstream", &sample(&[], advisory), &[&["from=jetstream/jetstream"][..], &facts].concat());
}

#[test]
fn spring_kafka_and_its_relatives_write_big_endian_numbers_and_append() {
    let mut headers = spring(b"orders.created");
    headers.extend([
        ("kafka_dlt-exception-fqcn", &b"org.springframework.kafka.listener.ListenerExecutionFailedException"[..]),
        ("kafka_dlt-exception-cause-fqcn", b"java.lang.IllegalStateException"),
        ("kafka_dlt-exception-message", b"Listener failed"),
        ("kafka_dlt-exception-stacktrace", JAVA),
        ("retry_topic-attempts", &[0, 0, 0, 4]),
    ]);
    // A second pass appends, and replaces the exception's.
    headers.extend(spring(b"orders.created-dlt"));
    check(
        "spring-kafka",
        &sample(&headers, "{}"),
        &[
            "from=spring-kafka/spring-kafka",
            "origin=orders.created",
            "at=3@1042",
            "made=2026-02-05T10:16:55.675Z",
            "consumer=billing",
            "exception=org.springframework.kafka.listener.ListenerExecutionFailedException",
            "cause=com.acme.SchemaMismatch",
            "message=Listener failed",
            "stack=5",
            "attempts=4",
            "death=orders.created - None",
            "death=orders.created-dlt - None",
        ],
    );
    let key: &[(&str, &[u8])] = &[
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-key-exception-fqcn", b"org.springframework.kafka.support.serializer.DeserializationException"),
        ("kafka_dlt-key-exception-message", b"failed to deserialize"),
    ];
    let deserialization = "exception=org.springframework.kafka.support.serializer.DeserializationException";
    check(
        "a key that cannot be read",
        &sample(key, "{}"),
        &["from=spring-kafka/spring-kafka", "origin=orders", deserialization, "message=failed to deserialize", "death=orders - None"],
    );
    let stream: &[(&str, &[u8])] = &[
        ("x-original-offset", &[0, 0, 0, 0, 0, 0, 0, 0x13]),
        ("x-original-partition", &[0, 0, 0, 1]),
        ("x-exception-message", b"error occurred in message handler"),
        ("x-exception-fqcn", b"org.springframework.messaging.MessageHandlingException"),
        ("x-original-topic", b"statusUpdate-topic"),
        ("x-original-timestamp-type", b"CreateTime"),
        ("x-original-timestamp", &[0xff; 8]),
        ("x-exception-stacktrace", b"org.springframework.messaging.MessageHandlingException: error\n\tat a.B.c(B.java:1)\n"),
    ];
    check(
        "spring-cloud-stream-kafka",
        &sample(stream, "{}"),
        &[
            "from=spring-cloud-stream-kafka/spring-cloud-stream-kafka",
            "origin=statusUpdate-topic",
            "at=1@19",
            "exception=org.springframework.messaging.MessageHandlingException",
            "message=error occurred in message handler",
            "stack=2",
        ],
    );
}

#[test]
fn connect_and_streams_write_text() {
    let connect: &[(&str, &[u8])] = &[
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"17"),
        ("__connect.errors.connector.name", b"jdbc-sink"),
        ("__connect.errors.task.id", b"2"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.class.name", b"org.apache.kafka.connect.json.JsonConverter"),
        ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
        ("__connect.errors.exception.message", b"Converting byte[] failed"),
        ("__connect.errors.exception.stacktrace", b"org.apache.kafka.connect.errors.DataException: Converting byte[] failed\n\tat a.B.c(B.java:1)\nCaused by: com.fasterxml.jackson.core.JsonParseException: x\n\tat d.E.f(E.java:2)\n"),
    ];
    check(
        "kafka-connect",
        &sample(connect, "{}"),
        &[
            "from=kafka-connect/kafka-connect",
            "origin=orders",
            "at=0@17",
            "consumer=jdbc-sink",
            "reason=VALUE_CONVERTER",
            "exception=org.apache.kafka.connect.errors.DataException",
            "cause=com.fasterxml.jackson.core.JsonParseException",
            "message=Converting byte[] failed",
            "stack=4",
        ],
    );
    let none: &[(&str, &[u8])] = &[
        ("__connect.errors.topic", b""),
        ("__connect.errors.partition", b"-1"),
        ("__connect.errors.offset", b"-1"),
        ("__connect.errors.stage", b"TRANSFORMATION"),
    ];
    check("without a record", &sample(none, "{}"), &["from=kafka-connect/-", "reason=TRANSFORMATION"]);
    let streams: &[(&str, &[u8])] = &[
        ("__streams.errors.exception", b"org.apache.kafka.common.errors.SerializationException"),
        ("__streams.errors.message", b"Size of data received by IntegerDeserializer is not 4"),
        ("__streams.errors.stacktrace", b"org.apache.kafka.common.errors.SerializationException: Size\n"),
        ("__streams.errors.topic", b"in"),
        ("__streams.errors.partition", b"5"),
        ("__streams.errors.offset", b"9"),
    ];
    check(
        "kafka-streams",
        &sample(streams, "{}"),
        &[
            "from=kafka-streams/kafka-streams",
            "origin=in",
            "at=5@9",
            "exception=org.apache.kafka.common.errors.SerializationException",
            "message=Size of data received by IntegerDeserializer is not 4",
            "stack=1",
        ],
    );
}

#[test]
fn share_groups_and_smallrye_write_text() {
    let share: &[(&str, &[u8])] = &[
        ("__dlq.errors.topic", b"jobs"),
        ("__dlq.errors.partition", b"1"),
        ("__dlq.errors.offset", b"2"),
        ("__dlq.errors.group", b"workers"),
        ("__dlq.errors.delivery.count", b"5"),
        ("__dlq.errors.message", b"rejected by the consumer"),
    ];
    let from = "from=kafka-share-group/kafka-share-group";
    check(
        "kafka-share-group",
        &sample(share, "{}"),
        &[from, "origin=jobs", "at=1@2", "consumer=workers", "message=rejected by the consumer", "attempts=5"],
    );
    let smallrye: &[(&str, &[u8])] = &[
        ("dead-letter-exception-class-name", b"java.lang.RuntimeException"),
        ("dead-letter-reason", b"Something went wrong"),
        ("dead-letter-topic", b"movies"),
        ("dead-letter-partition", b"0"),
        ("dead-letter-offset", b"0"),
    ];
    let facts = ["origin=movies", "at=0@0", "exception=java.lang.RuntimeException", "message=Something went wrong"];
    check("smallrye", &sample(smallrye, "{}"), &[&["from=smallrye/smallrye"][..], &facts].concat());
}

#[test]
fn dotnet_writes_its_own_times_and_stacks() {
    let mass: &[(&str, &[u8])] = &[
        ("MT-Reason", b"fault"),
        ("MT-Fault-InputAddress", b"rabbitmq://localhost/shop/orders?temporary=true"),
        ("MT-Fault-ConsumerType", b"Probe.FailingConsumer"),
        ("MT-Fault-ExceptionType", b"System.InvalidOperationException"),
        ("MT-Fault-Message", b"boom from test consumer"),
        ("MT-Fault-StackTrace", b"   at Probe.FailingConsumer.Consume(ConsumeContext`1 context)"),
        ("MT-Fault-RetryCount", b"2"),
        ("MT-Fault-Timestamp", b"2026-09-26T18:02:03.5080760Z"),
        ("MT-Host-MachineName", b"shop-1"),
    ];
    check(
        "masstransit",
        &sample(mass, "{}"),
        &[
            "from=masstransit/masstransit",
            "origin=orders",
            "consumer=Probe.FailingConsumer",
            "reason=fault",
            "exception=System.InvalidOperationException",
            "message=boom from test consumer",
            "stack=1",
            "attempts=2",
            "last=2026-09-26T18:02:03.508Z",
        ],
    );
    let bus: &[(&str, &[u8])] = &[
        ("NServiceBus.ExceptionInfo.ExceptionType", b"System.Exception"),
        ("NServiceBus.ExceptionInfo.InnerExceptionType", b"System.TimeoutException"),
        ("NServiceBus.ExceptionInfo.Message", b"Simulated Exception"),
        ("NServiceBus.ExceptionInfo.StackTrace", b""),
        ("NServiceBus.FailedQ", b"SomeEndpoint@SELENE"),
        ("NServiceBus.TimeOfFailure", b"2014-11-11 02:26:58:000462 Z"),
    ];
    check(
        "nservicebus",
        &sample(bus, "{}"),
        &[
            "from=nservicebus/nservicebus",
            "origin=SomeEndpoint",
            "exception=System.Exception",
            "cause=System.TimeoutException",
            "message=Simulated Exception",
            "last=2014-11-11T02:26:58.000Z",
        ],
    );
    let details = b"1 unhandled exceptions: 2/5/2026 10:00:00 AM +00:00: System.ApplicationException: no";
    let rebus: &[(&str, &[u8])] = &[("rbs2-error-details", details), ("rbs2-source-queue", b"shop"), ("rbs2-delivery-count", b"5")];
    check("rebus", &sample(rebus, "{}"), &["from=rebus/rebus", "origin=shop", "stack=1", "attempts=5"]);
    let azure: &[(&str, &[u8])] = &[
        ("DeadLetterReason", b"MaxDeliveryCountExceeded"),
        ("DeadLetterErrorDescription", b"Message could not be consumed after 10 delivery attempts."),
        ("DeadLetterSource", b"orders"),
        ("DeliveryCount", b"10"),
    ];
    let facts = ["reason=MaxDeliveryCountExceeded", "message=Message could not be consumed after 10 delivery attempts.", "attempts=10"];
    check(
        "azure-service-bus",
        &sample(azure, "{}"),
        &[&["from=azure-service-bus/azure-service-bus", "origin=orders"][..], &facts].concat(),
    );
}

#[test]
fn the_clouds_and_watermill_write_attributes() {
    let pubsub: &[(&str, &[u8])] = &[
        ("CloudPubSubDeadLetterSourceDeliveryCount", b"5"),
        ("CloudPubSubDeadLetterSourceSubscription", b"orders-billing"),
        ("CloudPubSubDeadLetterSourceSubscriptionProject", b"shop"),
        ("CloudPubSubDeadLetterSourceTopicPublishTime", b"2026-02-05T10:00:00.123+00:00"),
    ];
    let facts = ["origin=orders-billing", "made=2026-02-05T10:00:00.123Z", "attempts=5"];
    check("google-pubsub", &sample(pubsub, "{}"), &[&["from=-/google-pubsub"][..], &facts].concat());
    let sqs: &[(&str, &[u8])] = &[
        ("DeadLetterQueueSourceArn", b"arn:aws:sqs:eu-central-1:123456789012:orders"),
        ("ApproximateReceiveCount", b"4"),
        ("ApproximateFirstReceiveTimestamp", b"1770285600123"),
        ("SentTimestamp", b"1770285600000"),
    ];
    let facts = ["origin=orders", "made=2026-02-05T10:00:00.000Z", "attempts=4", "first=2026-02-05T10:00:00.123Z"];
    check("aws-sqs", &sample(sqs, "{}"), &[&["from=-/aws-sqs"][..], &facts].concat());
    let poisoned: &[(&str, &[u8])] = &[
        ("reason_poisoned", b"dial tcp 10.0.0.7:5432: connection refused"),
        ("topic_poisoned", b"events"),
        ("handler_poisoned", b"billing"),
        ("subscriber_poisoned", b"kafka.Subscriber"),
    ];
    let facts = ["origin=events", "consumer=billing", "reason=dial tcp 10.0.0.7:5432: connection refused"];
    check("watermill", &sample(poisoned, "{}"), &[&["from=watermill/watermill"][..], &facts].concat());
}

#[test]
fn jobs_say_it_in_their_payload() {
    let sidekiq = r#"{"retry":5,"queue":"critical","backtrace":2,"class":"ChargeJob","args":[1],"jid":"b4a577edbccf1d805744efa9","created_at":1770285500.5,"error_message":"declined","error_class":"Stripe::CardError","failed_at":1770285600.25,"retry_count":5,"retried_at":1770285700,"error_backtrace":["/app/jobs/charge.rb:42:in 'ChargeJob#perform'","/gems/sidekiq/processor.rb:1:in 'x'"]}"#;
    check(
        "sidekiq",
        &sample(&[], sidekiq),
        &[
            "from=sidekiq/sidekiq",
            "origin=critical",
            "consumer=ChargeJob",
            "exception=Stripe::CardError",
            "message=declined",
            "stack=2",
            "attempts=5",
            "first=2026-02-05T10:00:00.250Z",
            "last=2026-02-05T10:01:40.000Z",
        ],
    );
    for (name, queue, stack) in [
        ("bullmq", r#""queueQualifiedName":"bull:emails""#, r#"["Error: no route\n    at send (/app/mail.js:10:5)"]"#),
        ("bullmq, a hash", r#""queueName":"emails""#, r#""[\"Error: no route\\n    at send (/app/mail.js:10:5)\"]""#),
    ] {
        let job = format!(
            r#"{{"name":"welcome","id":"7","data":{{}},"attemptsMade":3,"failedReason":"no route","stacktrace":{stack},"timestamp":1770285600000,"finishedOn":1770285700000,{queue}}}"#
        );
        let facts = ["made=2026-02-05T10:00:00.000Z", "consumer=welcome", "exception=Error", "message=no route", "stack=2", "attempts=3"];
        let all = [&["from=bullmq/bullmq", "origin=emails"][..], &facts, &["last=2026-02-05T10:01:40.000Z"]].concat();
        check(name, &sample(&[], &job), &all);
    }
}

/// As RabbitMQ 3.10 wrote them and the adapter shows them.
#[test]
fn letters_of_a_real_rabbitmq_leave_unknown_when_they_died_last_of_several_times() {
    let twice = br#"[{"count":2,"exchange":"retry","queue":"orders.wait","reason":"expired","routing-keys":["orders.created"],"time":1796089342},{"count":2,"exchange":"shop","queue":"orders","reason":"rejected","routing-keys":["orders.created"],"time":1796089341}]"#;
    let headers: &[(&str, &[u8])] = &[
        ("amqp_message_id", b"m1"),
        ("app", b"x"),
        ("x-death", twice),
        ("x-first-death-exchange", b"shop"),
        ("x-first-death-queue", b"orders"),
        ("x-first-death-reason", b"rejected"),
    ];
    check(
        "rejected and sent again twice",
        &sample(headers, r#"{"id":1}"#),
        &[
            "from=rabbitmq/rabbitmq",
            "origin=queue:orders",
            "exchange=\"shop\"",
            "keys=orders.created",
            "reason=expired",
            "attempts=2",
            "first=2026-12-01T01:42:21.000Z",
            "death=queue:orders rejected Some(2)",
            "death=queue:orders.wait expired Some(2)",
        ],
    );
    let once = br#"[{"count":1,"exchange":"","queue":"jobs","reason":"rejected","routing-keys":["jobs"],"time":1796089342}]"#;
    let headers: &[(&str, &[u8])] =
        &[("x-death", once), ("x-first-death-exchange", b""), ("x-first-death-queue", b"jobs"), ("x-first-death-reason", b"rejected")];
    check(
        "rejected once",
        &sample(headers, "x"),
        &[
            "from=rabbitmq/rabbitmq",
            "origin=queue:jobs",
            "exchange=\"\"",
            "keys=jobs",
            "reason=rejected",
            "attempts=1",
            "first=2026-12-01T01:42:22.000Z",
            "last=2026-12-01T01:42:22.000Z",
            "death=queue:jobs rejected Some(1)",
        ],
    );
}
