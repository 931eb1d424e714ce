"""How what takes long asks whether it is still wanted."""

from __future__ import annotations

from collections.abc import Callable

GoOn = Callable[[], None]
"""Called again and again in what takes long; raises what is to end it."""


def go_on() -> None:
    """Let it go on to its end."""
