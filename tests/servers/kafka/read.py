"""Prints everything that partition 0 holds, as write.py prints what it wrote: read.py BOOTSTRAP TOPIC"""

import base64
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

BOOTSTRAP, TOPIC = sys.argv[1:]


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True})
consumer.assign([TopicPartition(TOPIC, 0, 0)])
while True:
    message = consumer.poll(30)
    assert message is not None, "no answer"
    if message.error() is not None:
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        break
    print(
        json.dumps(
            {
                "timestamp": message.timestamp()[1],
                "key": encode(message.key()),
                "value": encode(message.value()),
                "headers": [[name, encode(data)] for name, data in message.headers() or []],
            }
        )
    )
consumer.close()
