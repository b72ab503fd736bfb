# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.socle.postgresql.plugins.module_utils import _binary

SPEC = {
    "name": {"type": "str", "required": True},
    "login": {"type": "bool"},
    "limit": {"type": "int", "aliases": ["connection_limit"]},
    "settings": {"type": "dict"},
    "connection": {"type": "dict", "options": {"address": {"type": "str"}, "netmask": {"type": "str"}}},
    "records": {"type": "list", "elements": "dict", "options": {"method": {"type": "str"}, "database": {"type": "str"}}},
}


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        ({"name": "bob", "login": None}, {"name": "bob"}),
        ({"name": "bob", "login": False, "limit": 0}, {"name": "bob", "login": False, "limit": 0}),
        ({"name": "bob", "limit": 3, "connection_limit": 3}, {"name": "bob", "limit": 3}),
        ({"name": "bob", "executable": "/x", "executable_delivery": "auto"}, {"name": "bob"}),
        ({"settings": {"work_mem": None}}, {"settings": {"work_mem": None}}),
        ({"connection": {"address": "::1", "netmask": None}}, {"connection": {"address": "::1"}}),
        ({"records": [{"method": "peer", "database": None}, {"method": None}]}, {"records": [{"method": "peer"}, {}]}),
        ({"records": []}, {"records": []}),
    ],
)
def test_given_keeps_what_the_user_set(params, kept):
    assert _binary.given(params, SPEC) == kept


def test_request_is_the_protocol_s_document():
    document = _binary.request({"name": "bob", "login": True}, SPEC, check_mode=True, diff_mode=False, verbosity=3)
    assert json.loads(document) == {
        "protocol": 1,
        "check_mode": True,
        "diff_mode": False,
        "verbosity": 3,
        "params": {"name": "bob", "login": True},
    }


@pytest.mark.parametrize(
    ("rc", "stdout", "stderr", "expected"),
    [
        (0, '{"protocol":1,"changed":true,"role":{"name":"bob"}}', "logs", {"changed": True, "role": {"name": "bob"}}),
        (
            1,
            '{"protocol":1,"failed":true,"msg":"no such role","hint":"create it","error_kind":"not_found","changed":false}',
            "",
            {"failed": True, "msg": "no such role — hint: create it", "hint": "create it", "error_kind": "not_found", "changed": False},
        ),
        (1, '{"protocol":1,"failed":true}', "", {"failed": True, "msg": "pgsocle failed with exit status 1"}),
        (
            139,
            "",
            "Segmentation fault\n",
            {"failed": True, "changed": False, "rc": 139, "msg": "pgsocle ended with exit status 139 and without an answer: Segmentation fault"},
        ),
        (0, "[1]", "", {"failed": True, "changed": False, "rc": 0, "msg": "pgsocle ended with exit status 0 and without an answer: [1]"}),
        (0, "", "", {"failed": True, "changed": False, "rc": 0, "msg": "pgsocle ended with exit status 0 and without an answer"}),
        (
            3,
            '{"protocol":1,"changed":true}',
            "killed",
            {"failed": True, "changed": False, "rc": 3, "msg": "pgsocle ended with exit status 3 after its answer: killed"},
        ),
        (
            0,
            '{"protocol":2,"changed":true}',
            "",
            {
                "failed": True,
                "changed": False,
                "msg": "this pgsocle speaks protocol 2, the collection wants 1 — hint: run the role `socle.postgresql.install` on this host",
                "hint": "run the role `socle.postgresql.install` on this host",
            },
        ),
    ],
)
def test_reply_is_a_result(rc, stdout, stderr, expected):
    assert _binary.reply(rc, stdout, stderr) == expected


def test_only_the_end_of_what_a_program_said_is_shown():
    message = _binary.failure("it failed", said="x" * 5000 + "the end")["msg"]
    assert message.endswith("the end")
    assert len(message) < 1100


@pytest.mark.parametrize(
    ("file_mode", "directory_mode", "reason"),
    [
        (0o755, 0o755, None),
        (0o757, 0o755, "every user may write to `{file}`"),
        (0o755, 0o777, "every user may write to `{directory}`"),
        (0o755, 0o1777, None),
    ],
)
def test_untrusted_says_who_could_change_a_file(tmp_path, file_mode, directory_mode, reason):
    directory = tmp_path / "bin"
    directory.mkdir()
    file = directory / "pgsocle"
    file.touch()
    file.chmod(file_mode)
    directory.chmod(directory_mode)
    expected = reason and reason.format(file=file, directory=directory)
    assert _binary._untrusted(os.path.realpath(file)) == expected
