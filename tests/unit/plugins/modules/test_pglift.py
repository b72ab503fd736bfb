# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import os

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

with open(os.path.join(os.path.dirname(__file__), "pglift.yml"), encoding="utf-8") as _file:
    TASKS = yaml.safe_load(_file)


@pytest.mark.parametrize("task", TASKS, ids=[task["name"] for task in TASKS])
def test_arguments_for_pglift_are_accepted(task):
    (kind, args) = next((key.rpartition(".")[2], value) for key, value in task.items() if key != "name")
    spec = importlib.import_module(f"ansible_collections.socle.postgresql.plugins.modules.{kind}").ARGUMENT_SPEC
    assert ArgumentSpecValidator(spec).validate(args).error_messages == []
