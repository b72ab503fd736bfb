# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JSON door of ``pgsocle``, as both roads see it.

The action plugin (on the controller) and the modules (on the target) build the same request and read the same reply;
``run`` is what a module does when the action plugin cannot reach the executable by itself.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat

from ansible.module_utils.basic import AnsibleModule

PROTOCOL = 1
INSTALLED = ("/usr/local/bin/pgsocle", "/usr/bin/pgsocle")
INSTALL_HINT = "run the role `socle.postgresql.install` on this host"

# Options of the collection, not of the executable: they never enter a request. Documented in doc_fragments/_attributes.py.
DELIVERY_SPEC = {
    "executable": {"type": "str"},
    "executable_delivery": {"type": "str", "choices": ["auto", "temporary", "never"], "default": "auto"},
}

# Debian's `staff`, which owns /usr/local there, is as good as root (Debian policy 9.1.2).
_STAFF = 50
_TAIL = 1024


def given(params: dict, spec: dict) -> dict:
    """The options that the user set, under their own names.

    Ansible fills every unset option with None and repeats an aliased one; the executable takes "omitted" for "unmanaged".
    A dict without a specification of its own (``settings``) is the user's: None means something there and stays.
    """
    kept = {}
    for name, option in spec.items():
        value = params.get(name)
        if value is None:
            continue
        inner = option.get("options")
        if inner and isinstance(value, dict):
            value = given(value, inner)
        elif inner and isinstance(value, list):
            value = [given(item, inner) for item in value]
        kept[name] = value
    return kept


def request(params: dict, spec: dict, check_mode: bool, diff_mode: bool, verbosity: int) -> str:
    """The one document that goes to the executable's standard input."""
    document = {
        "protocol": PROTOCOL,
        "check_mode": bool(check_mode),
        "diff_mode": bool(diff_mode),
        "verbosity": int(verbosity),
        "params": given(params, spec),
    }
    return json.dumps(document, default=str)


def reply(rc: int, stdout: str, stderr: str) -> dict:
    """A result for Ansible from what the executable left behind: never empty, never a traceback."""
    try:
        result = json.loads(stdout)
    except ValueError:
        result = None
    if not isinstance(result, dict):
        return failure(f"pgsocle ended with exit status {rc} and without an answer", said=stderr or stdout, rc=rc)

    spoken = result.pop("protocol", None)
    if spoken != PROTOCOL and not result.get("failed"):
        return failure(f"this pgsocle speaks protocol {spoken}, the collection wants {PROTOCOL}", hint=INSTALL_HINT)
    if rc != 0 and not result.get("failed"):
        return failure(f"pgsocle ended with exit status {rc} after its answer", said=stderr, rc=rc)
    if result.get("failed"):
        result["msg"] = _with_hint(result.get("msg") or f"pgsocle failed with exit status {rc}", result.get("hint"))
    return result


def failure(msg: str, hint: str | None = None, said: str = "", **more) -> dict:
    """A failed result of the collection's own making; ``said`` is what a program printed, of which the end is shown."""
    said = said.strip()[-_TAIL:]
    result = {"failed": True, "changed": False, "msg": _with_hint(f"{msg}: {said}" if said else msg, hint), **more}
    if hint:
        result["hint"] = hint
    return result


def run(kind: str, spec: dict) -> None:
    """The whole of a module: arguments in, one call of the executable, its reply out."""
    module = AnsibleModule(argument_spec={**spec, **DELIVERY_SPEC}, supports_check_mode=True)
    path, problem = _find(module.params["executable"])
    if problem:
        module.fail_json(**problem)
    # Ansible's private attributes are the only way to the verbosity, on this side.
    document = request(module.params, spec, module.check_mode, module._diff, module._verbosity)
    rc, stdout, stderr = module.run_command([path, "ansible", kind], data=document)
    result = reply(rc, stdout, stderr)
    result.setdefault("executable", {"path": path})
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def _with_hint(msg: str, hint: str | None) -> str:
    return f"{msg} — hint: {hint}" if hint else msg


def _find(wanted: str | None) -> tuple[str, dict | None]:
    for candidate in [wanted] if wanted else INSTALLED:
        if not os.path.exists(candidate):
            continue
        path = os.path.realpath(candidate)
        reason = _untrusted(path)
        if reason:
            return path, failure(f"`{candidate}` is not run: {reason}", hint="give it to root and let nobody else write there")
        return path, None
    missing = wanted or " or ".join(INSTALLED)
    return missing, failure(f"no executable `{missing}` on this host, and none can be brought over this connection", hint=INSTALL_HINT)


def _untrusted(path: str) -> str | None:
    """Why another user could have changed this file, if so. The same rule as in plugin_utils/_executable.py."""
    me = os.geteuid()
    part = path
    while True:
        info = os.stat(part)
        sticky = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX
        if info.st_uid not in (0, me):
            return f"`{part}` belongs to the user id {info.st_uid}"
        if info.st_mode & stat.S_IWOTH and not sticky:
            return f"every user may write to `{part}`"
        if info.st_mode & stat.S_IWGRP and not sticky and not _our_own(info.st_gid):
            return f"the group id {info.st_gid} may write to `{part}`"
        if part == "/":
            return None
        part = os.path.dirname(part)


def _our_own(group: int) -> bool:
    """Whether only root and ourselves are in a group: root's, Debian's staff, or the one named after the user."""
    if group in (0, _STAFF):
        return True
    try:
        return grp.getgrgid(group).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
