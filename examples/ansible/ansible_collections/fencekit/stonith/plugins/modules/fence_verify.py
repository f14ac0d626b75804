#!/usr/bin/python
# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fence_verify
short_description: Tell whether a node of the cluster is certainly dead
version_added: 0.1.0
description:
  - Asks every device that feeds the node, watches each of the node's networks for as long as the cluster file says,
    and gives a verdict with its evidence. Nothing is ever switched.
  - The task succeeds with the verdict V(confirmed-off) alone. V(still-alive) and V(inconclusive) are failures; the
    result holds the evidence then too.
author:
  - The fencekit contributors (@fencekit)
extends_documentation_fragment:
  - fencekit.stonith.cluster
options:
  node:
    description: The node, by its name in the cluster file.
    type: str
    required: true
  timeout:
    description: How many seconds everything together may take. Left out, it follows from the cluster file.
    type: float
attributes:
  check_mode:
    description: Reads alone, so it does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: N/A
notes:
  - Pings need the right to send them, which root has.
  - It runs where the task runs, and that machine must reach the networks of the node. Delegate it to a node that
    survives, never to the node in question.
seealso:
  - module: fencekit.stonith.fence_power
"""

EXAMPLES = r"""
- name: Only a dead storage-b may lose its disks
  fencekit.stonith.fence_verify:
    node: storage-b
  delegate_to: storage-a

- name: See whether a verification would work, on a node that is alive
  fencekit.stonith.fence_verify:
    node: storage-b
  delegate_to: storage-a
  register: seen
  failed_when: seen.verdict is not defined or seen.verdict != 'still-alive'
"""

RETURN = r"""
node:
  description: The node.
  returned: when there is a verdict
  type: str
  sample: storage-b
verdict:
  description: V(confirmed-off), V(still-alive) or V(inconclusive). Only the first is a success.
  returned: when there is a verdict
  type: str
  sample: confirmed-off
elapsed_ms:
  description: How long it took, in milliseconds.
  returned: when there is a verdict
  type: int
  sample: 10012
reasons:
  description: What speaks for the verdict, or against a confirmation.
  returned: when there is a verdict
  type: list
  elements: str
rule:
  description: The rule that decided.
  returned: when there is a verdict
  type: str
evidence:
  description: Every probe and what it found.
  returned: when there is a verdict
  type: list
  elements: dict
  contains:
    probe:
      description: What was asked, as V(power) or V(icmp).
      type: str
      returned: always
    subject:
      description: Whom it asked.
      type: str
      returned: always
    network:
      description: On which network, if any.
      type: str
      returned: always
    outcome:
      description:
        - V(off) or V(on) of a device, V(below) or V(above) of a meter, V(silent) or V(answered) on a network.
        - V(unknown) when the probe itself failed, which is never taken for silence.
      type: str
      returned: always
    detail:
      description: More, in words.
      type: str
      returned: always
    at_ms:
      description: When, in milliseconds from the start.
      type: int
      returned: always
    elapsed_ms:
      description: How long the probe took.
      type: int
      returned: always
error:
  description: The kind of the error, as the Python package calls it.
  returned: failure
  type: str
  sample: VerificationFailed
exit_code:
  description: What the command would exit with, V(1) for a node that is not off, V(2) for a wrong option, V(3) when it cannot be told.
  returned: failure
  type: int
  sample: 3
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fencekit.stonith.plugins.module_utils.cluster import (
    cluster_spec,
    hide_secrets,
    load,
)
from ansible_collections.fencekit.stonith.plugins.module_utils.core import (
    failure,
    fencekit,
    in_time,
    plain,
    require_fencekit,
)

CONFIRMED = "confirmed-off"


def run(module):
    """The report on the node."""
    cluster = load(module.params)
    return cluster.verify(module.params["node"], **in_time(module.params))


def unverified(report):
    """The failure that a report is, if it is one: only one verdict is a success, whatever else there may be one day."""
    if report.verdict == CONFIRMED:
        return {}
    return {
        "msg": "%s; its resources must not be taken over" % report.line,
        "error": "VerificationFailed",
        "exit_code": report.exit_code,
    }


def main():
    spec = cluster_spec()
    spec["node"] = {"type": "str", "required": True}
    spec["timeout"] = {"type": "float"}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    require_fencekit(module)
    hide_secrets(module)
    try:
        report = run(module)
    except fencekit.FenceError as error:
        module.fail_json(**failure(error))
    result = dict(plain(report), changed=False, **unverified(report))
    if "error" in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
