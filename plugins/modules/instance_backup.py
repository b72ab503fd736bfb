#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_backup
short_description: Takes a backup of a PostgreSQL instance
description:
  - 'Takes a backup of a PostgreSQL instance.'
  - 'Takes a backup by the tool that the instance is backed up with, unless the newest one is young enough.'
  - 'Roles, databases and settings may be changed meanwhile; a stop, a restart or a drop of the instance is refused and told of the backup.'
  - 'Runs the C(pgsocle) executable on the target, which plans, reports and applies.'
version_added: 0.1.0
author:
  - the pgsocle contributors (!UNKNOWN)
extends_documentation_fragment:
  - socle.postgresql._attributes
  - socle.postgresql._attributes.changes
options:
  instance:
    description:
      - 'The instance, as V(name) or V(version/name); may be left out when there is only one.'
    type: str
  type:
    description:
      - 'How much is copied: everything, what has changed since the last full backup, or since the last one of any kind.'
      - 'Unless given, the latter, or everything where there is no other way.'
    type: str
    choices: [incr, diff, full]
  max_age:
    description:
      - 'Take none while the newest one of this type, or of one that copies more, is younger: C(1d), C(12h 30m), or a number of seconds.'
      - 'Without it each call takes one.'
    type: str
  lock_timeout:
    description:
      - 'How many seconds to wait for another backup, or for a run that stops or restarts the instance; 60 unless given, 0: not at all.'
    type: int
"""

EXAMPLES = r"""
- name: A full backup once a week
  socle.postgresql.instance_backup:
    instance: 15/main
    type: full
    max_age: 7d

- name: A backup before the schema is changed
  socle.postgresql.instance_backup:
    instance: 15/main
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["create role `bob`"]
plan:
  description: The same for programs.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: What is done to the object.
      returned: always
      type: str
      sample: create
    object:
      description: The object.
      returned: always
      type: str
      sample: role bob
    impact:
      description: How much it disturbs those who use the instance, from V(none) over V(reload), V(restart) and V(rewrite) to V(destructive).
      returned: always
      type: str
      sample: none
    summary:
      description: The sentence in RV(changes).
      returned: always
      type: str
      sample: create role `bob`
  sample: [{"action": "create", "object": "role bob", "impact": "none", "summary": "create role `bob`"}]
change_state:
  description: What became of the object, V(created), V(changed) or V(dropped).
  returned: when something changed
  type: str
  sample: created
diff:
  description: What is managed, before and after.
  returned: in diff mode
  type: list
  elements: dict
undetermined:
  description: What could not be known, as the catalogs of a stopped server.
  returned: always
  type: list
  elements: str
  sample: []
pending_restart:
  description: Whether a setting waits for a restart of the server.
  returned: always
  type: bool
  sample: false
pending_restart_settings:
  description: The settings that wait for a restart of the server.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "shared_buffers", "running": "128MB", "configured": "1GB"}]
backup:
  description:
    - The newest backup.
    - In check mode, when a backup would be taken, it is not known yet and is not returned.
  returned: always, except as said
  type: dict
  sample:
    label: 20261127-203328F
    type: full
    date_start: "2026-11-27T20:33:28Z"
    date_stop: "2026-11-27T20:33:34Z"
    size: 23010874
    repo_size: 3041423
    databases: null
    wal_start: "000000010000000000000003"
    wal_stop: "000000010000000000000003"
    lsn_start: 0/3000028
    lsn_stop: 0/3001E88
    prior: null
    error: false
    repository: 1
    system_identifier: "7712952106164794826"
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "type": {"type": "str", "choices": ["incr", "diff", "full"]},
    "max_age": {"type": "str"},
    "lock_timeout": {"type": "int"},
}


def main():
    run("instance_backup", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
