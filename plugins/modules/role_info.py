#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: role_info
short_description: Describes roles of a PostgreSQL instance
description:
  - 'Describes roles of a PostgreSQL instance.'
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
  name:
    description:
      - 'Name of the role; all but the predefined ones when it is left out.'
    type: str
"""

EXAMPLES = r"""
- name: All roles of an instance
  socle.postgresql.role_info:
    instance: main
  register: found

- name: One of them
  socle.postgresql.role_info:
    instance: main
    name: bob
  register: found
"""

RETURN = r"""
roles:
  description: The roles that were found; empty when there is none.
  returned: always
  type: list
  elements: dict
  sample:
    - name: bob
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
    "name": {"type": "str"},
}


def main():
    run("role_info", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
