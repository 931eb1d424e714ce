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
    RESCUED = "rescued"
    RESIZED = "resized"
    SHELVED = "shelved"
    SHELVED_OFFLOADED = "shelved_offloaded"
    SOFT_DELETED = "soft-delete"
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
    """One action: it may begin in ``allowed_from``, shows ``during`` as task state (None: shows nothing), and ends in ``on_ok``.

    ``on_fail`` None means that a failed action leaves the server where it stood (the fault is kept);
    ``on_ok`` None means that the state after it is the one before it. ``stays`` are the states of ``allowed_from`` that it
    leaves as they are although ``on_ok`` names another. ``interrupts`` says that the action may begin while another one
    is under way. ``power`` is the power state after success (None: as it was). ``deadline_s`` bounds the whole
    operation, waiting for its host included.
    """

    action: str
    allowed_from: frozenset[VmState]
    during: str | None
    on_ok: VmState | None
    on_fail: VmState | None
    power: PowerState | None
    interrupts: bool = False
    deadline_s: float = 300.0
    stays: frozenset[VmState] = frozenset()


_S = VmState
_BUILT = frozenset({_S.ACTIVE, _S.PAUSED, _S.SUSPENDED, _S.STOPPED})
_LIVE = _BUILT | {_S.ERROR, _S.RESCUED, _S.RESIZED, _S.SHELVED}
_PLUGGABLE = frozenset({_S.ACTIVE, _S.PAUSED, _S.STOPPED})
_COPY_S = 3600.0
"""For what copies a disk."""

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
        # A failure ends with no server at all, where its host can see to that (nova_lite.compute.adoption).
        Transition("adopt", frozenset({_S.BUILDING}), "adopting", _S.ACTIVE, _S.ERROR, PowerState.RUNNING),
        Transition(
            "delete",
            _LIVE | {_S.BUILDING, _S.SHELVED_OFFLOADED, _S.SOFT_DELETED},
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
        Transition(
            "restart", frozenset({_S.STOPPED}), "powering-on", _S.ACTIVE, None, PowerState.RUNNING, deadline_s=900
        ),
        Transition(
            "soft-delete",
            _LIVE - {_S.ERROR},
            "soft-deleting",
            _S.SOFT_DELETED,
            _S.ERROR,
            PowerState.SHUTDOWN,
            interrupts=True,
        ),
        Transition("restore", frozenset({_S.SOFT_DELETED}), "restoring", _S.ACTIVE, None, PowerState.RUNNING),
        Transition(
            "rebuild",
            frozenset({_S.ACTIVE, _S.STOPPED, _S.ERROR}),
            "rebuilding",
            _S.ACTIVE,
            _S.ERROR,
            PowerState.RUNNING,
            deadline_s=600,
            stays=frozenset({_S.STOPPED}),
        ),
        Transition(
            "resize", frozenset({_S.ACTIVE, _S.STOPPED}), "resize_prep", _S.RESIZED, None, None, deadline_s=_COPY_S
        ),
        Transition("resize-live", frozenset({_S.ACTIVE}), "resize_prep", _S.ACTIVE, None, PowerState.RUNNING),
        # Where the server stood before the resize: nova_lite.compute.endings knows it.
        Transition("confirmResize", frozenset({_S.RESIZED}), "resize_confirming", _S.ACTIVE, None, None),
        Transition("revertResize", frozenset({_S.RESIZED}), "resize_reverting", _S.ACTIVE, None, None),
        Transition("createImage", _BUILT, "image_snapshot", None, None, None, deadline_s=_COPY_S),
        Transition("createBackup", _BUILT, "image_backup", None, None, None, deadline_s=_COPY_S),
        Transition(
            "rescue",
            frozenset({_S.ACTIVE, _S.STOPPED, _S.ERROR}),
            "rescuing",
            _S.RESCUED,
            None,
            PowerState.RUNNING,
            deadline_s=600,
        ),
        Transition("unrescue", frozenset({_S.RESCUED}), "unrescuing", _S.ACTIVE, _S.ERROR, PowerState.RUNNING),
        Transition("shelve", _BUILT, "shelving", _S.SHELVED, None, PowerState.SHUTDOWN, deadline_s=_COPY_S),
        Transition(
            "shelveOffload",
            frozenset({_S.SHELVED}),
            "shelving_offloading",
            _S.SHELVED_OFFLOADED,
            None,
            PowerState.NOSTATE,
        ),
        Transition(
            "unshelve",
            frozenset({_S.SHELVED, _S.SHELVED_OFFLOADED}),
            "unshelving",
            _S.ACTIVE,
            None,
            PowerState.RUNNING,
            deadline_s=_COPY_S,
        ),
        Transition(
            "trigger_crash_dump",
            frozenset({_S.ACTIVE, _S.PAUSED, _S.RESCUED, _S.RESIZED, _S.ERROR}),
            "crash_dumping",
            None,
            None,
            None,
        ),
        # Nova shows no task state for these two: the server is free for the next action, which waits for its turn.
        Transition("attach_interface", _PLUGGABLE, None, None, None, None, deadline_s=120),
        Transition("detach_interface", _PLUGGABLE, None, None, None, None, deadline_s=120),
        Transition("changePassword", frozenset({_S.ACTIVE}), "updating_password", None, None, None, deadline_s=90),
    )
}
"""Keyed by action. A state machine's test walks all of it (``tests/property``)."""


OWNING = frozenset(row.during for row in TRANSITIONS.values() if row.interrupts and row.during)
"""Task states of actions that interrupt: what they interrupted does not touch the server's state any more."""

_RESIZING = ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish")

_STATUS_BY_TASK = {
    (VmState.ACTIVE, "rebooting"): "REBOOT",
    (VmState.ACTIVE, "rebooting_hard"): "HARD_REBOOT",
    (VmState.STOPPED, "rebooting_hard"): "HARD_REBOOT",
    (VmState.PAUSED, "rebooting_hard"): "HARD_REBOOT",
    (VmState.SUSPENDED, "rebooting_hard"): "HARD_REBOOT",
    (VmState.ERROR, "rebooting_hard"): "HARD_REBOOT",
    (VmState.ACTIVE, "updating_password"): "PASSWORD",
    **{(state, "rebuilding"): "REBUILD" for state in (VmState.ACTIVE, VmState.STOPPED, VmState.ERROR)},
    **{(state, task): "RESIZE" for state in (VmState.ACTIVE, VmState.STOPPED) for task in _RESIZING},
    (VmState.RESIZED, "resize_reverting"): "REVERT_RESIZE",
}
_STATUS = {
    VmState.BUILDING: "BUILD",
    VmState.ACTIVE: "ACTIVE",
    VmState.PAUSED: "PAUSED",
    VmState.SUSPENDED: "SUSPENDED",
    VmState.STOPPED: "SHUTOFF",
    VmState.ERROR: "ERROR",
    VmState.RESCUED: "RESCUE",
    VmState.RESIZED: "VERIFY_RESIZE",
    VmState.SHELVED: "SHELVED",
    VmState.SHELVED_OFFLOADED: "SHELVED_OFFLOADED",
    VmState.SOFT_DELETED: "SOFT_DELETED",
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
