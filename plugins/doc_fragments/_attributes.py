# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What all modules of the collection have in common."""

    DOCUMENTATION = r"""
options:
  executable:
    description:
      - Path of the C(pgsocle) executable on the target.
      - When omitted, C(/usr/local/bin/pgsocle) and C(/usr/bin/pgsocle) are tried, then what O(executable_delivery) allows.
      - It is not run when another user could change it or a directory above it.
    type: str
  executable_delivery:
    description:
      - What to do on a target that has no executable which speaks this collection's protocol.
      - V(auto) brings the collection's own executable, once, to C(/var/lib/pgsocle) for root and to C(~/.cache/pgsocle) for other users.
      - V(temporary) brings it to a temporary directory that is removed after the task; check mode always does so.
      - V(never) fails; install the executable with the role P(socle.postgresql.install#role).
    type: str
    choices: [auto, temporary, never]
    default: auto
attributes:
  action_group:
    description: Use C(group/socle.postgresql.all) in C(module_defaults) to set options for all modules of the collection.
    support: full
    membership: [socle.postgresql.all]
  platform:
    description: Where the target can be. No Python is needed on it, but for asynchronous tasks and become methods that need a terminal.
    support: full
    platforms: linux
"""

    CHANGES = r"""
attributes:
  check_mode:
    description: The changes are predicted by the same plan that would be carried out, and nothing is touched.
    support: full
  diff_mode:
    description: Shows what is managed before and after, without secrets.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

    INFO = r"""
attributes:
  check_mode:
    description: The module only reads.
    support: full
  diff_mode:
    description: There is nothing to show, as the module changes nothing.
    support: N/A
  idempotent:
    description: The module changes nothing.
    support: full
"""
