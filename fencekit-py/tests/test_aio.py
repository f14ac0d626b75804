"""The calls for asyncio, beside those that block."""

import asyncio
import inspect
import logging
import pathlib
import time
from typing import Any, Callable, Coroutine

import pytest

import fencekit
from fencekit import aio
from devices import Sim, Simulate, python


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 30))


def public(kind: type) -> "dict[str, Any]":
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize("name", ["Device", "Cluster"])
def test_both_kinds_have_the_same_calls(name: str) -> None:
    blocking, awaited = public(getattr(fencekit, name)), public(getattr(aio, name))
    assert blocking.keys() == awaited.keys()
    for call, one in blocking.items():
        if not callable(one):
            continue
        assert inspect.signature(one).parameters == inspect.signature(awaited[call]).parameters, call
        if call not in ("load", "from_dict"):
            # What gives a report is a coroutine, but no plain one.
            assert call in ("fence", "verify") or inspect.iscoroutinefunction(awaited[call]), call
            assert "timeout" in inspect.signature(one).parameters, call
        assert one.__doc__
    assert inspect.signature(fencekit.discover) == inspect.signature(aio.discover)


def test_a_device_goes_through_its_states(plug: Sim) -> None:
    async def work() -> None:
        device = aio.Device("kasa", **plug.options("a"))
        blocking = plug.device("a")
        assert await device.status() == blocking.status() == "on"
        off = await device.off(timeout=5)
        assert (off.before, plug.relay("a"), await device.status()) == ("on", "off", "off")
        assert (await device.on()).before == "off"
        assert await device.identity() == blocking.identity()
        assert await device.outlets() == blocking.outlets()
        assert (await device.power_reading()).volts == blocking.power_reading().volts

    run(work)


