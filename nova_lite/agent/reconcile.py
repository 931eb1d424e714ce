"""Compare what the hypervisor has with what the database says. Pure: two lists in, decisions out.

What can't be seen is unknown, never "stopped". What the database does not know is reported, never touched. A server
with an operation under way is left to that operation.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Sequence
from dataclasses import dataclass

from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.compute.undoing import AWAY
from nova_lite.virt.driver import Observed


@dataclass(frozen=True)
class Wanted:
    """A server of this host as the database has it, or one whose guest was seen here.

    ``busy``: an operation of it is unfinished. ``elsewhere``: its row names another host. ``generation`` tells later
    whether the row has changed since. ``built``: its creation came to its end once. ``claimed``: it holds room of its host.
    """

    server_id: str
    vm_state: str
    task_state: str | None
    power_state: int
    generation: int
    busy: bool = False
    deleted: bool = False
    elsewhere: bool = False
    built: bool = True
    claimed: bool = False


class Do(enum.Enum):
    """What to do about a difference."""

    SHOW = "show"
    """Show what was observed: ``vm_state`` where given, and ``power``."""
    LOST = "lost"
    """The guest is gone though the hypervisor answers: ERROR with a fault."""
    STRANDED = "stranded"
    """A transitional state with no operation behind it: end it."""
    REMOVE = "remove"
    """The server was deleted: remove its guest from the host."""
    CLEAR = "clear"
    """Its creation failed: remove what that left, and give its room back."""
    STOP = "stop"
    """The server is put away and its guest runs, since what was to bring it back failed: stop it."""
    RESTART = "restart"
    """It ran before the host went down: start it again."""
    RUN_AGAIN = "run-again"
    """The same for one whose state stays what it is: a resize that waits to be confirmed, a rescue."""
    RECOVER = "recover"
    """It runs, and this agent has not taken it up since its start."""
    REPORT = "report"
    """Not ours to touch: tell the operator."""


@dataclass(frozen=True)
class Decision:
    """One thing to do. ``wanted`` is None for a guest that the database does not know."""

    do: Do
    name: str
    wanted: Wanted | None = None
    vm_state: VmState | None = None
    power: PowerState | None = None


_RUNS = (VmState.ACTIVE, VmState.PAUSED)

_WAITS = (VmState.RESCUED, VmState.RESIZED)

_RAN = (PowerState.RUNNING, PowerState.NOSTATE)
"""How what waits is shown if it may have run before the boot; nobody knew, where the hypervisor came up late."""

_LIVES = (*_RUNS, *_WAITS)
"""States whose guest must be there."""

_SEEN_AS: dict[tuple[VmState, PowerState], VmState] = {
    (VmState.ACTIVE, PowerState.SHUTDOWN): VmState.STOPPED,
    (VmState.ACTIVE, PowerState.CRASHED): VmState.STOPPED,
    (VmState.ACTIVE, PowerState.PAUSED): VmState.PAUSED,
    (VmState.PAUSED, PowerState.SHUTDOWN): VmState.STOPPED,
    (VmState.PAUSED, PowerState.CRASHED): VmState.STOPPED,
    (VmState.PAUSED, PowerState.RUNNING): VmState.ACTIVE,
    (VmState.STOPPED, PowerState.RUNNING): VmState.ACTIVE,
    (VmState.SUSPENDED, PowerState.RUNNING): VmState.ACTIVE,
}
"""Where the guest is plainly in another state than its row. Nova's sync_power_states stops a guest that runs though it is
marked stopped; here its row follows it, since nothing that runs is ever ended on a guess (that a guest shall not run whose server is put
away is none). Nova leaves one that is paused ACTIVE, where it can't be unpaused."""


def diff(
    observed: Sequence[Observed] | None,
    wanted: Sequence[Wanted],
    *,
    untaken: Container[str] = (),
    resume: Container[str] = (),
) -> list[Decision]:
    """Decide what to do about each server and each guest.

    *observed* None: the hypervisor does not answer. *untaken*: the servers that were there when the agent started and whose guests it has not
    taken up yet. *resume*: servers whose host was booted, and which shall run again if they ran then.
    """
    decisions: list[Decision] = []
    guests = {} if observed is None else {guest.server_id: guest for guest in observed if guest.server_id}
    known = set()
    for row in wanted:
        known.add(row.server_id)
        if row.busy:
            continue
        decision = (
            _unseen(row)
            if observed is None
            else _compare(
                row, guests.get(row.server_id), untaken=row.server_id in untaken, resume=row.server_id in resume
            )
        )
        if decision is not None:
            decisions.append(decision)
    for guest in observed or ():
        if guest.server_id is None or guest.server_id not in known:
            decisions.append(Decision(Do.REPORT, guest.name))
    return decisions


def _unseen(row: Wanted) -> Decision | None:
    if row.deleted or row.elsewhere or row.power_state == PowerState.NOSTATE:
        return None
    return Decision(Do.SHOW, row.server_id, row, power=PowerState.NOSTATE)


def _compare(row: Wanted, guest: Observed | None, *, untaken: bool, resume: bool) -> Decision | None:
    if row.deleted:
        return Decision(Do.REMOVE, row.server_id, row) if guest is not None else None
    if row.elsewhere:
        return Decision(Do.REPORT, guest.name, row) if guest is not None else None
    state = VmState(row.vm_state)
    if row.task_state is not None or state is VmState.BUILDING:
        return Decision(Do.STRANDED, row.server_id, row)
    if state is VmState.ERROR and not row.built:
        return Decision(Do.CLEAR, row.server_id, row) if guest is not None or row.claimed else None
    runs_now = guest is not None and guest.power in (PowerState.RUNNING, PowerState.PAUSED)
    if resume and state in _RUNS and not runs_now:
        return Decision(Do.RESTART, row.server_id, row)
    if resume and state in _WAITS and row.power_state in _RAN and guest is not None and not runs_now:
        return Decision(Do.RUN_AGAIN, row.server_id, row, power=guest.power)
    if guest is None:
        return Decision(Do.LOST, row.server_id, row) if state in _LIVES else None
    if guest.power is PowerState.NOSTATE:
        return _unseen(row)
    if state in AWAY and runs_now:
        return Decision(Do.STOP, row.server_id, row, power=guest.power)
    seen_as = _SEEN_AS.get((state, guest.power))
    if seen_as is not None or int(guest.power) != row.power_state:
        return Decision(Do.SHOW, row.server_id, row, vm_state=seen_as, power=guest.power)
    if untaken and runs_now:
        return Decision(Do.RECOVER, row.server_id, row)
    return None
