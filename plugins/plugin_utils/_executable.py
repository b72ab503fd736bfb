# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fast road: runs ``pgsocle ansible KIND`` through the connection, the request on its standard input.

One remote command per task in the usual case, and no Python on the target. Nothing but paths, checksums and the kind is in
an argument; what Ansible logs of a command, at any verbosity, is its arguments. Where a connection cannot carry standard
input (``su``, a terminal asked for, asynchronous tasks) the module of the same name does the job instead.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import os
import shlex

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase

from ansible_collections.socle.postgresql.plugins.module_utils import _binary

COLLECTION = "ansible_collections.socle.postgresql"

# What runs on the target. Its last words on standard output before the executable's own are one line of fields:
#   run PATH SHA256 VERSION      the executable takes over: all that follows is its reply (no checksum of one that is not ours)
#   refused|broken|other PATH REASON, none MACHINE USERID    nothing was run
# `trusted` is the same rule as in module_utils/_binary.py: nobody but root and ourselves may be able to change what we run. A group may
# write when it is root's, Debian's staff, or (for others than root) the one named after the user.
# The checksum of an executable of ours is made when it arrives, before it gets its name; from then on the name, which is that
# checksum, the size and `trusted` say the same, for a tenth of the time (docs/decisions/0012-checked-at-delivery.md).
SCRIPT = r"""
kind=$1 protocol=$2 wanted=$3 sum=$4 size=$5 mode=$6
# The owner of `/` is root, and we are it: nothing need be asked.
if [ -O / ]; then me=0; else me=$(id -u); fi
group=0
if [ "$me" = 0 ]; then store=/var/lib/pgsocle; scratch=/var/lib
else store=${XDG_CACHE_HOME:-$HOME/.cache}/pgsocle; scratch=${TMPDIR:-/tmp}
  [ "$(id -un)" != "$(id -gn)" ] || group=$(id -g)
fi
say() { printf '%s' "$1"; shift; printf '\t%s' "$@"; echo; }
trusted() {
  part=$1 whole=$1 expected=$2; set -- /
  while [ -n "$part" ]; do set -- "$@" "$part"; part=${part%/*}; done
  stat -c '%u %g %a %s %n' "$@" | while read -r owner owning bits bytes name; do
    case $owner in 0|"$me") ;; *) echo "\`$name\` belongs to the user id $owner"; break ;; esac
    case $bits in 1???) [ ! -d "$name" ] || continue ;; esac
    case $bits in *[2367]) echo "every user may write to \`$name\`"; break ;; esac
    case $bits in *[2367]?) case $owning in 0|50|"$group") ;; *) echo "the group id $owning may write to \`$name\`"; break ;; esac ;; esac
    [ "$name" != "$whole" ] || [ "$bytes" = "${expected:-$bytes}" ] || { echo "its size is not that of the collection's executable"; break; }
  done
}
try() {
  [ -e "$1" ] || return 0
  case $1 in
    /*) if [ -L "$1" ]; then file=$(readlink -f "$1"); else file=$(cd -P "${1%/*}/" && pwd -P)/${1##*/}; fi ;;
    *) file=$(readlink -f "$1") ;;
  esac
  reason=$(trusted "$file" "$3")
  [ -z "$reason" ] || { say refused "$1" "$reason"; exit 0; }
  [ -x "$file" ] || { say broken "$1" "it is not executable, or its file system is mounted noexec"; exit 0; }
  version=$("$file" --version </dev/null 2>&1) || { say broken "$1" "exit status $?: $(echo "$version" | tail -n 1)"; exit 0; }
  case $version in *"(protocol $protocol)"*) ;; *) say other "$1" "$version"; return 0 ;; esac
  say run "$file" "$2" "$version"
  [ -n "$kind" ] || exit 0
  [ -n "$4" ] || exec "$file" ansible "$kind"
  "$file" ansible "$kind"; exit
}
bring() {
  umask 022
  if [ "$mode" = temporary ]; then
    place=$(mktemp -d "$scratch/.pgsocle.XXXXXX") || exit
    trap 'rm -rf "$place"' EXIT; trap 'exit 1' HUP INT TERM
    chmod 0755 "$place"
  else
    place=$store/$sum
    mkdir -p "$place" || exit
    reason=$(trusted "$place" ""); [ -z "$reason" ] || { say refused "$place" "$reason"; exit 0; }
    new=$place/.pgsocle.$$; trap 'rm -f "$new"' EXIT
  fi
  new=$place/.pgsocle.$$
  head -c "$size" >"$new" || exit
  # What has the name is whole, also after a power failure: checked and on the disk before it gets it.
  found=$(sha256sum "$new")
  [ "${found%% *}" = "$sum" ] || { say refused "$place/pgsocle" "what arrived is not the collection's executable"; exit 0; }
  chmod 0755 "$new" && { sync "$new" 2>/dev/null || sync; } && mv -f "$new" "$place/pgsocle" || exit
  try "$place/pgsocle" "$sum" "$size" temporary
}
case $mode in
  look)
    if [ -n "$wanted" ]; then try "$wanted" "" "" ""
    else
      try /usr/local/bin/pgsocle "" "" ""; try /usr/bin/pgsocle "" "" ""
      for each in $sum; do try "$store/${each%:*}/pgsocle" "${each%:*}" "${each#*:}" ""; done
    fi
    say none "$(uname -m)" "$me" ;;
  *) bring ;;
esac
"""
_WORDS = ("run", "refused", "broken", "other", "none")


