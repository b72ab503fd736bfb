# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role `instances` hands over every option of the module `instance`: both of its lists come from the module's own.

With UPDATE=1 in the environment the files are written instead of compared.
"""

from __future__ import annotations

import os

import pytest
from ansible_collections.socle.postgresql.plugins.modules.instance import ARGUMENT_SPEC

ROLE = os.path.join(os.path.dirname(__file__), "..", "..", "..", "roles", "instances")
NAMES = [name for option, how in ARGUMENT_SPEC.items() for name in (option, *how.get("aliases", ()))]

VARS = """---
# Written by tests/unit/roles/test_instances.py from the options of the module `instance`.
__instances_options:
{options}"""

CONVERGE = """---
# Written by tests/unit/roles/test_instances.py from the options of the module `instance`: as one template they would draw a
# warning from Ansible at every run.
- name: Converge each instance
  socle.postgresql.instance:
{options}  # Over numbers, not over the list itself: the item of a loop is in its result, and these hold passwords.
  loop: "{{{{ range(instances_list | length) | list }}}}"
  loop_control:
    loop_var: __instances_number
    label: "{{{{ __instances_wanted.name }}}}"
  vars:
    __instances_wanted: "{{{{ instances_defaults | combine(instances_list[__instances_number]) }}}}"
  # Of the role `install` in check mode, where the settings file is not written.
  environment: "{{{{ install_settings_predicted | default({{}}) }}}}"
  register: instances_results
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("vars/main.yml", VARS.format(options="".join(f"  - {name}\n" for name in NAMES))),
        (
            "tasks/converge.yml",
            CONVERGE.format(options="".join(f'    {name}: "{{{{ __instances_wanted.{name} | default(omit) }}}}"\n' for name in NAMES)),
        ),
    ],
)
def test_the_role_knows_every_option(file, text):
    path = os.path.join(ROLE, file)
    if os.environ.get("UPDATE"):
        with open(path, "w", encoding="utf-8") as target:
            target.write(text)
    with open(path, encoding="utf-8") as source:
        assert source.read() == text, "write it with UPDATE=1"
