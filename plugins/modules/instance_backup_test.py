#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_backup_test
short_description: Proves that a backup of a PostgreSQL instance can be restored
description:
  - 'Proves that a backup of a PostgreSQL instance can be restored.'
  - 'Restores a backup into a scratch place, recovers it, starts a server that nobody else reaches, looks at it with pg_amcheck and your own
    queries, and removes it again.'
  - 'Times, the age of the newest data and the verdict are written into a file of evidence, and on demand into one of metrics. A bad verdict
    is a failure of the task, which says what is wrong.'
  - 'The instance itself goes on, and may be changed meanwhile. Check mode tells which backup and which WAL would be used, and whether there
    is room for them.'
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
      - 'With O(stanza) it need not be there: backups can be proved on another host.'
    type: str
  stanza:
    description:
      - 'The stanza whose backup is proved.'
      - 'Default: that of the instance.'
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
  directory:
    description:
      - 'The scratch place: a directory that is empty or not there; afterwards it is empty.'
      - 'Default: one below C(srv/backup-test) of the site''s prefix, which goes.'
    type: str
  amcheck:
    description:
      - 'Run C(pg_amcheck) on all databases of the copy (from PostgreSQL 14 on).'
      - 'Default: yes.'
    type: bool
  checks:
    description:
      - 'Queries that tell whether the data are the right ones.'
    type: list
    elements: dict
    default: []
    suboptions:
      database:
        description:
          - 'The database.'
        type: str
        required: true
      sql:
        description:
          - 'The query.'
        type: str
        required: true
      expected:
        description:
          - 'Its rows as text, one a line, with C(|) between the columns.'
          - 'When it is left out the query must only succeed.'
        type: str
  max_age:
    description:
      - 'Do nothing while the last proof, if it was a good one of the same kind, is younger: C(7d), C(12h 30m), or a number of seconds.'
      - 'Without it each call proves.'
    type: str
  evidence:
    description:
      - 'The file of the evidence, in JSON.'
      - 'Default: C(backup-test.json) in the state directory of the instance.'
    type: str
  metrics_file:
    description:
      - 'A file of metrics for the textfile collector of Prometheus'' node exporter; its name ends in C(.prom).'
    type: str
  keep:
    description:
      - 'Leave the copy as it is, its server running, until the next proof at the same place.'
    type: bool
    default: false
  timeout:
    description:
      - 'How long to wait for the recovery, in seconds.'
      - 'Default: a day.'
    type: int
  lock_timeout:
    description:
      - 'How many seconds to wait for another proof, or for a run that stops or restarts the instance; 60 unless given, 0: not at all.'
    type: int
"""

EXAMPLES = r"""
- name: Prove once a week that the newest backup can be restored
  socle.postgresql.instance_backup_test:
    instance: 15/main
    max_age: 7d
    checks:
      - database: shop
        sql: SELECT count(*) > 1000 FROM orders
        expected: t
    metrics_file: /var/lib/prometheus/node-exporter/pgsocle_backup_test_main.prom

- name: Look at the data of yesterday evening
  socle.postgresql.instance_backup_test:
    instance: 15/main
    target_time: "2026-11-26 18:00:00+01:00"
    amcheck: false
    keep: true
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
backup_test:
  description:
    - What came of it, as it stands in the file of the evidence; of the last proof, where O(max_age) says that it is young enough.
    - In check mode the backup that would be proved, with its WAL, the space that it needs, and the place.
  returned: success
  type: dict
  sample:
    verdict: proved
    problem: null
    remedy: null
    instance: 15/main
    stanza: app
    tool: pgBackRest
    label: 20261127-203328F
    type: full
    date_stop: "2026-11-27T20:33:34Z"
    target: the end of the archived WAL
    wal_start: "000000010000000000000003"
    wal_stop: "000000010000000000000007"
    begun: "2026-11-27T21:00:00.120Z"
    ended: "2026-11-27T21:00:09.480Z"
    last_proved: "2026-11-27T21:00:09.480Z"
    restore_seconds: 4.1
    recovery_seconds: 2.2
    total_seconds: 9.36
    recovered_to: 0/70000A8
    newest_data: "2026-11-27T20:59:12.5Z"
    rpo_seconds: 47.62
    amcheck:
      passed: true
      said: null
    checks:
      - database: shop
        sql: SELECT count(*) > 1000 FROM orders
        expected: t
        found: t
        error: null
        passed: true
    versions:
      pgsocle: 0.1.0
      postgresql: postgres (PostgreSQL) 15.18
      tool: "2.45"
    directory: null
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
    "label": {"type": "str"},
    "target_time": {"type": "str"},
    "target_lsn": {"type": "str"},
    "target_xid": {"type": "int"},
    "target_name": {"type": "str"},
    "target_immediate": {"type": "bool", "default": False},
    "directory": {"type": "str"},
    "amcheck": {"type": "bool"},
    "checks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "database": {"type": "str", "required": True},
            "sql": {"type": "str", "required": True},
            "expected": {"type": "str"},
        },
    },
    "max_age": {"type": "str"},
    "evidence": {"type": "str"},
    "metrics_file": {"type": "str"},
    "keep": {"type": "bool", "default": False},
    "timeout": {"type": "int"},
    "lock_timeout": {"type": "int"},
}


def main():
    run("instance_backup_test", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
