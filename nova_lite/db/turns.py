"""Give every row its turn that a round has no room for, whatever becomes of those before it.

A round that always began at the first would take up the same rows each time where they can't be done, and no others for ever.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import Session


class Turns:
    """Where the rounds of one sweeper are in the order of a column; lost with it, as the next may begin anywhere.

    :param key: the column that tells rows apart, and orders them.
    """

    def __init__(self, key: Any) -> None:
        self._key = key
        self._last: Any = None

    def next(self, session: Session, rows: Select[Any], most: int) -> list[Any]:
        """Return the first column of at most *most* of *rows*: those after the last that had its turn, then from the first again."""
        ordered = rows.order_by(self._key)
        if self._last is None:
            return list(session.scalars(ordered.limit(most)))
        found = list(session.scalars(ordered.where(self._key > self._last).limit(most)))
        if len(found) < most:
            found += session.scalars(ordered.where(self._key <= self._last).limit(most - len(found)))
        return found

    def had(self, key: Any) -> None:
        """Remember that the row of *key* has its turn now; said before it is tried, as that may end the round."""
        self._last = key
