# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every way from a controller to a host, with real ssh, sudo and su, and the stub in place of the executable.

Run by tests/transports.sh, as root: it makes the host's image with podman where it is missing. Each case must hand the request
to the stub as the right user, and the password in it must be nowhere else: not in Ansible's output at -vvvv, not in the result,
not in an argument of any process of the host.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

CHECKOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
STUB = os.path.join(CHECKOUT, "tests", "unit", "stub", "pgsocle")
SCRIPTS = os.path.join(CHECKOUT, "tests", "hosts")
SITE_PACKAGES = os.path.dirname(os.path.dirname(yaml.__file__))
CANARY = "correct-horse-battery"
SUDO_PASSWORD = "sudo-word-of-bob"
ROOT_PASSWORD = "root-word"
INSTALLED = "/usr/local/bin/pgsocle"
# Hosts of this run alone: two runs on one machine do not meet.
TRANSPORTS, NO_PYTHON = (f"pgsocle-{name}-{os.getpid()}" for name in ("transports", "no-python"))
HINT = "hint: run the role `socle.postgresql.install` on this host"

# nopasswd: sudo for nothing; password: sudo for a password; terminal: sudo from a terminal only.
USERS = f"""
set -e
for user in nopasswd password terminal; do useradd --create-home --shell /bin/bash $user; done
echo 'password:{SUDO_PASSWORD}' | chpasswd
echo 'root:{ROOT_PASSWORD}' | chpasswd
cat >/etc/sudoers.d/transports <<SUDO
nopasswd ALL=(ALL) NOPASSWD: ALL
password ALL=(ALL) ALL
terminal ALL=(ALL) NOPASSWD: ALL
Defaults:terminal requiretty
SUDO
"""


def command(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, **more).stdout.strip()


@pytest.fixture(name="collections", scope="session")
def fixture_collections(tmp_path_factory):
    """A copy of the collection that carries the stub as its executable."""
    root = tmp_path_factory.mktemp("collections")
    copy = root / "ansible_collections/socle/postgresql"
    command(os.path.join(CHECKOUT, "tests", "copy.sh"), copy)
    carried = copy / "libexec/x86_64"
    carried.mkdir(parents=True, exist_ok=True)
    shutil.copy(STUB, carried / "pgsocle")
    checksum = hashlib.sha256((carried / "pgsocle").read_bytes()).hexdigest()
    (carried / "pgsocle.sha256").write_text(f"{checksum}  pgsocle\n")
    root.chmod(0o755)
    return SimpleNamespace(root=root, sha256=checksum)


def boot(name, key, *options):
    command(f"{SCRIPTS}/boot.sh", name, "localhost/pgsocle-host:bookworm", *options)
    command("podman", "exec", "-i", name, "sh", input=USERS)
    return [command(f"{SCRIPTS}/reach.sh", name, f"{key}.pub", user) for user in ("root", "nopasswd", "password", "terminal")][0]


@pytest.fixture(name="hosts", scope="session")
def fixture_hosts(tmp_path_factory, collections):
    key = tmp_path_factory.mktemp("ssh") / "key"
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    command(f"{SCRIPTS}/machine.sh")
    command(f"{SCRIPTS}/image.sh", "bookworm")
    names = (TRANSPORTS, NO_PYTHON)
    mounts = (f"--volume={SITE_PACKAGES}:/opt/ansible:ro", f"--volume={collections.root}:/opt/collections:ro")
    addresses = {name: boot(name, key, *mounts) for name in names}
    command("podman", "exec", NO_PYTHON, "sh", "-c", "rm -f /usr/bin/python3*")
    yield SimpleNamespace(key=key, addresses=addresses)
    command("podman", "rm", "--force", "--time=0", *names)


