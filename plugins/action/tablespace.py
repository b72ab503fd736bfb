# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.socle.postgresql.plugins.plugin_utils._executable import ExecutableAction


class ActionModule(ExecutableAction):
    kind = "tablespace"
