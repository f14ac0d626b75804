"""A cluster of simulated devices, and the playbook on it, on this machine and below one directory."""

import hashlib
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

import pytest
import yaml

EXAMPLE = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(sys.executable).parent
FENCEKIT = os.environ["FENCEKIT_BIN"]
WHEEL = os.environ["FENCEKIT_WHEEL"]
#: Every secret of every test; none may ever be read anywhere but in the files that are for root alone.
SECRETS = ["bmc-7391-secret", "plug-7392-secret", "other-7393-secret", "wrong-7394-secret"]

CLUSTER = {
    "storage-a": {
        "method": "ipmi", "ip": "127.0.0.1", "port": 0, "user": "bmcadmin", "password": SECRETS[0],
        "mgmt_ip": "127.10.0.1", "storage_ip": "127.11.0.1",
    },
    "storage-b": {
        "method": "kasa", "ip": "127.0.0.1", "port": 0, "user": "owner@example.org", "password": SECRETS[1],
        "mgmt_ip": "127.10.0.2", "storage_ip": "127.11.0.2",
    },
}
PLAYBOOK = "fencekit.stonith.stonith"
ADDRESSES = ("mgmt_ip", "storage_ip")


class Simulation:
    """`fencekit sim` on free ports, `inside` of what the words before it make."""

    def __init__(self, directory, nodes=CLUSTER, inside=()):
        config = directory / "sim.yml"
        config.write_text(yaml.safe_dump({"stonith_nodes": nodes}))
        config.chmod(0o600)
        self.log = open(directory / "sim.log", "w+")
        self.process = subprocess.Popen(
            [*inside, FENCEKIT, "sim", "-c", config], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1
        )
        # A pipe with a buffer cannot be waited for; a queue can.
        self.lines = queue.Queue()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()
        self.ports = {}
        while set(self.ports) != set(nodes):
            device = self.line()
            self.ports.setdefault(device["node"], device["port"])

    def listen(self):
        for text in self.process.stdout:
            self.lines.put(text)

    def line(self):
        try:
            return json.loads(self.lines.get(timeout=20))
        except queue.Empty:
            self.log.seek(0)
            raise AssertionError("fencekit sim says nothing: " + self.log.read()) from None

    def order(self, text):
        """A fault, a button or a question; what it answers."""
        self.process.stdin.write(text + "\n")
        answer = self.line()
        assert answer["ok"], answer
        return answer

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.listener.join(20)
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            pipe.close()


