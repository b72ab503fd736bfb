#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: role
short_description: Manages a role of a PostgreSQL instance
description:
  - 'Manages a role of a PostgreSQL instance.'
  - 'Creates, alters and drops a role, with its memberships, settings, password and access.'
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
      - 'Name of the role.'
    type: str
    required: true
  state:
    description:
      - 'Whether the role is to be there.'
    type: str
    choices: [present, absent]
    default: present
  password:
    description:
      - 'Password in clear; it is compared with what the server has stored, and set only when it differs.'
    type: str
  encrypted_password:
    description:
      - 'Password already hashed (SCRAM-SHA-256 or MD5), stored as it is.'
    type: str
  update_password:
    description:
      - 'Whether a password of an existing role is compared and set, or only given at creation.'
    type: str
    choices: [always, on_create]
    default: always
  drop_owned:
    description:
      - 'With O(state=absent): drop everything that the role owns, its databases included.'
    type: bool
    default: false
  reassign_owned:
    description:
      - 'With O(state=absent): give everything that the role owns to this role.'
    type: str
  inherit:
    description:
      - 'Inherit the privileges of the roles it is a member of (INHERIT).'
    type: bool
  login:
    description:
      - 'May log in (LOGIN).'
    type: bool
  superuser:
    description:
      - 'Is a superuser (SUPERUSER).'
    type: bool
  createdb:
    description:
      - 'May create databases (CREATEDB).'
    type: bool
  createrole:
    description:
      - 'May create roles (CREATEROLE).'
    type: bool
  replication:
    description:
      - 'May start replication (REPLICATION).'
    type: bool
  bypassrls:
    description:
      - 'Bypasses row-level security (BYPASSRLS).'
    type: bool
  connection_limit:
    description:
      - 'How many sessions the role may have; -1 for no limit.'
    type: int
  valid_until:
    description:
      - 'When the password ends to be valid, as a date and time; C(infinity) for never.'
    type: str
  memberships:
    description:
      - 'Roles that the role is a member of; those not listed are kept.'
    type: list
    elements: dict
    suboptions:
      role:
        description:
          - 'The group role.'
        type: str
        required: true
      state:
        description:
          - 'Whether the role is to be a member.'
        type: str
        choices: [present, absent]
        default: present
  memberships_purge:
    description:
      - 'Makes O(memberships) exact: those not listed are revoked.'
    type: bool
    default: false
  settings:
    description:
      - 'Parameters set for the role''s sessions (ALTER ROLE … SET); null takes one away, those not listed are kept.'
    type: dict
  settings_purge:
    description:
      - 'Makes O(settings) exact: those not listed are taken away.'
    type: bool
    default: false
  comment:
    description:
      - 'Comment on the role; an empty one takes it away.'
    type: str
  hba_records:
    description:
      - 'Entries of C(pg_hba.conf) for the role; those not listed are kept.'
    type: list
    elements: dict
    suboptions:
      connection:
        description:
          - 'Network side of the entry; left out, the entry is for local sockets.'
        type: dict
        suboptions:
          type:
            description:
              - 'Connection type.'
            type: str
            choices: [host, hostssl, hostnossl, hostgssenc, hostnogssenc]
            default: host
          address:
            description:
              - 'Client host name, address or range.'
            type: str
            required: true
          netmask:
            description:
              - 'Client network mask, where the address has no length of its own.'
            type: str
      database:
        description:
          - 'Database names, separated by commas.'
        type: str
        default: all
      method:
        description:
          - 'Authentication method.'
        type: str
        required: true
        choices: [trust, reject, md5, password, scram-sha-256, sspi, ident, pam, ldap, radius, peer, gss, cert, oauth]
      state:
        description:
          - 'Whether the entry is to be there.'
        type: str
        choices: [present, absent]
        default: present
  pgpass:
    description:
      - 'Keep an entry with the role''s password in the password file of the site (C(postgresql.auth.passfile)), or remove it.'
    type: bool
"""

EXAMPLES = r"""
- name: A role that logs in, member of another one
  socle.postgresql.role:
    instance: main
    name: bob
    login: true
    password: "{{ vault_bob_password }}"
    memberships:
      - role: readers

- name: What was granted, taken back
  socle.postgresql.role:
    instance: main
    name: bob
    memberships:
      - role: readers
        state: absent

- name: The same role, gone, its objects given to another one
  socle.postgresql.role:
    instance: main
    name: bob
    state: absent
    reassign_owned: alice
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
role:
  description: The role as it is now, or would be; without secrets.
  returned: always
  type: dict
  sample:
    name: bob
    has_password: true
    inherit: true
    login: true
    superuser: false
    createdb: false
    createrole: false
    replication: false
    bypassrls: false
    connection_limit: -1
    valid_until: null
    memberships: [readers]
    settings: {"work_mem": "8MB"}
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
    "password": {"type": "str", "no_log": True},
    "encrypted_password": {"type": "str", "no_log": True},
    "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
    "drop_owned": {"type": "bool", "default": False},
    "reassign_owned": {"type": "str"},
    "inherit": {"type": "bool"},
    "login": {"type": "bool"},
    "superuser": {"type": "bool"},
    "createdb": {"type": "bool"},
    "createrole": {"type": "bool"},
    "replication": {"type": "bool"},
    "bypassrls": {"type": "bool"},
    "connection_limit": {"type": "int"},
    "valid_until": {"type": "str"},
    "memberships": {
        "type": "list",
        "elements": "dict",
        "options": {
            "role": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "memberships_purge": {"type": "bool", "default": False},
    "settings": {"type": "dict"},
    "settings_purge": {"type": "bool", "default": False},
    "comment": {"type": "str"},
    "hba_records": {
        "type": "list",
        "elements": "dict",
        "options": {
            "connection": {
                "type": "dict",
                "options": {
                    "type": {
                        "type": "str",
                        "choices": ["host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"],
                        "default": "host",
                    },
                    "address": {"type": "str", "required": True},
                    "netmask": {"type": "str"},
                },
            },
            "database": {"type": "str", "default": "all"},
            "method": {
                "type": "str",
                "required": True,
                "choices": [
                    "trust",
                    "reject",
                    "md5",
                    "password",
                    "scram-sha-256",
                    "sspi",
                    "ident",
                    "pam",
                    "ldap",
                    "radius",
                    "peer",
                    "gss",
                    "cert",
                    "oauth",
                ],
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "pgpass": {"type": "bool"},
}


def main():
    run("role", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
