"""tasmota-http, a client that others wrote: asks a Tasmota, or switches it first.

usage: tasmota_client.py ADDRESS USER PASSWORD CHANNEL [on|off|toggle]

USER and PASSWORD are "-" for a device without. Prints one JSON document:
{"switched": ..., "power": ..., "status": ...}, or {"error": ...}.
"""

import json
import sys

from tasmota_http import TasmotaClient
from tasmota_http.exceptions import TasmotaTransportError


def main(address, user, password, channel, state=None):
    login = {} if user == "-" else {"username": user, "password": password}
    client = TasmotaClient(address, timeout=10, **login)
    channel = int(channel)
    switched = None
    if state == "toggle":
        switched = client.power_toggle(channel)
    elif state is not None:
        switched = client.power_set(state == "on", channel)
    return {"switched": switched, "power": client.power_get(channel), "status": client.status(0)}


try:
    print(json.dumps(main(*sys.argv[1:])))
except TasmotaTransportError as error:
    print(json.dumps({"error": str(error)}))
