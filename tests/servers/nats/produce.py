"""Another client's traffic: produce.py ADDRESS STREAM COUNT fills a new stream STREAM (subjects STREAM.>) and a bucket of the same name."""
import asyncio
import sys

import nats
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig


async def main(address, stream, count):
    client = await nats.connect(f"nats://{address}")
    jetstream = client.jetstream()
    await jetstream.add_stream(StreamConfig(name=stream, subjects=[f"{stream}.>"]))
    for n in range(count):
        await jetstream.publish(f"{stream}.{n % 3}", b'{"n":%d}' % n, headers={"trace": f"t-{n}"})
    await jetstream.add_consumer(stream, ConsumerConfig(durable_name="python", ack_policy=AckPolicy.EXPLICIT, max_deliver=5))
    if count > 1:
        taken = await (await jetstream.pull_subscribe_bind("python", stream)).fetch(2, timeout=5)
        await taken[0].ack_sync()
    bucket = await jetstream.create_key_value(bucket=stream)
    await bucket.put("key", b"value")
    await client.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
