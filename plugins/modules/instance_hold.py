#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_hold
short_description: Holds a PostgreSQL instance, so that nothing starts it
description:
  - 'Holds a PostgreSQL instance, so that nothing starts it.'
  - 'While an instance is held it is started neither by a run, nor for the time of a run, nor by systemd after a reboot; whoever tries is
    told the reason.'
  - 'A server that runs is left alone, unless O(stop) says otherwise.'
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
  state:
    description:
      - 'Whether the instance is to be held, or may be started again.'
    type: str
    choices: [held, released]
    default: held
  reason:
    description:
      - 'Why: whoever tries to start the instance is told so.'
      - 'Required to hold an instance.'
    type: str
  stop:
    description:
      - 'Stop a running server as well.'
      - 'Without it the server runs on, and cannot come back once it has ended.'
    type: bool
    default: false
  timeout:
    description:
      - 'How long to wait for the server to stop, in seconds.'
      - 'Default: 60.'
    type: int
  max_impact:
    description:
      - 'Refuse the whole plan when a change has a greater impact than this.'
    type: str
    choices: [none, reload, restart, rewrite, destructive]
"""

EXAMPLES = r"""
- name: Nobody starts it while its disks are replaced
  socle.postgresql.instance_hold:
    instance: 15/main
    reason: disks are replaced, ask the storage team
    stop: true

- name: The disks are in
  socle.postgresql.instance_hold:
    instance: 15/main
    state: released
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
instance:
  description: The instance as it is now, or would be, as the module M(socle.postgresql.instance) returns it.
  returned: always
  type: dict
  sample:
    name: main
    version: "15"
    state: stopped
    hold: {"reason": "disks are replaced, ask the storage team", "by": "alice", "since": "2026-11-27T18:00:00Z"}
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
    "reason": {"type": "str"},
    "stop": {"type": "bool", "default": False},
    "timeout": {"type": "int"},
    "max_impact": {"type": "str", "choices": ["none", "reload", "restart", "rewrite", "destructive"]},
}


def main():
    run("instance_hold", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
