# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.fencekit.stonith.tests.unit.conftest import Generated

CLUSTER = {"stonith_nodes": {"storage-b": {"method": "kasa", "ip": "10.20.20.202", "password": "hidden-7391"}}}
SCRIPT = "#!/bin/bash\n# Configures the cluster's fencing; written by fencekit generate pcs.\n"


@pytest.fixture(name="dest")
def fixture_dest(tmp_path):
    return tmp_path / "wanted"


def mode(path):
    return oct(path.stat().st_mode & 0o7777)


@pytest.mark.parametrize("kind, wanted", [("pcs", "0o700"), ("cib", "0o600"), ("prometheus", "0o644"), ("nftables", "0o644")])
def test_writes_once(package, run, dest, kind, wanted):
    package.answers["generate"] = Generated(SCRIPT)
    first = run("stonith_config", kind=kind, dest=str(dest))
    assert first["changed"] is True
    assert dest.read_text() == SCRIPT
    assert mode(dest) == wanted
    assert package.calls[1] == ("generate", kind, {"file": "/etc/fencekit/cluster.yml"})
    assert first["notes"] == ["a note"]
    second = run("stonith_config", kind=kind, dest=str(dest))
    assert second["changed"] is False and "diff" not in second.result


def test_check_mode_shows_and_writes_nothing(package, run, dest):
    package.answers["generate"] = Generated(SCRIPT)
    ran = run("stonith_config", check=True, kind="pcs", dest=str(dest), backup=True)
    assert ran["changed"] is True
    assert ran["diff"]["after"] == SCRIPT and ran["diff"]["before"] == ""
    assert not dest.exists()
    dest.write_text("# written by fencekit\n")
    dest.chmod(0o640)
    ran = run("stonith_config", check=True, kind="pcs", dest=str(dest), backup=True)
    assert ran["changed"] is True
    assert dest.read_text() == "# written by fencekit\n" and mode(dest) == "0o640"
    assert os.listdir(dest.parent) == ["wanted"]


def test_the_cluster_file_is_checked_written_and_shown_without_its_secrets(package, run, dest):
    ran = run("stonith_config", kind="cluster", cluster=CLUSTER, dest=str(dest))
    assert package.calls[0][:2] == ("from_dict", CLUSTER)
    assert mode(dest) == "0o600"
    assert dest.read_text().endswith(
        'stonith_nodes:\n  storage-b:\n    method: "kasa"\n    ip: "10.20.20.202"\n    password: "hidden-7391"\n'
    )
    assert '    ip: "10.20.20.202"\n    password: ********\n' in ran["diff"]["after"]
    changed = {"stonith_nodes": {"storage-b": dict(CLUSTER["stonith_nodes"]["storage-b"], password="hidden-7392")}}
    ran = run("stonith_config", kind="cluster", cluster=changed, dest=str(dest), backup=True)
    assert ran["changed"] is True and "only secrets change" in ran["diff"]["after"]
    assert "hidden-7391" not in ran.out, "the old password is not known to anybody, and hidden all the same"
    assert "hidden-" not in ran.out + "".join(ran.logged)
    with open(ran["backup_file"], encoding="utf-8") as backup:
        assert "hidden-7391" in backup.read()


def test_a_cluster_that_is_wrong_leaves_the_file_alone(package, run, dest):
    dest.write_text("as it was")
    package.answers["from_dict"] = package.ConfigError("stonith_nodes.b.mehtod: is not known; did you mean method?", exit_code=2)
    ran = run("stonith_config", kind="cluster", cluster={"stonith_nodes": {"b": {"mehtod": "kasa"}}}, dest=str(dest))
    assert ran.failed and "did you mean method?" in ran["msg"] and ran["exit_code"] == 2
    assert dest.read_text() == "as it was"


def test_validate_decides_and_says_nothing_of_the_file(package, run, dest):
    package.answers["generate"] = Generated(SCRIPT + "secret a password <<'END'\nhidden-7391\nEND\n")
    ran = run("stonith_config", kind="pcs", dest=str(dest), validate="sh -c 'cat %s; exit 3'")
    assert ran.failed and "exit code 3" in ran["msg"]
    assert "hidden-7391" not in ran.out
    assert os.listdir(dest.parent) == []
    assert not run("stonith_config", kind="pcs", dest=str(dest), validate="bash -n %s").failed
    assert "no %s" in run("stonith_config", kind="pcs", dest=str(dest) + "2", validate="true")["msg"]


@pytest.mark.parametrize("arguments, words", [
    ({"kind": "pcs", "dest": "/nonexistent/dir/file"}, "make it first"),
    ({"kind": "pcs", "dest": "/tmp"}, "name a file in it"),
    ({"kind": "crmsh", "dest": "/tmp/none-such", "apply": True}, "only kind pcs can be applied"),
    ({"kind": "cluster", "dest": "/tmp/none-such"}, "missing: cluster"),
])
def test_wrong_options_say_what_to_do(package, run, arguments, words):
    package.answers["generate"] = Generated(SCRIPT)
    ran = run("stonith_config", **arguments)
    assert ran.failed and words in ran["msg"]


APPLIED = SCRIPT + 'echo "arguments: $*"; [ "$1" = --dry-run ] || echo new >"$STATE"\n'


def test_apply_runs_what_was_written_and_tells_a_change(package, run, dest, tmp_path, monkeypatch):
    monkeypatch.setenv("STATE", str(tmp_path / "state"))
    package.answers["generate"] = Generated(APPLIED)
    ran = run("stonith_config", kind="pcs", dest=str(dest), apply=True, prune=True, cib="/x/cib.xml")
    assert (ran["applied"], ran["apply_lines"]) == (True, ["arguments: --prune --cib /x/cib.xml"])
    assert (tmp_path / "state").exists()
    package.answers["generate"] = Generated(SCRIPT + 'echo "Nothing to change."\n')
    run("stonith_config", kind="pcs", dest=str(dest))
    ran = run("stonith_config", kind="pcs", dest=str(dest), apply=True)
    assert (ran["applied"], ran["changed"]) == (False, False)


def test_apply_in_check_mode_is_a_dry_run_of_what_would_be_written(package, run, dest, tmp_path, monkeypatch):
    monkeypatch.setenv("STATE", str(tmp_path / "state"))
    package.answers["generate"] = Generated(APPLIED)
    ran = run("stonith_config", check=True, kind="pcs", dest=str(dest), apply=True)
    assert (ran["applied"], ran["apply_lines"]) == (True, ["arguments: --dry-run"])
    assert os.listdir(tmp_path) == []


def test_a_cluster_that_does_not_take_it_is_a_failure(package, run, dest):
    package.answers["generate"] = Generated(SCRIPT + "echo first; echo 'configure-stonith: pcs is not installed' >&2; exit 1\n")
    ran = run("stonith_config", kind="pcs", dest=str(dest), apply=True)
    assert ran.failed and "pcs is not installed" in ran["msg"]
    assert ran["apply_lines"] == ["first", "configure-stonith: pcs is not installed"]
