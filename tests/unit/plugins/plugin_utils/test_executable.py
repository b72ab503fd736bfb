# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fast road over a connection that is a subprocess of this test, with a stub in place of the executable."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from types import SimpleNamespace

import pytest
from ansible_collections.socle.postgresql.plugins.action.role import ActionModule
from ansible_collections.socle.postgresql.plugins.modules.role import ARGUMENT_SPEC
from ansible_collections.socle.postgresql.plugins.plugin_utils import _executable

STUB = os.path.join(os.path.dirname(__file__), "..", "..", "stub", "pgsocle")
CANARY = "correct-horse-battery"
# What the role's module fills in by itself.
DEFAULTS = {name: option["default"] for name, option in ARGUMENT_SPEC.items() if "default" in option}
HINT = "run the role `socle.postgresql.install` on this host"


class Connection:
    """What the action needs of a connection; ``carries`` is what Ansible says of its standard input."""

    has_native_async = False

    def __init__(self):
        self.options = {"pipelining": False}
        self.carries = True
        self._shell = SimpleNamespace(tmpdir=None)

    def get_option(self, name):
        return self.options[name]

    def set_option(self, name, value):
        self.options[name] = value

    def is_pipelining_enabled(self):
        return self.carries and self.options["pipelining"]


class Action(ActionModule):
    """The action of `role`, cut off from Ansible's machinery on both sides."""

    def __init__(self, args, env, check_mode=False, async_val=0):
        self._task = SimpleNamespace(args=args, check_mode=check_mode, diff=True, async_val=async_val, action="role", delegate_to=None)
        self._connection = Connection()
        self._display = SimpleNamespace(verbosity=0, vv=lambda *_args, **_more: None)
        self._play_context = SimpleNamespace(remote_addr="host")
        self.env = env
        self.commands = []
        self.module_calls = []

    def _early_needs_tmp_path(self):
        return False

    def _compute_environment_string(self, raw_environment_out=None):
        return "PLAY_VARIABLE=yes"

    def _remove_tmp_path(self, tmp_path, force=False):
        pass

    def _low_level_execute_command(self, cmd, sudoable=True, in_data=None, **_more):
        self.commands.append(cmd)
        done = subprocess.run(cmd, shell=True, input=in_data, capture_output=True, env=self.env, check=False)
        return {"rc": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}

    def _execute_module(self, **call):
        self.module_calls.append(call)
        return {"changed": False}


@pytest.fixture(name="host")
def fixture_host(tmp_path, monkeypatch):
    """A host of its own: home, record of the stub's calls, and a collection that carries the stub as its executable."""
    machine = os.uname().machine
    carried = tmp_path / "collection" / machine
    carried.mkdir(parents=True)
    shutil.copy(STUB, carried / "pgsocle")
    checksum = hashlib.sha256((carried / "pgsocle").read_bytes()).hexdigest()
    (carried / "pgsocle.sha256").write_text(f"{checksum}  pgsocle\n")
    monkeypatch.setattr(_executable._Own, "ROOT", str(carried.parent))

    # The places of root's executables are the machine's own: point the script to a directory of the test.
    installed, store = tmp_path / "installed", tmp_path / "store"
    script = _executable.SCRIPT
    for place in ("/usr/local/bin", "/usr/bin"):
        script = script.replace(f"{place}/pgsocle", f"{installed}{place}/pgsocle")
    script = script.replace("store=/var/lib/pgsocle; scratch=/var/lib", f"store={store}; scratch={tmp_path}/scratch")
    script = script.replace("${XDG_CACHE_HOME:-$HOME/.cache}/pgsocle", str(store))
    monkeypatch.setattr(_executable, "SCRIPT", script)
    (installed / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    record = tmp_path / "record"
    env = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path / "scratch"), "STUB_RECORD": str(record), "STUB_ECHO": "yes"}
    return SimpleNamespace(
        installed=installed / "usr/local/bin/pgsocle", store=store, scratch=tmp_path / "scratch", record=record, env=env, sha256=checksum, carried=carried
    )


def install(host):
    shutil.copy(STUB, host.installed)
    host.installed.chmod(0o755)


def run(host, args=None, **more):
    action = Action({"instance": "main", "name": "bob", **(args or {})}, host.env, **more)
    return action, action.run(task_vars={})


