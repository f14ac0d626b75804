"""Switches one outlet of a strip through python-kasa, whose command line takes every IOT device over KLAP for a plug.

usage: kasa_strip.py PORT FAMILY KLAP|AES LOGIN_VERSION USER PASSWORD ALIAS on|off
Prints the outlets' states, as python-kasa reads them afterwards, as JSON.
"""

import asyncio
import json
import sys

from kasa import Credentials, Device, DeviceConfig
from kasa import DeviceConnectionParameters as Connection
from kasa import DeviceEncryptionType as Encryption
from kasa import DeviceFamily as Family


async def main() -> None:
    port, family, encryption, login, user, password, alias, state = sys.argv[1:]
    config = DeviceConfig(
        host="127.0.0.1",
        port_override=int(port),
        credentials=Credentials(user, password),
        connection_type=Connection(Family(family), Encryption(encryption), login_version=int(login)),
    )
    device = await Device.connect(config=config)
    try:
        await device.update()
        child = next(child for child in device.children if child.alias == alias)
        await (child.turn_off() if state == "off" else child.turn_on())
        await device.update()
        print(json.dumps({child.alias: child.is_on for child in device.children}))
    finally:
        await device.disconnect()


asyncio.run(main())
