#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pghba_info
short_description: Describes who may connect to a PostgreSQL instance
description:
  - 'Describes who may connect to a PostgreSQL instance.'
  - 'Lists the records of pg_hba.conf, and tells which of them decides on a connection and why those above it do not.'
  - 'Runs the C(pgsocle) executable on the target, which only reads.'
version_added: 0.1.0
author:
  - the pgsocle contributors (!UNKNOWN)
extends_documentation_fragment:
  - socle.postgresql._attributes
  - socle.postgresql._attributes.info
options:
  instance:
    description:
      - 'The instance, as V(name) or V(version/name); may be left out when there is only one.'
    type: str
  user:
    description:
      - 'Role of a connection to be explained.'
    type: str
  database:
    description:
      - 'Database of that connection; that of the role''s name when it is left out.'
    type: str
  address:
    description:
      - 'IP address of the client, or C(local) for the Unix-domain socket.'
    type: str
    default: local
  ssl:
    description:
      - 'The connection is encrypted by SSL.'
    type: bool
    default: false
  gss:
    description:
      - 'The connection is encrypted by GSSAPI.'
    type: bool
    default: false
  replication:
    description:
      - 'The connection is for physical replication, to no database.'
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: All records, with their places and errors
  socle.postgresql.pghba_info:
    instance: main
  register: found

- name: What decides on a connection
  socle.postgresql.pghba_info:
    instance: main
    user: clerk
    database: shop
    address: 10.1.2.3
    ssl: true
  register: found

- name: Nobody gets in without a password
  ansible.builtin.assert:
    that:
      - found.explanation.certain
      - found.explanation.method == 'scram-sha-256'
"""

RETURN = r"""
file:
  description: The file.
  returned: always
  type: str
  sample: /etc/postgresql/15/main/pg_hba.conf
records:
  description:
    - Its records and those of included files, in the order in which the server tries them, with lists of names from files filled in.
    - Of a line that PostgreSQL refuses only C(error), its place and its text.
  returned: always
  type: list
  elements: dict
  sample:
    - type: hostssl
      databases: [shop]
      users: [+applications]
      address: 10.1.0.0/16
      netmask: null
      method: scram-sha-256
      options: {}
      file: /etc/postgresql/15/main/pg_hba.conf
      line: 96
      text: hostssl shop +applications 10.1.0.0/16 scram-sha-256
      error: null
loaded:
  description: Whether the running server has read the files as they are; null when it does not run.
  returned: always
  type: bool
  sample: true
explanation:
  description:
    - "C(decides): the record that decides on the connection, as in RV(records); null when there is none."
    - "C(method): its method; V(implicit reject) when there is none."
    - >-
      C(certain): false when it cannot be known of a record above whether it is for the connection (host names, and groups and
      regular expressions while the server is stopped).
    - "C(tried): the records up to that one, each with C(matches) and C(why) not."
  returned: when O(user) is given
  type: dict
  sample:
    method: scram-sha-256
    certain: true
    decides: {"file": "/etc/postgresql/15/main/pg_hba.conf", "line": 96}
    tried:
      - line: 94
        text: local all postgres peer
        matches: false
        why: it is for local connections
warnings:
  description: What is to be known before anything is built on this, such as that the server has not read the file yet.
  returned: always
  type: list
  elements: str
  sample: []
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "user": {"type": "str"},
    "database": {"type": "str"},
    "address": {"type": "str", "default": "local"},
    "ssl": {"type": "bool", "default": False},
    "gss": {"type": "bool", "default": False},
    "replication": {"type": "bool", "default": False},
}


def main():
    run("pghba_info", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
