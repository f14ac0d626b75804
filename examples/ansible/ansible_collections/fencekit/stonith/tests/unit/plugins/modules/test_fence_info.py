# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fencekit.stonith.tests.unit.conftest import Record

PLUG = {"method": "kasa", "ip": "10.20.20.202"}


def test_tells_all_and_switches_nothing(package, run):
    package.answers.update(
        status="on",
        identity=Record(mac="50:C7:BF:00:00:01"),
        outlets=[Record(plug="1", state="on")],
        power_reading=Record(watts=61.5),
    )
    ran = run("fence_info", **PLUG)
    assert ran["changed"] is False and ran["state"] == "on"
    assert ran["identity"] == {"mac": "50:C7:BF:00:00:01"}
    assert ran["outlets"] == [{"plug": "1", "state": "on"}]
    assert ran["power"] == {"watts": 61.5}
    assert not {"on", "off"} & set(package.called())


def test_what_a_device_does_not_have_is_none(package, run):
    package.answers.update(status="off", identity=Record(mac=None), outlets=[], power_reading=package.Unsupported("no meter"))
    assert run("fence_info", **PLUG)["power"] is None


def test_a_missing_state_is_a_failure(package, run):
    package.answers["status"] = package.DeviceTimeout("no answer")
    ran = run("fence_info", **PLUG)
    assert ran.failed and ran["msg"] == "no answer"


def test_a_meter_that_fails_is_a_failure_and_no_missing_meter(package, run):
    package.answers.update(status="on", identity=Record(), outlets=[], power_reading=package.DeviceTimeout("no answer"))
    assert run("fence_info", **PLUG).failed


def test_a_node_tells_of_all_its_devices(package, run):
    package.answers["status"] = [Record(power="on", detail=None, devices=[Record(power="on"), Record(power="off")])]
    ran = run("fence_info", node="storage-b")
    assert (ran["state"], ran["devices"]) == ("on", [{"power": "on"}, {"power": "off"}])
    package.answers["status"] = [Record(power="unknown", detail="kasa @ 10.20.20.202: no answer", devices=[])]
    ran = run("fence_info", node="storage-b")
    assert ran.failed and "no answer" in ran["msg"]


@pytest.mark.parametrize("wrong", [
    {"stonith_nodes": {"a": {"method": "kasa", "ip": "10.20.20.202", "pasword": "hidden-7391"}}},
    {"stonith_nodes": {"a": {"method": "kasa", "ip": "10.20.20.202", "password": ["hidden-7391"]}}},
    {"stonith_nodes": {"a": {"ip": "10.20.20.202", "devices": [{"method": "kasa", "paswrd": {"is": "hidden-7391"}}]}}},
    {"stonith_nodes": {"a": {"method": "kasa", "ip": "10.20.20.202"}}, "token_of_others": "hidden-7391"},
])
def test_a_mistyped_password_is_hidden_as_well(package, run, wrong):
    package.answers["from_dict"] = package.ConfigError("10.20.20.202 is told, hidden-7391 is not")
    ran = run("fence_info", node="a", cluster=wrong)
    assert ran.failed and "10.20.20.202 is told" in ran["msg"]
    assert "hidden-7391" not in ran.out + "".join(ran.logged)
    assert "kasa" in str(ran["invocation"])
