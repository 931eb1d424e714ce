"""The one table of what may be done to a server, from where, and where it ends.

The API's 409s, the agent, the documentation (``doc/server_states.rst``) and the tests all read this table.
The states are Nova's: https://docs.openstack.org/nova/latest/reference/vm-states.html
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class VmState(enum.StrEnum):
    """Where a server stands when nothing is being done to it."""

    BUILDING = "building"
    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    ERROR = "error"
    DELETED = "deleted"


class PowerState(enum.IntEnum):
    """What the hypervisor last said, in Nova's numbers. NOSTATE is "could not be seen", never "stopped"."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


@dataclass(frozen=True)
class Transition:
    """One action: it may begin in ``allowed_from``, shows ``during`` as task state, and ends in ``on_ok``.

    ``on_fail`` None means that a failed action leaves the server where it stood (the fault is kept);
    ``on_ok`` None means that the state after it is the one before it. ``interrupts`` says that the action
    may begin while another one is under way. ``power`` is the power state after success.
    ``deadline_s`` bounds the whole operation, waiting for its host included.
    """

    action: str
    allowed_from: frozenset[VmState]
    during: str
    on_ok: VmState | None
    on_fail: VmState | None
    power: PowerState | None
    interrupts: bool = False
    deadline_s: float = 300.0


_S = VmState
_LIVE = frozenset({_S.ACTIVE, _S.PAUSED, _S.SUSPENDED, _S.STOPPED, _S.ERROR})

TRANSITIONS: dict[str, Transition] = {
    row.action: row
    for row in (
        Transition(
            "create",
            frozenset({_S.BUILDING}),
            "scheduling",
            _S.ACTIVE,
            _S.ERROR,
            PowerState.RUNNING,
            deadline_s=600,
        ),
        Transition(
            "delete",
            _LIVE | {_S.BUILDING},
            "deleting",
            _S.DELETED,
            _S.ERROR,
            PowerState.NOSTATE,
            interrupts=True,
            deadline_s=300,
        ),
        Transition("start", frozenset({_S.STOPPED}), "powering-on", _S.ACTIVE, None, PowerState.RUNNING),
        Transition("stop", frozenset({_S.ACTIVE, _S.ERROR}), "powering-off", _S.STOPPED, None, PowerState.SHUTDOWN),
        Transition("reboot-soft", frozenset({_S.ACTIVE}), "rebooting", _S.ACTIVE, _S.ERROR, PowerState.RUNNING),
        Transition(
            "reboot-hard",
            frozenset({_S.ACTIVE, _S.STOPPED, _S.PAUSED, _S.SUSPENDED, _S.ERROR}),
            "rebooting_hard",
            _S.ACTIVE,
            _S.ERROR,
            PowerState.RUNNING,
        ),
        Transition("pause", frozenset({_S.ACTIVE}), "pausing", _S.PAUSED, None, PowerState.PAUSED),
        Transition("unpause", frozenset({_S.PAUSED}), "unpausing", _S.ACTIVE, None, PowerState.RUNNING),
        Transition("suspend", frozenset({_S.ACTIVE}), "suspending", _S.SUSPENDED, None, PowerState.SHUTDOWN),
        Transition("resume", frozenset({_S.SUSPENDED}), "resuming", _S.ACTIVE, _S.ERROR, PowerState.RUNNING),
    )
}
"""Keyed by action. A state machine's test walks all of it (``tests/property``)."""


_STATUS_BY_TASK = {
    (VmState.ACTIVE, "rebooting"): "REBOOT",
    (VmState.ACTIVE, "rebooting_hard"): "HARD_REBOOT",
    (VmState.STOPPED, "rebooting_hard"): "HARD_REBOOT",
    (VmState.PAUSED, "rebooting_hard"): "HARD_REBOOT",
    (VmState.SUSPENDED, "rebooting_hard"): "HARD_REBOOT",
    (VmState.ERROR, "rebooting_hard"): "HARD_REBOOT",
}
_STATUS = {
    VmState.BUILDING: "BUILD",
    VmState.ACTIVE: "ACTIVE",
    VmState.PAUSED: "PAUSED",
    VmState.SUSPENDED: "SUSPENDED",
    VmState.STOPPED: "SHUTOFF",
    VmState.ERROR: "ERROR",
    VmState.DELETED: "DELETED",
}


def status(vm_state: str, task_state: str | None) -> str:
    """Return the ``status`` that the Compute API shows for a pair of states.

    Source: https://docs.openstack.org/api-guide/compute/server_concepts.html
    """
    state = VmState(vm_state)
    return _STATUS_BY_TASK.get((state, task_state or ""), _STATUS[state])


def states_for(wanted: str) -> tuple[list[str], list[str] | None]:
    """Turn a ``status`` filter into ``(vm_states, task_states)``; task states None: any.

    An unknown status gives ``([], None)``: nothing matches, as upstream has it.
    """
    wanted = wanted.upper()
    tasks = [task for (_, task), shown in _STATUS_BY_TASK.items() if shown == wanted]
    if tasks:
        return [state for (state, _), shown in _STATUS_BY_TASK.items() if shown == wanted], sorted(set(tasks))
    return [state for state, shown in _STATUS.items() if shown == wanted], None
