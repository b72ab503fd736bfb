#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pgconf_info
short_description: Explains parameters of a PostgreSQL instance
description:
  - 'Explains parameters of a PostgreSQL instance.'
  - 'Tells the value, where it stands, what wins over what, and what waits for a restart; of a stopped instance as well.'
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
  names:
    description:
      - 'Names of parameters; all that a configuration file sets when they are left out.'
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Everything that a file sets
  socle.postgresql.pgconf_info:
    instance: main
  register: found

- name: Why has work_mem this value?
  socle.postgresql.pgconf_info:
    instance: main
    names: [work_mem]
  register: found
"""

RETURN = r"""
settings:
  description: The parameters; empty when there is no such instance.
  returned: always
  type: list
  elements: dict
  sample:
    - name: work_mem
      running: 8MB
      running_source: configuration file
      configured: 8MB
      source: {"file": "/srv/pgsql/15/main/data/postgresql.auto.conf", "line": 3, "value": "8MB"}
      shadowed:
        - {"file": "/srv/pgsql/15/main/data/postgresql.conf", "line": 138, "value": "16MB"}
      overrides:
        - {"role": "bob", "database": null, "value": "64MB"}
      pending_restart: false
      takes_effect: reload
      unit: kB
      type: integer
      default: 4MB
      description: Sets the maximum memory to be used for query workspaces.
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "names": {"type": "list", "elements": "str"},
}


def main():
    run("pgconf_info", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
