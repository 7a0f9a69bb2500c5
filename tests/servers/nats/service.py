"""A service of another client: service.py ADDRESS NAME [--group SUBJECT GROUP] says `ready`, and runs until its input ends.

It answers on NAME.echo with what it was asked and the header `trace`, and on NAME.fail with an error of its own. With --group it also
joins a queue group, and prints how many messages it was given when it ends.
"""
import asyncio
import sys

import nats
import nats.micro


async def main(address, name, *group):
    client = await nats.connect(f"nats://{address}")
    given = []
    if group:
        async def take(message):
            given.append(message)

        await client.subscribe(group[1], queue=group[2], cb=take)
    service = await nats.micro.add_service(client, name=name, version="1.2.3", description="tells back")

    async def echo(request):
        await request.respond(request.data, headers={"trace": (request.headers or {}).get("trace", "none")})

    async def fail(request):
        await request.respond_error("500", "it always fails")

    await service.add_endpoint(name="echo", subject=f"{name}.echo", handler=echo)
    await service.add_endpoint(name="fail", subject=f"{name}.fail", handler=fail)
    await client.flush()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await client.flush()
    print(len(given), flush=True)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