class ExecutableAction(ActionBase):
    """Base of every action of the collection; a subclass names its ``kind``."""

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    kind = ""

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        spec = importlib.import_module(f"{COLLECTION}.plugins.modules.{self.kind}").ARGUMENT_SPEC
        validated = ArgumentSpecValidator({**spec, **_binary.DELIVERY_SPEC}).validate(self._task.args)
        secrets = validated._no_log_values

        if validated.error_messages:
            result = _binary.failure("; ".join(_complaints(validated, spec)), error_kind="input")
        else:
            result = self._converge(spec, validated.validated_parameters, task_vars)

        # What a module does before it answers; a password equal to some other word hides that word too, as with any module.
        result.setdefault("invocation", {"module_args": validated.validated_parameters})
        return remove_values(result, secrets)

    def _converge(self, spec, params, task_vars):
        if not self._task.async_val:
            with self._standard_input() as reachable:
                if reachable:
                    result = self._through_connection(spec, params)
                    if result is not None:
                        return result
            return self._through_module({}, task_vars)

        # The module cannot bring the executable along: do it now, while there is standard input.
        with self._standard_input() as reachable:
            found = self._locate(params) if reachable else None
        if found and found.get("failed"):
            return found
        return self._through_module({"executable": found["path"]} if found else {}, task_vars)

    # -- roads ----------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _standard_input(self):
        """Whether the connection hands our bytes to the remote command.

        Pipelining must be on for that, also when the user has it off: with a become password the local connection would give
        the child a terminal in place of them, and ssh would ask for one. Ansible then answers for the rest (su, RequestTTY).
        """
        connection = self._connection
        try:
            before = connection.get_option("pipelining")
        except KeyError:
            yield connection.is_pipelining_enabled()
            return
        connection.set_option("pipelining", True)
        try:
            yield connection.is_pipelining_enabled()
        finally:
            connection.set_option("pipelining", before)

    def _through_module(self, more, task_vars):
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        try:
            return self._execute_module(
                module_name=f"socle.postgresql.{self.kind}",
                module_args={**self._task.args, **more},
                task_vars=task_vars,
                wrap_async=wrap_async,
            )
        finally:
            if not wrap_async:
                self._remove_tmp_path(self._connection._shell.tmpdir)

    def _through_connection(self, spec, params):
        """The reply, or None when the target refuses to run anything without a terminal."""
        document = _binary.request(params, spec, self._task.check_mode, self._task.diff, self._display.verbosity)
        outcome = self._executable(self.kind, params, document.encode())
        if outcome is None or "failed" in outcome:
            return outcome
        if outcome["stderr"]:
            self._display.vv(outcome["stderr"].rstrip(), host=self._task.delegate_to or self._play_context.remote_addr)
        result = _binary.reply(outcome["rc"], outcome["stdout"], outcome["stderr"])
        # Ours wins over what the executable may say of itself: this is what was checked.
        result["executable"] = {key: outcome[key] for key in ("path", "version", "sha256") if outcome[key]}
        return result

    def _locate(self, params):
        """Path of an executable that is in place on the target and stays there."""
        return self._executable("", params, b"")

    # -- the executable on the target -----------------------------------------------------------------------------------

    def _executable(self, kind, params, document):
        wanted, delivery = params["executable"], params["executable_delivery"]
        outcome = self._remote(kind, wanted or "", " ".join(f"{own.sha256}:{own.size}" for own in _Own.all()), 0, "look", document)
        if outcome is None or outcome["word"] == "run":
            return outcome
        if outcome["word"] in ("refused", "broken"):
            return _unusable(outcome)

        other = _other(outcome)
        if wanted:
            return other or _binary.failure(f"there is no executable `{wanted}` on this host", hint=_binary.INSTALL_HINT)
        if delivery == "never":
            return other or _binary.failure(
                "there is no pgsocle on this host, and `executable_delivery` is `never`", hint=_binary.INSTALL_HINT
            )
        machine = outcome["fields"][0]
        own = next((each for each in _Own.all() if each.machine == machine), None)
        if own is None:
            return other or _binary.failure(
                f"there is no pgsocle on this host, and this copy of the collection carries none for `{machine}`",
                hint=_binary.INSTALL_HINT,
            )
        content = own.content()
        if content is None:
            return _binary.failure(
                f"`{own.path}` on the controller is not the file its checksum was made of", hint="install the collection again"
            )
        # An asynchronous task outlives this command: what it is to run must stay, check mode or not.
        lasting = delivery == "auto" and not (self._task.check_mode and kind)
        outcome = self._remote(kind, "", own.sha256, len(content), "lasting" if lasting else "temporary", content + document)
        if outcome is None or outcome["word"] == "run":
            return outcome
        return _other(outcome) or _unusable(outcome)

    def _remote(self, kind, wanted, checksum, size, mode, in_data):
        """Runs SCRIPT once. A dict of what it found; None when it was not even started, for want of a terminal."""
        words = ["/bin/sh", "-c", SCRIPT, "pgsocle", kind, str(_binary.PROTOCOL), wanted, checksum, str(size), mode]
        command = " ".join(shlex.quote(word) for word in words)
        # Never empty: ssh asks for a terminal when there is nothing to send.
        done = self._low_level_execute_command(f"{self._compute_environment_string()} {command}".strip(), in_data=in_data or b"\n")

        others = []
        lines = done["stdout"].splitlines(keepends=True)
        for number, line in enumerate(lines):
            word, *fields = line.rstrip("\r\n").split("\t")
            if word not in _WORDS or not fields:
                continue
            if word == "other":
                others.append(fields)
                continue
            outcome = {"word": word, "fields": fields, "others": others, "rc": done["rc"], "stderr": done["stderr"]}
            if word == "run":
                outcome.update(zip(("path", "sha256", "version"), fields))
                outcome["version"] = outcome["version"].split()[1]
                outcome["stdout"] = "".join(lines[number + 1:])
            return outcome
        # sudo says it in the user's language, and these words are in all of them.
        if "tty" in done["stderr"] or "terminal" in done["stderr"].lower():
            return None
        said = done["stderr"] or done["stdout"]
        fields = ["pgsocle", f"exit status {done['rc']}: {said.strip()[-1024:]}"]
        return {"word": "broken", "fields": fields, "others": others, "rc": done["rc"], "stderr": done["stderr"]}


