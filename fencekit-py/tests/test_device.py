"""Devices by their options, through the calls that block."""

import copy
import ipaddress
import logging
import pathlib
import pickle
import time
from typing import Any, Dict

import pytest

import fencekit
from devices import Sim, Simulate, python, run

DEVICES: Dict[str, Dict[str, Any]] = {
    "kasa": {"method": "kasa"},
    "klap": {"method": "kasa", "user": "owner@example.org", "password": "correct-horse"},
    "tasmota": {"method": "tasmota", "password": "correct-horse"},
    "esphome": {
        "method": "esphome",
        "switch_name": "Relay",
        "encryption_key": "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=",
    },
    "http": {
        "method": "http",
        "power_on_url": "/outlet?set=on",
        "power_off_url": "/outlet?set=off",
        "status_url": "/outlet",
        "status_on_regex": '"state": *"on"',
        "status_off_regex": '"state": *"off"',
    },
    "ipmi": {"method": "ipmi", "user": "fencer", "password": "correct-horse"},
}


@pytest.mark.parametrize("name", DEVICES)
def test_every_method_goes_through_its_states(simulate: Simulate, name: str) -> None:
    sim = simulate(a=DEVICES[name])
    device = sim.device("a", stonith_status_sleep=0.1)
    assert device.method == DEVICES[name]["method"]
    assert device.status() == "on"
    off = device.off()
    assert (off.before, sim.relay("a"), device.status()) == ("on", "off", "off")
    assert device.off(timeout=5).before == "off"
    on = device.on(timeout=5)
    assert (on.before, sim.relay("a")) == ("off", "on")
    assert on.commands >= 1 and on.looks >= 1


def test_a_strip_has_outlets_and_switches_only_its_own(simulate: Simulate) -> None:
    sim = simulate(a={"method": "kasa", "plug": "1"}, b={"method": "kasa", "plug": "2"})
    sim.device("b").off()
    outlets = sim.device("b").outlets()
    assert [(one.plug, one.state, one.detail) for one in outlets] == [("1", "on", None), ("2", "off", None)]
    assert isinstance(outlets[0], fencekit.Outlet) and outlets[0].alias
    assert outlets[0].to_dict()["plug"] == "1"


def test_identity_and_meter(plug: Sim) -> None:
    device = plug.device("a")
    identity = device.identity()
    assert identity.mac == plug.places["a"]["mac"] and identity.name == "a"
    assert device.power_reading().watts > 0
    again = plug.device("a", expect_identity=identity.mac, off_max_watts=5)
    done = again.off()
    assert done.identity == identity and done.power is not None and done.power.watts <= 5
    assert "guid" not in identity.to_dict() and identity.guid is None


def test_another_device_is_never_switched(plug: Sim) -> None:
    with pytest.raises(fencekit.WrongDevice, match="nothing was switched") as caught:
        plug.device("a", expect_identity="00:11:22:33:44:55").off()
    assert caught.value.device == f"kasa @ 127.0.0.1:{plug.places['a']['port']}"
    assert (plug.relay("a"), plug.obey("a")["commands"]) == ("on", 0)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("stuck", fencekit.NotConfirmed),
        ("refuse", fencekit.FenceError),
        ("no_state", fencekit.FenceError),
        ("garbage", fencekit.FenceError),
        ("drop_reply", None),
        ("silent", fencekit.DeviceTimeout),
    ],
)
def test_what_is_not_confirmed_is_an_error(plug: Sim, fault: str, error: Any) -> None:
    plug.obey("a", fault)
    device = plug.device("a", power_timeout=1, stonith_status_sleep=0.1)
    with pytest.raises(fencekit.FenceError) as caught:
        device.off(timeout=2)
    if error is not None:
        assert isinstance(caught.value, error)
    assert caught.value.exit_code == 1 and caught.value.agent_exit_code == 1


def test_an_unknown_state_is_an_error_and_not_off(plug: Sim) -> None:
    plug.obey("a", "no_state")
    with pytest.raises(fencekit.FenceError, match="state"):
        plug.device("a").status(timeout=2)


