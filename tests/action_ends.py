"""Where a server stands after what was done to it, by the table of transitions: for ``tools/chaos`` and the tests that kill real clouds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from nova_lite.compute.transitions import TRANSITIONS, VmState
from nova_lite.db.models import Operation


@dataclass(frozen=True)
class Standing:
    """Where a server stands, and what two of the ways back from there depend on."""

    state: VmState = VmState.BUILDING
    before_resize: VmState = VmState.BUILDING
    before_delete: VmState = VmState.ACTIVE

    def after(self, action: str, end: str) -> Standing:
        """Return where it stands once *action* has ended: ``done``, ``failed`` or ``cancelled``."""
        transition = TRANSITIONS.get(action)
        if self.state is VmState.DELETED:
            return self  # what was asked of it while it was being deleted
        if action == "resetState":
            return dataclasses.replace(self, state=VmState.ERROR)  # the other state is asked for by no user of this
        if transition is None:
            return self  # a lock, say
        if end == "failed" and transition.on_fail is not None:
            return dataclasses.replace(self, state=transition.on_fail)
        if end != "done":
            return self
        kept = self
        if action == "resize":
            kept = dataclasses.replace(self, before_resize=self.state)
        elif action == "soft-delete":
            kept = dataclasses.replace(self, before_delete=self.state)
        return dataclasses.replace(kept, state=self._well(action))

    def _well(self, action: str) -> VmState:
        transition = TRANSITIONS[action]
        if action in ("confirmResize", "revertResize"):
            return self.before_resize
        if action == "restore" and self.before_delete is VmState.SHELVED_OFFLOADED:
            return self.before_delete  # it was offloaded just when it was deleted
        return self.state if transition.on_ok is None or self.state in transition.stays else transition.on_ok


def fold(works: Iterable[Operation], standing: Standing | None = None) -> Standing:
    """Return where a server stands after *works*, which began when it stood at *standing* (None: before its creation)."""
    found = standing or Standing()
    for row in works:
        found = found.after(row.action, row.state)
    return found
