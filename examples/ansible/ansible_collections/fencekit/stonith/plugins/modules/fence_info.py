#!/usr/bin/python
# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fence_info
short_description: Tell what a fence device is and how it stands
version_added: 0.1.0
description:
  - Logs in to a fence device and tells its power state, its identity, its outlets and what its meter reads; or tells the
    power state of a node of the cluster file and of each device that feeds it.
  - Nothing is ever switched.
author:
  - The fencekit contributors (@fencekit)
extends_documentation_fragment:
  - fencekit.stonith.device
  - fencekit.stonith.cluster
attributes:
  check_mode:
    description: Reads alone, so it does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: N/A
seealso:
  - module: fencekit.stonith.fence_power
"""

EXAMPLES = r"""
- name: Ask a plug
  fencekit.stonith.fence_info:
    method: tasmota
    ip: 10.20.20.203
    password: "{{ vault_plug_password }}"
  register: plug

- name: Ask everything that feeds a node
  fencekit.stonith.fence_info:
    node: storage-b

- name: Stop when its node draws no power
  ansible.builtin.assert:
    that: plug.power is none or plug.power.watts > 1
"""

RETURN = r"""
state:
  description: The power state.
  returned: success
  type: str
  sample: "on"
identity:
  description: What the device says of itself. None when the method cannot ask for it.
  returned: success with O(method)
  type: dict
  sample: {"mac": "50:C7:BF:00:00:01", "device_id": null, "guid": null, "name": "pdu", "model": "HS110", "firmware": null}
outlets:
  description: The outlets of the device. None when the method cannot ask for them.
  returned: success with O(method)
  type: list
  elements: dict
  contains:
    plug:
      description: What to give as O(plug).
      type: str
      returned: always
    alias:
      description: The owner's name for it.
      type: str
      returned: always
    state:
      description: V(on), V(off) or V(unknown).
      type: str
      returned: always
    detail:
      description: Why the state is not known.
      type: str
      returned: always
power:
  description: What the meter reads. None on a device without one.
  returned: success with O(method)
  type: dict
  sample: {"watts": 61.5, "volts": 230.1, "amps": 0.27, "kilowatt_hours": null}
devices:
  description: The devices of the node, each with its C(power), C(watts) and C(identity).
  returned: success with O(node)
  type: list
  elements: dict
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


def asked(question, params):
    """An answer as plain data, or None where the device does not know of such a thing."""
    try:
        return plain(question(**in_time(params)))
    except fencekit.Unsupported:
        return None


def of_node(params):
    """What the devices of a node say together. Without a state it is a failure."""
    (node,) = load(params).status(params["node"], **in_time(params))
    if node.power == "unknown":
        raise fencekit.FenceError("%s: the state cannot be told: %s" % (params["node"], node.detail))
    return {"changed": False, "state": node.power, "devices": plain(node.devices)}


def of_device(params):
    """All that the device tells. Without a state it is a failure; the rest may be missing."""
    device = open_device(params)
    return {
        "changed": False,
        "state": device.status(**in_time(params)),
        "identity": asked(device.identity, params),
        "outlets": asked(device.outlets, params),
        "power": asked(device.power_reading, params),
    }


def main():
    spec = device_spec()
    spec.update(cluster_spec())
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, **one_of_both())
    require_fencekit(module)
    hide_secrets(module)
    refuse_for_node(module)
    try:
        result = (of_device if module.params["node"] is None else of_node)(module.params)
    except fencekit.FenceError as error:
        module.fail_json(**failure(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
