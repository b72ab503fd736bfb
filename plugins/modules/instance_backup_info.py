#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_backup_info
short_description: Lists the backups of a PostgreSQL instance
description:
  - 'Lists the backups of a PostgreSQL instance.'
  - 'Lists the backups with their times, sizes, databases and WAL, newest first, and tells how archiving stands.'
  - 'Runs the C(pgsocle) executable on the target, which only reads.'
version_added: 0.1.0
author:
  - the pgsocle contributors (!UNKNOWN)
extends_documentation_fragment:
  - socle.postgresql._attributes
  - socle.postgresql._attributes.info
options:
  instance:
    description:
      - 'The instance, as V(name) or V(version/name); may be left out when there is only one.'
    type: str
"""

EXAMPLES = r"""
- name: The backups of an instance
  socle.postgresql.instance_backup_info:
    instance: 15/main
  register: info

- name: The newest one is a day old at most
  ansible.builtin.assert:
    that: (info.backups | first).date_stop > '%Y-%m-%dT%H:%M:%SZ' | ansible.builtin.strftime(now().timestamp() - 86400)
"""

RETURN = r"""
backups:
  description: The backups, newest first.
  returned: always
  type: list
  elements: dict
  sample:
    - label: 20261127-203328F
      type: full
      date_start: "2026-11-27T20:33:28Z"
      date_stop: "2026-11-27T20:33:34Z"
      size: 23010874
      repo_size: 3041423
      databases: ["postgres", "shop"]
      wal_start: "000000010000000000000003"
      wal_stop: "000000010000000000000003"
      lsn_start: 0/3000028
      lsn_stop: 0/3001E88
      prior: null
      error: false
      repository: 1
      system_identifier: "7712952106164794826"
stanza:
  description: The name under which they are kept; null when the instance is not backed up.
  returned: when the instance exists
  type: str
  sample: main
tool:
  description: What takes the backups.
  returned: when the instance is backed up
  type: str
  sample: pgBackRest
system_identifier:
  description: The system identifier of the cluster as it is now; backups of others may be in the same stanza.
  returned: when the instance is backed up
  type: str
  sample: "7712952106164794826"
archives:
  description: The archived WAL, by cluster and repository.
  returned: when the instance is backed up
  type: list
  elements: dict
  sample:
    - system_identifier: "7712952106164794826"
      repository: 1
      wal_min: "000000010000000000000001"
      wal_max: "000000010000000000000003"
backup_in_progress:
  description: Whether a backup is being taken now.
  returned: when the instance is backed up
  type: bool
problems:
  description: What is wrong with the repositories, in the tool's words.
  returned: when the instance is backed up
  type: list
  elements: str
archiver:
  description: How archiving stands, as the server says; null when it does not run.
  returned: when the instance is backed up
  type: dict
  sample:
    archive_mode: "on"
    archived_count: 3
    last_archived_wal: "000000010000000000000003"
    last_archived_time: "2026-11-27T20:33:34+00:00"
    failed_count: 0
    last_failed_wal: null
    last_failed_time: null
    failing: false
    queue: 0
timers:
  description: When systemd takes backups, by type, and whether the last one that it took failed.
  returned: when the instance is backed up
  type: list
  elements: dict
  sample:
    - type: incr
      unit: pgsocle-backup-incr@17-main.service
      schedule: daily
      active: true
      failed: false
      next: "2026-11-28T00:36:10Z"
      last: "2026-11-27T00:36:10Z"
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
}


def main():
    run("instance_backup_info", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
