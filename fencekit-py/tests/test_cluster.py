"""Nodes of a cluster file, beside the command line's documents."""

import ipaddress
import json
import os
import pathlib
import pickle
import shutil
import socket
import subprocess
import sys
import time
from typing import Any, Dict, Iterator

import pytest

import fencekit
from devices import LIMIT, Sim, Simulate, program, python, run


@pytest.fixture
def alive() -> Iterator[int]:
    """The port of a node that answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def rack(simulate: Simulate) -> Sim:
    return simulate(
        a={"method": "kasa"},
        b={"method": "tasmota", "password": "correct-horse"},
        c={"method": "ipmi", "user": "fencer", "password": "correct-horse"},
    )


def timeless(value: Any) -> Any:
    """The same without what is never the same twice."""
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if key not in ("elapsed_ms", "at_ms", "watts", "detail")}
    if isinstance(value, list):
        return [timeless(one) for one in value]
    return value


def document(file: pathlib.Path, *arguments: str, code: int = 0) -> Any:
    ran = run("--json", "--config", str(file), *arguments)
    assert ran.returncode == code, ran.stderr
    return json.loads(ran.stdout)


def test_status_is_the_commands(rack: Sim, tmp_path: pathlib.Path) -> None:
    file = rack.file(tmp_path)
    cluster = fencekit.Cluster.load(file)
    assert cluster.nodes == ["a", "b", "c"] and cluster.warnings == []
    rack.obey("b", "off")
    seen = cluster.status()
    assert [(node.node, node.power) for node in seen] == [("a", "on"), ("b", "off"), ("c", "on")]
    assert timeless([node.to_dict() for node in seen]) == timeless(document(file, "status")["nodes"])
    [only] = cluster.status("b")
    assert only.devices[0].method == "tasmota" and only.devices[0].identity is not None
    rack.obey("a", "silent")
    [unknown] = cluster.status("a", timeout=0.5)
    assert unknown.power == "unknown" and unknown.detail


def test_switching_is_the_commands(rack: Sim, tmp_path: pathlib.Path) -> None:
    file = rack.file(tmp_path)
    cluster = fencekit.Cluster.load(str(file))
    [off] = cluster.off("a")
    assert (off.confirmed, off.before, rack.relay("a")) == (True, "on", "off")
    rack.obey("a", "on")
    assert timeless([off.to_dict()]) == timeless(document(file, "off", "a")["devices"])
    [on] = cluster.on("a", timeout=10)
    assert on.wanted == "on" and rack.relay("a") == "on"
    rack.obey("a", "refuse")
    with pytest.raises(fencekit.Refused) as caught:
        cluster.off("a", timeout=2)
    assert caught.value.device == f"kasa @ 127.0.0.1:{rack.places['a']['port']}"


def test_two_supplies_are_off_only_together(simulate: Simulate) -> None:
    sim = simulate(a={"method": "kasa"}, b={"method": "tasmota"})
    both = [{"method": one["method"], "ip": one["ip"], "port": one["port"]} for one in sim.entries.values()]
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": {"node": {"devices": both}}})
    assert len(cluster.off("node")) == 2 and cluster.status()[0].power == "off"
    cluster.on("node")
    sim.obey("b", "reset")
    with pytest.raises(fencekit.FenceError) as caught:
        cluster.off("node", timeout=2)
    assert "tasmota" in str(caught.value.device)
    assert cluster.status(timeout=1)[0].power == "unknown"


def test_verify_and_fence_are_the_commands(rack: Sim, tmp_path: pathlib.Path, alive: int) -> None:
    rack.entries["a"].update(mgmt_ip="127.0.0.1", tcp_ports=[alive])
    file = rack.file(tmp_path, verify={"wait": 1})
    cluster = fencekit.Cluster.load(file)
    report = cluster.verify("a")
    assert (report.verdict, report.exit_code, bool(report)) == ("still-alive", 1, False)
    assert not report.confirmed_off and report.off is None and str(report).startswith("a: still-alive (")
    by_probe = {one.probe: one for one in report.evidence}
    assert by_probe["power"].outcome == "on" and by_probe["power"].network is None
    assert by_probe["tcp"].outcome == "answered" and by_probe["tcp"].network == "management"
    command = document(file, "verify", "a", code=1)
    assert report.to_dict().keys() == command.keys() and report.to_dict()["verdict"] == command["verdict"]
    assert rack.obey("a")["commands"] == 0

    with pytest.raises(fencekit.VerificationFailed, match="must not be taken over") as caught:
        cluster.fence("a", timeout=20)
    failed = caught.value
    assert failed.exit_code == 1 and failed.report.verdict == "still-alive" and rack.relay("a") == "off"
    assert failed.report.off is not None and failed.report.off[0].confirmed
    command = document(file, "fence", "a", "--audit", str(tmp_path / "audit"), code=1)
    assert failed.report.to_dict().keys() == command.keys()
    again = pickle.loads(pickle.dumps(failed))
    assert again.report == failed.report and again.exit_code == 1


def test_what_cannot_be_told_is_no_success(rack: Sim) -> None:
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": rack.entries, "verify": {"wait": 1}})
    cluster.off("b")
    report = cluster.verify("b", wait=1)
    assert (report.verdict, report.exit_code, bool(report)) == ("inconclusive", 3, False)
    with pytest.raises(fencekit.VerificationFailed) as caught:
        cluster.fence("b")
    assert caught.value.exit_code == 3 and caught.value.report.verdict == "inconclusive"
    with pytest.raises(fencekit.DeviceTimeout, match="verifying b"):
        fencekit.Cluster.from_dict(
            {"stonith_nodes": {"b": {**rack.entries["b"], "mgmt_ip": "127.0.0.1"}}, "verify": {"wait": 20}}
        ).verify("b", timeout=0.1)


@pytest.mark.parametrize("limit", [0.5, 1.5])
def test_a_fence_that_has_no_time_to_verify_switches_nothing(rack: Sim, limit: float) -> None:
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": rack.entries, "verify": {"wait": 1}})
    with pytest.raises(fencekit.ConfigError, match="^timeout: .* a is watched for 1500 ms"):
        cluster.fence("a", timeout=limit)
    with pytest.raises(fencekit.ConfigError, match="^timeout: "):
        cluster.fence("a", wait=10, timeout=10)
    assert rack.obey("a")["commands"] == 0 and rack.relay("a") == "on"


def test_password_programs_are_within_the_timeout(rack: Sim) -> None:
    entry = {**rack.entries["a"], "user": "me", "password_script": "sleep 8; echo secret"}
    entry.pop("password", None)
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": {"a": entry}})
    began = time.monotonic()
    with pytest.raises(fencekit.DeviceTimeout, match="password"):
        cluster.off("a", timeout=0.5)
    assert time.monotonic() - began < 4 and rack.relay("a") == "on"


def test_the_password_program_of_a_fallback_is_within_the_timeout(rack: Sim) -> None:
    fallback = {"method": "kasa", "ip": "127.0.0.1", "port": 9, "user": "me", "password_script": "sleep 8; echo x"}
    entry = {**rack.entries["a"], "fallback": fallback}
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": {"a": entry}})
    began = time.monotonic()
    with pytest.raises(fencekit.DeviceTimeout, match="password"):
        cluster.off("a", timeout=0.5)
    assert time.monotonic() - began < 4 and rack.relay("a") == "on"


def test_a_slow_password_program_concerns_its_own_node_alone(rack: Sim) -> None:
    slow = {**rack.entries["b"], "user": "me", "password_script": "sleep 8; echo secret"}
    slow.pop("password", None)
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": {**rack.entries, "b": slow}})
    began = time.monotonic()
    assert cluster.off("a", timeout=5)[0].confirmed
    assert [node.power for node in cluster.status(timeout=1)] == ["off", "unknown", "on"]
    assert time.monotonic() - began < 7


DEAD = """
import json, subprocess, sys, fencekit
program, sim = sys.argv[1:3]
devices = subprocess.Popen([program, "sim", "--config", sim], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
try:
    port = json.loads(devices.stdout.readline())["port"]
    entry = {"method": "kasa", "ip": "127.0.0.1", "port": port, "mgmt_ip": "10.20.20.2"}
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": {"b": entry}, "verify": {"wait": 1}})
    assert not cluster.verify("b"), "it is on"
    report = cluster.fence("b", timeout=20)
    assert report and report.confirmed_off and report.exit_code == 0, report
    assert {one.probe: one.outcome for one in report.evidence} == {
        "power": "off", "icmp": "silent", "neighbour": "silent"
    }, report
    print(report.verdict)
finally:
    devices.terminate()
    devices.communicate()
"""
SILENT_NETWORK = """
ip link set lo up
ip link add seen type veth peer name end
ip address add 10.20.20.254/24 dev seen
ip link set seen up
ip link set end up
exec "$@"
"""


def test_a_node_that_fell_silent_is_confirmed_off(tmp_path: pathlib.Path) -> None:
    """In a network of its own, on which nobody answers."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("making a network takes root, unshare and ip")
    sim = tmp_path / "sim.json"
    sim.write_text(json.dumps({"stonith_nodes": {"b": {"method": "kasa", "ip": "127.0.0.1", "port": 0}}}))
    ran = subprocess.run(
        ["unshare", "--net", "sh", "-euc", SILENT_NETWORK, "sh"]
        + [sys.executable, "-W", "error", "-c", DEAD, program(), str(sim)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (ran.returncode, ran.stdout) == (0, "confirmed-off\n"), ran.stderr


@pytest.mark.parametrize("kind", ["pcs", "crmsh", "cib", "ha-cluster", "tasmota"])
def test_generate_is_the_command(rack: Sim, tmp_path: pathlib.Path, kind: str) -> None:
    rack.entries["a"]["mgmt_ip"] = "10.20.20.1"
    file = rack.file(tmp_path, quorum_nodes=["quorum"])
    made = fencekit.Cluster.load(file).generate(kind)
    command = document(file, "generate", kind)
    assert (str(made), made.kind, made.notes) == (command["text"], kind, command["notes"])
    assert made.holds_secrets == command["holds_secrets"] == ("correct-horse" in made)
    assert "correct-horse" not in repr(made) + repr(made.files)
    if kind == "tasmota":
        [secrets] = made.files
        assert secrets.secret and "correct-horse" in secrets.text


def test_generate_asks_for_what_the_command_asks_for(rack: Sim, tmp_path: pathlib.Path) -> None:
    nodes = {"a": {"method": "kasa", "ip": "localhost"}, "b": {"method": "tasmota", "ip": "10.20.20.202"}}
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps({"stonith_nodes": nodes}))
    cluster = fencekit.Cluster.load(file)
    with pytest.raises(fencekit.ConfigError, match="resolve"):
        cluster.generate("nftables")
    made = cluster.generate("nftables", node="b", resolve=True, ntp_server="10.20.20.1", timeout=10)
    options = ("--node", "b", "--resolve", "--ntp-server", "10.20.20.1")
    assert str(made) == document(file, "generate", "nftables", *options)["text"]
    assert "127.0.0.1 . tcp . 9999" in made and "10.20.20.202 . tcp" not in made
    with pytest.raises(fencekit.ConfigError, match="^node: "):
        cluster.generate("nftables", node="c", resolve=True)


def test_generate_names_the_place_of_the_file(rack: Sim) -> None:
    # Two devices do not fit into fence_check's options: it reads the file.
    node = {"mgmt_ip": "10.20.20.1", "devices": list(rack.entries.values())}
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": {"a": node}})
    assert "/etc/fencekit/cluster.yml" in cluster.generate("crmsh")
    assert "/srv/own.yml" in cluster.generate("crmsh", file=pathlib.Path("/srv/own.yml"))
    with pytest.raises(fencekit.ConfigError, match="kind"):
        cluster.generate("PCS")
    with pytest.raises(fencekit.ConfigError, match="ntp_server"):
        cluster.generate("tasmota", ntp_server="pool")


def test_doctor_is_the_command(rack: Sim, tmp_path: pathlib.Path) -> None:
    file = rack.file(tmp_path)
    diagnosis = fencekit.Cluster.load(file).doctor("a", timeout=5)
    assert diagnosis.nodes == ["a"] and diagnosis.findings
    assert bool(diagnosis) == (diagnosis.outcome == "good") and diagnosis.exit_code in (0, 1, 3)
    command = document(file, "doctor", "a", code=diagnosis.exit_code)
    ours = diagnosis.to_dict()
    assert ours.keys() == command.keys() and ours["outcome"] == command["outcome"]
    topics = [(one["node"], one["topic"], one["severity"]) for one in ours["findings"]]
    assert topics == [(one["node"], one["topic"], one["severity"]) for one in command["findings"]]
    rack.obey("a", "silent")
    broken = fencekit.Cluster.load(file).doctor("a", networks=False, timeout=0.5)
    assert not broken and broken.outcome != "good"


def test_discover_asks_whom_it_is_told_to(simulate: Simulate) -> None:
    # What a search finds on the devices' own ports is tested in the core.
    assert fencekit.discover(["127.0.0.1"], wait=0.2) == []
    assert fencekit.discover("127.0.0.0/30", wait=0.1, timeout=5) == []
    for wrong, option in (({"targets": "nowhere"}, "target"), ({"range": "x"}, "range"), ({"wait": -1}, "wait")):
        with pytest.raises(fencekit.ConfigError, match=f"^{option}: "):
            fencekit.discover(**wrong)  # type: ignore[arg-type]


def test_a_wrong_file_says_where(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "cluster.yml"
    file.write_text("stonith_nodes:\n  b: {mehtod: kasa, ip: 10.20.20.202}\n")
    with pytest.raises(fencekit.ConfigError) as caught:
        fencekit.Cluster.load(file)
    assert str(caught.value) == (
        f"{file}, line 2, column 7: stonith_nodes.b.mehtod: is not known; did you mean method?"
    )
    with pytest.raises(fencekit.ConfigError, match="there is no such file"):
        fencekit.Cluster.load(tmp_path / "none.yml")
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": {"storage-b": {"method": "kasa", "ip": "10.20.20.202"}}})
    with pytest.raises(fencekit.ConfigError, match="did you mean storage-b"):
        cluster.fence("storage_b")


def test_a_dictionary_says_what() -> None:
    def wrong(content: Any) -> str:
        with pytest.raises(fencekit.ConfigError) as caught:
            fencekit.Cluster.from_dict(content)
        assert caught.value.exit_code == 2 and caught.value.__cause__ is None
        return str(caught.value)

    entry: Dict[str, Any] = {"method": "kasa", "ip": "10.20.20.202", "password": "correct-horse"}
    assert wrong({"stonith_nodes": {"b": {**entry, "methid": 1}}}).startswith("stonith_nodes.b.methid: is not known")
    assert wrong({"stonith_nodes": {"b": {**entry, "plug": b"2"}}}).startswith("cluster: a value of type bytes")
    assert wrong({"stonith_nodes": {"b": {**entry, "off_max_watts": float("nan")}}}).startswith("cluster: ")
    assert "<dict>" not in wrong({}) and "line" not in wrong({})
    for content in ({"stonith_nodes": {"b": {**entry, "methid": 1}}}, {"stonith_nodes": {"b": {**entry, "plug": b"2"}}}):
        assert "correct-horse" not in wrong(content)
    good = fencekit.Cluster.from_dict(
        {"stonith_nodes": {"b": {**entry, "ip": ipaddress.ip_address("10.20.20.202"), "mgmt_ip": "10.20.20.2"}}}
    )
    assert good.nodes == ["b"] and repr(good) == "<fencekit.Cluster of a dictionary, 1 nodes>"
    with pytest.raises(TypeError, match="Cluster.load"):
        fencekit.Cluster("cluster.yml")  # type: ignore[arg-type]


def test_a_password_file_concerns_its_own_node_alone(rack: Sim, tmp_path: pathlib.Path) -> None:
    del rack.entries["b"]["password"]
    rack.entries["b"]["password_file"] = str(tmp_path / "none")
    cluster = fencekit.Cluster.from_dict({"stonith_nodes": rack.entries})
    assert [node.power for node in cluster.status()] == ["on", "unknown", "on"]
    with pytest.raises(fencekit.ConfigError, match="b: password_file"):
        cluster.off("b")
    (tmp_path / "none").write_text("correct-horse")
    (tmp_path / "none").chmod(0o600)
    assert cluster.off("b")[0].confirmed


def test_ctrl_c_while_a_node_is_watched(rack: Sim, tmp_path: pathlib.Path) -> None:
    file = rack.file(tmp_path, verify={"wait": 20})
    code = """
import os, signal, sys, threading, time, fencekit
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    fencekit.Cluster.load(sys.argv[1]).fence("a")
except KeyboardInterrupt as stopped:
    print(*stopped.args)
"""
    child = python(code, str(file))
    out, err = child.communicate(timeout=LIMIT)
    assert child.returncode == 0 and "a: its state is not known now" in out, err
