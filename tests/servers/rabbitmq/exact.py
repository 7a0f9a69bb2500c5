"""Properties byte by byte: exact.py URL random QUEUE SEED COUNT | odd QUEUE | typed QUEUE

`random` publishes COUNT messages with random properties, and prints what `typed` prints of messages that it takes out of a queue: a line of
JSON each, the body and the properties with their types, tables in the order of their names. `odd` publishes some that few clients can read."""
import json, random, struct, sys
import pika

url, what, queue, *arguments = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
NAMES = ["content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"]
SCALARS = {"t": "B", "b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q", "L": "q", "T": "Q", "f": "f", "d": "d"}


def short(data):
    return bytes([len(data)]) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def value(rng, depth):
    kind = rng.choice("SSSxtbBsuIilLTfdDVAF" if depth else "SSSxtbBsuIilLTfdDV")
    if kind in "Sx":
        data = rng.randbytes(rng.randrange(12)) if rng.random() < 0.5 else rng.choice(["", "text", "größe", "{\"a\":1}", "1e-2"]).encode()
        return kind.encode() + long(data)
    if kind == "A":
        return b"A" + long(b"".join(value(rng, depth - 1) for _ in range(rng.randrange(4))))
    if kind == "F":
        return b"F" + long(table(rng, depth - 1))
    if kind == "V":
        return b"V"
    if kind == "D":
        return b"D" + rng.randbytes(5)
    if kind == "t":
        return b"t" + bytes([rng.choice([0, 1, 1, 2])])
    if kind in "fd":
        return kind.encode() + struct.pack(">" + kind, rng.choice([0.0, 1.0, -2.5, 0.1, 1e300 if kind == "d" else 1e30, rng.uniform(-1, 1)]))
    return kind.encode() + rng.choice([rng.randbytes(struct.calcsize(SCALARS[kind])), b"\xff" * struct.calcsize(SCALARS[kind])])


def table(rng, depth):
    names = rng.sample(["a", "b", "retries", "größe", "amqp_priority", "amqp_types", "amqp_header_x", "amqp_exchange", "base64", "x-y", "", "amqp_absent", "x-stream-offset"], rng.randrange(5))
    names = [name.encode() for name in names] + rng.choice([[], [], [b"n\xff"], [b"a", b"a"]])
    return b"".join(short(name) + value(rng, depth) for name in names)


def properties(rng):
    flags, data, texts = 0, b"", ["", "x", "größe", "a" * 255]
    for at, name in enumerate(NAMES):
        if rng.random() < 0.5:
            continue
        flags |= 1 << (15 - at)
        text = rng.choice(texts).encode() if rng.random() < 0.7 else rng.randbytes(rng.randrange(20))
        data += {"headers": lambda: long(table(rng, 3)), "delivery_mode": lambda: bytes([rng.choice([1, 2])]), "priority": lambda: rng.randbytes(1), "timestamp": lambda: rng.choice([struct.pack(">Q", rng.randrange(2**33)), rng.randbytes(8), b"\xff" * 8]), "expiration": lambda: short(b"600000"), "user_id": lambda: short(b"guest")}.get(name, lambda: short(text))()
    return struct.pack(">H", flags) + data


def typed_value(data):
    kind, data = chr(data[0]), data[1:]
    if kind in "SxAF":
        size = struct.unpack(">I", data[:4])[0]
        inside, rest = data[4:4 + size], data[4 + size:]
        return [kind, inside.hex() if kind in "Sx" else typed_table(inside) if kind == "F" else typed_items(inside)], rest
    size = {"V": 0, "D": 5}.get(kind)
    size = struct.calcsize(SCALARS[kind]) if size is None else size
    return [kind, data[:size].hex()], data[size:]


def typed_items(data):
    items = []
    while data:
        item, data = typed_value(data)
        items.append(item)
    return items


def typed_table(data):
    members = []
    while data:
        name, data = data[1:1 + data[0]], data[1 + data[0]:]
        member, data = typed_value(data)
        members.append([name.hex(), member])
    return sorted(members)


def typed(data):
    flags, data, found = struct.unpack(">H", data[:2])[0], data[2:], {}
    for at, name in enumerate(NAMES):
        if flags & 1 << (15 - at):
            size = {"delivery_mode": 1, "priority": 1, "timestamp": 8}.get(name)
            if name == "headers":
                size = struct.unpack(">I", data[:4])[0] + 4
                found[name] = typed_table(data[4:size])
            elif size is None:
                size = data[0] + 1
                found[name] = data[1:size].hex()
            else:
                found[name] = data[:size].hex()
            data = data[size:]
    return found


class Raw(pika.BasicProperties):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def encode(self):
        return [self.data]


def publish(body, data, key=queue, exchange=""):
    channel.basic_publish(exchange, key, body.encode(), Raw(data))


def keep(self, encoded, offset=0):
    self.raw = bytes(encoded[offset:])
    return self


if what == "random":
    rng = random.Random(int(arguments[0]))
    for n in range(int(arguments[1])):
        data = properties(rng)
        publish(f"message {n}", data)
        print(json.dumps([f"message {n}", typed(data)]))
elif what == "odd":
    deep = b"V"
    for _ in range(5000):
        deep = b"A" + long(deep)
    publish("plain", b"\x00\x00")
    publish("correlation id", b"\x04\x00" + short(b"\x00\xff\xfe\x80"))
    publish("type", b"\x00\x20" + short(b"caf\xe9"))
    publish("header name", b"\x20\x00" + long(short(b"n\xff") + b"S" + long(b"value") + short(b"n") + b"I\x00\x00\x00\x07"))
    publish("nested name", b"\x20\x00" + long(short(b"t") + b"F" + long(short(b"n\xff") + b"t\x01")))
    publish("deep", b"\x20\x00" + long(short(b"n") + deep))
    publish("again", b"\x00\x00")
    channel.exchange_declare(queue, "fanout", auto_delete=True)
    channel.queue_bind(queue, queue, "")
    publish("routing key", b"\x00\x00", b"k\xff\xfe", queue)
elif what == "typed":
    pika.spec.BasicProperties.decode = keep
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            break
        print(json.dumps([body.decode(), typed(properties.raw)]))
channel.queue_declare("", exclusive=True)  # an answer: everything before it is there
