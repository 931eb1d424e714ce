"""Numbers that a host gives for itself and that stay with their owner: marks of ports, conntrack zones of networks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from nova_lite.host.ports import HostError

K = TypeVar("K", bound=Hashable)
HIGHEST = 0xFFFF


class Numbering(Generic[K]):
    """Gives each owner a number from 1 to 65535. A number that was given back is the last to be given again:

    connections of a network that is gone must not be taken for those of the next with its zone.
    """

    def __init__(self, known: Mapping[K, int]) -> None:
        self._given: dict[K, int] = dict(known)
        self._last = max(self._given.values(), default=0)

    def give(self, owners: Iterable[K]) -> Mapping[K, int]:
        """Let exactly *owners* have numbers and return them. :raises HostError: there are more than numbers."""
        wanted = list(owners)
        if len(wanted) > HIGHEST:
            raise HostError(f"A host has at most {HIGHEST} ports and networks, not {len(wanted)}")
        kept = {owner: self._given[owner] for owner in wanted if owner in self._given}
        taken = set(kept.values())
        for owner in wanted:
            if owner not in kept:
                self._last = self._last % HIGHEST + 1
                while self._last in taken:
                    self._last = self._last % HIGHEST + 1
                kept[owner] = self._last
                taken.add(self._last)
        self._given = kept
        return dict(kept)
