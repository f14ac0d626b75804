"""Simulated devices, and the program that plays them."""

import contextlib
import json
import os
import pathlib
import selectors
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

import pytest

import fencekit

LIMIT = 30


def program() -> str:
    found = os.environ.get("FENCEKIT_BIN") or shutil.which("fencekit")
    if not found:
        raise pytest.UsageError("set FENCEKIT_BIN to the built program: cargo build -p fencekit-cli")
    return found


class Sim:
    """A `fencekit sim` with a device for each node; `nodes` are entries of a cluster file without address and port."""

    def __init__(self, directory: pathlib.Path, nodes: Dict[str, Dict[str, Any]]) -> None:
        entries = {name: {"ip": "127.0.0.1", "port": 0, **entry} for name, entry in nodes.items()}
        file = directory / "sim.json"
        file.write_text(json.dumps({"stonith_nodes": entries}))
        file.chmod(0o600)
        self._log = open(directory / "sim.log", "w+")
        self.process = subprocess.Popen(
            [program(), "sim", "--config", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._read = b""
        self.entries = entries
        self.places: Dict[str, Dict[str, Any]] = {}
        while len(self.places) < len(nodes):
            place = self._line()
            self.places[place["node"]] = place
            entries[place["node"]]["port"] = place["port"]

    def _line(self) -> Dict[str, Any]:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._read:
                assert selector.select(LIMIT), "the simulator says nothing"
                more = os.read(self.process.stdout.fileno(), 65536)
                if not more:
                    self._log.seek(0)
                    raise AssertionError(f"the simulator ended: {self._log.read()}")
                self._read += more
        line, self._read = self._read.split(b"\n", 1)
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def obey(self, node: str, what: str = "state") -> Dict[str, Any]:
        """Sets faults (`lie`, `slow=2`, `none`), presses the button (`on`, `off`), or asks for the state."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{node} {what}\n".encode())
        self.process.stdin.flush()
        answer = self._line()
        assert answer["ok"], answer
        device: Dict[str, Any] = answer["devices"][0]
        return device

    def relay(self, node: str) -> str:
        word: str = self.obey(node)["relay"]
        return word

    def options(self, node: str) -> Dict[str, Any]:
        """The agents' options for the device."""
        names = {"port": "ipport", "user": "username", "identity": "expect_identity"}
        return {names.get(key, key): value for key, value in self.entries[node].items() if key != "method"}

    def device(self, node: str, **options: Any) -> fencekit.Device:
        return fencekit.Device(self.entries[node]["method"], **{**self.options(node), **options})

    def file(self, directory: pathlib.Path, **more: Any) -> pathlib.Path:
        """A cluster file of the devices."""
        path = directory / "cluster.json"
        path.write_text(json.dumps({"stonith_nodes": self.entries, **more}))
        path.chmod(0o600)
        return path

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(LIMIT)
        self.process.stdout.close()
        self._log.close()


class Simulate:
    """Makes simulators that end with the test."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._running: List[Sim] = []

    def __call__(self, **nodes: Dict[str, Any]) -> Sim:
        directory = self._directory / str(len(self._running))
        directory.mkdir()
        sim = Sim(directory, nodes)
        self._running.append(sim)
        return sim

    def stop(self) -> None:
        for sim in self._running:
            sim.stop()


def run(
    *arguments: str, stdin: str = "", environment: Optional[Dict[str, str]] = None
) -> "subprocess.CompletedProcess[str]":
    """The program with these arguments."""
    return subprocess.run(
        [program(), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, **(environment or {})},
    )


def python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """A Python of its own, with warnings as errors."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(what: Any, seconds: float = 10) -> Any:
    """The first true answer of `what`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = what()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")
