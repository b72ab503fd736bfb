#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tablespace_info
short_description: Describes tablespaces of a PostgreSQL instance
description:
  - 'Describes tablespaces of a PostgreSQL instance.'
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
      - 'Name of the tablespace; all but C(pg_default) and C(pg_global) when it is left out.'
    type: str
"""

EXAMPLES = r"""
- name: All tablespaces of an instance
  socle.postgresql.tablespace_info:
    instance: main
  register: found
"""

RETURN = r"""
tablespaces:
  description: The tablespaces that were found, without C(pg_default) and C(pg_global); empty when there is none. Sizes are in bytes.
  returned: always
  type: list
  elements: dict
  sample:
    - name: fast
      owner: bob
      location: /srv/nvme/fast
      settings: {"random_page_cost": "1.1"}
      comment: null
      deletion_protection: true
      size: 7930339
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
    run("tablespace_info", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