class Network:
    """A network namespace, for as long as its sleeping process lives."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "170"])
        until = time.monotonic() + 5
        while os.readlink("/proc/%d/ns/net" % self.process.pid) == os.readlink("/proc/self/ns/net"):
            assert time.monotonic() < until, "no namespace came"
            time.sleep(0.01)
        self.inside = ["nsenter", "-t", str(self.process.pid), "-n"]
        self.shell("ip link set lo up")

    def shell(self, script):
        subprocess.run([*self.inside, "sh", "-euc", script], check=True, timeout=20)

    def close(self):
        self.process.kill()
        self.process.wait(20)


class Place:
    """A directory with an inventory; everything that Ansible does stays below it."""

    def __init__(self, path, simulation):
        self.path = path
        self.simulation = simulation
        self.said = []
        nodes = {
            name: dict({key: value for key, value in node.items() if key not in ADDRESSES}, port=simulation.ports[name])
            for name, node in CLUSTER.items()
        }
        self.inventory = {
            "all": {
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False},
                "children": {
                    "storage_nodes": {
                        "vars": {
                            "stonith_nodes": nodes,
                            "stonith_fence_verify": True,
                            "verify": {"wait": 1},
                            "stonith_program_src": FENCEKIT,
                            "stonith_program": str(path / "{{ inventory_hostname }}/sbin/fencekit"),
                            "stonith_agents_dir": str(path / "{{ inventory_hostname }}/sbin"),
                            "stonith_wheel": WHEEL,
                            "stonith_venv": str(path / "{{ inventory_hostname }}/venv"),
                            "stonith_venv_python": sys.executable,
                            "stonith_config_dir": str(path / "{{ inventory_hostname }}/etc/fencekit"),
                            "stonith_probe_textfile": str(path / "{{ inventory_hostname }}/metrics/fencekit.prom"),
                            "stonith_systemd_dir": str(path / "{{ inventory_hostname }}/systemd"),
                            "stonith_manage_systemd": False,
                            "stonith_nftables_file": str(path / "{{ inventory_hostname }}/etc/fencekit.nft"),
                            "stonith_prometheus_file": str(path / "{{ inventory_hostname }}/etc/alerts.yml"),
                            "stonith_check": True,
                        },
                        "hosts": {
                            name: {key: node[key] for key in ADDRESSES if key in node} for name, node in CLUSTER.items()
                        },
                    }
                },
            }
        }
        for name in CLUSTER:
            for directory in ("sbin", "etc", "systemd"):
                (path / name / directory).mkdir(parents=True)

    def host(self, name):
        return self.path / name

    @property
    def nodes(self):
        return self.inventory["all"]["children"]["storage_nodes"]["vars"]["stonith_nodes"]

    def run(self, playbook, *arguments, inside=(), **variables):
        """Runs a playbook as loud as it can be, `inside` of what the words before it make; what it did."""
        hosts = self.path / "hosts.yml"
        hosts.write_text(yaml.safe_dump(self.inventory))
        if not isinstance(playbook, str):
            (self.path / "play.yml").write_text(yaml.safe_dump(playbook))
            playbook = str(self.path / "play.yml")
        words = [*inside, BIN / "ansible-playbook", "-vvv", "-i", hosts, playbook, *arguments]
        words += ["-e", json.dumps(variables)]
        environment = dict(
            os.environ,
            HOME=str(self.path / "home"),
            ANSIBLE_CONFIG=str(EXAMPLE / "ansible.cfg"),
            ANSIBLE_COLLECTIONS_PATH=str(EXAMPLE),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_PIPELINING="1",
        )
        done = subprocess.run(
            words, cwd=self.path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100
        )
        output = done.stdout + done.stderr
        self.said.append(output)
        for secret in SECRETS:
            assert secret not in output
        return Ran(done.returncode, output)


class Ran:
    """What a playbook did."""

    def __init__(self, code, output):
        self.code = code
        self.output = output
        self.hosts = {}
        _, _, recap = output.partition("PLAY RECAP")
        for line in recap.splitlines():
            name, colon, counts = line.partition(":")
            if colon and "ok=" in counts:
                self.hosts[name.strip()] = {key: int(value) for key, value in (pair.split("=") for pair in counts.split())}

    def sum(self, key):
        assert self.hosts, self.output
        return sum(counts[key] for counts in self.hosts.values())


@pytest.fixture(scope="session")
def simulation(tmp_path_factory):
    simulation = Simulation(tmp_path_factory.mktemp("sim"))
    yield simulation
    simulation.close()


@pytest.fixture
def python(place, first):
    """The interpreter with the package, as the role sets it up."""
    assert first.code == 0, first.output
    return str(place.host("storage-a") / "venv/bin/python")


@pytest.fixture(scope="session")
def place(tmp_path_factory, simulation):
    return Place(tmp_path_factory.mktemp("cluster"), simulation)


def everything(place):
    """Each file of the hosts, with its content and mode."""
    found = {}
    for host in CLUSTER:
        for root, _, files in os.walk(place.host(host)):
            for name in files:
                path = os.path.join(root, name)
                if "/venv/" in path or os.path.islink(path):
                    found[path] = os.path.realpath(path)
                    continue
                with open(path, "rb") as file:
                    found[path] = (hashlib.sha256(file.read()).hexdigest(), os.stat(path).st_mode)
    return found


@pytest.fixture(scope="session")
def fresh(place):
    """What check mode says of machines that have nothing yet, and what was there before and after."""
    before = everything(place)
    ran = place.run(PLAYBOOK, "--check", "--diff", "--limit", "storage-a")
    return ran, before, everything(place)


@pytest.fixture(scope="session")
def first(place, fresh):
    """The first run."""
    return place.run(PLAYBOOK, "--diff")
