#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pgident
short_description: Manages user name maps of a PostgreSQL instance
description:
  - 'Manages user name maps of a PostgreSQL instance.'
  - 'Adds, moves and removes single mappings of pg_ident.conf, or makes the list of them exact; a running server is asked whether it takes
    the file, and reads it.'
  - 'What is not concerned stays as it is, comments and include directives always.'
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
  position:
    description:
      - 'Put it before or behind all others, the included ones too.'
      - 'Where nothing is said of the place, what is there stays where it is, and what is new goes to the end of the file.'
    type: str
    choices: [first, last]
  before:
    description:
      - 'Put it somewhere before this record, given as it stands in the file.'
    type: str
  after:
    description:
      - 'Put it somewhere behind this record, given as it stands in the file.'
    type: str
  records:
    description:
      - 'Several of them instead of a single one, each with the options that a single one has.'
      - 'What is there stays where it is; what is new goes behind the one before it in this list, the first one to the place that is given.'
    type: list
    elements: dict
    suboptions:
      map:
        description:
          - 'Name of the map, as the option O(records[].map) of a record of C(pg_hba.conf) has it.'
        type: str
        required: true
      system_user:
        description:
          - 'Name of the user as the operating system or another authority knows it; with a slash in front, a regular expression.'
        type: str
        required: true
      role:
        description:
          - 'Role as which that user may connect; as of PostgreSQL 16 also C(all), C(+group) and C(/expression), which are names when they
            are in double quotes.'
        type: str
        required: true
      state:
        description:
          - 'Whether the mapping is to be there.'
        type: str
        choices: [present, absent]
        default: present
  purge:
    description:
      - 'Makes the file hold exactly O(records), in this order.'
      - 'Comments and include directives stay.'
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
  map:
    description:
      - 'Name of the map, as the option O(map) of a record of C(pg_hba.conf) has it.'
    type: str
  system_user:
    description:
      - 'Name of the user as the operating system or another authority knows it; with a slash in front, a regular expression.'
    type: str
  role:
    description:
      - 'Role as which that user may connect; as of PostgreSQL 16 also C(all), C(+group) and C(/expression), which are names when they are
        in double quotes.'
    type: str
  state:
    description:
      - 'Whether the mapping is to be there.'
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: The user of the host who may connect as the superuser
  socle.postgresql.pgident:
    instance: main
    map: admins
    system_user: ada
    role: postgres

- name: A whole file, its mappings in this order
  socle.postgresql.pgident:
    instance: main
    records:
      - map: admins
        system_user: ada
        role: postgres
      - map: realm
        system_user: /^(.*)@example\.org$
        role: \1
    purge: true
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
pgident:
  description: The file, and the mappings in it as they are now, or would be; without those of included files.
  returned: always
  type: dict
  sample:
    file: /etc/postgresql/15/main/pg_ident.conf
    records:
      - map: admins
        system_user: ada
        role: postgres
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "position": {"type": "str", "choices": ["first", "last"]},
    "before": {"type": "str"},
    "after": {"type": "str"},
    "records": {
        "type": "list",
        "elements": "dict",
        "options": {
            "map": {"type": "str", "required": True},
            "system_user": {"type": "str", "required": True},
            "role": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge": {"type": "bool", "default": False},
    "max_impact": {"type": "str", "choices": ["none", "reload", "restart", "rewrite", "destructive"]},
    "lock_timeout": {"type": "int"},
    "map": {"type": "str"},
    "system_user": {"type": "str"},
    "role": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main():
    run("pgident", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
