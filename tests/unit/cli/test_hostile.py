"""Text of guests and strangers is harmless when it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.cli.hostile import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcödé 漢字 🙂", "plain text, ünïcödé 漢字 🙂"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q544e\x1b\\after", "after"),
        ("\x9b2Jafter", "after"),
        ("\x1b[6nafter", "after"),
        ("\x1bcafter", "after"),
        ("\x1b(0after", "after"),
        ("fake\rreal", "fake\nreal"),
        ("line\r\nline\r\r\nend", "line\nline\nend"),
        ("pass\b\b\b\bword\x7f\x00", "password"),
        ("abc\u202efdp.exe", "abcfdp.exe"),
        ("\x1b", ""),
        ("cut off \x1b[", "cut off "),
        ("never closed \x1b]0;title", "never closed "),
    ],
)
def test_known_tricks(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(alphabet=st.sampled_from("\x1b\x9b[]P\\;?0m\x07\r\n\tax\u202e\x85\x00"), max_size=200))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    left = clean(text)
    assert all(char.isprintable() or char in "\n\t" for char in left)
    assert "\u202e" not in left
    assert clean(left) == left


def test_a_long_log_takes_no_long_time() -> None:
    # Unclosed sequences, each of which could make the pattern look to the end again.
    assert len(clean("\x1b]" * 50_000 + "\x1bP" * 50_000 + "\x1b[0" * 50_000)) < 50_000
