#!/usr/bin/python
# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stonith_config
short_description: Write configuration made of the cluster file, and bring it into the cluster
version_added: 0.1.0
description:
  - Writes what fencekit generates from the cluster file, or the cluster file itself, whole or not at all and readable
    by root alone.
  - The cluster is checked before anything is written. A wrong key or value is an error that names it and its mend.
  - With O(apply=true) the generated script then brings fence resources, levels and location rules into the cluster.
    A cluster that is as asked for stays untouched.
author:
  - The fencekit contributors (@fencekit)
extends_documentation_fragment:
  - fencekit.stonith.cluster
  - ansible.builtin.files
options:
  kind:
    description:
      - What to write. V(cluster) is the cluster file, made of O(cluster).
      - V(pcs) is a script for pcs, V(crmsh) what C(crm configure load update) takes, V(cib) the cluster's own XML,
        V(ha-cluster) variables of the role C(ha_cluster), V(nftables) firewall rules, V(prometheus) alerts, V(tasmota)
        console commands for the devices' firmware.
    type: str
    choices: [cluster, pcs, crmsh, cib, ha-cluster, nftables, prometheus, tasmota]
    required: true
  dest:
    description: The file. Its directory must exist.
    type: path
    required: true
  mode:
    description:
      - The file's mode.
      - Left out, it is C(0700) for O(kind=pcs), C(0644) for O(kind=nftables) and O(kind=prometheus), which hold no
        password, and C(0600) for the rest.
  backup:
    description: Whether to keep the file that was there, with the time in its name. It may hold passwords, as the file does.
    type: bool
    default: false
  validate:
    description:
      - A command that must succeed with the new file before it takes its place. C(%s) stands for the file.
      - It is not run by a shell. What it prints is not shown, since it may hold passwords.
    type: str
  apply:
    description:
      - Whether to bring the configuration into the cluster, on a node of the running cluster and as root.
      - Only O(kind=pcs) can be applied. Run it on one node of the cluster alone.
    type: bool
    default: false
  cib:
    description: With O(apply=true), a file with a cluster's XML to be changed instead of a running cluster.
    type: path
  prune:
    description:
      - With O(apply=true), whether to remove fence resources of fencekit's agents that the cluster file does not have
        any more.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells what would change, with O(apply=true) in the cluster too, and changes nothing.
    support: full
  diff_mode:
    description: Shows the file's changes with passwords, keys and the URLs of HTTP outlets left out.
    support: full
seealso:
  - module: fencekit.stonith.fence_verify
"""

EXAMPLES = r"""
- name: Write the cluster file
  fencekit.stonith.stonith_config:
    kind: cluster
    cluster:
      stonith_nodes:
        storage-a: {method: ipmi, ip: 10.20.20.101, user: bmcadmin, password: "{{ vault_bmc_password }}"}
        storage-b: {method: kasa, ip: 10.20.20.202, identity: "50:c7:bf:00:00:01"}
    dest: /etc/fencekit/cluster.yml
    backup: true

- name: Bring the fencing into the cluster
  fencekit.stonith.stonith_config:
    kind: pcs
    dest: /etc/fencekit/configure-stonith.sh
    validate: bash -n %s
    apply: true
  run_once: true

- name: Write alerts for Prometheus
  fencekit.stonith.stonith_config:
    kind: prometheus
    dest: /etc/prometheus/rules.d/fencekit.yml
    owner: prometheus
"""

RETURN = r"""
dest:
  description: The file.
  returned: success
  type: str
  sample: /etc/fencekit/configure-stonith.sh
kind:
  description: What it is.
  returned: success
  type: str
  sample: pcs
notes:
  description: What deserves a word about the cluster, as a node that cannot be verified for want of addresses.
  returned: success
  type: list
  elements: str
backup_file:
  description: Where the file that was there is kept.
  returned: when there was one and it was changed with O(backup=true)
  type: str
  sample: /etc/fencekit/cluster.yml.4242.2026-11-24@09:00:00~
applied:
  description: Whether the cluster itself was changed, or in check mode would be.
  returned: with O(apply=true)
  type: bool
apply_lines:
  description: What the script said. Passwords are not in it.
  returned: with O(apply=true)
  type: list
  elements: str
error:
  description: The kind of the error, as the Python package calls it.
  returned: failure because of the cluster file
  type: str
  sample: ConfigError
exit_code:
  description: What the command would exit with, V(2) for a wrong configuration.
  returned: failure because of the cluster file
  type: int
  sample: 2
