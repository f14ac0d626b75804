# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml

from ansible_collections.fencekit.stonith.plugins.module_utils.cluster import as_text

HOSTILE = ["", "no", "1", "a: b", "- a", "#", "é 火", "\"'`$(id)\\", "\u2028\u2029\u0085\ufeff", "\t\0\x7f", "!x", "&a", "*a", "%", "{", "10:20"]


@pytest.mark.parametrize("cluster", [
    {"stonith_nodes": {"a": {"method": "kasa", "port": 9999, "off_max_watts": 2.5, "tcp_ports": [22, 445]}}},
    {"stonith_nodes": {"a": {"devices": [{"ip": "1", "client_ips": {"x": "2"}}, {"ip": "2"}, {}, "text", None]}}},
    {"stonith_fence_verify": True, "verify": {"witnesses": {"management": ["10.0.0.1"], "on": []}}, "stonith": {}},
    {"stonith_nodes": dict.fromkeys(HOSTILE, HOSTILE)},
    {"stonith_nodes": [HOSTILE, [{"a": [{"b": None}]}]]},
])
def test_what_is_written_is_read_back(cluster):
    assert yaml.safe_load(as_text(cluster)) == cluster


def test_reads_like_a_file_that_somebody_wrote():
    text = as_text({"stonith_nodes": {"storage-b": {"devices": [{"ip": "10.20.20.202", "plug": "1"}], "tcp_ports": [22]}}})
    assert text.split("\n", 1)[1] == (
        'stonith_nodes:\n  storage-b:\n    devices:\n      - ip: "10.20.20.202"\n        plug: "1"\n    tcp_ports: [22]\n'
    )