def test_one_command_and_the_reply_of_the_executable(host):
    install(host)
    action, result = run(host, {"login": True, "settings": {"work_mem": None}})
    assert len(action.commands) == 1
    assert result["changed"] is True
    assert result["role"] == {"name": "bob"}
    assert result["warnings"] == ["a word of warning"]
    assert result["executable"] == {"path": str(host.installed), "version": "0.1.0"}
    assert result["heard"] == {
        "protocol": 1,
        "check_mode": False,
        "diff_mode": True,
        "verbosity": 0,
        "params": {"instance": "main", "name": "bob", "login": True, "settings": {"work_mem": None}, **DEFAULTS},
    }
    assert "failed" not in result


def test_pipelining_is_given_back(host):
    install(host)
    action, _result = run(host)
    assert action._connection.options == {"pipelining": False}


def test_a_secret_reaches_the_executable_and_nothing_else(host):
    install(host)
    action, result = run(host, {"password": CANARY})
    assert CANARY in host.record.read_text()
    assert CANARY not in host.record.read_text().splitlines()[0]
    assert all(CANARY not in command for command in action.commands)
    assert CANARY not in json.dumps(result)
    assert result["heard"]["params"]["password"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


@pytest.mark.parametrize(
    ("args", "msg"),
    [
        ({"logn": True}, "unknown option `logn`, did you mean `login`?"),
        ({"zzz": 1, "memberships": [{"role": "x", "stat": "absent"}]}, "unknown option `memberships.stat`, did you mean `state`?; unknown option `zzz`"),
        ({"state": "prezent"}, "value of state must be one of: present, absent, got: prezent"),
        ({"connection_limit": "many"}, "argument 'connection_limit' is of type str and we were unable to convert to int: "),
        ({"memberships": [{"rolle": "x"}]}, "missing required arguments: role found in memberships"),
    ],
)
def test_bad_arguments_never_leave_the_controller(host, args, msg):
    action, result = run(host, {**args, "password": CANARY})
    assert result["failed"] is True
    assert result["error_kind"] == "input"
    assert result["msg"].startswith(msg)
    assert CANARY not in json.dumps(result)
    assert not action.commands


@pytest.mark.parametrize(
    ("name", "msg"),
    [
        ("silent", "pgsocle ended with exit status 70 and without an answer: "),
        ("garbled", "pgsocle ended with exit status 0 and without an answer: "),
        ("older", f"this pgsocle speaks protocol 0, the collection wants 1 — hint: {HINT}"),
        ("refused", "role `refused` owns objects — hint: set `drop_owned`"),
    ],
)
def test_whatever_the_executable_does_the_failure_says_why(host, name, msg):
    install(host)
    _action, result = run(host, {"name": name})
    assert result["failed"] is True
    assert result["msg"].startswith(msg)


def test_it_is_delivered_once_and_used_from_then_on(host):
    first, result = run(host)
    path = host.store / host.sha256 / "pgsocle"
    assert result["executable"] == {"path": str(path), "version": "0.1.0", "sha256": host.sha256}
    assert len(first.commands) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert os.listdir(path.parent) == ["pgsocle"]
    second, result = run(host)
    assert len(second.commands) == 1
    assert result["executable"]["path"] == str(path)


@pytest.mark.parametrize(("args", "more"), [({}, {"check_mode": True}), ({"executable_delivery": "temporary"}, {})])
def test_a_temporary_delivery_leaves_nothing(host, args, more):
    _action, result = run(host, args, **more)
    assert result["changed"] is True
    assert result["executable"]["path"].startswith(str(host.scratch))
    assert not os.listdir(host.scratch)
    assert not host.store.exists()


def test_delivery_can_be_forbidden(host):
    _action, result = run(host, {"executable_delivery": "never"})
    assert result["msg"] == f"there is no pgsocle on this host, and `executable_delivery` is `never` — hint: {HINT}"


def test_a_named_executable_is_the_only_one_tried(host):
    install(host)
    _action, result = run(host, {"executable": "/nowhere/pgsocle"})
    assert result["msg"] == f"there is no executable `/nowhere/pgsocle` on this host — hint: {HINT}"


def test_a_collection_without_an_executable_says_so(host):
    (host.carried / "pgsocle.sha256").unlink()
    _action, result = run(host)
    machine = os.uname().machine
    assert result["msg"] == f"there is no pgsocle on this host, and this copy of the collection carries none for `{machine}` — hint: {HINT}"


def test_a_damaged_copy_is_not_delivered(host):
    (host.carried / "pgsocle").write_text("#!/bin/sh\necho evil\n")
    _action, result = run(host)
    assert "is not the file its checksum was made of" in result["msg"]
    assert not host.store.exists()


def test_another_protocol_is_named_before_any_secret_is_sent(host):
    install(host)
    host.env["STUB_PROTOCOL"] = "7"
    _action, result = run(host, {"password": CANARY, "executable_delivery": "never"})
    assert result["msg"] == f"`{host.installed}` is pgsocle 0.1.0 (protocol 7), and the collection wants protocol 1 — hint: {HINT}"
    assert not host.record.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda host: host.installed.chmod(0o757), "every user may write to `{file}`"),
        (lambda host: host.installed.parent.chmod(0o777), "every user may write to `{directory}`"),
    ],
)
def test_an_executable_that_others_can_change_is_refused(host, change, reason):
    install(host)
    change(host)
    _action, result = run(host, {"password": CANARY})
    expected = reason.format(file=host.installed, directory=host.installed.parent)
    assert result["msg"] == f"`{host.installed}` is not run: {expected} — hint: give it to root and let nobody else write there"
    assert not host.record.exists()


