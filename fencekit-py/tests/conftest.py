"""The fixtures, and a look at what is tested: the wheel, not the source tree."""

import pathlib
import sys
import sysconfig
from typing import Iterator, Optional

import pytest

import fencekit
from devices import Sim, Simulate
from private import is_inside, run_inside

SOURCE = pathlib.Path(__file__).resolve().parents[1] / "python"


def pytest_configure() -> None:
    where = pathlib.Path(fencekit.__file__).resolve()
    if SOURCE in where.parents:
        raise pytest.UsageError(f"{where} is the source tree: install the wheel and run pytest from its environment")
    if sysconfig.get_config_var("Py_GIL_DISABLED") and getattr(sys, "_is_gil_enabled")():
        raise pytest.UsageError("this Python can do without its global lock, and fencekit made it take it")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Optional[bool]:
    if pyfuncitem.get_closest_marker("private") is None or is_inside(pyfuncitem):
        return None
    run_inside(pyfuncitem)
    return True


@pytest.fixture
def simulate(tmp_path: pathlib.Path) -> Iterator[Simulate]:
    simulators = Simulate(tmp_path)
    yield simulators
    simulators.stop()


@pytest.fixture
def plug(simulate: Simulate) -> Sim:
    """One Kasa plug, the node `a`."""
    return simulate(a={"method": "kasa"})
