"""Make what a guest writes fit to be shown: to a terminal, without what it would obey beyond its screen; or to a file, line by line.

A terminal obeys strings (OSC, DCS, SOS, PM, APC) that set its title, the clipboard, links and more. Those are left out, wherever the
stream is cut and whatever stands between the bytes that introduce them; what moves the cursor and colours stays. States and bytes are
those of ECMA-48, section 8.3, and of VT500's parser: control characters amid an escape sequence are executed and do not end it.
"""

from __future__ import annotations

import enum

from nova_lite.cli.hostile import clean

_ESC, _BEL, _LEAD = 0x1B, 0x07, 0xC2
_CANCEL = frozenset(b"\x18\x1a")
_EXECUTED = frozenset(range(0x20)) - _CANCEL - {_ESC} | {0x7F}
_INTRODUCERS = frozenset(b"]PX^_")
_INTRODUCERS_8 = frozenset(b"\x90\x98\x9d\x9e\x9f")
"""The same as one control character, the second byte of its UTF-8."""
_END_8 = 0x9C
_LONGEST_INTRODUCTION = 64
_LONGEST_STRING = 65_536
_LONGEST_LINE = 65_536


class _State(enum.Enum):
    TEXT = enum.auto()
    INTRODUCTION = enum.auto()
    STRING = enum.auto()
    STRING_ESCAPE = enum.auto()
    STRING_LEAD = enum.auto()


class TerminalFilter:
    """Leaves strings out of a stream."""

    def __init__(self) -> None:
        self._state = _State.TEXT
        self._held = bytearray()
        """An escape, or the first byte of a control character, of which it is not yet known what it begins."""
        self._length = 0

    def feed(self, piece: bytes) -> bytes:
        """Return what may be shown of *piece*, and of what was held back before."""
        if self._state is _State.TEXT and _ESC not in piece and _LEAD not in piece:
            return piece
        shown = bytearray()
        for byte in piece:
            self._take(byte, shown)
        return bytes(shown)

    def _take(self, byte: int, shown: bytearray) -> None:
        if self._state is _State.TEXT:
            self._text(byte, shown)
        elif self._state is _State.INTRODUCTION:
            self._introduction(byte, shown)
        else:
            self._string(byte, shown)

    def _text(self, byte: int, shown: bytearray) -> None:
        if byte in (_ESC, _LEAD):
            self._state, self._held = _State.INTRODUCTION, bytearray((byte,))
        else:
            shown.append(byte)

    def _introduction(self, byte: int, shown: bytearray) -> None:
        if byte in (_ESC, _LEAD) or byte in _EXECUTED:
            if len(self._held) >= _LONGEST_INTRODUCTION:
                self._held = bytearray((_ESC,))  # nobody who means well writes that
            self._held.append(byte)
        elif (byte in _INTRODUCERS and _ESC in self._held) or (byte in _INTRODUCERS_8 and _LEAD in self._held):
            self._state, self._length = _State.STRING, 0
            self._held.clear()
        else:
            shown += self._held
            shown.append(byte)
            self._state = _State.TEXT
            self._held.clear()

    def _string(self, byte: int, shown: bytearray) -> None:
        state, self._state = self._state, _State.STRING
        self._length += 1
        if state is _State.STRING_ESCAPE and byte != ord("\\"):
            # Whatever it is, it ends the string and begins something of its own.
            self._state, self._held = _State.INTRODUCTION, bytearray((_ESC,))
            self._introduction(byte, shown)
        elif (
            state is _State.STRING_ESCAPE
            or (state is _State.STRING_LEAD and byte == _END_8)
            or byte == _BEL
            or byte in _CANCEL
            or self._length > _LONGEST_STRING
        ):
            self._state = _State.TEXT
        elif byte == _ESC:
            self._state = _State.STRING_ESCAPE
        elif byte == _LEAD:
            self._state = _State.STRING_LEAD


class LineFilter:
    """Makes a stream's lines harmless, one whole line at a time."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the lines that are whole now."""
        whole, newline, self._rest = (self._rest + piece).rpartition(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            whole, newline, self._rest = whole + newline + self._rest, b"", b""
        return _cleaned(whole + newline)

    def end(self) -> bytes:
        """Return what is left."""
        left, self._rest = self._rest, b""
        return _cleaned(left)


def _cleaned(data: bytes) -> bytes:
    return clean(data.decode("utf-8", "replace")).encode()
