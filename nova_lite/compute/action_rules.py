"""Which action may begin from where a server stands, and how the others are refused: in words that say from where it would work."""

from __future__ import annotations

from nova_lite.compute.transitions import TRANSITIONS, Transition, status
from nova_lite.db.models import Server
from nova_lite.errors import Conflict


def check(server: Server, action: str) -> None:
    """Do nothing if *action* may begin from where *server* stands. :raises Conflict: it may not."""
    transition = TRANSITIONS[action]
    if server.vm_state not in transition.allowed_from or (server.task_state and not transition.interrupts):
        raise Conflict(_refusal(server, transition), "server.wrong_state")


_ON_OWN_DISKS = {
    "rebuild": "rebuilt",
    "resize": "resized",
    "rescue": "rescued",
    "createImage": "made an image of",
    "createBackup": "backed up",
    "shelve": "shelved",
}
"""What needs disks and a definition that are of our own making."""


def check_adopted(server: Server, action: str) -> None:
    """Do nothing if *action* may be done to *server* though it was adopted. :raises Conflict: it needs disks of our own making."""
    if action in _ON_OWN_DISKS and (server.system_metadata or {}).get("adopted"):
        raise Conflict(
            f"Instance {server.id} was adopted and keeps its own disks and definition, so it can't be {_ON_OWN_DISKS[action]}; "
            "a server that was created here can.",
            "server.adopted",
        )


def check_reverting(server: Server, action: str) -> None:
    """Do nothing unless *action* confirms a resize of which a revert has failed. :raises Conflict: it does; the guest may be back already."""
    if action == "confirmResize" and (server.system_metadata or {}).get("reverting"):
        raise Conflict(
            f"Cannot 'confirmResize' instance {server.id}: a revert of its resize has failed, and may have been done in part; "
            "revert it again.",
            "server.reverting",
        )


def _refusal(server: Server, transition: Transition) -> str:
    """Say why not, beginning as Nova does (clients match on it), and from where it would work."""
    if server.vm_state not in transition.allowed_from:
        wanted = ", ".join(sorted(status(state, None) for state in transition.allowed_from))
        return (
            f"Cannot '{shown_name(transition.action)}' instance {server.id} while it is in "
            f"vm_state {server.vm_state}; it is possible from: {wanted}."
        )
    return (
        f"Cannot '{shown_name(transition.action)}' instance {server.id} while it is in "
        f"task_state {server.task_state}; wait until that has ended."
    )


def shown_name(action: str) -> str:
    """Return the name that Nova has for an action: the variants that our table tells apart are one there."""
    if action == "soft-delete":
        return "delete"
    return action.partition("-")[0] if action.startswith(("reboot-", "resize-")) else action
