"""Times aioesphomeapi: connect, switch a relay off and see it off, on a new connection each round.

usage: esphome.py ADDRESS PORT KEY SWITCH ROUNDS

KEY is "-" for a device without encryption. Prints {"subscribed_first": [...], "command_first": [...]} in milliseconds:
states are subscribed to before the command, as Home Assistant does, or after it, which is the quickest that this client
can do.
"""

import asyncio
import json
import sys
import time

from aioesphomeapi import APIClient, SwitchInfo, SwitchState

TIMEOUT = 10


async def fence(address, port, key, switch, subscribed_first):
    started = time.perf_counter()
    client = APIClient(address, port, None, noise_psk=None if key == "-" else key)
    await client.connect(login=True)
    entities, _ = await client.list_entities_services()
    [entity] = [e for e in entities if isinstance(e, SwitchInfo) and e.name == switch and not e.device_id]
    first = asyncio.Event()
    off = asyncio.Event()

    def on_state(state):
        if isinstance(state, SwitchState) and (state.key, state.device_id) == (entity.key, 0):
            first.set()
            if not state.state:
                off.set()

    if subscribed_first:
        client.subscribe_states(on_state)
        await first.wait()
        client.switch_command(entity.key, False)
    else:
        client.switch_command(entity.key, False)
        client.subscribe_states(on_state)
    await off.wait()
    elapsed = time.perf_counter() - started
    client.switch_command(entity.key, True)
    await client.disconnect()
    return 1000 * elapsed


async def main(address, port, key, switch, rounds):
    times = {"subscribed_first": [], "command_first": []}
    for number in range(int(rounds) + 1):
        for order, measured in times.items():
            elapsed = await asyncio.wait_for(
                fence(address, int(port), key, switch, order == "subscribed_first"), TIMEOUT
            )
            if number > 0:  # the first round warms up
                measured.append(elapsed)
    print(json.dumps(times))


asyncio.run(main(*sys.argv[1:]))
