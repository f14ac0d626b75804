"""Tests in namespaces of their own: network, mounts, processes, host name.

What is marked `private` runs once more, in a pytest for it alone inside; when that ends, so do all processes inside.
"""

import os
import shutil
import subprocess
import sys

import pytest

INSIDE = "FENCEKIT_PYTEST_INSIDE"
LIMIT = 170
NAMESPACES = "--net --mount --pid --fork --uts --ipc --mount-proc --kill-child".split()
ENTER = 'mount --make-rprivate / && ip link set lo up && hostname tester && exec "$@"'


def is_inside(item: pytest.Item) -> bool:
    return os.environ.get(INSIDE) == item.name


def run_inside(item: pytest.Item) -> None:
    """Runs a test in its namespaces; it fails here when it fails there."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("making namespaces takes root, unshare and ip")
    config = item.config
    ran = subprocess.run(
        ["unshare", *NAMESPACES, "sh", "-c", ENTER, "enter", sys.executable, "-B", "-m", "pytest", "--quiet"]
        + ["--config-file", str(config.inipath), "--rootdir", str(config.rootpath), f"{item.path}::{item.name}"],
        env={**os.environ, INSIDE: item.name},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    # Without the count, a name that fits no test would pass.
    assert ran.returncode == 0 and "1 passed" in ran.stdout, ran.stdout + ran.stderr
