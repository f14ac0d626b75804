#!/usr/bin/env python3
"""Watches a rack: asks every device at once, again and again, and says what changed.

    watch_rack.py [CLUSTER_FILE [SECONDS [ROUNDS]]]
"""

import asyncio
import sys
from typing import Dict, Optional

import fencekit
from fencekit import aio


async def watch(file: str, pause: float, rounds: Optional[int]) -> None:
    cluster = aio.Cluster.load(file)
    seen: Dict[str, str] = {}
    while rounds is None or rounds > 0:
        for node in await cluster.status(timeout=5):
            if seen.get(node.node) != node.power:
                why = f" ({node.detail})" if node.detail else ""
                print(f"{node.node}: {seen.get(node.node, 'first seen')} -> {node.power}{why}", flush=True)
                seen[node.node] = node.power
        rounds = None if rounds is None else rounds - 1
        if rounds != 0:
            await asyncio.sleep(pause)


def main() -> int:
    arguments = dict(enumerate(sys.argv))
    file = arguments.get(1, "/etc/fencekit/cluster.yml")
    rounds = int(arguments[3]) if 3 in arguments else None
    try:
        asyncio.run(watch(file, float(arguments.get(2, "10")), rounds))
    except fencekit.FenceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
