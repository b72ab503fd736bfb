#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pghba
short_description: Manages records of pg_hba.conf of a PostgreSQL instance
description:
  - 'Manages records of pg_hba.conf of a PostgreSQL instance.'
  - 'Adds, moves and removes single records, or makes the list of them exact; a running server is asked whether it takes the file, and reads
    it.'
  - 'Records are compared by what they mean. What is not concerned stays as it is, comments and include directives always.'
  - 'What would keep the superuser role out of the local socket is refused.'
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
      connection:
        description:
          - 'Network side of the record; left out, the record is for local sockets.'
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
          - 'Database names, separated by commas, as they stand in the file: a keyword in double quotes is a name, and so is what begins
            with C(+), C(@) or C(/) without meaning it.'
        type: str
        default: all
      user:
        description:
          - 'User names, separated by commas, likewise.'
        type: str
        default: all
      method:
        description:
          - 'Authentication method.'
        type: str
        required: true
        choices: [trust, reject, md5, password, scram-sha-256, sspi, ident, pam, ldap, radius, peer, gss, cert, oauth]
      options:
        description:
          - 'Options of the method by name, such as V(map); its passwords have options of their own.'
        type: dict
      ldapbindpasswd:
        description:
          - 'Password with which the method C(ldap) binds to look for the user.'
        type: str
      radiussecrets:
        description:
          - 'Shared secrets of the method C(radius), separated by commas.'
        type: str
      state:
        description:
          - 'Whether the record is to be there.'
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
  connection:
    description:
      - 'Network side of the record; left out, the record is for local sockets.'
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
      - 'Database names, separated by commas, as they stand in the file: a keyword in double quotes is a name, and so is what begins with
        C(+), C(@) or C(/) without meaning it.'
    type: str
    default: all
  user:
    description:
      - 'User names, separated by commas, likewise.'
    type: str
    default: all
  method:
    description:
      - 'Authentication method.'
    type: str
    choices: [trust, reject, md5, password, scram-sha-256, sspi, ident, pam, ldap, radius, peer, gss, cert, oauth]
  options:
    description:
      - 'Options of the method by name, such as V(map); its passwords have options of their own.'
    type: dict
  ldapbindpasswd:
    description:
      - 'Password with which the method C(ldap) binds to look for the user.'
    type: str
  radiussecrets:
    description:
      - 'Shared secrets of the method C(radius), separated by commas.'
    type: str
  state:
    description:
      - 'Whether the record is to be there.'
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Applications of a network, before everybody else
  socle.postgresql.pghba:
    instance: main
    connection:
      type: hostssl
      address: 10.1.0.0/16
    database: shop,stock
    user: +applications
    method: scram-sha-256
    before: host all all all reject

- name: One that is not wanted any more
  socle.postgresql.pghba:
    instance: main
    connection:
      address: 192.168.0.0
      netmask: 255.255.0.0
    method: md5
    state: absent

- name: The whole file, its records in this order
  socle.postgresql.pghba:
    instance: main
    records:
      - user: postgres
        method: peer
        options:
          map: pgsocle
      - method: scram-sha-256
      - connection:
          type: hostssl
          address: 10.0.0.0/8
        method: cert
      - connection:
          address: all
        method: reject
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
pghba:
  description: The file, and the records in it as they are now, or would be; without secrets, and without those of included files.
  returned: always
  type: dict
  sample:
    file: /etc/postgresql/15/main/pg_hba.conf
    records:
      - type: local
        databases: [all]
        users: [postgres]
        address: null
        netmask: null
        method: peer
        options: {"map": "pgsocle"}
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
            "user": {"type": "str", "default": "all"},
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
            "options": {"type": "dict"},
            "ldapbindpasswd": {"type": "str", "no_log": True},
            "radiussecrets": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge": {"type": "bool", "default": False},
    "max_impact": {"type": "str", "choices": ["none", "reload", "restart", "rewrite", "destructive"]},
    "lock_timeout": {"type": "int"},
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
    "user": {"type": "str", "default": "all"},
    "method": {
        "type": "str",
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
    "options": {"type": "dict"},
    "ldapbindpasswd": {"type": "str", "no_log": True},
    "radiussecrets": {"type": "str", "no_log": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main():
    run("pghba", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
