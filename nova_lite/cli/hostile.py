"""Text that a guest or another user wrote, made harmless to the terminal that shows it.

A console log is hostile (CVE-2026-40212): an escape sequence could retitle the window, type for the user or hide
lines. Bidirectional overrides go too, as they show a text in another order than it has.
"""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    r"\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"  # OSC: window titles, clipboard, links
    r"|\x1b[PX^_][^\x1b]{0,65536}(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, modes, reports
    r"|\x1b[ -/]*[0-~]?"  # any other escape
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_ENDS = re.compile(r"\r*\n|\r+")


def clean(text: str) -> str:
    """Return *text* without escape sequences and control characters; lines end in a newline, tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub("", _SEQUENCES.sub("", _ENDS.sub("\n", text)))
