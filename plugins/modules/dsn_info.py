#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dsn_info
short_description: Tells how to connect to a PostgreSQL instance
description:
  - 'Tells how to connect to a PostgreSQL instance.'
  - 'Runs the C(pgsocle) executable on the target, which only reads.'
version_added: 0.1.0
author:
  - the pgsocle contributors (!UNKNOWN)
extends_documentation_fragment:
  - socle.postgresql._attributes
  - socle.postgresql._attributes.info
options:
  name:
    description:
      - 'Name of the instance, or C(version/name).'
    type: str
    required: true
  version:
    description:
      - 'Major version, where a name exists in several.'
    type: str
"""

EXAMPLES = r"""
- name: How to connect
  socle.postgresql.dsn_info:
    name: main
  register: main

- name: A query
  ansible.builtin.command:
    argv: [psql, --no-psqlrc, --command, SELECT version()]
  environment: "{{ main.dsn }}"
  changed_when: false
"""

RETURN = r"""
dsn:
  description: >-
    The variables that libpq clients and pgBackRest read, and E(PATH) with the programs of this major in front. No password is among them.
    They are also returned beside it, each under its own name.
  returned: always
  type: dict
  sample:
    PATH: /usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    PGBACKREST_CONFIG_PATH: /srv/pgsocle/etc/pgbackrest
    PGBACKREST_STANZA: main
    PGDATA: /srv/pgsocle/srv/pgsql/15/main/data
    PGHOST: /run/pgsocle/postgresql
    PGPASSFILE: /var/lib/postgresql/.pgpass
    PGPORT: "5433"
    PGUSER: postgres
    PSQLRC: /srv/pgsocle/srv/pgsql/15/main/data/.psqlrc
    PSQL_HISTORY: /srv/pgsocle/srv/pgsql/15/main/data/.psql_history
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
}


def main():
    run("dsn_info", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
