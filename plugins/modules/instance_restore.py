#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_restore
short_description: Restores a PostgreSQL instance from a backup
description:
  - 'Restores a PostgreSQL instance from a backup.'
  - 'Replaces the data of a stopped instance by those of a backup, makes a new instance of them, or puts them into a directory; then
    recovers up to a target.'
  - 'The data that were there are set aside until the restored server has answered, and come back when it fails.'
  - 'Check mode tells which backup and which WAL would be used, and whether there is room for them. Each call restores: there is no
    condition under which nothing is done.'
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
      - 'One that exists must be stopped, and its data are replaced; one that does not is made.'
    type: str
  stanza:
    description:
      - 'The stanza whose backups are restored.'
      - 'Default: that of the instance.'
      - 'Required for a new instance.'
    type: str
  directory:
    description:
      - 'Put the data into this directory instead, and start nothing.'
      - 'It must be empty, or not be there.'
    type: str
  label:
    description:
      - 'The backup.'
      - 'Default: the newest one that ends before the target.'
    type: str
  target_time:
    description:
      - 'Recover up to this time, with its zone: C(2026-11-27 20:33:28+01:00).'
      - 'Without any target: to the end of the archived WAL.'
    type: str
  target_lsn:
    description:
      - 'Recover up to this place in the WAL: C(0/3000028).'
    type: str
  target_xid:
    description:
      - 'Recover up to this transaction.'
    type: int
  target_name:
    description:
      - 'Recover up to this restore point (C(pg_create_restore_point)).'
    type: str
  target_immediate:
    description:
      - 'Recover no further than the backup needs to be consistent.'
    type: bool
    default: false
  target_exclusive:
    description:
      - 'Stop just before the target instead of just after it.'
    type: bool
    default: false
  target_timeline:
    description:
      - 'The timeline to recover along: C(latest), C(current) (the backup''s own), or a number.'
    type: str
  target_action:
    description:
      - 'What the server does at the target: it becomes an ordinary one, waits to be looked at, or ends.'
    type: str
    choices: [promote, pause, shutdown]
    default: promote
  port:
    description:
      - 'TCP port of a new instance.'
    type: int
  delta:
    description:
      - 'Keep the files that are right, and fetch the others only: needs no second place, but the old data cannot come back.'
    type: bool
    default: false
  keep_old:
    description:
      - 'Keep the old data when all went well, beside their place, as V(data.dropped-1).'
      - 'Otherwise they go as soon as the restored server has answered.'
      - 'With another O(target_action) than C(promote) they are kept anyway.'
    type: bool
    default: false
  timeout:
    description:
      - 'How long to wait for the recovery, in seconds.'
      - 'Default: a day.'
      - 'One that needs longer goes on by itself.'
    type: int
  max_impact:
    description:
      - 'Refuse the whole plan when a change has a greater impact than this.'
    type: str
    choices: [none, reload, restart, rewrite, destructive]
  lock_timeout:
    description:
      - 'How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.'
    type: int
"""

EXAMPLES = r"""
- name: Back to the second before the table was dropped
  socle.postgresql.instance_restore:
    instance: 15/main
    target_time: "2026-11-27 20:33:27+01:00"
    keep_old: true

- name: A copy beside it, to look at
  socle.postgresql.instance_restore:
    instance: 15/copy
    stanza: main
    port: 5499
    target_immediate: true
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
restore:
  description: The backup that is restored, and what is known of the way to the target.
  returned: always
  type: dict
  sample:
    label: 20261127-203328F
    date_stop: "2026-11-27T20:33:34Z"
    target: "2026-11-27T20:34:00Z"
    wal_start: "000000010000000000000003"
    wal_stop: "000000010000000000000007"
    space_needed: 23010874
    space_free: 82463372288
recovery:
  description: Where the recovery ended.
  returned: when it was run, but for O(target_action=shutdown)
  type: dict
  sample:
    lsn: 0/5000110
    last_transaction: "2026-11-27T20:33:59.4+00:00"
    timeline: 2
    paused: false
instance:
  description: The instance as it is now, or would be, as the module M(socle.postgresql.instance) returns it.
  returned: but for O(directory)
  type: dict
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "stanza": {"type": "str"},
    "directory": {"type": "str"},
    "label": {"type": "str"},
    "target_time": {"type": "str"},
    "target_lsn": {"type": "str"},
    "target_xid": {"type": "int"},
    "target_name": {"type": "str"},
    "target_immediate": {"type": "bool", "default": False},
    "target_exclusive": {"type": "bool", "default": False},
    "target_timeline": {"type": "str"},
    "target_action": {"type": "str", "choices": ["promote", "pause", "shutdown"], "default": "promote"},
    "port": {"type": "int"},
    "delta": {"type": "bool", "default": False},
    "keep_old": {"type": "bool", "default": False},
    "timeout": {"type": "int"},
    "max_impact": {"type": "str", "choices": ["none", "reload", "restart", "rewrite", "destructive"]},
    "lock_timeout": {"type": "int"},
}


def main():
    run("instance_restore", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
