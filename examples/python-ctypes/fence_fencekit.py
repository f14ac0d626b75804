#!/usr/bin/python3
"""A fence agent on the fencing library of fence-agents that switches through libfencekit.

Install it as /usr/sbin/fence_fencekit, with fencekit_ctypes.py in /usr/share/fence.
"""

import atexit
import io
import json
import logging
import os
import sys

sys.path.append("/usr/share/fence")
sys.path.append(os.path.dirname(os.path.realpath(__file__)))

# pylint: disable=wrong-import-position
from fencekit_ctypes import Device, FenceError, Library
from fencing import (
    EC_GENERIC_ERROR,
    all_opt,
    atexit_handler,
    check_input,
    fence_action,
    process_input,
    run_delay,
    show_docs,
)

METHODS = ["ipmi", "kasa", "tasmota", "esphome", "http"]
# No limit of our own: under Pacemaker the library says 0, and the cluster ends the agent itself.
A_DAY = 86_400


def define_options():
    """Adds what fence-agents has no option for."""
    # A device with one outlet needs none.
    all_opt["port"]["required"] = "0"
    all_opt["device_method"] = {
        "getopt": ":",
        "longopt": "device-method",
        "help": "--device-method=[name]         Kind of device: " + ", ".join(METHODS),
        "required": "1",
        "shortdesc": "Kind of device",
        "choices": METHODS,
        "order": 1,
    }
    all_opt["expect_identity"] = {
        "getopt": ":",
        "longopt": "expect-identity",
        "help": "--expect-identity=[id]         MAC, id, GUID or name that the device must report",
        "required": "0",
        "shortdesc": "Identity that the device must report before anything is switched",
        "order": 2,
    }
    all_opt["device_options"] = {
        "getopt": ":",
        "longopt": "device-options",
        "help": "--device-options=[json]        Further options of the device, as a JSON object",
        "required": "0",
        "shortdesc": "Further options of the device, as a JSON object",
        "order": 3,
    }
    all_opt["library"] = {
        "getopt": ":",
        "longopt": "library",
        "help": "--library=[path]               Where libfencekit is, unless the linker finds it",
        "required": "0",
        "shortdesc": "Path of libfencekit.so",
        "order": 4,
    }


def take_node_name():
    """The node that a cluster names on stdin, which the library passes over. Without a host map the cluster puts the
    same name into `port`, where it is no outlet."""
    if len(sys.argv) > 1:
        return None
    text = sys.stdin.read()
    sys.stdin = io.StringIO(text)
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if name == "nodename":
            return value
    return None


def device_options(options):
    """The options of the device, under the names that libfencekit has for them."""
    names = {
        "--ip": "ip",
        "--ipport": "ipport",
        "--username": "username",
        "--password": "password",
        "--expect-identity": "expect_identity",
    }
    found = {ours: options[theirs] for theirs, ours in names.items() if options.get(theirs)}
    found.update(json.loads(options.get("--device-options") or "{}"))
    return found


def seconds(options, name):
    """A time limit of the library's."""
    return float(options.get(name) or 0) or A_DAY


class Plugs:
    """The outlets of a device, as the library asks for them, each with a device of its own."""

    def __init__(self, options, node):
        self.library = Library(options.get("--library"))
        self.method = options["--device-method"].lower()
        self.given = device_options(options)
        self.node = node
        self.rebooting = options["--action"] == "reboot"
        self.confirmed = set()

    def device(self, options=None):
        """The device of the outlet that is asked for."""
        plug = (options or {}).get("--plug") or None
        if plug is not None and plug == self.node:
            with self.device() as whole:
                if len(whole.outlets(seconds(options, "--shell-timeout"))) == 1:
                    plug = None
        given = self.given if plug is None else dict(self.given, plug=plug)
        return Device(self.library, self.method, **given)

    def state(self, _, options):
        """"on" or "off". A state that is not known ends the agent: it must never look like either.

        The library leaves out a switching that the state makes look needless, but a state alone is not confirmed: the
        meter may say otherwise. So it is switched all the same.
        """
        try:
            with self.device(options) as device:
                state = device.status(seconds(options, "--shell-timeout"))
        except FenceError as error:
            return self.failed(error, options)
        if state == {"on": "on", "off": "off", "reboot": "off"}.get(options["--action"]):
            self.bring(state, options)
        return state

    def switch(self, _, options):
        """Switches, and returns once that is confirmed."""
        self.bring("on" if options["--action"] == "on" else "off", options)

    def bring(self, state, options):
        """The same, once in a run for each outlet and state."""
        if (options["--plug"], state) in self.confirmed:
            return
        limit = seconds(options, "--power-timeout")
        try:
            with self.device(options) as device:
                if state == "on":
                    device.on(limit)
                else:
                    device.off(limit)
        except FenceError as error:
            self.failed(error, options)
        self.confirmed.add((options["--plug"], state))

    def outlets(self, _, options):
        """The outlets, for list and monitor."""
        try:
            with self.device() as device:
                listed = device.outlets(seconds(options, "--shell-timeout"))
        except FenceError as error:
            return self.failed(error, options)
        return {plug: (alias, state) for plug, alias, state in listed}

    def failed(self, error, options):
        """Ends with 1, but for the on of a reboot: the node is fenced by then, and the library goes on from an exception
        to success."""
        if self.rebooting and options["--action"] == "on":
            raise error
        logging.error("%s", error)
        sys.exit(EC_GENERIC_ERROR)


def main():
    """Runs the agent."""
    atexit.register(atexit_handler)
    define_options()
    known = ["ipaddr", "login", "passwd", "port", "no_login", "no_password", "web"]
    known += ["device_method", "expect_identity", "device_options", "library"]
    node = take_node_name()
    given = process_input(known)
    # The fencing library has one default for all devices, libfencekit the right one for each.
    has_port = "--ipport" in given
    # It asks for a plug wherever there can be one.
    given.setdefault("--plug", "")
    options = check_input(known, given, other_conditions=True)
    if not has_port:
        options.pop("--ipport", None)
    show_docs(
        options,
        {
            "shortdesc": "Fence agent for what libfencekit can switch",
            "longdesc": "fence_fencekit switches smart plugs, HTTP outlets and BMCs through libfencekit, which says off "
            "only when the device, freshly asked, says so itself.",
            "vendorurl": "https://github.com/fencekit/fencekit",
        },
    )
    run_delay(options)
    try:
        plugs = Plugs(options, node)
        plugs.device().close()
        sys.exit(fence_action(None, options, plugs.switch, plugs.state, plugs.outlets))
    except (FenceError, OSError, ValueError) as error:
        logging.error("%s", error)
        sys.exit(EC_GENERIC_ERROR)


if __name__ == "__main__":
    main()
