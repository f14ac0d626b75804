# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  config:
    description:
      - The cluster file on the managed machine.
      - Not read when O(cluster) is given; it is then where the nodes have it, for what is generated.
    type: path
    default: /etc/fencekit/cluster.yml
  cluster:
    description:
      - What the cluster file says, as variables; C(stonith_nodes) is the key that it must have.
      - Its secrets are in no output and in no log.
    type: dict
requirements:
  - The Python package C(fencekit) on the managed machine, for Python 3.9 or later.
"""
