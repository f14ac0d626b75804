# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module needs of the Python package fencekit: its presence, and its errors as Ansible's failures."""

from __future__ import annotations

import traceback

from ansible.module_utils.basic import missing_required_lib

try:
    import fencekit
except ImportError:
    fencekit = None
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = None


def require_fencekit(module):
    """Ends the module with a clear message where the package is missing."""
    if fencekit is None:
        module.fail_json(
            msg=missing_required_lib("fencekit", reason="to talk to fence devices"),
            exception=IMPORT_ERROR,
        )


def failure(error):
    """An error of fencekit as the keys of a failed result. Its text holds no secret and says what to do next."""
    return {
        "msg": str(error),
        "error": type(error).__name__,
        "exit_code": getattr(error, "exit_code", 1),
    }


def in_time(params):
    """The keyword arguments of a call that does I/O."""
    return {} if params["timeout"] is None else {"timeout": params["timeout"]}


def plain(value):
    """What the package returns, as data that JSON can carry."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
