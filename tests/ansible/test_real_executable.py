# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real executable and a real PostgreSQL behind every transport.

Run by tests/transports.sh, as root, with the executable in libexec/. The play's `environment` says where the instance lies; a
password that goes through must be nowhere but in the server.
"""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml
from test_transports import CHECKOUT, CANARY, INSTALLED, ROOT_PASSWORD, SCRIPTS, SUDO, SUDO_PASSWORD, SU, TERMINAL, boot, command

HOST = f"pgsocle-real-{os.getpid()}"
PREFIX = "/srv/elsewhere"
PACKAGES = """
set -e
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
apt-get -qq update
apt-get -qq install --no-install-recommends postgresql-15 >/dev/null
"""
INSTANCE = {"name": "main", "port": 5440, "settings": {"work_mem": "16MB"}}
ROLE = {"instance": "main", "name": "bob", "login": True, "password": "{{ word }}", "pgpass": True}


@pytest.fixture(name="play", scope="module")
def fixture_play(tmp_path_factory):
    """Runs tasks on the host, and tells their results in order."""
    work = tmp_path_factory.mktemp("real")
    copy = work / "ansible_collections/socle/postgresql"
    command(os.path.join(CHECKOUT, "tests", "copy.sh"), copy)
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / "key")
    command(f"{SCRIPTS}/machine.sh")
    command(f"{SCRIPTS}/image.sh", "bookworm")
    try:
        address = boot(HOST, work / "key")
        command("podman", "exec", "-i", HOST, "sh", input=PACKAGES)
        yield lambda *words, **more: run(work, address, *words, **more)
    finally:
        command("podman", "rm", "--force", "--time=0", "--ignore", HOST)


def run(work, address, variables, tasks, options=(), lost=False):
    book = [
        {
            "hosts": "all",
            "gather_facts": False,
            "environment": {
                "PGSOCLE_PREFIX": PREFIX,
                "PGSOCLE_RUN_PREFIX": f"{PREFIX}/run",
                "PGSOCLE_POSTGRESQL__AUTH__PASSFILE": f"{PREFIX}/pgpass",
                "PGSOCLE_DELETION_PROTECTION": "false",
            },
            "tasks": tasks,
        }
    ]
    inventory = {
        "ansible_host": address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(work / "key"),
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
        "ansible_python_interpreter": "/usr/bin/python3",
        "word": CANARY,
        **variables,
    }
    (work / "book.yml").write_text(yaml.safe_dump(book))
    (work / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {HOST: inventory}}}))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(work), "ANSIBLE_FORCE_COLOR": "0"}

    words = ["ansible-playbook", "-i", "inventory.yml", "book.yml", "-vvvv", "--diff", *options]
    done = subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True, check=False, timeout=180)
    for secret in (CANARY, SUDO_PASSWORD, ROOT_PASSWORD):
        assert secret not in done.stdout + done.stderr
    # 4: hosts were unreachable.
    assert done.returncode == (4 if lost else 0), done.stdout + done.stderr
    return done.stdout


def tasks(changed, **more):
    """An instance and a role, and what is expected of them."""
    expected = ["instance is changed", "role is changed"] if changed else ["instance is not changed", "role is not changed", "role.plan == []"]
    expected += [f"instance.instance.data_directory.startswith('{PREFIX}/')", "role.role.has_password"]
    return [
        {"socle.postgresql.instance": INSTANCE, "register": "instance", **more},
        {"socle.postgresql.role": ROLE, "register": "role", **more},
        {"ansible.builtin.assert": {"that": expected}},
    ]


def remove():
    return [{"socle.postgresql.instance": {"name": "main", "state": "absent"}}]


def has(path):
    return subprocess.run(["podman", "exec", HOST, "test", "-e", path], check=False).returncode == 0


def everything(play, variables, **more):
    """Check, run, and run again, over one transport."""
    prediction = tasks(True, **more)[:1]
    play(variables, [*prediction, {"ansible.builtin.assert": {"that": ["instance is changed"]}}], options=("--check",))
    assert not has(f"{PREFIX}/srv/pgsql/15/main")
    play(variables, tasks(True, **more))
    play(variables, tasks(False, **more))
    connect = f"PGPASSFILE={PREFIX}/pgpass psql -XAtw -h 127.0.0.1 -p 5440 -U bob -c 'SELECT current_user' postgres"
    assert command("podman", "exec", HOST, "setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "sh", "-c", connect) == "bob"
    logs = ["grep", "-rlF", CANARY, "/var/log", "/var/lib/pgsocle", f"{PREFIX}/log", f"{PREFIX}/srv"]
    assert subprocess.run(["podman", "exec", HOST, *logs], capture_output=True, text=True, check=False).stdout == ""
    play(variables, remove())
    assert not has(f"{PREFIX}/srv/pgsql/15/main")


@pytest.mark.parametrize(
    ("variables", "keywords"),
    [
        pytest.param({}, {}, id="ssh as root"),
        pytest.param({"ansible_user": "nopasswd", "ansible_become": True}, {}, id="sudo without a password"),
        pytest.param(SUDO, {}, id="sudo with a password"),
        pytest.param({**SUDO, "ansible_pipelining": True}, {}, id="sudo with a password, pipelining on"),
    ],
)
def test_brought_along(play, variables, keywords):
    everything(play, variables, **keywords)
    assert not has(INSTALLED)


CUT = """
until grep -qsx initdb /proc/[0-9]*/comm; do sleep 0.02; done
for process in /proc/[0-9]*; do
  if grep -qs 'sshd: [r]oot@' $process/cmdline; then kill -9 "${process#/proc/}"; fi
done
"""


def test_a_lost_connection(play):
    # In the middle of a creation; whatever had become of it, the next run comes to the same end as ever.
    with subprocess.Popen(["podman", "exec", HOST, "sh", "-c", CUT]) as cut:
        play({}, tasks(True)[:1], lost=True)
        assert cut.wait(timeout=60) == 0
    play({}, tasks(True)[:2])
    play({}, tasks(False))
    play({}, remove())
    assert not has(f"{PREFIX}/srv/pgsql/15/main")


def test_an_asynchronous_task(play):
    # Check mode and asynchronous tasks do not go together, in Ansible.
    play(SUDO, tasks(True, **{"async": 60, "poll": 1}))
    play(SUDO, tasks(False, **{"async": 60, "poll": 1}))
    play(SUDO, remove())


@pytest.mark.parametrize("variables", [pytest.param(SU, id="su"), pytest.param(TERMINAL, id="requiretty")])
def test_installed(play, variables):
    command("podman", "cp", os.path.join(CHECKOUT, "libexec", "x86_64", "pgsocle"), f"{HOST}:{INSTALLED}")
    command("podman", "exec", HOST, "chown", "root:root", INSTALLED)
    everything(play, variables)
    command("podman", "exec", HOST, "rm", INSTALLED)


def test_without_python(play):
    command("podman", "exec", HOST, "sh", "-c", "rm -rf /var/lib/pgsocle; rm -f /usr/bin/python3*")
    everything(play, SUDO)
