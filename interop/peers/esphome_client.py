"""aioesphomeapi, the client of ESPHome's makers: prints what a device says, or switches it first.

usage: esphome_client.py ADDRESS PORT KEY [SWITCH on|off]

KEY is "-" for a device without encryption. Prints one JSON document: {"device": ..., "switches": {...}, "sensors": {...}}.
A switch of a sub-device is called DEVICE/NAME; the state of a switch is "on", "off" or "unknown".
"""

import asyncio
import json
import sys

from aioesphomeapi import APIClient, SensorInfo, SensorState, SwitchInfo, SwitchState

TIMEOUT = 5


def reading(state):
    """The sensor's number; None before its first measurement, which is NaN and has no word in JSON."""
    return None if state.missing_state or state.state != state.state else state.state


async def main(address, port, key, switch=None, state=None):
    client = APIClient(address, int(port), None, noise_psk=None if key == "-" else key)
    await asyncio.wait_for(client.connect(login=True), TIMEOUT)
    info = await client.device_info()
    devices = {device.device_id: device.name for device in info.devices}
    entities, _ = await client.list_entities_services()

    def full_name(entity):
        return f"{devices[entity.device_id]}/{entity.name}" if entity.device_id else entity.name

    switches = {(e.key, e.device_id): e for e in entities if isinstance(e, SwitchInfo)}
    sensors = {(e.key, e.device_id): e for e in entities if isinstance(e, SensorInfo)}
    seen = {}
    complete = asyncio.Event()

    def on_state(state):
        seen[type(state), state.key, state.device_id] = state
        if sum(isinstance(state, (SwitchState, SensorState)) for state in seen.values()) == len(switches) + len(sensors):
            complete.set()

    if switch is not None:
        [entity] = [e for e in switches.values() if full_name(e) == switch]
        client.switch_command(entity.key, state == "on", device_id=entity.device_id)
    client.subscribe_states(on_state)
    await asyncio.wait_for(complete.wait(), TIMEOUT)

    def shown(entity):
        state = seen[SwitchState, entity.key, entity.device_id]
        if getattr(state, "missing_state", False):
            return "unknown"
        return "on" if state.state else "off"

    print(
        json.dumps(
            {
                "device": {
                    "name": info.name,
                    "friendly_name": info.friendly_name,
                    "mac": info.mac_address,
                    "version": info.esphome_version,
                },
                "switches": {full_name(e): shown(e) for e in switches.values()},
                "assumed": [full_name(e) for e in switches.values() if e.assumed_state],
                "sensors": {
                    full_name(e): reading(seen[SensorState, e.key, e.device_id]) for e in sensors.values()
                },
            }
        )
    )
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
