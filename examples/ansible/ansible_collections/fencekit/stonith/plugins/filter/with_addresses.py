# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: with_addresses
short_description: Nodes of a cluster file with the addresses of their host variables
version_added: 0.1.0
description:
  - Adds C(mgmt_ip), C(storage_ip) and C(client_ips) of a node's host variables to its entry in
    C(stonith_nodes), where the entry does not say them itself.
  - A node that is not in the inventory stays as it is.
author:
  - The fencekit contributors (@fencekit)
positional: hostvars
options:
  _input:
    description: The variable C(stonith_nodes).
    type: dict
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Where the nodes answer
  ansible.builtin.debug:
    msg: "{{ stonith_nodes | fencekit.stonith.with_addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The nodes with their addresses.
  type: dict
"""

from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

ADDRESSES = ("mgmt_ip", "storage_ip", "client_ips")


def with_addresses(nodes, hostvars):
    """The nodes, each with the addresses that its host variables have and it lacks."""
    if not isinstance(nodes, Mapping):
        raise AnsibleFilterError("with_addresses: stonith_nodes must map names of nodes to their entries")
    return {name: _node(entry, hostvars[name] if name in hostvars else {}) for name, entry in nodes.items()}


def _node(entry, variables):
    if not isinstance(entry, Mapping):
        # What is wrong with it is for the cluster file's reader to say.
        return entry
    addresses = {key: variables[key] for key in ADDRESSES if key not in entry and key in variables}
    return {**entry, **addresses}


class FilterModule:
    """The filter under its name."""

    def filters(self):
        return {"with_addresses": with_addresses}
