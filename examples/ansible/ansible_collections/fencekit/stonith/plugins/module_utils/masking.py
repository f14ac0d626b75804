# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as a diff may show them: without passwords, those of the file before included, which nobody knows any more."""

from __future__ import annotations

import re

MASK = "********"
#: How every file begins that fencekit or this collection writes.
OWN = "written by fencekit"
FOREIGN = "(not shown: fencekit did not write it, and it may hold passwords)\n"

# Also the URLs and bodies of HTTP outlets: they often hold a token. A name that goes on, as password_file, is no secret.
_SECRET = (
    r"(?:password|passwd|fence_pass|encryption_key|hexadecimal_kg|power_(?:on|off)_(?:url|body)|status_url)(?![\w-])"
)
_HERE_DOCUMENT = re.compile(r"^\s*secret\s.*<<'(\w+)'\s*$")
_NAME_ALONE = re.compile(r"name:\s*[\"']?" + _SECRET + r"[\"']?\s*$")
_VALUE = re.compile(r"^(\s*value:\s*).*$")
_SAME_LINE = re.compile(r"(" + _SECRET + r"[\"']?\s*(?:value)?\s*[=:]\s*).*$")

SECRET_KEYS = (
    "password",
    "passwd",
    "encryption_key",
    "hexadecimal_kg",
    "power_on_url",
    "power_off_url",
    "status_url",
    "power_on_body",
    "power_off_body",
)


def masked(text):
    """The text of a file without its secrets. Rather too little than too much: the rest of a line goes with them."""
    if text and OWN not in "".join(text.splitlines(True)[:4]):
        return FOREIGN
    shown = []
    end_of_secret = None
    value_follows = False
    for line in text.splitlines():
        if end_of_secret is not None:
            if line == end_of_secret:
                end_of_secret = None
                shown.append(line)
            continue
        here_document = _HERE_DOCUMENT.match(line)
        if here_document:
            end_of_secret = here_document.group(1)
            shown += [line, MASK]
        elif value_follows and _VALUE.match(line):
            shown.append(_VALUE.sub(r"\g<1>" + MASK, line))
        else:
            shown.append(_SAME_LINE.sub(r"\g<1>" + MASK, line))
        value_follows = bool(_NAME_ALONE.search(line))
    return "".join(line + "\n" for line in shown)


def secrets_in(value):
    """Every secret that stands in a cluster, for Ansible to take out of whatever it prints."""
    found = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in SECRET_KEYS and isinstance(inner, (str, int, float)) and str(inner):
                found.add(str(inner))
            else:
                found |= secrets_in(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= secrets_in(inner)
    return found


def diff(dest, before, after):
    """What changes in a file, for ``--diff``."""
    shown = {
        "before_header": dest,
        "after_header": dest,
        "before": masked(before),
        "after": masked(after),
    }
    if before != after and shown["before"] == shown["after"]:
        shown["after"] += "# only secrets change, which are not shown\n"
    return shown
