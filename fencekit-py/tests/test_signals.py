"""Ctrl-C, forks and threads."""

import os
import signal
import threading
import time
from typing import List

import pytest

import fencekit
from devices import Sim, Simulate, python, wait_for

INTERRUPTED = """
import sys, time, threading, os, signal, logging
import fencekit
device = fencekit.Device("kasa", ip="127.0.0.1", ipport=sys.argv[1], login_timeout=30, shell_timeout=30)
call = getattr(device, sys.argv[2])
sent = []
def interrupt():
    time.sleep(0.5)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    call(timeout=30)
except KeyboardInterrupt as stopped:
    print(round(time.monotonic() - sent[0], 3))
    print(*stopped.args)
"""


@pytest.mark.parametrize(("call", "says"), [("status", ""), ("off", "its state is not known now")])
def test_ctrl_c_is_answered_at_once(plug: Sim, call: str, says: str) -> None:
    plug.obey("a", "silent")
    child = python(INTERRUPTED, str(plug.places["a"]["port"]), call)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    took, said = out.split("\n", 1)
    assert float(took) < 0.1
    assert says in said and says in err
    assert "kasa @ 127.0.0.1" in said or call == "status"


def test_a_handlers_own_exception_comes_out_and_a_handler_may_call(plug: Sim) -> None:
    class Alarm(Exception):
        pass

    seen: List[str] = []

    def ring(number: int, frame: object) -> None:
        plug.obey("a", "none")
        seen.append(plug.device("a").status())
        raise Alarm

    plug.obey("a", "silent")
    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(Alarm):
            plug.device("a", login_timeout=20, shell_timeout=20).off(timeout=20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert seen == ["on"]


def test_other_threads_run_meanwhile(plug: Sim) -> None:
    plug.obey("a", "slow=1")
    counted = 0
    done = threading.Event()

    def call() -> None:
        plug.device("a", shell_timeout=5).status()
        done.set()

    thread = threading.Thread(target=call)
    thread.start()
    while not done.is_set():
        counted += 1
        time.sleep(0.001)
    thread.join()
    assert counted > 100


def test_four_threads_are_really_parallel(simulate: Simulate) -> None:
    sim = simulate(**{name: {"method": "tasmota"} for name in "abcd"})
    for name in "abcd":
        sim.obey(name, "slow=0.5")
    states = {}

    def ask(name: str) -> None:
        states[name] = sim.device(name).status()

    def all_of(names: str) -> float:
        threads = [threading.Thread(target=ask, args=(name,)) for name in names]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - started

    one = all_of("a")
    four = all_of("abcd")
    assert states == dict.fromkeys("abcd", "on")
    assert one >= 0.5 and four < 2 * one


def test_one_device_serves_many_threads(plug: Sim) -> None:
    device = plug.device("a")
    outcomes: List[object] = []

    def work(number: int) -> None:
        try:
            outcomes.append(device.off() if number % 2 else device.status())
        except fencekit.FenceError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8 and not [one for one in outcomes if isinstance(one, fencekit.FenceError)]
    assert plug.relay("a") == "off"


FORKED = """
import os, sys, signal, threading, time
import fencekit
signal.alarm(20)
device = fencekit.Device("kasa", ip="127.0.0.1", ipport=sys.argv[1])
device.status()
# A call is under way in another thread while the process forks.
busy = threading.Thread(target=lambda: fencekit.Device("kasa", ip="127.0.0.1", ipport=sys.argv[2]).status(timeout=3))
busy.start()
time.sleep(0.2)
child = os.fork()
if child == 0:
    signal.alarm(10)
    os._exit(0 if device.off().before == "on" and device.status() == "off" else 9)
_, status = os.waitpid(child, 0)
busy.join()
assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, status
assert device.status() == "off"
device.on()
print("done")
"""


def test_calls_survive_a_fork(simulate: Simulate) -> None:
    sim = simulate(a={"method": "kasa"}, b={"method": "kasa"})
    sim.obey("b", "slow=1")
    # Python 3.12 and later warn of forks beside threads, which is what is tested here.
    code = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORKED
    child = python(code, str(sim.places["a"]["port"]), str(sim.places["b"]["port"]))
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (0, "done\n", "")


def test_no_thread_and_no_file_is_left_behind(plug: Sim) -> None:
    def here() -> object:
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

    device = plug.device("a")
    device.status()
    before = here()
    for _ in range(20):
        device.status()
    wait_for(lambda: here() == before)
