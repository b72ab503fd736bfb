#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pgconf
short_description: Manages parameters of a PostgreSQL instance
description:
  - 'Manages parameters of a PostgreSQL instance.'
  - 'Sets and removes parameters in the postgresql.conf of an existing instance, running or stopped; its order, comments and includes stay.'
  - 'Values are checked before they are written, and again by the running server before it is told to reload; what is refused changes
    nothing.'
  - 'What is left out is left as it is.'
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
  settings:
    description:
      - 'Parameters with their values; null takes one away, those not listed are kept.'
      - 'C(shared_buffers) and C(effective_cache_size) may be a share of the memory, as V(25%).'
    type: dict
  settings_purge:
    description:
      - 'Makes O(settings) exact: what is neither listed, nor from initdb or the site''s template, is taken away.'
    type: bool
    default: false
  restart_policy:
    description:
      - 'What is done about settings that only a restart brings into effect.'
    type: str
    choices: [never, when_required]
  restart_on_changes:
    description:
      - 'Restart when settings need it: true is O(restart_policy=when_required).'
    type: bool
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
- name: Memory and logging of an instance
  socle.postgresql.pgconf:
    instance: main
    settings:
      shared_buffers: 25%
      work_mem: 16MB
      log_min_duration_statement: 1s
      track_io_timing: true
      shared_preload_libraries: [pg_stat_statements]
    restart_policy: when_required

- name: A parameter is no longer ours
  socle.postgresql.pgconf:
    instance: 16/main
    settings:
      effective_io_concurrency: null

- name: Nothing that needs a restart, in the daytime
  socle.postgresql.pgconf:
    instance: main
    settings:
      work_mem: 32MB
    max_impact: reload
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
pgconf:
  description: Value before and after of each parameter that was named; null where postgresql.conf says nothing.
  returned: always
  type: dict
  sample:
    work_mem: {"before": "4MB", "after": "16MB"}
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "settings": {"type": "dict"},
    "settings_purge": {"type": "bool", "default": False},
    "restart_policy": {"type": "str", "choices": ["never", "when_required"]},
    "restart_on_changes": {"type": "bool"},
    "max_impact": {"type": "str", "choices": ["none", "reload", "restart", "rewrite", "destructive"]},
    "lock_timeout": {"type": "int"},
}


def main():
    run("pgconf", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
