"""The playbook that sets up a cluster's fencing: a first run, a second, check mode, and what is wrong."""

import json
import os
import stat
import subprocess

import yaml

from conftest import CLUSTER, PLAYBOOK, SECRETS, everything

PRIVATE = {"cluster.yml": 0o600, "configure-stonith.sh": 0o700}


def test_check_mode_on_a_fresh_machine_changes_nothing(fresh):
    ran, before, after = fresh
    assert ran.code == 0, ran.output
    assert ran.sum("changed") > 0 and ran.sum("failed") == 0
    assert before == after == {}


def test_the_first_run_sets_everything_up(place, first):
    assert first.code == 0, first.output
    assert first.sum("changed") > 0 and first.sum("failed") == 0
    for host in CLUSTER:
        etc = place.host(host) / "etc/fencekit"
        assert stat.S_IMODE(etc.stat().st_mode) == 0o700
        for name, mode in PRIVATE.items():
            assert stat.S_IMODE((etc / name).stat().st_mode) == mode
        assert os.readlink(place.host(host) / "sbin/fence_kasa") == str(place.host(host) / "sbin/fencekit")
        assert "fence_check" in os.listdir(place.host(host) / "sbin")
        timer = (place.host(host) / "systemd/fencekit-probe.timer").read_text()
        assert "OnUnitActiveSec=60s" in timer
        service = (place.host(host) / "systemd/fencekit-probe.service").read_text()
        assert "probe --config %s --textfile %s" % (etc / "cluster.yml", place.host(host) / "metrics/fencekit.prom") in service
        assert not any(secret in timer + service for secret in SECRETS)


def test_what_the_unit_starts_exports_the_devices(place, first):
    service = (place.host("storage-a") / "systemd/fencekit-probe.service").read_text()
    (command,) = [line.partition("=")[2] for line in service.splitlines() if line.startswith("ExecStart=")]
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    metrics = (place.host("storage-a") / "metrics/fencekit.prom").read_text()
    reachable = [line for line in metrics.splitlines() if line.startswith("stonith_agent_reachable{")]
    assert len(reachable) == len(CLUSTER) and all(line.endswith(" 1") for line in reachable), metrics


def test_the_surroundings_are_written_for_everybody_and_without_secrets(place, first):
    for name, words in {"fencekit.nft": "table ", "alerts.yml": "STONITHAgentUnreachable"}.items():
        path = place.host("storage-b") / "etc" / name
        assert words in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_cluster_file_is_what_was_asked_for_and_the_program_takes_it(place, first):
    for host in CLUSTER:
        path = place.host(host) / "etc/fencekit/cluster.yml"
        written = yaml.safe_load(path.read_text())
        wanted = {name: dict(node, port=place.simulation.ports[name]) for name, node in CLUSTER.items()}
        assert written["stonith_nodes"] == wanted, "with the addresses of the host variables"
        assert written["stonith_fence_verify"] is True
        status = subprocess.run(
            [place.host(host) / "sbin/fencekit", "status", "-c", path, "--json"], capture_output=True, text=True, timeout=60
        )
        assert status.returncode == 0, status.stdout + status.stderr
        assert [node["power"] for node in json.loads(status.stdout)["nodes"]] == ["on", "on"]


def test_the_script_is_whole(place, first):
    script = (place.host("storage-a") / "etc/fencekit/configure-stonith.sh").read_text()
    assert "device fence-storage-a fence_ipmi" in script and "fence-verify-storage-b" in script
    assert script.count(SECRETS[1]) == 2, "for the device, and for the verification"


def test_the_second_run_changes_nothing(place, first):
    before = everything(place)
    ran = place.run(PLAYBOOK)
    assert ran.code == 0, ran.output
    assert ran.sum("changed") == 0, ran.output
    assert everything(place) == before


def test_check_mode_shows_a_change_without_secrets_and_makes_none(place, first):
    before = everything(place)
    changed = {name: dict(node) for name, node in place.nodes.items()}
    changed["storage-b"].update(password=SECRETS[2], off_max_watts=5)
    ran = place.run(PLAYBOOK, "--check", "--diff", "--limit", "storage-a", stonith_nodes=changed)
    assert ran.code == 0, ran.output
    assert ran.sum("changed") == 2, "the cluster file and the script"
    assert "+    off_max_watts: 5" in ran.output
    assert "password: ********" in ran.output
    assert everything(place) == before


def test_a_wrong_option_is_told_where_it_is_and_changes_nothing(place, first):
    before = everything(place)
    wrong = {name: dict(node) for name, node in place.nodes.items()}
    wrong["storage-b"]["mehtod"] = wrong["storage-b"].pop("method")
    ran = place.run(PLAYBOOK, "--limit", "storage-b", stonith_nodes=wrong)
    assert ran.code == 2
    assert "stonith_nodes.storage-b.mehtod: is not known; did you mean method?" in ran.output
    assert ran.sum("failed") == 1
    assert everything(place) == before


def test_a_variable_of_the_wrong_kind_is_told(place, first):
    ran = place.run(PLAYBOOK, "--limit", "storage-a", stonith_probe="sometimes")
    assert ran.code == 2
    assert "stonith_probe" in ran.output


def test_a_file_that_somebody_changed_is_put_right_and_kept(place, first):
    path = place.host("storage-a") / "etc/fencekit/cluster.yml"
    right = path.read_text()
    path.write_text("password: %s\n" % SECRETS[2])
    path.chmod(0o644)
    ran = place.run(PLAYBOOK, "--diff", "--limit", "storage-a", stonith_check=False)
    assert ran.code == 0 and ran.sum("changed") == 1, ran.output
    assert path.read_text() == right and stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = [name for name in os.listdir(path.parent) if name.startswith("cluster.yml.")]
    assert len(kept) == 1
    assert stat.S_IMODE((path.parent / kept[0]).stat().st_mode) == 0o600


def test_every_secret_stays_in_the_files_for_root(place, first):
    for host in CLUSTER:
        for root, _, files in os.walk(place.host(host)):
            for name in files:
                path = os.path.join(root, name)
                if "/venv/" in path or name == "fencekit":
                    continue
                with open(path, "rb") as file:
                    holds = any(secret.encode() in file.read() for secret in SECRETS)
                assert not holds or stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0, path
