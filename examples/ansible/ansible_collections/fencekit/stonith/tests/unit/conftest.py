# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the package fencekit, and modules run in this process."""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
import types

import pytest

COLLECTION = "ansible_collections.fencekit.stonith.plugins"
sys.path.insert(0, str(pathlib.Path(__file__).parents[5]))


class Record(types.SimpleNamespace):
    def to_dict(self):
        return {key: value.to_dict() if isinstance(value, Record) else value for key, value in vars(self).items()}


class Generated(str):
    notes = ["a note"]


class FenceError(Exception):
    def __init__(self, message="", exit_code=1, **more):
        super().__init__(message)
        self.exit_code = exit_code
        vars(self).update(more)


class ConfigError(FenceError, ValueError):
    pass


class DeviceTimeout(FenceError, TimeoutError):
    pass


class Unsupported(FenceError):
    pass


class Package:
    """What of fencekit the modules use. Each answer is set by a test; an exception is raised."""

    FenceError = FenceError
    ConfigError = ConfigError
    DeviceTimeout = DeviceTimeout
    Unsupported = Unsupported

    def __init__(self):
        self.answers = {}
        self.calls = []
        self.Cluster = types.SimpleNamespace(
            load=lambda path, **more: self._cluster("load", path, more),
            from_dict=lambda content, **more: self._cluster("from_dict", content, more),
        )

    def Device(self, method, **options):
        self.answer("Device", method, options)
        return types.SimpleNamespace(
            **{
                name: self._call(name)
                for name in ("status", "on", "off", "outlets", "power_reading", "identity")
            }
        )

    def _cluster(self, how, what, more):
        self.answer(how, what, more)
        calls = {name: self._call(name) for name in ("verify", "generate", "status", "on", "off")}
        return types.SimpleNamespace(warnings=self.answers.get("warnings", []), **calls)

    def _call(self, name):
        return lambda *args, **more: self.answer(name, *args, more)

    def answer(self, name, *args):
        self.calls.append((name, *args))
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def called(self):
        return [call[0] for call in self.calls]


@pytest.fixture
def package(monkeypatch):
    fake = Package()
    core = importlib.import_module(COLLECTION + ".module_utils.core")
    for name in ("core", "device", "cluster"):
        monkeypatch.setattr(importlib.import_module("%s.module_utils.%s" % (COLLECTION, name)), "fencekit", fake)
    for name in ("fence_power", "fence_info", "fence_verify", "stonith_config"):
        monkeypatch.setattr(importlib.import_module("%s.modules.%s" % (COLLECTION, name)), "fencekit", fake)
    assert core.fencekit is fake
    return fake


class Ran:
    """How a module ended, and every word it said."""

    def __init__(self, code, out, logged):
        self.code = code
        self.out = out
        self.logged = logged
        self.result = json.loads(out)

    @property
    def failed(self):
        return self.code != 0

    def __getitem__(self, key):
        return self.result[key]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path_factory):
    """Runs a module with arguments, as Ansible does: arguments in, one JSON document out."""
    basic = importlib.import_module("ansible.module_utils.basic")
    logged = []
    temporary = str(tmp_path_factory.mktemp("remote"))
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda self, text, **more: logged.append(text + repr(more)))

    def call(name, check=False, **arguments):
        arguments.update(
            _ansible_check_mode=check, _ansible_diff=True, _ansible_remote_tmp=temporary, _ansible_keep_remote_files=False
        )
        given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", given)
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        module = importlib.import_module("%s.modules.%s" % (COLLECTION, name))
        with pytest.raises(SystemExit) as ended:
            module.main()
        return Ran(ended.value.code, capsys.readouterr().out, logged)

    return call
