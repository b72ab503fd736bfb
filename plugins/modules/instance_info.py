#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: Describes the PostgreSQL instances of a host
description:
  - 'Describes the PostgreSQL instances of a host.'
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
      - 'The instance, as V(name) or V(version/name); all of them when it is left out.'
    type: str
  backup:
    description:
      - 'Whether it is told how their backups stand.'
      - 'Their repository is asked for that, and waited for some seconds.'
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: All instances of the host
  socle.postgresql.instance_info:
  register: found

- name: One of them
  socle.postgresql.instance_info:
    instance: 15/main
    backup: true
  register: found
"""

RETURN = r"""
instances:
  description: >-
    The instances that were found; empty when there is none. Where all are asked for, the `state` of an adopted one whose cluster is not
    there is `missing`, and that of one that may not be looked into `unreadable`, with the `problem`.
  returned: always
  type: list
  elements: dict
  sample:
    - name: main
      version: "15"
      state: started
      port: 5433
      settings: {"work_mem": "16MB"}
      data_checksums: true
      locale: C.UTF-8
      locale_provider: libc
      encoding: UTF8
      pending_restart: false
      pending_restart_settings: []
      socket_directory: /run/pgsocle/postgresql
      data_directory: /srv/pgsocle/srv/pgsql/15/main/data
      wal_directory: /srv/pgsocle/srv/pgsql/15/main/wal
      backup:
        stanza: main
        newest: {"label": "20261127-203328F", "type": "full", "date_stop": "2026-11-27T20:33:34Z"}
        age: 3600
        archiver: {"failing": false, "queue": 0}
        timers: []
        problems: []
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "instance": {"type": "str"},
    "backup": {"type": "bool", "default": False},
}


def main():
    run("instance_info", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
