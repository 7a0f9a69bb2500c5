"""Reads as a member of a group: member.py BOOTSTRAP GROUP TOPIC [hold]

Prints one JSON object: by partition the offset of the first message that it got. Reads to the ends, and commits only on `hold`;
then it stays a member until its standard input is closed."""

import json
import sys

from confluent_kafka import Consumer, KafkaError

BOOTSTRAP, GROUP, TOPIC = sys.argv[1:4]
HOLD = sys.argv[4:] == ["hold"]

consumer = Consumer(
    {
        "bootstrap.servers": BOOTSTRAP,
        "group.id": GROUP,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error" if not HOLD else "earliest",
    }
)
assigned, ended, first = set(), set(), {}
consumer.subscribe([TOPIC], on_assign=lambda _, partitions: assigned.update(p.partition for p in partitions))
while not assigned or ended != assigned:
    message = consumer.poll(30)
    assert message is not None, "no answer"
    if message.error() is None:
        first.setdefault(message.partition(), message.offset())
    elif message.error().code() == KafkaError._PARTITION_EOF:
        ended.add(message.partition())
        first.setdefault(message.partition(), message.offset())
    else:
        raise AssertionError(message.error())
if HOLD:
    consumer.commit(asynchronous=False)
print(json.dumps({str(partition): offset for partition, offset in sorted(first.items())}), flush=True)
if HOLD:
    while sys.stdin.readline():
        consumer.poll(0)
consumer.close()