def test_a_changed_delivered_executable_is_refused(host):
    run(host)
    path = host.store / host.sha256 / "pgsocle"
    path.write_text(path.read_text() + "# changed\n")
    _action, result = run(host)
    assert result["msg"].startswith(f"`{path}` is not run: its size is not that of the collection's executable")


def test_what_arrives_otherwise_than_it_was_sent_gets_no_name(host, monkeypatch):
    content = _executable._Own.content
    monkeypatch.setattr(_executable._Own, "content", lambda own: content(own).replace(b"stub", b"STUB").replace(b"Stands", b"STANDS"))
    for args in ({}, {"executable_delivery": "temporary"}):
        _action, result = run(host, {**args, "password": CANARY})
        assert "is not run: what arrived is not the collection's executable" in result["msg"]
        assert not os.path.exists(host.store / host.sha256 / "pgsocle")
        assert not host.record.exists()
    assert not os.listdir(host.store / host.sha256)
    assert not os.listdir(host.scratch)


def test_a_delivery_that_was_cut_short_is_made_anew(host):
    place = host.store / host.sha256
    place.mkdir(parents=True)
    (place / ".pgsocle.1").write_bytes((host.carried / "pgsocle").read_bytes()[:100])
    _action, result = run(host)
    assert result["executable"]["path"] == str(place / "pgsocle")


def test_only_a_delivery_makes_a_checksum(host):
    """It takes longer than all the rest."""
    for run_number in range(2):
        action, result = run(host)
        assert result["executable"]["sha256"] == host.sha256
        programs = host.scratch.parent / "programs"
        programs.mkdir(exist_ok=True)
        (programs / "sha256sum").write_text("#!/bin/sh\necho not to be called; exit 1\n")
        (programs / "sha256sum").chmod(0o755)
        host.env["PATH"] = f"{programs}:{os.environ['PATH']}"
        assert len(action.commands) == 2 - run_number


def test_a_link_is_judged_by_what_it_leads_to(host):
    install(host)
    target = host.scratch / "elsewhere"
    shutil.move(host.installed, target)
    host.installed.symlink_to(target)
    _action, result = run(host)
    assert result["executable"]["path"] == str(target)
    target.chmod(0o757)
    _action, result = run(host)
    assert f"every user may write to `{target}`" in result["msg"]


def test_a_cache_that_others_can_change_is_refused(host):
    host.store.mkdir()
    host.store.chmod(0o777)
    _action, result = run(host)
    assert f"every user may write to `{host.store}`" in result["msg"]
    assert not host.record.exists()


def test_what_cannot_be_executed_is_named(host):
    install(host)
    host.installed.write_text("#!/nowhere/interpreter\n")
    _action, result = run(host)
    assert result["msg"].startswith(f"`{host.installed}` cannot be run on this host: exit status 12")
    host.installed.chmod(0o644)
    _action, result = run(host)
    assert "mounted noexec" in result["msg"]
    assert result["hint"].startswith("look for `noexec`")


def test_without_standard_input_the_module_does_it(host):
    action = Action({"instance": "main", "name": "bob"}, host.env)
    action._connection.carries = False
    action.run(task_vars={})
    assert [call["module_name"] for call in action.module_calls] == ["socle.postgresql.role"]
    assert not action.commands


def test_an_asynchronous_task_finds_the_executable_in_place(host):
    action, _result = run(host, async_val=60)
    path = str(host.store / host.sha256 / "pgsocle")
    assert [(call["module_args"]["executable"], call["wrap_async"]) for call in action.module_calls] == [(path, True)]
    assert not host.record.exists()