@pytest.fixture(name="run")
def fixture_run(tmp_path, hosts, collections):
    """Runs one task on a host; tells its result, and what the stub was given by whom."""

    def run(variables, args=None, keywords=None, play=None, host=TRANSPORTS, options=("-vvvv",)):
        record = "/tmp/stub-record"
        command("podman", "exec", host, "sh", "-c", f"rm -f {record} {record}.processes")
        result_file = tmp_path / "result.json"
        task = {"socle.postgresql.role": {"instance": "main", "name": "bob", "password": "{{ word }}", **(args or {})}, "register": "told"}
        keep = {"ansible.builtin.copy": {"content": "{{ told | to_json }}", "dest": str(result_file), "mode": "0600"}}
        local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        book = [
            {
                "hosts": "all",
                "gather_facts": False,
                "environment": {"STUB_RECORD": record, "PLAY_WORD": "of the play"},
                **(play or {}),
                "tasks": [
                    {**task, **(keywords or {}), "ignore_errors": True},
                    {**keep, "delegate_to": "localhost", "vars": local, "check_mode": False, "diff": False, "no_log": True},
                ],
            }
        ]
        inventory = {
            "ansible_host": hosts.addresses[host],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(hosts.key),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
            "word": CANARY,
            **variables,
        }
        (tmp_path / "book.yml").write_text(yaml.safe_dump(book))
        (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {host: inventory}}}))
        done = subprocess.run(
            ["ansible-playbook", "-i", "inventory.yml", "book.yml", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections.root), "ANSIBLE_FORCE_COLOR": "0"},
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        for secret in (CANARY, SUDO_PASSWORD, ROOT_PASSWORD):
            assert secret not in output
        return read(host, json.loads(result_file.read_text()))

    def read(host, result):
        assert CANARY not in json.dumps(result)
        recorded = command("podman", "exec", host, "sh", "-c", "cat /tmp/stub-record 2>/dev/null || true").splitlines()
        processes = command("podman", "exec", host, "sh", "-c", "cat /tmp/stub-record.processes 2>/dev/null || true")
        assert CANARY not in processes
        if not recorded:
            return SimpleNamespace(result=result, path=None, request=None, user=None)
        path, request, user = recorded
        assert path.endswith(" ansible role")
        assert json.loads(request)["params"]["password"] == CANARY
        return SimpleNamespace(result=result, path=path.split()[0], request=json.loads(request), user=user.removeprefix("user "))

    return run


@pytest.fixture(name="installed")
def fixture_installed(hosts):
    command("podman", "cp", STUB, f"{TRANSPORTS}:{INSTALLED}")
    command("podman", "exec", TRANSPORTS, "chown", "root:root", INSTALLED)
    yield
    command("podman", "exec", TRANSPORTS, "rm", "-f", INSTALLED)


SUDO = {"ansible_user": "password", "ansible_become": True, "ansible_become_password": SUDO_PASSWORD}
SU = {"ansible_user": "nopasswd", "ansible_become": True, "ansible_become_method": "su", "ansible_become_password": ROOT_PASSWORD}
TERMINAL = {"ansible_user": "terminal", "ansible_become": True}


@pytest.mark.parametrize(
    ("variables", "user", "place"),
    [
        pytest.param({}, "root", "/var/lib/pgsocle", id="ssh as root"),
        pytest.param({"ansible_user": "nopasswd"}, "nopasswd", "/home/nopasswd/.cache/pgsocle", id="ssh without become"),
        pytest.param({"ansible_user": "nopasswd", "ansible_become": True}, "root", "/var/lib/pgsocle", id="sudo without a password"),
        pytest.param({**SUDO, "ansible_pipelining": False}, "root", "/var/lib/pgsocle", id="sudo with a password, pipelining off"),
        pytest.param({**SUDO, "ansible_pipelining": True}, "root", "/var/lib/pgsocle", id="sudo with a password, pipelining on"),
        pytest.param({**SUDO, "ansible_become_user": "nopasswd"}, "nopasswd", "/home/nopasswd/.cache/pgsocle", id="sudo to an ordinary user"),
    ],
)
def test_the_fast_road(run, collections, variables, user, place):
    told = run(variables)
    assert told.result["changed"] is True
    assert told.user == user
    assert told.path == f"{place}/{collections.sha256}/pgsocle"
    assert told.result["executable"] == {"path": told.path, "version": "0.1.0", "sha256": collections.sha256}


def test_a_host_without_python(run, collections):
    told = run({}, host=NO_PYTHON)
    assert told.result["changed"] is True
    assert told.path == f"/var/lib/pgsocle/{collections.sha256}/pgsocle"


@pytest.mark.parametrize("variables", [pytest.param(SU, id="su"), pytest.param(TERMINAL, id="requiretty")])
def test_the_slow_road(run, installed, variables):
    told = run(variables)
    assert told.result["changed"] is True
    assert (told.user, told.path) == ("root", INSTALLED)


@pytest.mark.parametrize("variables", [pytest.param(SU, id="su"), pytest.param(TERMINAL, id="requiretty")])
def test_the_slow_road_without_an_executable_says_what_to_do(run, variables):
    told = run(variables)
    assert told.result["failed"] is True
    assert told.result["msg"].startswith("no executable `/usr/local/bin/pgsocle or /usr/bin/pgsocle` on this host")
    assert told.result["msg"].endswith(HINT)
    assert told.path is None


