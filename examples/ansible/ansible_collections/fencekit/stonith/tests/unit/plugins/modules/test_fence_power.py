# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest

from ansible_collections.fencekit.stonith.tests.unit.conftest import Record

PLUG = {"method": "kasa", "ip": "10.20.20.202"}


def confirmed(before, watts=None):
    return Record(before=before, commands=1, looks=1, power=None if watts is None else Record(watts=watts), identity=None)


@pytest.mark.parametrize("wanted, before, changed", [
    ("off", "on", True),
    ("off", "off", False),
    ("off", "unknown", True),
    ("on", "off", True),
    ("on", "on", False),
])
def test_tells_a_change_and_always_has_the_state_confirmed(package, run, wanted, before, changed):
    package.answers[wanted] = confirmed(before)
    ran = run("fence_power", state=wanted, **PLUG)
    assert not ran.failed
    assert ran["changed"] is changed
    assert (ran["state"], ran["previous_state"]) == (wanted, before)
    assert ran["diff"] == {"before": {"state": before}, "after": {"state": wanted}}
    assert package.called() == ["Device", wanted]


@pytest.mark.parametrize("wanted, before, changed", [("off", "on", True), ("off", "off", False), ("on", "off", True)])
def test_check_mode_only_looks(package, run, wanted, before, changed):
    package.answers["status"] = before
    ran = run("fence_power", check=True, state=wanted, **PLUG)
    assert ran["changed"] is changed
    assert package.called() == ["Device", "status"]
    # A task that runs in check mode all the same must not read of an off that nobody has switched.
    assert ran["state"] == ran["previous_state"] == before
    assert ran["diff"] == {"before": {"state": before}, "after": {"state": wanted}}


def test_check_mode_fails_where_the_state_cannot_be_told(package, run):
    package.answers["status"] = package.DeviceTimeout("kasa @ 10.20.20.202: no answer within 5 s")
    ran = run("fence_power", check=True, state="off", **PLUG)
    assert ran.failed and ran["error"] == "DeviceTimeout"


def test_an_off_that_is_not_confirmed_is_a_failure_without_a_state(package, run):
    package.answers["off"] = package.DeviceTimeout("kasa @ 10.20.20.202: no answer within 20 s")
    ran = run("fence_power", state="off", **PLUG)
    assert ran.failed
    assert ran["msg"] == "kasa @ 10.20.20.202: no answer within 20 s"
    assert (ran["error"], ran["exit_code"]) == ("DeviceTimeout", 1)
    assert "state" not in ran.result and "changed" not in ran.result


def test_a_wrong_option_is_told_in_the_words_of_the_package(package, run):
    package.answers["Device"] = package.ConfigError('plug: "0" is no relay; write the relay\'s number, from 1', exit_code=2)
    ran = run("fence_power", state="off", plug="0", **PLUG)
    assert ran.failed
    assert ran["msg"].startswith('plug: "0" is no relay')
    assert ran["exit_code"] == 2


def test_options_arrive_by_the_agents_names_and_only_those_given(package, run):
    package.answers["off"] = confirmed("on", watts=0.4)
    ran = run(
        "fence_power", method="ipmi", ip="10.20.20.101", port=1623, user="admin", password="hidden-7391", identity="a-guid",
        off_max_watts=5, allow=["null-user", "weak-suites"], ssl=False, timeout=30, state="off",
    )
    assert package.calls[0] == ("Device", "ipmi", {
        "ip": "10.20.20.101", "ipport": 1623, "username": "admin", "password": "hidden-7391", "expect_identity": "a-guid",
        "off_max_watts": 5.0, "allow": "null-user,weak-suites", "ssl": False,
    })
    assert package.calls[1] == ("off", {"timeout": 30.0})
    assert ran["watts"] == 0.4


@pytest.mark.parametrize("option", ["password", "encryption_key", "hexadecimal_kg", "power_off_url", "power_on_body"])
def test_secrets_are_in_no_result_and_in_no_log(package, run, option):
    # Even an error that repeats one does not bring it out.
    package.answers["Device"] = package.ConfigError("%s: hidden-7391 is wrong" % option)
    ran = run("fence_power", state="off", **dict(PLUG, **{option: "hidden-7391"}))
    assert ran.failed
    assert ran.logged, "Ansible logs the invocation"
    assert "hidden-7391" not in ran.out + "".join(ran.logged)


