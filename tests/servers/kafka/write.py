"""Writes what is peculiar, in every codec, and prints what it wrote: write.py BOOTSTRAP TOPIC

One line of JSON a message, in the order of their offsets in partition 0; bytes in base64, what is missing null.
"""

import base64
import json
import sys

from confluent_kafka import Producer

BOOTSTRAP, TOPIC = sys.argv[1:]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
FIRST = 1_770_285_600_000  # 2026-02-05T10:00:00Z
MESSAGES = [
    # key, value, headers
    (None, None, []),
    (b"", b"", []),
    (b"customer-1", None, [("why", b"erased")]),
    (None, b"no key", []),
    (b"", b"an empty key", []),
    ("größe".encode(), "漢字".encode(), [("ключ", "значение".encode())]),
    (bytes(range(256)), bytes(reversed(range(256))), [("bin", bytes([0, 255, 254]))]),
    (b"headers", b"{}", [("a", b"1"), ("b", None), ("a", b"2"), ("c", b""), ("", b"no name"), ("a", b"1")]),
    (b"digits", b'{"id":9007199254740993,"amount":1.10,"id":-0,"far":1e400,"z":1,"a":2}', []),
    (b"spaces", b' {\n  "id" : 12345678901234567890.12345678901234567890\n} \n', []),
    (b"text", "a\u202eb\u200bc\x1b[2J\u0007\n".encode(), []),
    (b"\xffkey", b"\xff\xfe", []),
    (b"messagepack", b"\x82\xa2id\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1x\xc4\x02\x00\x01", []),
    (b"confluent", b"\x00\x00\x00\x00\x11" + b"avro", []),
    (b"long", b"0123456789" * 5_000, []),
]


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


written = {}
for number, codec in enumerate(CODECS):
    # One batch a codec, long enough that compressing it pays.
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "compression.type": codec, "linger.ms": 200, "enable.idempotence": True})
    for index, (key, value, headers) in enumerate(MESSAGES):
        record = {
            "timestamp": FIRST + 1_000_000 * number + index,
            "key": encode(key),
            "value": encode(value),
            "headers": [[name, encode(data)] for name, data in headers],
        }

        def stored(error, message, record=record):
            assert error is None, error
            written[message.offset()] = record

        producer.produce(TOPIC, key=key, value=value, headers=headers, partition=0, timestamp=record["timestamp"], on_delivery=stored)
    assert producer.flush(30) == 0
for offset in sorted(written):
    print(json.dumps(written[offset]))
