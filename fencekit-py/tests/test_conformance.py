"""The same table of cases through the Rust agent and through Python: the same result, the same words.

The table is `cases.json`: a device as an entry of a cluster file, what is done to it first (`faults`, `button`), the
agents' options, and what has to come of an action. `error` is the exception's name in Python, or several with `|`.
"""

import json
import pathlib
from typing import Any, Dict, Tuple

import pytest

import fencekit
from devices import Sim, Simulate, run

CASES = json.loads((pathlib.Path(__file__).parent / "cases.json").read_text())


def options(sim: Sim, case: Dict[str, Any]) -> Dict[str, str]:
    merged = {**sim.options("a"), **case.get("options", {})}
    return {name: str(value) for name, value in merged.items() if value is not None}


def by_agent(sim: Sim, case: Dict[str, Any]) -> Tuple[int, str, str]:
    """Exit code, the line of success, and the line of failure, as a cluster gets them."""
    lines = [f"action={case['action']}", *(f"{name}={value}" for name, value in options(sim, case).items())]
    ran = run("agent", f"fence_{case['entry']['method']}", stdin="\n".join(lines))
    errors = [line for line in ran.stderr.splitlines() if line.startswith("ERROR: Failed: ")]
    assert len(errors) == (1 if ran.returncode == 1 else 0), ran.stderr
    return ran.returncode, ran.stdout.strip(), "".join(errors)[len("ERROR: Failed: ") :]


def by_python(sim: Sim, case: Dict[str, Any]) -> Tuple[int, str, str, str]:
    """The same of Python, with the exception's name."""
    action = case["action"]
    try:
        device = fencekit.Device(case["entry"]["method"], **options(sim, case))
        if action == "status":
            state = device.status()
            return (0 if state == "on" else 2), f"Status: {state.upper()}", "", ""
        done = {"on": device.on, "off": device.off}[action]()
    except fencekit.FenceError as error:
        return error.agent_exit_code, "", str(error), type(error).__name__
    word = "Already" if done.before == action else "Powered"
    return 0, f"Success: {word} {action.upper()}", "", ""


def without_times(text: str) -> str:
    """The words alone: how long something took is never the same twice."""
    return "".join("#" if letter.isdigit() else letter for letter in text).replace("##", "#")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_both_come_to_the_same(simulate: Simulate, case: Dict[str, Any]) -> None:
    outcomes = []
    for way in (by_agent, by_python):
        sim = simulate(a=case["entry"])
        sim.obey("a", case.get("button", "on"))
        sim.obey("a", case.get("faults", "none"))
        outcome = way(sim, case)
        relay = sim.relay("a")
        assert relay == case.get("relay", relay), (way.__name__, outcome)
        assert outcome[:2] == (case["code"], case.get("out", "")), (way.__name__, outcome)
        port = str(sim.places["a"]["port"])
        outcomes.append((*outcome[:2], without_times(outcome[2].replace(port, "PORT"))))
        if way is by_python:
            assert outcome[3] in case.get("error", "").split("|")
    assert outcomes[0] == outcomes[1]