def test_a_reboot_whose_on_fails_has_switched_off(plug: Sim) -> None:
    done = plug.device("a", stonith_status_sleep=0.1).reboot()
    assert done.off.before == "on" and done.on is not None and done.error is None
    assert (plug.relay("a"), plug.obey("a")["commands"]) == ("on", 2)


@pytest.mark.parametrize(
    ("kind", "base", "of"),
    [
        (fencekit.ConfigError, ValueError, {"ip": ""}),
        (fencekit.DeviceUnreachable, ConnectionError, {"ipport": 1}),
        (fencekit.AuthenticationError, fencekit.FenceError, {"password": "wrong"}),
    ],
)
def test_errors_are_what_python_calls_them(simulate: Simulate, kind: Any, base: Any, of: Dict[str, Any]) -> None:
    sim = simulate(a={"method": "tasmota", "password": "right-one", "plug": "1"})
    with pytest.raises(kind) as caught:
        sim.device("a", **of).status()
    error = caught.value
    assert isinstance(error, base) and isinstance(error, fencekit.FenceError)
    assert "\n" not in str(error) and "wrong" not in str(error) and "right-one" not in str(error)
    assert type(error).__module__ == "fencekit"
    if kind is fencekit.ConfigError:
        assert (error.exit_code, error.option) == (2, "ip")
    else:
        assert error.exit_code == 1 and error.plug == "1" and "tasmota @ " in error.device
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), type(again), vars(again)) == (str(error), type(error), vars(error))


def test_a_timeout_bounds_the_whole_call(plug: Sim) -> None:
    plug.obey("a", "silent")
    started = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        plug.device("a").off(timeout=0.5)
    assert isinstance(caught.value, fencekit.DeviceTimeout)
    assert 0.4 < time.monotonic() - started < 1.5


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(plug: Sim, seconds: float) -> None:
    with pytest.raises(fencekit.ConfigError, match="^timeout: "):
        plug.device("a").status(timeout=seconds)
    with pytest.raises(TypeError):
        plug.device("a").status(timeout="soon")  # type: ignore[arg-type]


def test_options_are_the_agents(plug: Sim) -> None:
    port = plug.places["a"]["port"]
    for options in (
        {"ip": "127.0.0.1", "ipport": str(port)},
        {"ipaddr": ipaddress.ip_address("127.0.0.1"), "ipport": port, "inet4_only": True},
        {"ip": "127.0.0.1", "ipport": port, "login_timeout": 2.5, "password_file": None},
        {"port": "ignored", "plug": "1", "ip": "127.0.0.1", "ipport": port},
    ):
        assert fencekit.Device("kasa", **options).status() == "on"
    for options, says in (
        ({}, "ip: is missing"),
        ({"ip": "x", "ipport": 0}, 'ipport: "0" is not valid; write a whole number from 1 to 65535'),
        ({"ip": ["x"]}, "ip: a value of type list is not valid"),
        ({"ip": "x", "colour": "red"}, "colour: is not an option of method kasa"),
        ({"ip": "x", "password": "a\nb"}, "password: contains a line break"),
        # True is no outlet: the first one would be somebody else's.
        ({"ip": "x", "plug": True}, "plug: True is no value of this option"),
        ({"ip": "x", "port": False}, "port: False is no value of this option"),
        ({"ip": "x", "off_max_watts": True}, "off_max_watts: True is no value of this option"),
        ({"ip": "x", "colour": True}, "colour: is not an option of method kasa"),
    ):
        with pytest.raises(fencekit.ConfigError) as caught:
            fencekit.Device("kasa", **options)
        assert str(caught.value).startswith(says)
    with pytest.raises(fencekit.ConfigError, match="write one of: ipmi, kasa"):
        fencekit.Device("kaza", ip="x")


