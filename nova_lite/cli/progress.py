"""What is going on, on stderr: one line that changes on a terminal, a line per change elsewhere."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import TextIO

from nova_lite.cli.hostile import clean

_AT_MOST_EVERY_S = 0.1


class Progress:
    """A line of progress. :param enabled: False says nothing at all (``--quiet``)."""

    def __init__(self, stream: TextIO, *, enabled: bool = True) -> None:
        self._stream = stream
        self._enabled = enabled
        self._live = stream.isatty()
        self._begun = time.monotonic()
        self._said = ""
        self._written_at = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begun

    def say(self, text: str) -> None:
        """Show *text* and the elapsed time."""
        if not self._enabled:
            return
        text = clean(text)
        if self._live:
            self._draw(text)
        elif text != self._said:
            self._stream.write(f"{text} ({self.elapsed:.1f} s)\n")
            self._stream.flush()
        self._said = text

    def end(self, text: str) -> None:
        """Leave *text* behind as a line of its own; the next thing begins on a fresh one."""
        if self._enabled and text != self._said:
            self._stream.write(("\r\x1b[K" if self._live and self._said else "") + text + "\n")
            self._stream.flush()
        self._said = ""

    def _draw(self, text: str) -> None:
        if text == self._said and time.monotonic() - self._written_at < _AT_MOST_EVERY_S:
            return
        self._written_at = time.monotonic()
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            width = 80
        self._stream.write(f"\r\x1b[K{f'{text}  {self.elapsed:.1f} s'[: width - 1]}")
        self._stream.flush()

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave a clean line, however it ended."""
        if self._enabled and self._live and self._said:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
