# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.fencekit.stonith.plugins.filter.with_addresses import FilterModule

WITH_ADDRESSES = FilterModule().filters()["with_addresses"]


def test_adds_what_is_missing_and_keeps_what_is_said():
    nodes = {"a": {"method": "kasa", "mgmt_ip": "10.0.0.9"}, "b": {"method": "kasa"}, "c": None}
    hostvars = {
        "a": {"mgmt_ip": "10.0.0.1", "storage_ip": "10.0.1.1", "iscsi_target_iqn": "iqn"},
        "c": {"mgmt_ip": "10.0.0.3"},
        "d": {"mgmt_ip": "10.0.0.4"},
    }
    assert WITH_ADDRESSES(nodes, hostvars) == {
        "a": {"method": "kasa", "mgmt_ip": "10.0.0.9", "storage_ip": "10.0.1.1"},
        "b": {"method": "kasa"},
        "c": None,
    }
    assert nodes["b"] == {"method": "kasa"}, "the variable itself is not changed"


def test_what_is_no_mapping_is_told():
    with pytest.raises(AnsibleFilterError, match="must map names"):
        WITH_ADDRESSES(["a"], {})
