"""Times python-kasa: connect, switch a plug off, and see it off on a new connection, in one process.

usage: python_kasa.py PORT FAMILY KLAP|AES|XOR LOGIN_VERSION USER PASSWORD ROUNDS
Prints the times in milliseconds as a JSON list. The plug is on again after each round.
"""

import asyncio
import json
import sys
import time

from kasa import Credentials, Device, DeviceConfig
from kasa import DeviceConnectionParameters as Connection
from kasa import DeviceEncryptionType as Encryption
from kasa import DeviceFamily as Family

TIMEOUT = 10


async def fence(config):
    started = time.perf_counter()
    device = await Device.connect(config=config)
    await device.turn_off()
    await device.disconnect()
    fresh = await Device.connect(config=config)
    if fresh.is_on:
        raise RuntimeError("the plug is still on")
    elapsed = time.perf_counter() - started
    await fresh.turn_on()
    await fresh.disconnect()
    return 1000 * elapsed


async def main(port, family, encryption, login, user, password, rounds):
    config = DeviceConfig(
        host="127.0.0.1",
        port_override=int(port),
        credentials=Credentials(user, password),
        connection_type=Connection(Family(family), Encryption(encryption), login_version=int(login)),
    )
    times = []
    for number in range(int(rounds) + 1):
        elapsed = await asyncio.wait_for(fence(config), TIMEOUT)
        if number > 0:  # the first round warms up
            times.append(elapsed)
    print(json.dumps(times))


asyncio.run(main(*sys.argv[1:]))
