"""The modules on simulated devices, which can be made to fail."""

import pytest

from conftest import SECRETS


@pytest.fixture(autouse=True)
def healthy(simulation):
    """Each test begins with devices that are on and do as they are told."""
    for node in ("storage-a", "storage-b"):
        simulation.order(node + " none")
        simulation.order(node + " on")


@pytest.fixture
def task(place, python):
    """Runs tasks on the devices of the inventory; `power` of a node, or any others."""

    def run(*tasks, check=False):
        play = [{
            "hosts": "storage-a",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": python},
            "tasks": list(tasks),
        }]
        return place.run(play, *(["--check", "--diff"] if check else []))

    return run


@pytest.fixture
def device(place):
    """The options of a node's device."""
    return lambda node, **more: dict(place.nodes[node], **more)


def is_on(simulation, node):
    """Whether the outlet, or the machine behind the BMC, really has power."""
    answer = simulation.order(node + " state")
    (relay,) = [device["relay"] for device in answer["devices"]]
    assert relay in ("on", "off"), answer
    return relay == "on"


def power(device, node, state, **more):
    return {"name": "Switch", "fencekit.stonith.fence_power": device(node, state=state, **more)}


def test_off_and_on_are_done_once_and_seen(task, device, simulation):
    nodes = ("storage-a", "storage-b")
    ran = task(*[power(device, node, "off") for node in nodes])
    assert (ran.code, ran.sum("changed")) == (0, 2), ran.output
    assert not any(is_on(simulation, node) for node in nodes)
    again = task(*[power(device, node, "off") for node in nodes])
    assert (again.code, again.sum("changed")) == (0, 0), again.output
    ran = task(*[power(device, node, "on") for node in nodes * 2])
    assert (ran.code, ran.sum("changed")) == (0, 2), ran.output
    assert all(is_on(simulation, node) for node in nodes)


def test_a_node_is_switched_by_its_name(place, task, simulation):
    tasks = [
        {"fencekit.stonith.fence_power": {"cluster": cluster_of(place), "node": "storage-b", "state": state}}
        for state in ("off", "off", "on")
    ]
    ran = task(*tasks[:2])
    assert (ran.code, ran.sum("changed")) == (0, 1), ran.output
    assert not is_on(simulation, "storage-b")
    ran = task(tasks[2], {"fencekit.stonith.fence_info": {"cluster": cluster_of(place), "node": "storage-b"}})
    assert (ran.code, ran.sum("changed")) == (0, 1), ran.output
    assert is_on(simulation, "storage-b")


def test_check_mode_tells_and_switches_nothing(task, device, simulation):
    ran = task(power(device, "storage-b", "off"), power(device, "storage-b", "on"), check=True)
    assert (ran.code, ran.sum("changed")) == (0, 1), ran.output
    assert is_on(simulation, "storage-b")
    assert '-    "state": "on"' in ran.output and '+    "state": "off"' in ran.output


def test_a_plug_that_lies_is_no_success(task, device, simulation):
    simulation.order("storage-b lie")
    ran = task(power(device, "storage-b", "off", off_max_watts=5, power_timeout=1))
    assert ran.code == 2 and '"error": "NotConfirmed"' in ran.output, ran.output
    assert is_on(simulation, "storage-b")


def test_a_silent_device_is_no_success(task, device, simulation):
    simulation.order("storage-b silent")
    ran = task(power(device, "storage-b", "off", timeout=2))
    assert ran.code == 2, ran.output
    assert "kasa @ 127.0.0.1" in ran.output


def test_another_device_is_never_switched(task, device, simulation):
    ran = task(power(device, "storage-b", "off", identity="50:C7:BF:FF:FF:FF"))
    assert ran.code == 2 and '"error": "WrongDevice"' in ran.output, ran.output
    assert is_on(simulation, "storage-b")


def test_a_wrong_password_is_told_and_not_shown(task, device):
    ran = task(power(device, "storage-a", "off", password=SECRETS[3]))
    assert ran.code == 2 and '"error": "AuthenticationError"' in ran.output, ran.output


WRONG = [
    ({"transport": "native"}, 'transport: \\"native\\" is not valid; write one of: auto, xor, klap, aes, tpap'),
    ({"off_max_watts": -1}, "off_max_watts:"),
    ({"encryption_key": "AAAA"}, "encryption_key:"),
    ({"state": "cycle"}, "value of state must be one of: on, off, got: cycle"),
    ({"pulg": "1"}, "Unsupported parameters for (fencekit.stonith.fence_power) module: pulg"),
    ({"node": "storage-b"}, "parameters are mutually exclusive: method|node"),
]


def test_a_wrong_option_is_told(task, device, simulation):
    tasks = [
        {"fencekit.stonith.fence_power": dict(device("storage-b", state="off"), **options), "ignore_errors": True}
        for options, _ in WRONG
    ]
    ran = task(*tasks)
    assert ran.sum("ignored") == len(WRONG), ran.output
    for _, words in WRONG:
        assert words in ran.output
    assert is_on(simulation, "storage-b")


def test_info_tells_what_the_device_is(task, device, simulation):
    ran = task(
        {"name": "Ask", "fencekit.stonith.fence_info": device("storage-b"), "register": "plug"},
        {"name": "Ask the BMC", "fencekit.stonith.fence_info": device("storage-a"), "register": "bmc"},
        {"name": "See", "assert": {"that": [
            "plug.state == 'on'", "plug.identity.mac | length == 17", "plug.outlets | length == 1", "plug.power.watts > 0",
            "bmc.state == 'on'", "bmc.identity.guid | length > 0",
        ]}},
    )
    assert (ran.code, ran.sum("changed")) == (0, 0), ran.output


def cluster_of(place):
    nodes = {name: dict(node, mgmt_ip="127.10.0.%d" % (number + 1)) for number, (name, node) in enumerate(place.nodes.items())}
    return {"stonith_nodes": nodes, "verify": {"wait": 1}}


def test_verify_of_a_live_node_is_a_failure_with_its_evidence(place, task, simulation):
    verify = {"cluster": cluster_of(place), "node": "storage-b"}
    ran = task({"name": "Verify", "fencekit.stonith.fence_verify": verify})
    assert ran.code == 2, ran.output
    assert '"verdict": "still-alive"' in ran.output and "kasa @ 127.0.0.1" in ran.output
    # The device off and its address still answering: that is a node that runs on another supply, or the wrong plug.
    simulation.order("storage-b off")
    ran = task({"name": "Verify", "fencekit.stonith.fence_verify": verify})
    assert ran.code == 2 and '"verdict": "confirmed-off"' not in ran.output, ran.output


def test_a_node_that_the_cluster_does_not_have_is_told(place, task):
    ran = task({"name": "Verify", "fencekit.stonith.fence_verify": {"cluster": cluster_of(place), "node": "storage-c"}})
    assert ran.code == 2 and "is not in the cluster file" in ran.output, ran.output


def test_without_the_package_it_says_what_is_missing(place, device):
    play = [{"hosts": "storage-a", "gather_facts": False, "tasks": [power(device, "storage-b", "off")]}]
    ran = place.run(play)
    assert ran.code == 2 and "Failed to import the required Python library (fencekit)" in ran.output, ran.output
