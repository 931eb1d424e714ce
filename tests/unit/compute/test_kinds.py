"""The table of action × kind is whole, and what it refuses says who can."""

from __future__ import annotations

import re

import pytest

from nova_lite.api.compute.server_actions import ACTIONS
from nova_lite.compute import kinds
from nova_lite.compute.kinds import CONTAINER, KINDS, ROWS, UNIKERNEL, VM
from nova_lite.compute.transitions import TRANSITIONS
from nova_lite.virt import abilities

GONE = {"os-getRDPConsole"}
"""What no kind has, here or upstream."""


def test_each_action_of_the_api_has_a_row() -> None:
    assert set(ACTIONS) - GONE <= set(kinds.BY_NAME)
    assert set(kinds.BY_NAME) <= set(ACTIONS)


def test_each_transition_has_one_row() -> None:
    named = sorted(row.transition for row in ROWS if row.transition)
    assert named == sorted(TRANSITIONS)


def test_each_cell_says_something() -> None:
    assert all(row.cell(kind).strip() for row in ROWS for kind in KINDS)
    assert len({row.title for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.refused], ids=lambda row: row.title)
def test_each_refusal_says_what_has_it(row: kinds.Row) -> None:
    for kind in row.refused:
        assert re.search(r"\bVM\b|rebuild it", row.refusal(kind)), row.title
    for kind in set(KINDS) - set(row.refused):
        assert row.refusal(kind) == ""


def test_each_ability_is_a_protocol_of_the_drivers() -> None:
    methods = {name for value in vars(abilities).values() if isinstance(value, type) for name in vars(value)}
    methods |= {"stop_and_remove", "console_target"}
    for ability in kinds.BY_ABILITY:
        method = {"shelve": "stop_and_remove", "attach_interface": "attach_nic"}.get(ability, ability)
        assert method in methods or ability.startswith("console."), ability


def test_a_password_needs_the_agent() -> None:
    assert kinds.refusal("changePassword", VM, {"hw_qemu_guest_agent": "yes"}) == ""
    assert "hw_qemu_guest_agent" in kinds.refusal("changePassword", VM, {})
    for kind in (UNIKERNEL, CONTAINER):
        assert "hw_qemu_guest_agent" in kinds.refusal("changePassword", kind, {"hw_qemu_guest_agent": "yes"})
    assert kinds.refusal("no such action", VM, {}) == ""
