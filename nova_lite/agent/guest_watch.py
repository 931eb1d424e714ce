"""Look at once at guests that the driver says have changed: a hint of where to look, as a message is of when.

The reconciler decides, from the database and the driver. So a change that is told late, twice or not at all costs at most the time until
the next whole comparison. What an operation of ours does to its guest is told, too; it is left to that operation.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from nova_lite.agent.sync import Reconciler
from nova_lite.compute.transitions import TRANSITIONS, PowerState, VmState
from nova_lite.virt.abilities import Change

LOG = logging.getLogger(__name__)

GATHER_S = 0.05
"""How long changes are gathered that are then looked at together."""
REST = 4.0
"""How many times as long as a look took nothing is looked at: however much is told, this is a fifth of one thread's work."""
MOST_REST_S = 0.5

ENDED = (None, PowerState.SHUTDOWN, PowerState.CRASHED)
ENDING = frozenset(
    row.action
    for row in TRANSITIONS.values()
    if row.on_ok in (VmState.STOPPED, VmState.SUSPENDED, VmState.SHELVED, VmState.SHELVED_OFFLOADED)
    or row.on_ok in (VmState.SOFT_DELETED, VmState.DELETED)
)
"""Actions after which no guest runs."""


class GuestWatch:
    """Gathers what the driver tells, and lets the reconciler look.

    :param is_held: tells whether this agent is at work on a server. Such a server is looked at when it is let go, but for what its
        operation's end has seen itself (:meth:`seen`), or what it did: its guest has ended by what ends guests.
    :param look_at_all: asks for a whole comparison, where changes may have been missed.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        is_held: Callable[[str], bool],
        look_at_all: Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        self._reconciler = reconciler
        self._is_held = is_held
        self._look_at_all = look_at_all
        self._stopping = stopping
        self._lock = threading.Lock()
        self._told: dict[str, PowerState | None] = {}
        self._later: dict[str, PowerState | None] = {}
        self._freed: dict[str, str | None] = {}
        """Servers that were let go since the look that is under way began, and what was done to them."""
        self._is_looking = False
        self._hint = threading.Event()

    def tell(self, change: Change) -> None:
        """Remember a change; called by the driver, which is not kept waiting."""
        if change.server_id is None:
            self._look_at_all()
            return
        with self._lock:
            # Under the lock, so that let_go() comes before this or finds what is left here.
            waiting = self._later if self._is_held(change.server_id) else self._told
            waiting[change.server_id] = change.power
        if waiting is self._told:
            self._hint.set()

    def seen(self, server_id: str) -> None:
        """Forget what was told of a server's guest: an operation on it asks the driver now. That it had ended is more than its end shows."""
        with self._lock:
            if self._later.get(server_id) not in ENDED:
                del self._later[server_id]

    def let_go(self, server_id: str, action: str | None) -> None:
        """Take up what was told of a server that the agent has let go of; *action*: what it did, None: it compared."""
        with self._lock:
            if self._is_looking:
                self._freed[server_id] = action
            if server_id in self._later:
                self._take_up(server_id, self._later.pop(server_id), action)

    def _take_up(self, server_id: str, power: PowerState | None, action: str | None) -> None:
        """Have a server that was let go looked at, unless all that was told of it is what *action* does. The caller holds the lock."""
        if power not in ENDED or action not in ENDING:
            self._told.setdefault(server_id, power)
            self._hint.set()

    def wake(self) -> None:
        """Let :meth:`run` see that the agent is stopping."""
        self._hint.set()

    def run(self) -> None:
        """Look, until the agent stops."""
        while True:
            self._hint.wait()
            if self._stopping.wait(GATHER_S):
                return
            self._hint.clear()
            with self._lock:
                told, self._told = self._told, {}
                self._is_looking = True
            began = time.monotonic()
            try:
                busy = self._reconciler.look(told)
            except Exception:
                LOG.exception("event=look-failed guests=%d (the next comparison sees them)", len(told))
                busy = []
            self._leave(busy, told)
            if self._stopping.wait(min(MOST_REST_S, REST * (time.monotonic() - began))):
                return

    def _leave(self, busy: Iterable[str], told: Mapping[str, PowerState | None]) -> None:
        """Leave servers to whatever is at work on them; one that was let go of while it was looked at is looked at again."""
        with self._lock:
            for server_id in busy:
                if server_id in self._freed:
                    self._take_up(server_id, told[server_id], self._freed[server_id])
                else:
                    self._later.setdefault(server_id, told[server_id])
            self._is_looking = False
            self._freed.clear()
