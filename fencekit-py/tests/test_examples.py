"""The examples: an agent on fence-agents' own library beside the Rust agent, a monitor, a watcher."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Dict, List, Tuple

import pytest

import fencekit
from devices import LIMIT, Sim, Simulate, program

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples/python"
INSTALLED = pathlib.Path(fencekit.__file__).resolve().parents[1]
#: The Rust agent, and the one on fence-agents' library.
AGENTS = [[program(), "agent", "fence_kasa"], ["/usr/bin/python3", str(EXAMPLES / "fence_kasa")]]
SCHEMA = pathlib.Path("/usr/share/cluster/relaxng/metadata.rng")


def needs_fence_agents() -> None:
    if not pathlib.Path("/usr/share/fence/fencing.py").exists() or not shutil.which("xmllint"):
        pytest.skip("fence-agents and xmllint are not installed")


def call(command: List[str], options: Dict[str, str], form: str) -> "subprocess.CompletedProcess[str]":
    lines = [f"{name}={value}" for name, value in options.items() if name != "nodename" or form == "stdin"]
    arguments = [f"--{line}".replace("_", "-", line.partition("=")[0].count("_")) for line in lines]
    return subprocess.run(
        command if form == "stdin" else command + arguments,
        input="\n".join(lines) + "\n" if form == "stdin" else "",
        capture_output=True,
        text=True,
        timeout=LIMIT,
        # fence-agents' library is for the system's Python.
        env={**os.environ, "PYTHONPATH": str(INSTALLED)},
    )


def test_the_agents_metadata_fits_the_schema() -> None:
    needs_fence_agents()
    ran = call(AGENTS[1], {"action": "metadata"}, "stdin")
    assert ran.returncode == 0 and "expect_identity" in ran.stdout, ran.stderr
    judged = subprocess.run(
        ["xmllint", "--noout", "--nonet", "--relaxng", str(SCHEMA), "-"],
        input=ran.stdout,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert judged.returncode == 0, judged.stderr


TABLE: List[Tuple[str, Dict[str, str], str]] = [
    ("status", {}, "on"),
    ("status", {}, "off"),
    ("monitor", {}, "on"),
    ("list", {}, "on"),
    ("list-status", {}, "off"),
    ("off", {}, "on"),
    ("off", {}, "off"),
    ("on", {}, "off"),
    ("on", {"plug": "1"}, "on"),
    ("off", {"plug": "7"}, "on"),
    ("off", {"nodename": "storage-b", "port": "storage-b"}, "on"),
    ("off", {"expect_identity": "00:11:22:33:44:55"}, "on"),
    ("off", {"off_max_watts": "5"}, "on"),
    ("validate-all", {}, "on"),
]


@pytest.mark.parametrize("form", ["stdin", "options"])
def test_the_agent_behaves_as_the_rust_one(plug: Sim, form: str) -> None:
    needs_fence_agents()
    address = {"ip": "127.0.0.1", "ipport": str(plug.places["a"]["port"])}
    for action, options, button in TABLE:
        if form == "options" and "nodename" in options:
            continue
        ended = []
        for command in AGENTS:
            plug.obey("a", button)
            ran = call(command, {"action": action, **address, **options}, form)
            why = ran.stderr.partition("ERROR: Failed: ")[2].strip()
            ended.append((ran.returncode, ran.stdout, plug.relay("a"), why))
        assert ended[0] == ended[1], (form, action, options, button)


@pytest.mark.parametrize("action", ["off", "reboot"])
def test_a_lie_stays_a_failure_however_often_it_is_asked(plug: Sim, action: str) -> None:
    """A cluster tries again, and then the plug says off from the start."""
    needs_fence_agents()
    options = {"action": action, "ip": "127.0.0.1", "ipport": str(plug.places["a"]["port"]), "off_max_watts": "5"}
    plug.obey("a", "lie")
    for command in AGENTS:
        for _ in range(2):
            ran = call(command, {**options, "power_timeout": "1"}, "stdin")
            assert (ran.returncode, plug.relay("a")) == (1, "on") and "its meter still reads" in ran.stderr, ran


def test_a_reboot_whose_on_fails_has_fenced_all_the_same(plug: Sim) -> None:
    """The off is confirmed, so the node is fenced; the plug refuses the on, with which the log has to do."""
    needs_fence_agents()
    options = {"action": "reboot", "ip": "127.0.0.1", "ipport": str(plug.places["a"]["port"]), "power_wait": "3"}
    for command in AGENTS:
        plug.obey("a", "none")
        plug.obey("a", "on")
        with concurrent.futures.ThreadPoolExecutor() as beside:
            running = beside.submit(call, command, {**options, "power_timeout": "2"}, "stdin")
            while plug.relay("a") == "on" and not running.done():
                time.sleep(0.05)
            # A look after the command, and the rest until the on.
            time.sleep(1.5)
            plug.obey("a", "refuse")
            ran = running.result()
        assert (ran.returncode, plug.relay("a")) == (0, "off"), ran
        assert "Traceback" not in ran.stderr and "refuse" in ran.stderr, ran


def run_example(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def test_the_monitor_tells_what_is_wrong(simulate: Simulate, tmp_path: pathlib.Path) -> None:
    sim = simulate(a={"method": "kasa"}, b={"method": "tasmota"})
    file = str(sim.file(tmp_path))
    good = run_example("monitor.py", file)
    assert (good.returncode, good.stderr) == (0, "") and good.stdout.startswith("FENCING OK - 2 nodes")
    sim.obey("b", "off")
    off = run_example("monitor.py", file)
    assert off.returncode == 1 and "powered off: b" in off.stdout
    sim.obey("a", "reset")
    broken = run_example("monitor.py", file)
    assert broken.returncode == 2 and "FENCING CRITICAL - a: " in broken.stdout
    assert run_example("monitor.py", "/nonexistent").returncode == 3


def test_the_watcher_says_what_changed(plug: Sim, tmp_path: pathlib.Path) -> None:
    file = str(plug.file(tmp_path))
    ran = run_example("watch_rack.py", file, "0.1", "3")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "a: first seen -> on\n", "")
    assert run_example("watch_rack.py", "/nonexistent", "1", "1").returncode == 2