def test_on_and_off_without_quotes_are_meant_as_states(package, run):
    package.answers["off"] = confirmed("on")
    assert run("fence_power", state=False, **PLUG)["state"] == "off"


def test_a_missing_package_is_told(monkeypatch, run, package):
    core = sys.modules["ansible_collections.fencekit.stonith.plugins.module_utils.core"]
    monkeypatch.setattr(core, "fencekit", None)
    ran = run("fence_power", state="off", **PLUG)
    assert ran.failed
    assert "Failed to import the required Python library (fencekit)" in ran["msg"]


@pytest.mark.parametrize("wanted, before, changed, together", [
    ("off", ["on", "on"], True, "on"),
    ("off", ["off", "on"], True, "on"),
    ("off", ["off", "off"], False, "off"),
    ("off", ["off", "unknown"], True, "unknown"),
    ("on", ["off", "on"], True, "on"),
    ("on", ["on", "on"], False, "on"),
])
def test_a_node_is_all_of_its_devices(package, run, wanted, before, changed, together):
    package.answers[wanted] = [Record(before=state) for state in before]
    ran = run("fence_power", node="storage-b", state=wanted)
    assert (ran["changed"], ran["previous_state"]) == (changed, together)
    assert ran["devices"] == [{"before": state} for state in before]
    assert package.calls == [("load", "/etc/fencekit/cluster.yml", {}), (wanted, "storage-b", {})]


def test_a_node_in_check_mode_is_looked_at(package, run):
    package.answers["status"] = [Record(power="on", detail=None, devices=[Record(power="on", level=1), Record(power="off", level=1)])]
    ran = run("fence_power", check=True, node="storage-b", state="off", cluster={"stonith_nodes": {}})
    assert ran["changed"] is True and package.called() == ["from_dict", "status"]
    package.answers["status"] = [Record(power="unknown", detail="no answer", devices=[])]
    ran = run("fence_power", check=True, node="storage-b", state="off")
    assert ran.failed and "no answer" in ran["msg"]


@pytest.mark.parametrize("wanted, power, first, fallback, changed", [
    ("off", "off", "off", "on", False),
    ("off", "on", "on", "on", True),
    ("off", "off", "unknown", "off", True),
    ("on", "off", "off", "on", True),
    ("on", "on", "on", "on", False),
    ("on", "off", "unknown", "off", True),
])
def test_a_fallback_in_check_mode_counts_as_the_package_says(package, run, wanted, power, first, fallback, changed):
    devices = [Record(power=first, level=1), Record(power=fallback, level=2)]
    package.answers["status"] = [Record(power=power, detail=None, devices=devices)]
    ran = run("fence_power", check=True, node="storage-b", state=wanted)
    assert (ran["previous_state"], ran["changed"]) == (power, changed)
    assert ran["diff"]["before"] == {"state": power}


def test_a_device_or_a_node(run, package):
    assert "one of the following is required: method, node" in run("fence_power", state="off")["msg"]
    assert "mutually exclusive: method|node" in run("fence_power", state="off", node="a", **PLUG)["msg"]


@pytest.mark.parametrize("module, state", [("fence_power", {"state": "off"}), ("fence_info", {})])
@pytest.mark.parametrize("option", [
    {"off_max_watts": 5.0},
    {"expect_identity": "50:c7:bf:00:00:01"},
    {"plug": "2"},
    {"password": "correct-horse"},
])
def test_a_node_takes_no_option_that_nobody_would_honour(package, run, module, state, option):
    ran = run(module, node="storage-b", **state, **option)
    (name,) = option
    assert ran.failed and ran["msg"].startswith(name + ": for a single device alone")
    assert (ran["error"], ran["exit_code"]) == ("ConfigError", 2)
    assert package.called() == [] and "correct-horse" not in str(ran.result)
