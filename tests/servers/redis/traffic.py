"""Another language's client: writes to a stream and publishes to a channel.

traffic.py stream HOST:PORT NAME FIRST COUNT   entries with a header, a payload and bytes that are no text
traffic.py channel HOST:PORT NAME FIRST COUNT  messages
traffic.py group HOST:PORT NAME GROUP COUNT    reads and acknowledges so many; prints what is pending and where the group stands
"""
import json
import sys

import redis

what, address, name, *rest = sys.argv[1:]
host, port = address.rsplit(":", 1)
client = redis.Redis(host=host, port=int(port), decode_responses=False)
if what == "group":
    group, count = rest[0], int(rest[1])
    for _, entries in client.xreadgroup(group, "python", {name: ">"}, count=count):
        for entry, _ in entries:
            client.xack(name, group, entry)
    told = next(one for one in client.xinfo_groups(name) if one["name"] == group.encode())
    print(json.dumps({"pending": told["pending"], "last": told["last-delivered-id"].decode(), "lag": told.get("lag")}))
else:
    first, count = int(rest[0]), int(rest[1])
    pipe = client.pipeline(transaction=False)
    for n in range(first, first + count):
        payload = json.dumps({"n": n, "big": 2**63 + n})
        if what == "stream":
            pipe.xadd(name, {"trace": f"t-{n}", "data": payload, "raw": b"\xff\x00"})
        else:
            pipe.publish(name, payload)
    pipe.execute()
