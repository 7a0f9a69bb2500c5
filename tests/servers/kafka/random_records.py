"""Writes random records, or prints what topics hold: random_records.py write|read BOOTSTRAP SEED TOPIC...

A topic whose name begins with `compacted` gets keys that come again, and no record without a key. What is written depends on the
seed alone. Reading prints one line of JSON a record, topic by topic in the order of the arguments and in the order of the offsets of
partition 0; bytes in base64, what is missing null.
"""

import base64
import json
import random
import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

MODE, BOOTSTRAP, SEED, *TOPICS = sys.argv[1:]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
FIRST = 1_770_285_600_000  # 2026-02-05T10:00:00Z


def content(dice, longest):
    kind = dice.randrange(5)
    if kind == 0:
        return None
    if kind == 1:
        return b""
    if kind == 2:
        return json.dumps({"id": dice.randrange(1000), "text": "漢字\u202e" * dice.randrange(5)}, ensure_ascii=False).encode()
    return dice.randbytes(dice.randrange(1, longest))


def record(dice, compacted):
    key = dice.choice([b"", b"a", b"b", b"c", b"\xff\x00"]) if compacted else content(dice, 20)
    names = ["", "a", "a", "größe", "trace"]
    return {
        "key": key,
        "value": content(dice, dice.choice([10, 100, 3000])),
        "headers": [(dice.choice(names), content(dice, 30)) for _ in range(dice.choice([0, 0, 1, 2, 5]))],
        # Not in order, as clients' clocks are.
        "timestamp": FIRST + dice.randrange(-100_000, 100_000),
    }


def producer(dice, name=None):
    config = {
        "bootstrap.servers": BOOTSTRAP,
        "compression.type": dice.choice(CODECS),
        "linger.ms": 50,
        "enable.idempotence": name is not None or dice.random() < 0.5,
    }
    if name is not None:
        config["transactional.id"] = name
    made = Producer(config)
    if name is not None:
        made.init_transactions(30)
        made.begin_transaction()
    return made


def produce(dice, to, topic, compacted):
    for _ in range(dice.randrange(1, 25)):
        to.produce(topic, partition=0, **record(dice, compacted))
    assert to.flush(30) == 0


def end(dice, transaction):
    (transaction.commit_transaction if dice.random() < 0.5 else transaction.abort_transaction)(30)


def write(number, topic):
    dice = random.Random(f"{SEED} {number}")
    compacted = topic.startswith("compacted")
    for part in range(dice.randrange(3, 7)):
        kind = dice.randrange(3)
        if kind == 0:
            produce(dice, producer(dice), topic, compacted)
        elif kind == 1:
            transaction = producer(dice, f"{topic}-{part}")
            produce(dice, transaction, topic, compacted)
            end(dice, transaction)
        else:
            # Two transactions and a plain producer in turns.
            open_ones = [producer(dice, f"{topic}-{part}-{n}") for n in range(2)]
            plain = producer(dice)
            for _ in range(3):
                produce(dice, dice.choice([*open_ones, plain]), topic, compacted)
            for transaction in open_ones:
                end(dice, transaction)
    # The last record is a visible one.
    produce(dice, producer(dice), topic, compacted)


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def read(topic):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True})
    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.assign([TopicPartition(topic, 0, low)])
    while True:
        message = consumer.poll(30)
        assert message is not None, "no answer"
        if message.error() is not None:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            break
        kind, time = message.timestamp()
        print(
            json.dumps(
                {
                    "topic": topic,
                    "offset": message.offset(),
                    "timestamp": time,
                    "stored": kind == 2,
                    "key": encode(message.key()),
                    "value": encode(message.value()),
                    "headers": [[name, encode(data)] for name, data in message.headers() or []],
                }
            )
        )
    consumer.close()


for number, topic in enumerate(TOPICS):
    write(number, topic) if MODE == "write" else read(topic)
