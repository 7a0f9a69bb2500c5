"""Another language's client on the other side: other.py URL publish EXCHANGE KEY COUNT | flood EXCHANGE COUNT | get QUEUE | serve QUEUE | consume QUEUE SECONDS | declare QUEUE ARGUMENTS-AS-JSON | ready QUEUE | topology JSON | settle QUEUE COUNT ack|reject|requeue"""
import json, sys, time
import pika

url, what, *arguments = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
if what == "publish":
    exchange, key, count = arguments[0], arguments[1], int(arguments[2])
    channel.confirm_delivery()
    properties = pika.BasicProperties(message_id="from-python", priority=3, delivery_mode=2, timestamp=1700000000, headers={"tenant": "a", "retries": 2, "dry": True})
    for i in range(count):
        channel.basic_publish(exchange, key, b"message %d" % i, properties, mandatory=True)
elif what == "flood":
    for i in range(int(arguments[1])):
        channel.basic_publish(arguments[0], "", b"%d" % i)
    channel.queue_declare("", exclusive=True)  # an answer: all of them are there
elif what == "get":
    method, properties, body = channel.basic_get(arguments[0], auto_ack=True)
    if method is None:
        sys.exit(print("null"))
    said = {name: value for name, value in vars(properties).items() if value is not None}
    print(json.dumps({"body": body.decode(), "redelivered": method.redelivered, "key": method.routing_key, "properties": said}, default=str))
elif what == "declare":
    channel.queue_declare(arguments[0], durable=True, arguments=json.loads(arguments[1]))
elif what == "topology":
    # {"exchanges": {NAME: TYPE or [TYPE, ARGUMENTS]}, "queues": {NAME: ARGUMENTS}, "bindings": [[QUEUE, EXCHANGE, KEY]]}
    topology = json.loads(arguments[0])
    for name, kind in topology["exchanges"].items():
        kind, more = kind if isinstance(kind, list) else (kind, {})
        channel.exchange_declare(name, kind, durable=True, arguments=more)
    for name, more in topology["queues"].items():
        channel.queue_declare(name, durable=True, arguments=more)
    for queue, exchange, key in topology["bindings"]:
        channel.queue_bind(queue, exchange, key)
elif what == "settle":
    tags = []
    for _ in range(int(arguments[1])):
        method, _, _ = channel.basic_get(arguments[0])
        tags.append(method.delivery_tag)
    for tag in tags:
        if arguments[2] == "ack":
            channel.basic_ack(tag)
        else:
            channel.basic_nack(tag, requeue=arguments[2] == "requeue")
    channel.queue_declare("", exclusive=True)  # an answer: all of them are settled
elif what == "ready":
    print(channel.queue_declare(arguments[0], passive=True).method.message_count)
elif what == "serve":
    def answer(channel, method, properties, body):
        channel.basic_publish("", properties.reply_to, body.upper(), pika.BasicProperties(correlation_id=properties.correlation_id, headers={"status": "ok"}))
        channel.basic_ack(method.delivery_tag)
    channel.basic_consume(arguments[0], answer)
    print("serving", flush=True)
    channel.start_consuming()
elif what == "consume":
    seen, end = 0, time.monotonic() + float(arguments[1])
    channel.basic_qos(prefetch_count=2000)
    for method, _, _ in channel.consume(arguments[0], inactivity_timeout=0.5):
        if time.monotonic() > end:
            break
        if method is not None:
            seen += 1
            if seen % 500 == 0:
                channel.basic_ack(method.delivery_tag, multiple=True)
    print(seen)
