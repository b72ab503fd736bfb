#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: site
short_description: Manages the files that pgsocle needs on a host
description:
  - 'Manages the files that pgsocle needs on a host.'
  - 'Makes or removes the directories and units that all instances of the host share.'
  - 'Runs the C(pgsocle) executable on the target, which plans, reports and applies.'
version_added: 0.1.0
author:
  - the pgsocle contributors (!UNKNOWN)
extends_documentation_fragment:
  - socle.postgresql._attributes
  - socle.postgresql._attributes.changes
options:
  state:
    description:
      - 'Whether the files of the site are to be there.'
      - 'Their removal is refused while an instance exists; logs are kept.'
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - 'Whether files whose content is not what the site settings give are overwritten.'
      - 'Default: C(true).'
      - 'With C(false) such files are told of in a warning, and only what is missing is made.'
    type: bool
"""

EXAMPLES = r"""
- name: Directories and units
  socle.postgresql.site:
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
site:
  description: The files of the site as they are now, or would be.
  returned: always
  type: dict
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool"},
}


def main():
    run("site", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