def test_an_asynchronous_task(run, collections):
    told = run(SUDO, keywords={"async": 30, "poll": 1})
    assert told.result["changed"] is True
    assert (told.user, told.path) == ("root", f"/var/lib/pgsocle/{collections.sha256}/pgsocle")


def test_check_mode_leaves_nothing(run):
    told = run({"ansible_user": "nopasswd", "ansible_become": True}, options=("-vvvv", "--check", "--diff"), host=NO_PYTHON)
    assert told.request["check_mode"] is True
    assert told.request["diff_mode"] is True
    command("podman", "exec", NO_PYTHON, "sh", "-c", "! ls -d /var/lib/.pgsocle.*")


def test_a_wrong_sudo_password_is_a_message_not_a_hang(run):
    told = run({**SUDO, "ansible_become_password": "wrong"})
    assert told.result.get("failed") or told.result.get("unreachable")
    assert told.path is None


def test_an_executable_that_another_user_can_change_is_refused(run, installed):
    command("podman", "exec", TRANSPORTS, "chown", "nopasswd", INSTALLED)
    for variables in (SUDO, SU):
        told = run(variables)
        assert told.result["msg"].startswith(f"`{INSTALLED}` is not run: `{INSTALLED}` belongs to the user id ")
        assert told.path is None


@pytest.mark.parametrize("become", [False, True])
def test_a_local_connection(hosts, become):
    """Ansible runs on the host itself, out of this machine's installation: as root, and as a user with a sudo password."""
    inside = command("podman", "exec", TRANSPORTS, "python3", "-c", "import sys; print(sys.version_info[:2])")
    if inside != str(sys.version_info[:2]):
        pytest.skip(f"the host has Python {inside}, which cannot use this installation of Ansible")
    user, method = ("password", ["-b"]) if become else ("root", [])
    book = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_become_password": SUDO_PASSWORD, "word": CANARY},
            "environment": {"STUB_RECORD": "/tmp/local-record"},
            "tasks": [{"socle.postgresql.role": {"instance": "main", "name": "bob", "password": "{{ word }}"}}],
        }
    ]
    command("podman", "exec", "-i", TRANSPORTS, "sh", "-c", "rm -f /tmp/local-record*; cat >/tmp/book.yml", input=yaml.safe_dump(book))
    environment = ("PYTHONPATH=/opt/ansible", "ANSIBLE_COLLECTIONS_PATH=/opt/collections", "HOME=/tmp/home-" + user, "LC_ALL=C.UTF-8")
    playbook = ("python3", "-m", "ansible", "playbook", "-vvvv", *method, "/tmp/book.yml")
    done = command("podman", "exec", "-u", user, TRANSPORTS, "env", *environment, *playbook)
    assert CANARY not in done
    assert SUDO_PASSWORD not in done
    _path, request, caller = command("podman", "exec", TRANSPORTS, "cat", "/tmp/local-record").splitlines()
    assert json.loads(request)["params"]["password"] == CANARY
    assert caller == "user root"


def test_job_events_of_ansible_runner(tmp_path, hosts, collections):
    """What AWX keeps of a job: the events that ansible-runner writes."""
    book = [
        {
            "hosts": "all",
            "gather_facts": False,
            "become": True,
            "roles": [{"role": "socle.postgresql.instances", "instances_list": [{"name": "main", "roles": [{"name": "bob", "password": "{{ word }}"}]}]}],
            "tasks": [
                {"socle.postgresql.role": {"instance": "main", "name": name, "password": "{{ word }}"}, "ignore_errors": True}
                for name in ("bob", "refused", "silent")
            ],
        }
    ]
    host = {
        "ansible_host": hosts.addresses[TRANSPORTS],
        "ansible_user": "nopasswd",
        "ansible_ssh_private_key_file": str(hosts.key),
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    for folder in ("project", "inventory", "env"):
        (tmp_path / folder).mkdir()
    (tmp_path / "project/book.yml").write_text(yaml.safe_dump(book))
    (tmp_path / "inventory/hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {TRANSPORTS: host}}}))
    (tmp_path / "env/passwords").write_text("{}")
    (tmp_path / "word.yml").write_text(yaml.safe_dump({"word": CANARY}))
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections.root)}
    done = subprocess.run(
        ["ansible-runner", "run", tmp_path, "-p", "book.yml", f"--cmdline=-vvvv -e @{tmp_path}/word.yml"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr
    events = list((tmp_path / "artifacts").rglob("job_events/*.json"))
    assert sum("runner_on_ok" in file.read_text() for file in events) >= 2
    assert [str(file) for file in events if CANARY in file.read_text()] == []