def _complaints(validated, spec):
    """What is wrong with the arguments; Ansible's list of all the options there are gives way to the nearest one."""
    for error in validated.errors.errors:
        if not isinstance(error, UnsupportedError):
            yield error.msg
    for path in sorted(validated.unsupported_parameters, key=str):
        *above, name = (path,) if isinstance(path, str) else path
        options = {**spec, **_binary.DELIVERY_SPEC} if not above else spec
        for step in above:
            options = options.get(step, {}).get("options", {})
        near = difflib.get_close_matches(str(name), options, n=1)
        yield f"unknown option `{'.'.join([*above, name])}`" + (f", did you mean `{near[0]}`?" if near else "")


def _unusable(outcome):
    path, reason = outcome["fields"][:2]
    if outcome["word"] == "refused":
        return _binary.failure(f"`{path}` is not run: {reason}", hint="give it to root and let nobody else write there", error_kind="denied")
    hint = None
    if "exit status 126" in reason or "noexec" in reason:
        hint = "look for `noexec` in the mount options of its file system, for fapolicyd and for SELinux denials (`ausearch -m avc,fanotify`)"
    return _binary.failure(f"`{path}` cannot be run on this host: {reason}", hint=hint, error_kind="unavailable")


def _other(outcome):
    if not outcome["others"]:
        return None
    path, version = outcome["others"][0][:2]
    return _binary.failure(
        f"`{path}` is {version}, and the collection wants protocol {_binary.PROTOCOL}", hint=_binary.INSTALL_HINT, error_kind="unsupported"
    )


class _Own:
    """An executable that the collection carries: ``libexec/MACHINE/pgsocle``, its checksum in ``pgsocle.sha256`` beside it."""

    ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "libexec")

    def __init__(self, machine):
        self.machine = machine
        self.path = os.path.normpath(os.path.join(self.ROOT, machine, "pgsocle"))
        with open(f"{self.path}.sha256", encoding="ascii") as file:
            self.sha256 = file.read().split()[0]
        # Of one that is missing nothing is known but its checksum: what was brought before is run all the same.
        self.size = os.path.getsize(self.path) if os.path.exists(self.path) else ""

    @classmethod
    def all(cls):
        """One per machine; only the checksums are read."""
        if not os.path.isdir(cls.ROOT):
            return []
        return [cls(name) for name in sorted(os.listdir(cls.ROOT)) if os.path.exists(os.path.join(cls.ROOT, name, "pgsocle.sha256"))]

    def content(self):
        """The file, or None when it is missing or not the one its checksum was made of."""
        try:
            with open(self.path, "rb") as file:
                content = file.read()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == self.sha256 else None