def test_a_verification_that_was_not_awaited_is_no_answer(plug: Sim) -> None:
    content = {"stonith_nodes": {"a": {**plug.entries["a"], "mgmt_ip": "127.0.0.1"}}}

    async def work() -> None:
        cluster = aio.Cluster.from_dict(content)
        unawaited = cluster.verify("a")
        assert asyncio.iscoroutine(unawaited)
        unawaited.close()
        with pytest.raises(TypeError, match="await"):
            if cluster.verify("a", wait=1):
                raise AssertionError("a node that runs was taken for dead")
        with pytest.raises(TypeError, match="await"):
            if cluster.fence("a", wait=1):
                raise AssertionError("a node that nobody fenced was taken for dead")
        # Awaited, it is what every coroutine is.
        alive = [
            await cluster.verify("a", wait=1),
            await asyncio.create_task(cluster.verify("a", wait=1)),
            *await asyncio.gather(cluster.verify("a", wait=1), cluster.verify("a", wait=1)),
            await asyncio.wait_for(cluster.verify("a", wait=1), 20),
        ]
        assert [report.verdict for report in alive] == ["still-alive"] * 5 and not any(alive)
        task = asyncio.ensure_future(cluster.verify("a"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(fencekit.ConfigError):
            await cluster.verify("b")

    run(work)
    asyncio.run(work(), debug=True)


def test_errors_are_the_same(plug: Sim) -> None:
    plug.obey("a", "no_state")

    async def work() -> None:
        with pytest.raises(fencekit.FenceError) as awaited:
            await aio.Device("kasa", **plug.options("a")).status(timeout=2)
        with pytest.raises(fencekit.FenceError) as blocking:
            plug.device("a").status(timeout=2)
        assert type(awaited.value) is type(blocking.value)
        assert vars(awaited.value) == vars(blocking.value) and str(awaited.value) == str(blocking.value)
        with pytest.raises(fencekit.ConfigError):
            aio.Device("kasa")
        with pytest.raises(fencekit.ConfigError):
            await aio.Device("kasa", **plug.options("a")).status(timeout=-1)

    run(work)


def test_a_rack_is_asked_at_once(simulate: Simulate) -> None:
    names = [f"n{number}" for number in range(12)]
    sim = simulate(**{name: {"method": "tasmota"} for name in names})
    for name in names:
        sim.obey(name, "slow=0.5")

    async def work() -> None:
        devices = [aio.Device("tasmota", **sim.options(name)) for name in names]
        started = time.monotonic()
        states = await asyncio.gather(*(device.status() for device in devices))
        assert states == ["on"] * 12 and time.monotonic() - started < 2

    run(work)


def test_a_cancelled_call_stops_and_says_what_is_not_known(plug: Sim, caplog: pytest.LogCaptureFixture) -> None:
    plug.obey("a", "silent")

    async def work() -> None:
        device = aio.Device("kasa", login_timeout=20, shell_timeout=20, **plug.options("a"))
        started = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(device.off(timeout=20), 0.3)
        assert time.monotonic() - started < 1
        plug.obey("a", "none")
        # The device is free again: nobody talks to it any more.
        assert await device.status(timeout=5) == "on"

    with caplog.at_level(logging.WARNING, logger="fencekit"):
        run(work)
    assert [one for one in caplog.records if "its state is not known now" in one.getMessage()]
    assert plug.obey("a")["commands"] == 0


def test_a_call_that_ended_well_warns_of_nothing(plug: Sim, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        await aio.Device("kasa", **plug.options("a")).off()

    with caplog.at_level(logging.WARNING, logger="fencekit"):
        run(work)
    assert not caplog.records


def test_two_event_loops_one_after_the_other_and_a_closed_one(plug: Sim) -> None:
    async def ask() -> str:
        return await aio.Device("kasa", **plug.options("a")).status()

    assert asyncio.run(ask()) == asyncio.run(ask()) == "on"
    plug.obey("a", "slow=0.5")
    loop = asyncio.new_event_loop()
    task = loop.create_task(ask())
    loop.run_until_complete(asyncio.sleep(0.05))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    time.sleep(0.6)


FORKED = """
import asyncio, os, signal, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import fencekit
from fencekit import aio
signal.alarm(20)
options = {"ip": "127.0.0.1", "ipport": sys.argv[1]}
async def ask():
    return await aio.Device("kasa", **options).status()
if sys.argv[2] == "before":
    assert asyncio.run(ask()) == "on"
child = os.fork()
if child == 0:
    signal.alarm(10)
    try:
        state = asyncio.run(ask())
    except RuntimeError as error:
        state = str(error)
    # The calls that block are not concerned.
    print(state, fencekit.Device("kasa", **options).status(), flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert asyncio.run(ask()) == "on"
sys.exit(status)
"""


@pytest.mark.parametrize(("when", "says"), [("before", "start processes with spawn"), ("never", "on on")])
def test_a_forked_child_is_refused_and_does_not_hang(plug: Sim, when: str, says: str) -> None:
    child = python(FORKED, str(plug.places["a"]["port"]), when)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    assert says in out and out.endswith("on\n")


def test_a_cluster_is_the_same(plug: Sim, tmp_path: pathlib.Path) -> None:
    file = plug.file(tmp_path)

    async def work() -> None:
        awaited, blocking = aio.Cluster.load(file), fencekit.Cluster.load(file)
        assert awaited.nodes == blocking.nodes == ["a"]
        [status] = await awaited.status()
        assert (status.node, status.power) == ("a", "on")
        [switched] = await awaited.off("a")
        assert switched.confirmed and plug.relay("a") == "off"
        report = await awaited.verify("a", wait=1)
        assert report.verdict == "inconclusive" and not report
        with pytest.raises(fencekit.VerificationFailed) as failed:
            await awaited.fence("a", wait=1)
        assert failed.value.report.off is not None
        assert await awaited.generate("crmsh") == blocking.generate("crmsh")
        assert (await awaited.doctor(networks=False)).outcome == "problem"
        assert await aio.discover("127.0.0.1", wait=0.2) == []
        await awaited.on("a")

    run(work)
