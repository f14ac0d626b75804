#!/usr/bin/python
# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fence_power
short_description: Switch a fence device on or off, and have it confirmed
version_added: 0.1.0
description:
  - Switches an outlet of a smart plug or power strip, a machine by its BMC, or all devices of a node of the cluster
    file, and succeeds only when each device, asked again, reports the new state.
  - A timeout, a cut reply or a state that the device does not tell is never "off"; the task fails then.
  - This is about devices. Whether a node is dead is for M(fencekit.stonith.fence_verify) to tell.
author:
  - The fencekit contributors (@fencekit)
extends_documentation_fragment:
  - fencekit.stonith.device
  - fencekit.stonith.cluster
options:
  state:
    description:
      - The state that the outlet shall have.
      - The command is sent and confirmed even when the outlet has that state already, since what a device shows can be
        stale. The task is then not changed, and its success still means that the device confirmed it.
    type: str
    choices: ['on', 'off']
    required: true
attributes:
  check_mode:
    description: Asks the device for its state and tells whether it would be switched.
    support: full
  diff_mode:
    description: Shows the state before and after.
    support: full
seealso:
  - module: fencekit.stonith.fence_info
  - module: fencekit.stonith.fence_verify
"""

EXAMPLES = r"""
- name: Cut the power of storage-b, whose plug must be the one with this MAC address
  fencekit.stonith.fence_power:
    method: kasa
    ip: 10.20.20.202
    identity: "50:c7:bf:00:00:01"
    off_max_watts: 5
    state: "off"
  delegate_to: localhost

- name: Switch a machine on by its BMC, with a password that Ansible does not know
  fencekit.stonith.fence_power:
    method: ipmi
    ip: 10.20.20.101
    user: bmcadmin
    password_file: /etc/fencekit/storage-a.secret
    state: "on"

- name: Both power supplies of a node, as the cluster file has them
  fencekit.stonith.fence_power:
    node: storage-b
    state: "off"

- name: The second outlet of a power strip, with the same options as other tasks
  fencekit.stonith.fence_power:
    plug: "2"
    state: "on"
  module_defaults:
    group/fencekit.stonith.device:
      method: kasa
      ip: 10.20.20.204
"""

RETURN = r"""
state:
  description:
    - The state that the device reported last. In check mode nothing is switched, so that is the one that it still has;
      the C(diff) tells the one that it would have.
  returned: success
  type: str
  sample: "off"
previous_state:
  description: The state before, V(on), V(off) or V(unknown).
  returned: success
  type: str
  sample: "on"
devices:
  description: What became of each device of the node.
  returned: success with O(node)
  type: list
  elements: dict
watts:
  description: What the meter read after the off. None without O(off_max_watts), with O(node), and in check mode.
  returned: success
  type: float
  sample: 0.4
error:
  description: The kind of the error, as the Python package calls it.
  returned: failure of the device or an option
  type: str
  sample: DeviceTimeout
exit_code:
  description: What the fence agent would exit with, V(1) for a failure and V(2) for a wrong option.
  returned: failure of the device or an option
  type: int
  sample: 1
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
from ansible_collections.fencekit.stonith.plugins.module_utils.device import (
    device_spec,
    one_of_both,
    open_device,
    refuse_for_node,
)


def of_device(params, wanted, look_only):
    """Brings one device into the wanted state."""
    device = open_device(params)
    if look_only:
        return {"previous_state": device.status(**in_time(params)), "watts": None}
    switch = {"on": device.on, "off": device.off}[wanted]
    done = switch(**in_time(params))
    return {"previous_state": done.before, "watts": None if done.power is None else done.power.watts}


def of_node(params, wanted, look_only):
    """Brings all devices of a node into the wanted state."""
    cluster = load(params)
    if look_only:
        (node,) = cluster.status(params["node"], **in_time(params))
        if node.power == "unknown":
            raise fencekit.FenceError("%s: the state cannot be told: %s" % (params["node"], node.detail))
        devices = node.devices
        previous = node.power
        # A fallback that is on is no reason to switch anything: it stays on while the first level obeys.
        before = [device.power for device in devices if wanted == "on" or device.level == 1]
    else:
        switch = {"on": cluster.on, "off": cluster.off}[wanted]
        devices = switch(params["node"], **in_time(params))
        before = [device.before for device in devices]
        previous = together(before)
    return {"previous_state": previous, "watts": None, "devices": plain(devices), "all_before": before}


def together(states):
    """A node is off when every device is, and on as soon as one is."""
    if states and all(state == "off" for state in states):
        return "off"
    return "on" if "on" in states else "unknown"


def run(module):
    """Brings the devices into the wanted state; what the task returns."""
    wanted = module.params["state"]
    bring = of_device if module.params["node"] is None else of_node
    result = bring(module.params, wanted, module.check_mode)
    before = result.pop("all_before", [result["previous_state"]])
    result.update(
        changed=any(state != wanted for state in before),
        # What follows may run in check mode all the same: it must not take for off what nobody has switched.
        state=result["previous_state"] if module.check_mode else wanted,
        diff={"before": {"state": result["previous_state"]}, "after": {"state": wanted}},
    )
    return result


def main():
    spec = device_spec()
    spec["state"] = {"type": "str", "choices": ["on", "off"], "required": True}
    spec.update(cluster_spec())
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, **one_of_both())
    require_fencekit(module)
    hide_secrets(module)
    refuse_for_node(module)
    try:
        result = run(module)
    except fencekit.FenceError as error:
        module.fail_json(**failure(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
