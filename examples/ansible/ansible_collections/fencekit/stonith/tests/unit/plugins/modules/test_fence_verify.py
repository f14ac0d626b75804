# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fencekit.stonith.tests.unit.conftest import Record

EVIDENCE = [{"probe": "power", "subject": "kasa @ 10.20.20.202", "network": None, "outcome": "off"}]


def report(verdict):
    line = "storage-b is %s: kasa @ 10.20.20.202 says so" % verdict
    code = {"confirmed-off": 0, "still-alive": 1}.get(verdict, 3)
    return Record(node="storage-b", verdict=verdict, elapsed_ms=10012, evidence=EVIDENCE, line=line, exit_code=code)


def test_a_confirmed_off_is_a_success_with_its_evidence(package, run):
    package.answers["verify"] = report("confirmed-off")
    ran = run("fence_verify", node="storage-b", timeout=30)
    assert not ran.failed
    assert (ran["changed"], ran["verdict"], ran["evidence"]) == (False, "confirmed-off", EVIDENCE)
    assert package.calls == [("load", "/etc/fencekit/cluster.yml", {}), ("verify", "storage-b", {"timeout": 30.0})]


@pytest.mark.parametrize("verdict", ["still-alive", "inconclusive", "maybe-off", "", None])
def test_every_other_verdict_is_a_failure_with_its_evidence(package, run, verdict):
    package.answers["verify"] = report(verdict)
    ran = run("fence_verify", node="storage-b")
    assert ran.failed
    assert (ran["verdict"], ran["evidence"], ran["error"]) == (verdict, EVIDENCE, "VerificationFailed")
    assert ran["msg"] == "storage-b is %s: kasa @ 10.20.20.202 says so; its resources must not be taken over" % verdict
    assert ran["exit_code"] in (1, 3)


def test_the_cluster_of_variables_shows_everything_but_its_secrets(package, run):
    package.answers["from_dict"] = package.ConfigError("stonith_nodes.storage-b.mehtod: is not known", exit_code=2)
    cluster = {"stonith_nodes": {"storage-b": {
        "mehtod": "kasa", "plug": "left", "password": "hidden-7391", "devices": [{"ip": "10.20.20.202", "encryption_key": "hidden-7392"}],
        "power_off_url": "/off?token=hidden-7393",
    }}}
    ran = run("fence_verify", node="storage-b", cluster=cluster)
    assert ran.failed
    assert ran["msg"] == "stonith_nodes.storage-b.mehtod: is not known"
    assert package.calls[0][1] == cluster
    assert "left" in ran.out and "10.20.20.202" in ran.out
    assert "hidden-" not in ran.out + "".join(ran.logged)
    assert "password" not in "".join(ran.logged)
