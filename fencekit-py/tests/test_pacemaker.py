"""Pacemaker's own fencer drives the example agent, in namespaces of each test's own, as it drives the Rust one."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import time
from typing import Iterator, List

import pytest

import fencekit
from devices import Sim

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGENT = ROOT / "examples/python/fence_kasa"
PREPARE = ROOT / "interop/tests/pacemaker/prepare.sh"
INSTALLED = pathlib.Path(fencekit.__file__).resolve().parents[1]
#: The package where the system's Python finds it, which fence-agents' library is for.
ENVIRONMENT = {**os.environ, "PCMK_logfacility": "none", "PYTHONPATH": str(INSTALLED)}
FENCER = pathlib.Path("/usr/lib/pacemaker/pacemaker-fenced")
FENCING = pathlib.Path("/usr/share/fence/fencing.py")
#: What stonith_admin waits for an operation, and a little more for itself.
OPERATION, LIMIT = 30, 40
STORAGE_B = ["storage-b", "--timeout", str(OPERATION)]


class Fenced:
    """`pacemaker-fenced` alone, without corosync and without a CIB."""

    def __init__(self, agents: pathlib.Path) -> None:
        subprocess.run(["sh", str(PREPARE), str(agents)], check=True, timeout=LIMIT)
        self.process = subprocess.Popen(
            [str(FENCER), "--stand-alone", "--logfile", "/var/log/pacemaker/fenced.log", "-V"],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        while self.admin("--list-registered").returncode != 0:
            assert self.process.poll() is None and time.monotonic() < until, self.log()
            time.sleep(0.05)

    def admin(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["stonith_admin", *arguments],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )

    def register(self, sim: Sim, *options: str) -> None:
        """The plug, as a cluster would. With a list of hosts the fencer also sends port=storage-b, which is no outlet."""
        words: List[str] = []
        for option in ["ip=127.0.0.1", f"ipport={sim.places['a']['port']}", "pcmk_host_list=storage-b", *options]:
            words += ["--option", option]
        self.must("--register", "fence-b", "--agent", "fence_kasa", *words)

    def must(self, *arguments: str) -> str:
        ran = self.admin(*arguments)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}\n{self.log()}"
        return ran.stdout

    def must_fail(self, what: str) -> None:
        """By the device's fault, and not because nothing could be asked."""
        ran = self.admin(what, *STORAGE_B)
        assert ran.returncode != 0 and "No such device" not in ran.stdout, f"{what}: {ran.stdout}\n{self.log()}"

    def log(self) -> str:
        return pathlib.Path("/var/log/pacemaker/fenced.log").read_text()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(LIMIT)


@contextlib.contextmanager
def fencer(directory: pathlib.Path) -> Iterator[Fenced]:
    """Not a fixture: those are made outside of the namespaces, too."""
    agents = directory / "agents"
    agents.mkdir()
    (agents / AGENT.name).symlink_to(AGENT)
    fenced = Fenced(agents)
    try:
        yield fenced
    finally:
        fenced.stop()


pytestmark = [
    pytest.mark.private,
    pytest.mark.skipif(
        not (FENCER.exists() and FENCING.exists() and shutil.which("stonith_admin")),
        reason="pacemaker and fence-agents are not installed",
    ),
]


def test_the_fencer_describes_monitors_fences_and_reboots(plug: Sim, tmp_path: pathlib.Path) -> None:
    with fencer(tmp_path) as fenced:
        assert "fence_kasa" in fenced.must("--list-installed").split()
        assert 'name="expect_identity"' in fenced.must("--metadata", "--agent", "fence_kasa")
        fenced.register(plug)
        fenced.must("--query", "fence-b")
        assert "fence-b" in fenced.must("--list", "storage-b")
        assert plug.obey("a")["commands"] == 0, "a monitor switched something"

        fenced.must("--fence", *STORAGE_B)
        assert plug.relay("a") == "off"
        # An agent that ends with 2 says off to a monitor, and is no failure.
        fenced.must("--query", "fence-b")
        fenced.must("--unfence", *STORAGE_B)
        assert plug.relay("a") == "on"
        fenced.must("--reboot", *STORAGE_B)
        assert plug.relay("a") == "on" and plug.obey("a")["commands"] == 4
        for words in ("Parse error", "Traceback"):
            assert words not in fenced.log()


def test_a_plug_that_lies_is_a_failure_to_the_fencer(plug: Sim, tmp_path: pathlib.Path) -> None:
    with fencer(tmp_path) as fenced:
        fenced.register(plug, "off_max_watts=5", "disable_timeout=0", "power_timeout=1")
        plug.obey("a", "lie")
        fenced.must_fail("--fence")
        fenced.must_fail("--reboot")
        assert plug.relay("a") == "on" and "Traceback" not in fenced.log()
        plug.obey("a", "none")
        fenced.must("--fence", *STORAGE_B)
        assert plug.relay("a") == "off"


def test_a_plug_that_says_nothing_is_a_failure_to_the_fencer(plug: Sim, tmp_path: pathlib.Path) -> None:
    with fencer(tmp_path) as fenced:
        fenced.register(plug, "disable_timeout=0", "login_timeout=1", "shell_timeout=1", "power_timeout=1")
        plug.obey("a", "silent")
        fenced.must_fail("--fence")
        assert plug.relay("a") == "on" and "Traceback" not in fenced.log()
