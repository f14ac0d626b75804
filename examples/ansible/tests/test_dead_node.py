"""fence_verify on a node that falls silent, with the package itself: networks of the test's own, on which a witness
answers and the node may."""

import json
import os
import shutil

import pytest

from conftest import Network, Simulation

PLUG = {"method": "kasa", "ip": "127.0.0.1", "port": 0}
NETWORKS = {"management": "10.20.20", "storage": "10.10.10"}
LINK = """
ip link add %(name)s type veth peer name %(name)s netns %(there)d
ip address add %(net)s.1/24 dev %(name)s
ip link set %(name)s up
"""
# The witness first: with the first address of a network the others go.
OTHERS = """
ip address add %(net)s.254/24 dev %(name)s
ip address add %(net)s.2/24 dev %(name)s
ip link set %(name)s up
"""


@pytest.fixture
def networks():
    """Where the task runs, and where the node and the witnesses are."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("making networks takes root, unshare and ip")
    here, there = Network(), Network()
    for name, net in NETWORKS.items():
        here.shell(LINK % {"name": name, "net": net, "there": there.process.pid})
        there.shell(OTHERS % {"name": name, "net": net})
    yield here, there
    here.close()
    there.close()


@pytest.fixture
def plug(tmp_path, networks):
    simulation = Simulation(tmp_path, {"storage-b": PLUG}, networks[0].inside)
    yield simulation
    simulation.close()


class Story:
    """Tasks of one play, among them verifications; what happens to the node and its networks is a task, too."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.tasks = []
        self.looks = 0

    def do(self, **task):
        self.tasks.append(task)

    def on(self, network, command):
        self.do(command={"argv": [*network.inside, *command.split()]})

    def verify(self):
        name = "seen_%d" % self.looks
        self.looks += 1
        module = {"cluster": self.cluster, "node": "storage-b", "timeout": 30}
        self.tasks.append({"fencekit.stonith.fence_verify": module, "register": name, "ignore_errors": True})

    def play(self, place, python, report, inside):
        """Of each verification: whether the task succeeded, the verdict, and what was heard on the networks."""
        for look in range(self.looks):
            self.do(copy={"content": "{{ seen_%d | to_json }}" % look, "dest": "%s.%d" % (report, look), "mode": "0600"})
        variables = {"ansible_python_interpreter": python}
        ran = place.run(
            [{"hosts": "storage-a", "gather_facts": False, "vars": variables, "tasks": self.tasks}], inside=inside
        )
        assert ran.code == 0, ran.output
        for look in range(self.looks):
            with open("%s.%d" % (report, look)) as file:
                seen = json.load(file)
            assert seen["changed"] is False
            heard = {one["network"]: one["outcome"] for one in seen["evidence"] if one["probe"] == "icmp"}
            yield not seen.get("failed"), seen["verdict"], heard


def test_only_a_node_that_is_off_and_silent_is_confirmed(place, python, networks, plug, tmp_path):
    here, there = networks
    port = plug.ports["storage-b"]
    node = dict(PLUG, port=port, mgmt_ip="10.20.20.2", storage_ip="10.10.10.2")
    witnesses = {name: [net + ".254"] for name, net in NETWORKS.items()}
    story = Story({"stonith_nodes": {"storage-b": node}, "verify": {"wait": 2, "witnesses": witnesses}})
    story.do(**{"fencekit.stonith.fence_power": dict(PLUG, port=port, state="off")})
    story.verify()
    story.on(there, "ip address del 10.20.20.2/24 dev management")
    story.verify()
    story.on(there, "ip address del 10.10.10.2/24 dev storage")
    story.verify()
    story.on(there, "ip link set management down")
    story.verify()
    answers, one_answers, silent, cut_off = story.play(place, python, tmp_path / "report", here.inside)

    assert answers == (False, "still-alive", dict.fromkeys(NETWORKS, "answered"))
    assert one_answers[:2] == (False, "still-alive") and one_answers[2]["storage"] == "answered"
    assert silent == (True, "confirmed-off", dict.fromkeys(NETWORKS, "silent"))
    # Behind a cut wire the same silence proves nothing.
    assert cut_off[:2] == (False, "inconclusive")
    assert plug.order("storage-b state")["devices"][0]["commands"] == 1, "a verification switched something"
