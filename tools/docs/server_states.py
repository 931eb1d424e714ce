"""The table of transitions, as tables of ``doc/server_states.rst``: those that an agent can carry out."""

from __future__ import annotations

from tables import code, table

from nova_lite.agent.actions import ACTIONS
from nova_lite.compute import kinds
from nova_lite.compute.transitions import TRANSITIONS, Transition, VmState, status

OFFERED = {name: row for name, row in TRANSITIONS.items() if name in ACTIONS}


def transitions() -> str:
    """Return one row for each action: from where, through what, to where; and which have no worker yet."""
    head = ("Action", "May begin in", "Task state", "Ends in", "If it fails", "Power state", "Interrupts", "Limit")
    shown = table(head, [_row(row) for row in OFFERED.values()], (12, 24, 14, 12, 14, 12, 8, 8))
    waiting = [code(name) for name in TRANSITIONS if name not in OFFERED]
    if waiting:
        shown += f"\n\nIn the table of the code, but without a worker yet: {', '.join(waiting)}."
    return shown


def _row(row: Transition) -> tuple[str, ...]:
    begins = ", ".join(state.value for state in _reached() if state in row.allowed_from)
    ends = row.on_ok.value if row.on_ok else "as before"
    stays = ", ".join(state.value for state in VmState if state in row.stays)
    return (
        code(row.action),
        begins,
        row.during or "none",
        f"{ends}; {stays} stays" if stays else ends,
        row.on_fail.value if row.on_fail else "as before",
        row.power.name if row.power is not None else "as it was",
        "yes" if row.interrupts else "no",
        f"{row.deadline_s:.0f} s",
    )


def _reached() -> list[VmState]:
    """List the states that a server can come to."""
    ends = {state for row in OFFERED.values() for state in (row.on_ok, row.on_fail)}
    return [state for state in VmState if state in ends or state is VmState.BUILDING]


def from_each_state() -> str:
    """Return one row for each state: what the API shows, and what may be done from there."""
    rows = []
    for state in _reached():
        able = [code(row.action) for row in OFFERED.values() if state in row.allowed_from]
        rows.append((state.value, status(state.value, None), ", ".join(able) or "nothing"))
    return table(("vm_state", "Status in the API", "Actions"), rows, (15, 20, 65))


def steps() -> str:
    """Return one row for each action: what its agent does, in order."""
    rows = [
        (code(name), ", ".join(step.name for step in ACTIONS[name].steps) or "nothing on the host") for name in OFFERED
    ]
    return table(("Action", "Steps on the host"), rows, (20, 80))


def by_kind() -> str:
    """Return one row for each action: what it does to each kind, or why that is refused."""
    rows = [(code(row.title), *(_cell(row, kind) for kind in kinds.KINDS)) for row in kinds.ROWS]
    return table(("Action", "VM", "Unikernel", "Container"), rows, (16, 28, 28, 28))


def _cell(row: kinds.Row, kind: str) -> str:
    said = row.cell(kind)
    return f"**Refused:** {said}." if row.refusal(kind) else said
