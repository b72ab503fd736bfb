#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database
short_description: Manages a database of a PostgreSQL instance
description:
  - 'Manages a database of a PostgreSQL instance.'
  - 'Creates, alters and drops a database, with its schemas, extensions and settings.'
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
      - 'Name of the database.'
    type: str
    required: true
  state:
    description:
      - 'Whether the database is to be there.'
    type: str
    choices: [present, absent]
    default: present
  force_drop:
    description:
      - 'With O(state=absent): end the sessions that use it (DROP DATABASE … WITH (FORCE)).'
    type: bool
    default: false
  keep_data:
    description:
      - 'With O(state=absent): set the database aside instead of dropping it, as V(NAME_dropped_1), without connections.'
    type: bool
    default: false
  deletion_protection:
    description:
      - 'Whether O(state=absent) is refused; off unless it was ever given.'
      - 'It cannot be lifted in the call that drops.'
      - 'It is kept in the database (C(ALTER DATABASE … SET pgsocle.deletion_protection)), so that standbys have it too.'
    type: bool
  owner:
    description:
      - 'Owner of the database.'
    type: str
  encoding:
    description:
      - 'Encoding of the database, as V(UTF8).'
      - 'Chosen at creation; refused when it would change.'
    type: str
  locale:
    description:
      - 'Locale of the database; it is made from template0 when this differs from template1''s.'
      - 'Chosen at creation; refused when it would change.'
    type: str
  locale_provider:
    description:
      - 'Provider of the locale (C(icu) from PostgreSQL 15 on, C(builtin) from 17 on).'
      - 'Chosen at creation; refused when it would change.'
    type: str
    choices: [libc, icu, builtin]
  icu_locale:
    description:
      - 'Locale of the ICU provider, as V(de-DE-x-icu) or V(en-US).'
      - 'Chosen at creation; refused when it would change.'
    type: str
  tablespace:
    description:
      - 'Tablespace; changing it moves the database, which is refused while sessions use it.'
    type: str
  connection_limit:
    description:
      - 'How many sessions the database may have; -1 for no limit.'
    type: int
  settings:
    description:
      - 'Parameters set for sessions of the database (ALTER DATABASE … SET); null takes one away, those not listed are kept.'
    type: dict
  settings_purge:
    description:
      - 'Makes O(settings) exact: those not listed are taken away.'
    type: bool
    default: false
  comment:
    description:
      - 'Comment on the database; an empty one takes it away.'
    type: str
  schemas:
    description:
      - 'Schemas; those not listed are kept.'
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - 'Name of the schema.'
        type: str
        required: true
      state:
        description:
          - 'Whether the schema is to be there; it is dropped only when nothing is in it, unless O(schemas[].cascade) is set.'
        type: str
        choices: [present, absent]
        default: present
      owner:
        description:
          - 'Owner of the schema; at creation the owner of the database unless given.'
        type: str
      cascade:
        description:
          - 'With O(schemas[].state=absent): drop what is in it and what depends on it too.'
        type: bool
        default: false
  extensions:
    description:
      - 'Extensions; those not listed are kept.'
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - 'Name of the extension.'
        type: str
        required: true
      schema:
        description:
          - 'Schema of its objects.'
        type: str
      version:
        description:
          - 'Version; at creation the default one unless given.'
        type: str
      state:
        description:
          - 'Whether the extension is to be there; it is dropped only when nothing depends on it, unless O(extensions[].cascade) is set.'
        type: str
        choices: [present, absent]
        default: present
      cascade:
        description:
          - 'With O(extensions[].state=absent): drop what depends on it too.'
        type: bool
        default: false
  publications:
    description:
      - 'Logical publications; not supported in this version.'
    type: list
    elements: raw
  subscriptions:
    description:
      - 'Logical subscriptions; not supported in this version.'
    type: list
    elements: raw
  clone:
    description:
      - 'Copy another database into this one; not supported in this version.'
    type: raw
"""

EXAMPLES = r"""
- name: A database with its owner, a schema and an extension
  socle.postgresql.database:
    instance: main
    name: shop
    owner: bob
    schemas:
      - name: app
        owner: bob
    extensions:
      - name: pg_trgm
        schema: app

- name: The database, gone although sessions use it
  socle.postgresql.database:
    instance: main
    name: shop
    state: absent
    force_drop: true
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
database:
  description: The database as it is now, or would be.
  returned: always
  type: dict
  sample:
    name: shop
    owner: bob
    encoding: UTF8
    locale: C.UTF-8
    locale_provider: libc
    icu_locale: null
    tablespace: pg_default
    connection_limit: -1
    settings: {"work_mem": "8MB"}
    schemas: [{"name": "app", "owner": "bob"}]
    extensions: [{"name": "pg_trgm", "schema": "app", "version": "1.6"}]
    comment: null
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
    "force_drop": {"type": "bool", "default": False},
    "keep_data": {"type": "bool", "default": False},
    "deletion_protection": {"type": "bool"},
    "owner": {"type": "str"},
    "encoding": {"type": "str"},
    "locale": {"type": "str"},
    "locale_provider": {"type": "str", "choices": ["libc", "icu", "builtin"]},
    "icu_locale": {"type": "str"},
    "tablespace": {"type": "str"},
    "connection_limit": {"type": "int"},
    "settings": {"type": "dict"},
    "settings_purge": {"type": "bool", "default": False},
    "comment": {"type": "str"},
    "schemas": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "owner": {"type": "str"},
            "cascade": {"type": "bool", "default": False},
        },
    },
    "extensions": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "schema": {"type": "str"},
            "version": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "cascade": {"type": "bool", "default": False},
        },
    },
    "publications": {"type": "list", "elements": "raw", "no_log": True},
    "subscriptions": {"type": "list", "elements": "raw", "no_log": True},
    "clone": {"type": "raw", "no_log": True},
}


def main():
    run("database", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
