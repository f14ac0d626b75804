# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name a fence device, and the device that they make."""

from __future__ import annotations

from ansible_collections.fencekit.stonith.plugins.module_utils.core import fencekit

METHODS = ["ipmi", "kasa", "tasmota", "esphome", "http"]
VERBS = ["GET", "POST", "PUT", "PATCH"]


def device_spec():
    """The argument specification of a device: the agents' options, with the cluster file's names as aliases."""
    return {
        "method": {"type": "str", "choices": METHODS},
        "ip": {"type": "str"},
        "ipport": {"type": "int", "aliases": ["port"]},
        "username": {"type": "str", "aliases": ["user"]},
        "password": {"type": "str", "no_log": True},
        "password_file": {"type": "path", "no_log": False},
        "plug": {"type": "str"},
        "switch_name": {"type": "str"},
        "encryption_key": {"type": "str", "no_log": True},
        "power_sensor": {"type": "str"},
        "transport": {"type": "str", "choices": ["auto", "xor", "klap", "aes", "tpap", "native", "web"]},
        "strict_signature": {"type": "bool"},
        "expect_identity": {"type": "str", "aliases": ["identity"]},
        "off_max_watts": {"type": "float"},
        "confirm_reads": {"type": "int"},
        "ssl": {"type": "bool"},
        "ssl_insecure": {"type": "bool"},
        "inet4_only": {"type": "bool"},
        "inet6_only": {"type": "bool"},
        "power_on_url": {"type": "str", "no_log": True},
        "power_off_url": {"type": "str", "no_log": True},
        "status_url": {"type": "str", "no_log": True},
        "status_on_regex": {"type": "str"},
        "status_off_regex": {"type": "str"},
        "power_on_method": {"type": "str", "choices": VERBS},
        "power_off_method": {"type": "str", "choices": VERBS},
        "power_on_body": {"type": "str", "no_log": True},
        "power_off_body": {"type": "str", "no_log": True},
        "cipher": {"type": "str"},
        "privlvl": {"type": "str", "choices": ["callback", "user", "operator", "administrator"]},
        "hexadecimal_kg": {"type": "str", "no_log": True},
        "quirks": {"type": "list", "elements": "str"},
        "allow": {"type": "list", "elements": "str"},
        "login_timeout": {"type": "float"},
        "shell_timeout": {"type": "float"},
        "power_timeout": {"type": "float"},
        "power_wait": {"type": "float"},
        "stonith_status_sleep": {"type": "float"},
        "retry_on": {"type": "int"},
        "node": {"type": "str"},
        "timeout": {"type": "float"},
    }


def one_of_both():
    """A device by its options, or all of a node."""
    return {"mutually_exclusive": [("method", "node")], "required_one_of": [("method", "node")]}


def device_options(params):
    """What was given of these options, as the package takes it."""
    given = {}
    for name in device_spec():
        value = params[name]
        if value is None or name in ("method", "node", "timeout"):
            continue
        given[name] = ",".join(value) if isinstance(value, list) else value
    return given


def refuse_for_node(module):
    """A node's devices have their options in the cluster file: one beside O(node) would promise what nobody does."""
    if module.params["node"] is None:
        return
    given = sorted(device_options(module.params))
    if given:
        module.fail_json(
            msg="%s: for a single device alone, and not asked of a node; write it into the cluster file, or leave it out"
            % ", ".join(given),
            error="ConfigError",
            exit_code=2,
        )


def open_device(params):
    """The device. Nothing is sent yet; a wrong option is fencekit's ConfigError."""
    return fencekit.Device(params["method"], **device_options(params))
