# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fencekit.stonith.plugins.module_utils.masking import FOREIGN, diff, masked, secrets_in

HEAD = "# written by fencekit generate\n"


@pytest.mark.parametrize("text, shown", [
    ("secret fence-a password <<'END_OF_SECRET'\nhidden\n  hidden\nEND_OF_SECRET\n    'ip=1'\n",
     "secret fence-a password <<'END_OF_SECRET'\n********\nEND_OF_SECRET\n    'ip=1'\n"),
    ("  secret a fence_pass <<'E'\nhidden", "  secret a fence_pass <<'E'\n********\n"),
    ("params ip=10.0.0.1 password=hidden pcmk=x \\\n  op\n", "params ip=10.0.0.1 password=********\n  op\n"),
    ("params \"password=hid 'den\" ip=1\n", "params \"password=********\n"),
    ('<nvpair id="x-password" name="password" value="hidden"/>\n', '<nvpair id="x-password" name="password" value=********\n'),
    ('- name: "fence_pass"\n  value: "hidden"\n- name: "ip"\n  value: "1"\n',
     '- name: "fence_pass"\n  value: ********\n- name: "ip"\n  value: "1"\n'),
    ('  password: "hidden"\n', "  password: ********\n"),
    ('  - "encryption_key": "hidden"\n', '  - "encryption_key": ********\n'),
    ("devices: [{\"ip\": \"1\", \"password\": \"hidden\"}]\n", "devices: [{\"ip\": \"1\", \"password\": ********\n"),
    ("status_url: \"/s?token=hidden\"\npower_on_body: hidden\n", "status_url: ********\npower_on_body: ********\n"),
    ("password_file: /etc/a.secret\nip: 1\nusername: root\n", "password_file: /etc/a.secret\nip: 1\nusername: root\n"),
])
def test_takes_secrets_away_and_leaves_the_rest(text, shown):
    assert masked(HEAD + text) == HEAD + shown
    assert "hidden" not in masked(HEAD + text)


def test_what_others_wrote_is_not_shown():
    assert masked("password: hidden\n") == FOREIGN
    assert masked("\n\n\n\n" + HEAD) == FOREIGN
    assert masked("") == ""


def test_a_change_of_secrets_alone_is_told():
    shown = diff("/x", HEAD + "password: old\n", HEAD + "password: new\n")
    assert shown["before"] != shown["after"]
    assert "old" not in str(shown) and "new" not in str(shown)


def test_secrets_are_found_at_every_depth():
    cluster = {"stonith_nodes": {"a": {"password": 4711, "devices": [{"hexadecimal_kg": "kg"}], "ip": "10.0.0.1", "passwd": ""}}}
    assert secrets_in(cluster) == {"4711", "kg"}
