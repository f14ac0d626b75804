# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster: from a file on the machine, or from variables."""

from __future__ import annotations

import json
import os
import re

from ansible_collections.fencekit.stonith.plugins.module_utils.core import fencekit
from ansible_collections.fencekit.stonith.plugins.module_utils.device import device_spec
from ansible_collections.fencekit.stonith.plugins.module_utils.masking import OWN, secrets_in

DEFAULT_CONFIG = "/etc/fencekit/cluster.yml"

# The cluster file's own keys, beside those of devices; whatever is below them is no secret.
_PLAIN_KEYS = (
    "client_ips delay metered_wait mgmt_ip monitor_interval off_timeout on_timeout password_env quorum_nodes require_witness secrets "
    "storage_ip tcp_ports wait witnesses"
).split()

# Keys that no reader of YAML takes for a number, a truth value or nothing.
_PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z_][a-z0-9_-]*\Z", re.IGNORECASE)
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def cluster_spec():
    """The options that say where the cluster is described."""
    return {
        "config": {"type": "path", "default": DEFAULT_CONFIG},
        # no_log, since Ansible writes every argument into the system's log before a module can say a word.
        "cluster": {"type": "dict", "no_log": True},
    }


def hide_secrets(module):
    """Lets the module speak of everything in ``cluster`` but its secrets.

    Ansible would take each of its values out of every result, so that "kasa" or an address could not be read any more.
    """
    cluster = module.params["cluster"]
    if cluster is None:
        return
    hidden = secrets_in(cluster) | set(_doubtful(cluster))
    module.no_log_values.difference_update(set(_leaves(cluster)) - hidden)
    module.no_log_values.update(hidden)


def _plain_keys():
    """The keys whose values are no secrets."""
    keys = set(_PLAIN_KEYS)
    for name, option in device_spec().items():
        if not option.get("no_log"):
            keys.update([name], option.get("aliases", []))
    return keys


def _doubtful(value, plain=None):
    """What stands under a key that is not known, which may be a mistyped ``password``."""
    plain = plain or _plain_keys()
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in plain:
                yield from _doubtful(inner, plain)
    elif isinstance(value, list):
        for inner in value:
            yield from _doubtful(inner, plain)
    elif value is not None and not isinstance(value, bool) and str(value):
        yield str(value)


def _leaves(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield str(value)


def load(params):
    """The cluster; what is wrong with it is fencekit's ConfigError."""
    if params["cluster"] is not None:
        # As if it stood in the file: from there relative paths count, of password files for one.
        directory = os.path.dirname(params["config"])
        if os.path.isdir(directory):
            os.chdir(directory)
        return fencekit.Cluster.from_dict(params["cluster"])
    return fencekit.Cluster.load(params["config"])


def as_text(cluster):
    """A cluster file of this content: YAML, with every text in quotes, so that nothing is taken for something else."""
    lines = ["# The cluster file, %s's Ansible collection: it will write it again.\n" % OWN]
    for key, value in cluster.items():
        lines += _block(key, value, "")
    return "".join(lines)


def _block(key, value, indent):
    start = "%s%s:" % (indent, key if _PLAIN.match(str(key)) else _flow(str(key)))
    if isinstance(value, dict) and value:
        yield start + "\n"
        for inner_key, inner in value.items():
            yield from _block(inner_key, inner, indent + "  ")
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        yield start + "\n"
        for inner in value:
            yield from _item(inner, indent + "  ")
    else:
        yield "%s %s\n" % (start, _flow(value))


def _item(value, indent):
    """An item of a list; one that is a mapping begins on the line of its dash."""
    if not isinstance(value, dict) or not value:
        yield "%s- %s\n" % (indent, _flow(value))
        return
    dash = indent + "- "
    for key, inner in value.items():
        for line in _block(key, inner, indent + "  "):
            yield dash + line[len(dash):] if dash else line
            dash = None


def _flow(value):
    # JSON is YAML but for some characters, which YAML takes as line breaks or not at all unless they are escaped.
    return _UNSAFE.sub(lambda found: "\\u%04x" % ord(found.group()), json.dumps(value, ensure_ascii=False))
