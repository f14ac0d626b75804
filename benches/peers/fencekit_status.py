"""Times the Python package: the state of a plug, asked by blocking calls.

usage: fencekit_status.py PORT ROUNDS
Prints the median time of a call in microseconds.
"""

import statistics
import sys
import time

import fencekit

port, rounds = sys.argv[1:]
plug = fencekit.Device("kasa", ip="127.0.0.1", ipport=int(port), transport="xor")
times = []
for number in range(int(rounds) + 20):
    started = time.perf_counter()
    state = plug.status(timeout=5)
    elapsed = time.perf_counter() - started
    if state != "on":
        raise SystemExit(f"the plug is {state}")
    # The first rounds warm up.
    if number >= 20:
        times.append(1e6 * elapsed)
print(statistics.median(times))