def test_a_password_comes_from_a_file_or_a_program(simulate: Simulate, tmp_path: pathlib.Path) -> None:
    sim = simulate(a={"method": "tasmota", "password": "correct-horse"})
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    device = sim.device("a", password=None, password_file=secret)
    with pytest.raises(fencekit.AuthenticationError):
        device.status()
    # It is read for each call, so a new password is taken at once.
    secret.write_text("correct-horse\n")
    assert device.status() == "on"
    assert sim.device("a", password=None, password_script="echo correct-horse").status() == "on"
    with pytest.raises(fencekit.ConfigError, match="password_file"):
        sim.device("a", password=None, password_file=tmp_path / "none").status()


def test_nothing_shows_a_secret(simulate: Simulate) -> None:
    sim = simulate(a={"method": "tasmota", "password": "correct-horse"})
    device = sim.device("a")
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": sim.entries})
    for thing in (device, cluster, fencekit.aio.Device("tasmota", **sim.options("a"))):
        assert "correct-horse" not in repr(thing) + str(thing)
        assert repr(thing).startswith("<fencekit.") and "__dict__" not in dir(thing)
        for refused in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="credentials"):
                refused(thing)
    # What Python makes of a variable of the environment that is not UTF-8.
    for wrong in (
        lambda: fencekit.Device("tasmota", ip="127.0.0.1", password="correct-horse\udcff"),
        lambda: fencekit.Cluster.from_dict(
            {"stonith_nodes": {"a": {"method": "tasmota", "ip": "h", "password": "correct-horse\udcff"}}}
        ),
    ):
        with pytest.raises(fencekit.ConfigError) as caught:
            wrong()
        for error in (caught.value, caught.value.__cause__, caught.value.__context__):
            assert "correct-horse" not in repr(error)
    assert repr(device) == f"<fencekit.Device tasmota @ 127.0.0.1:{sim.places['a']['port']}>"


def test_records_are_values(plug: Sim) -> None:
    one = fencekit.PowerReading(watts=5.0)
    assert one == fencekit.PowerReading(watts=5.0) and one != fencekit.PowerReading(watts=6.0)
    assert hash(one) == hash(fencekit.PowerReading(watts=5.0)) and one.volts is None
    assert repr(one) == "PowerReading(watts=5.0)" and pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError, match="not changed"):
        one.watts = 0.0
    with pytest.raises(TypeError, match="has no colour"):
        fencekit.PowerReading(colour=1)
    done = plug.device("a").off()
    assert pickle.loads(pickle.dumps(done)) == done and copy.copy(done) == done


def test_the_log_is_pythons(plug: Sim, caplog: pytest.LogCaptureFixture, tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    before = time.time()
    with caplog.at_level(logging.WARNING, logger="fencekit"):
        plug.device("a", password_file=secret).status()
    [record] = [record for record in caplog.records if "open to other users" in record.getMessage()]
    assert (record.name, record.levelname) == ("fencekit", "WARNING")
    assert before <= record.created <= time.time()
    caplog.clear()
    with caplog.at_level(logging.ERROR, logger="fencekit"):
        plug.device("a", password_file=secret).status()
    assert not caplog.records


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_fails_is_told_and_the_result_counts(plug: Sim, tmp_path: pathlib.Path) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError

    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    logger = logging.getLogger("fencekit")
    handler = Broken()
    logger.addHandler(handler)
    try:
        device = plug.device("a", password_file=secret)
        assert device.off().before == "on"
    finally:
        logger.removeHandler(handler)


def test_stdout_stays_empty_and_logging_is_not_imported(plug: Sim) -> None:
    code = """
import sys, fencekit
device = fencekit.Device("kasa", ip="127.0.0.1", ipport=sys.argv[1])
device.off(); device.on(); device.identity(); device.outlets()
assert "asyncio" not in sys.modules and "logging" not in sys.modules, "heavy imports"
"""
    child = python(code, str(plug.places["a"]["port"]))
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (0, "", "")


def test_the_version_is_the_programs() -> None:
    assert run("--version").stdout.split() == ["fencekit", fencekit.__version__]
