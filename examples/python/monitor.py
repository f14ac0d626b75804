#!/usr/bin/env python3
"""Monitoring: the state of every fence device of a cluster, as Nagios and Icinga want it.

    monitor.py [CLUSTER_FILE]

Ends with 0 when every device answers and is on, 1 when one is off, 2 when one does not say.
"""

import sys

import fencekit


def main() -> int:
    file = sys.argv[1] if len(sys.argv) > 1 else "/etc/fencekit/cluster.yml"
    try:
        nodes = fencekit.Cluster.load(file).status(timeout=5)
    except fencekit.FenceError as error:
        print(f"FENCING UNKNOWN - {error}")
        return 3
    unknown = [node for node in nodes if node.power == "unknown"]
    off = [node for node in nodes if node.power == "off"]
    if unknown:
        print(f"FENCING CRITICAL - {unknown[0].node}: {unknown[0].detail}")
    elif off:
        print(f"FENCING WARNING - powered off: {', '.join(node.node for node in off)}")
    else:
        print(f"FENCING OK - {len(nodes)} nodes are powered, and their devices answer")
    for node in nodes:
        for device in node.devices:
            watts = "" if device.watts is None else f", {device.watts:.1f} W"
            print(f"{node.node}: {device.device} is {device.power}{watts}")
    return 2 if unknown else 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
