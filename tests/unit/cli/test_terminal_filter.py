"""What is shown of a console's stream, wherever its pieces are cut."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_lite.cli.terminal_filter import LineFilter, TerminalFilter

STRINGS = [
    b"\x1b]0;title\x07",
    b"\x1b]52;c;aGFjaw==\x1b\\",
    b"\x1bPdevice\x1b\\",
    b"\xc2\x9d8;;http://x\xc2\x9c",
    b"\x1b_apc\x1b\\",
]
TEXT = [
    b"ls -l\r\n",
    b"\x1b[31mred\x1b[0m",
    "Привет – “Ð”\u009f".encode()[:-2],
    b"\x08 \x08",
    b"\x1b[2J\x1b[H",
    b"\xff\xfe",
]


def shown(pieces: list[bytes]) -> bytes:
    found = TerminalFilter()
    return b"".join(found.feed(piece) for piece in pieces)


@settings(deadline=None)
@given(st.lists(st.sampled_from(STRINGS + TEXT), max_size=12), st.integers(1, 7))
def test_strings_go_and_all_else_stays_however_it_is_cut(parts: list[bytes], cut: int) -> None:
    stream = b"".join(parts)
    expected = b"".join(part for part in parts if part in TEXT)
    assert shown([stream[at : at + cut] for at in range(0, len(stream), cut)]) == expected


CLEVER = [
    b"\x1b",
    b"\x1b]",
    b"]52;c;x",
    b"\x07",
    b"\x1b\\",
    b"\xc2",
    b"\x9d",
    b"\n",
    b"\x18",
    b"P",
    b"a",
    b"\x1b[",
    b"\xc2\x9c",
    b"\x7f",
]
# An escape, control characters that a terminal executes without forgetting it, and what makes a string of it.
OBEYED = re.compile(rb"\x1b[\x00-\x17\x19\x1c-\x1f\x7f]*[\]PX^_]|\xc2[\x90\x98\x9d-\x9f]")


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(CLEVER), max_size=14), st.integers(1, 5))
def test_no_string_gets_through_nor_is_made_by_leaving_another_out(parts: list[bytes], cut: int) -> None:
    stream = b"".join(parts)
    seen = shown([stream[at : at + cut] for at in range(0, len(stream), cut)])
    assert OBEYED.search(seen) is None, (stream, seen)


@pytest.mark.parametrize(
    "stream",
    [b"\x1b\x1b]a\x07]52;c;x\x07", b"\x1b\n]0;x\x07", b"\xc2\x1b]a\x07\x9d0;x\x07", b"\x1b\xc2\x9da\x07]x\x07"],
)
def test_known_tricks(stream: bytes) -> None:
    assert OBEYED.search(shown([stream])) is None


def test_much_of_nothing_takes_no_time() -> None:
    began = time.thread_time()
    for stream in (b"\x1b" * 100_000, b"\x1b\n" * 50_000, b"\x1b]" * 50_000, b"\xc2" * 100_000):
        shown([stream])
    assert time.thread_time() - began < 5


def test_a_string_without_an_end_does_not_hold_everything_back() -> None:
    found = TerminalFilter()
    seen = b"".join(found.feed(b"x" * 10_000 if number else b"a\x1b]0;") for number in range(20))
    assert seen.startswith(b"a")
    assert len(seen) > 100_000


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_lines_are_harmless(cut: int) -> None:
    stream = b"one \x1b[31mred\x1b[0m\r\n\x1b]0;t\x07two\x00\nlast"
    found = LineFilter()
    seen = b"".join(found.feed(stream[at : at + cut]) for at in range(0, len(stream), cut)) + found.end()
    assert seen == b"one red\ntwo\nlast"
