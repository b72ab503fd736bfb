#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tablespace
short_description: Manages a tablespace of a PostgreSQL instance
description:
  - 'Manages a tablespace of a PostgreSQL instance.'
  - 'Creates, alters and drops a tablespace, with its owner and its parameters of the planner.'
  - 'It is dropped only when nothing is in it. What is left out is left as it is.'
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
  start_temporarily:
    description:
      - 'Start a stopped instance for the time of this run (without TCP listener), and stop it again.'
      - 'Without it, a stopped instance is refused.'
    type: bool
    default: false
  max_impact:
    description:
      - 'Refuse the whole plan when a change has a greater impact than this.'
    type: str
    choices: [none, reload, restart, rewrite, destructive]
  lock_timeout:
    description:
      - 'How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.'
    type: int
  name:
    description:
      - 'Name of the tablespace.'
    type: str
    required: true
  state:
    description:
      - 'Whether the tablespace is to be there; it is dropped only when nothing is in it, and its directory stays.'
    type: str
    choices: [present, absent]
    default: present
  location:
    description:
      - 'Directory of the tablespace, outside the data directory; needed to make it.'
      - 'One that is missing is made where the user of the servers may.'
      - 'Chosen at creation; refused when it would change.'
    type: str
  owner:
    description:
      - 'Owner of the tablespace.'
    type: str
  settings:
    description:
      - 'Parameters of the planner for what lies in it (C(random_page_cost), C(effective_io_concurrency), …); null takes one away, those
        not listed are kept.'
    type: dict
  comment:
    description:
      - 'Comment on the tablespace; an empty one takes it away.'
    type: str
  deletion_protection:
    description:
      - 'Whether O(state=absent) is refused; off unless it was ever given.'
      - 'It cannot be lifted in the call that drops.'
      - 'It is kept in the database C(postgres), so that standbys have it too.'
    type: bool
"""

EXAMPLES = r"""
- name: A tablespace on fast disks, and what the planner is to know of them
  socle.postgresql.tablespace:
    instance: main
    name: fast
    location: /srv/nvme/fast
    owner: bob
    settings:
      random_page_cost: 1.1
      effective_io_concurrency: 200
    deletion_protection: true

- name: The tablespace, gone once nothing is in it
  socle.postgresql.tablespace:
    instance: main
    name: slow
    state: absent
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
tablespace:
  description: The tablespace as it is now, or would be.
  returned: always
  type: dict
  sample:
    name: fast
    owner: bob
    location: /srv/nvme/fast
    settings: {"effective_io_concurrency": "200", "random_page_cost": "1.1"}
    comment: null
    deletion_protection: true
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "start_temporarily": {"type": "bool", "default": False},
    "max_impact": {"type": "str", "choices": ["none", "reload", "restart", "rewrite", "destructive"]},
    "lock_timeout": {"type": "int"},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "location": {"type": "str"},
    "owner": {"type": "str"},
    "settings": {"type": "dict"},
    "comment": {"type": "str"},
    "deletion_protection": {"type": "bool"},
}


def main():
    run("tablespace", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
