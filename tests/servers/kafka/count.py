"""Counts what a topic holds for a read_committed client: count.py BOOTSTRAP TOPIC

One line of JSON: how often each value is there, as {"value": times}, over all partitions.
"""

import collections
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

BOOTSTRAP, TOPIC = sys.argv[1:]
consumer = Consumer(
    {
        "bootstrap.servers": BOOTSTRAP,
        "group.id": "counter",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    }
)
partitions = consumer.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions
consumer.assign([TopicPartition(TOPIC, number, 0) for number in partitions])
times = collections.Counter()
left = set(partitions)
while left:
    message = consumer.poll(30)
    assert message is not None, "no answer"
    if message.error() is not None:
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        left.discard(message.partition())
        continue
    times[message.value().decode()] += 1
consumer.close()
print(json.dumps(times))