"""

import os
import shlex
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fencekit.stonith.plugins.module_utils.cluster import (
    as_text,
    cluster_spec,
    hide_secrets,
    load,
)
from ansible_collections.fencekit.stonith.plugins.module_utils.core import (
    failure,
    fencekit,
    require_fencekit,
)
from ansible_collections.fencekit.stonith.plugins.module_utils.masking import diff

KINDS = ["cluster", "pcs", "crmsh", "cib", "ha-cluster", "nftables", "prometheus", "tasmota"]
MODES = {"pcs": "0700", "nftables": "0644", "prometheus": "0644"}
# What the script says when the cluster is as asked for.
UNCHANGED = "Nothing to change."


class Config:
    """One run of the module."""

    def __init__(self, module):
        self.module = module
        self.params = module.params
        # Loading a cluster changes the directory that relative paths count from.
        self.dest = module.params["dest"] = os.path.abspath(module.params["dest"])
        if module.params["cib"]:
            module.params["cib"] = os.path.abspath(module.params["cib"])
        self.result = {"changed": False, "dest": self.dest, "kind": module.params["kind"], "notes": []}

    def run(self):
        text = self.wanted()
        before = self.present()
        draft = None
        try:
            # Before the file, too: its successor inherits who may read it.
            self.attributes()
            if before != text:
                draft = self.draft(text)
                self.validate(draft)
                self.result["diff"] = diff(self.dest, before or "", text)
                self.result["changed"] = True
                if not self.module.check_mode:
                    self.put(draft, before)
                    self.attributes()
            if self.params["apply"]:
                self.apply(draft if self.module.check_mode and draft else self.dest)
        finally:
            if draft and os.path.exists(draft):
                os.remove(draft)
        return self.result

    def wanted(self):
        """The text that the file shall have; the cluster has been checked then."""
        cluster = load(self.params)
        self.result["notes"] = list(cluster.warnings)
        if self.params["kind"] == "cluster":
            return as_text(self.params["cluster"])
        made = cluster.generate(self.params["kind"], file=self.params["config"])
        self.result["notes"] += made.notes
        return str(made)

    def present(self):
        """The text that it has. None when there is no file."""
        if os.path.isdir(self.dest):
            self.module.fail_json(msg="dest: %s is a directory; name a file in it" % self.dest)
        directory = os.path.dirname(self.dest) or "."
        if not os.path.isdir(directory):
            self.module.fail_json(msg="dest: %s is no directory; make it first" % directory)
        try:
            with open(self.dest, encoding="utf-8", errors="replace", newline="") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.module.fail_json(msg="dest: %s cannot be read: %s" % (self.dest, error.strerror))

    def draft(self, text):
        """A file with this text that nobody else can read."""
        handle, path = tempfile.mkstemp(dir=self.module.tmpdir, prefix="fencekit-")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path

    def validate(self, path):
        """Runs the user's check of the new file."""
        command = self.params["validate"]
        if not command:
            return
        words = shlex.split(command)
        if not any("%s" in word for word in words):
            self.module.fail_json(msg='validate: "%s" has no %%s; write it where the file goes' % command)
        code, dummy_out, dummy_err = self.module.run_command([word.replace("%s", path) for word in words])
        if code != 0:
            self.module.fail_json(
                msg="validate: %s says that the new file is wrong (exit code %d); %s is as it was"
                % (words[0], code, self.dest)
            )

    def put(self, draft, before):
        if before is not None and self.params["backup"]:
            self.result["backup_file"] = self.module.backup_local(self.dest)
        self.module.atomic_move(draft, self.dest, unsafe_writes=self.params["unsafe_writes"])

    def attributes(self):
        """Owner, mode and the like. A file that is new in check mode has none yet."""
        if self.params["mode"] is None:
            self.params["mode"] = MODES.get(self.params["kind"], "0600")
        if not os.path.exists(self.dest):
            return
        arguments = self.module.load_file_common_arguments(self.params)
        self.result["changed"] = self.module.set_fs_attributes_if_different(arguments, self.result["changed"])

    def apply(self, script):
        """Runs the script, in check mode without a change."""
        words = [self.module.get_bin_path("bash", required=True), script]
        if self.module.check_mode:
            words.append("--dry-run")
        if self.params["prune"]:
            words.append("--prune")
        if self.params["cib"]:
            words += ["--cib", self.params["cib"]]
        code, out, err = self.module.run_command(words)
        lines = out.splitlines()
        if code != 0:
            reason = (err.strip() or out.strip()).splitlines()
            self.module.fail_json(
                msg="the cluster did not take the configuration: %s" % (reason[-1] if reason else "exit code %d" % code),
                apply_lines=lines + err.splitlines(),
                **self.result,
            )
        self.result["applied"] = UNCHANGED not in lines
        self.result["apply_lines"] = lines
        self.result["changed"] = self.result["changed"] or self.result["applied"]


def main():
    # What is written holds passwords: nobody else may read it, not even for the moment before its mode is set.
    os.umask(0o077)
    spec = cluster_spec()
    spec.update(
        kind={"type": "str", "choices": KINDS, "required": True},
        dest={"type": "path", "required": True},
        backup={"type": "bool", "default": False},
        validate={"type": "str"},
        apply={"type": "bool", "default": False},
        cib={"type": "path"},
        prune={"type": "bool", "default": False},
    )
    module = AnsibleModule(
        argument_spec=spec,
        add_file_common_args=True,
        supports_check_mode=True,
        required_if=[("kind", "cluster", ("cluster",))],
    )
    require_fencekit(module)
    hide_secrets(module)
    if module.params["apply"] and module.params["kind"] != "pcs":
        module.fail_json(msg="apply: only kind pcs can be applied; crmsh's file goes in with crm configure load update")
    try:
        result = Config(module).run()
    except fencekit.FenceError as error:
        module.fail_json(**failure(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
