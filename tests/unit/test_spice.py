"""How a SPICE connection begins: what is read of any cut of it, and what is no such beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite import spice
from nova_lite.spice import Channel, Link, LinkError

HELLO = (
    # What spice-html5 0.3.0 says first on its display channel: two words of capabilities after 18 bytes.
    b"REDQ\x02\0\0\0\x02\0\0\0\x1a\0\0\0"
    + b"\x2a\0\0\0\x02\x00\x01\0\0\0\x01\0\0\0\x12\0\0\0"
    + b"\x09\0\0\0\x13\0\0\0"
)


def test_a_browsers_first_words_are_understood() -> None:
    assert spice.read_link(HELLO) == Link(42, Channel.DISPLAY)
    assert spice.read_link(HELLO + b"what follows") == Link(42, Channel.DISPLAY)
    assert Link(42, Channel.DISPLAY).name == "2.0"


@given(st.integers(1, 2**32 - 1), st.integers(2, 255), st.integers(0, 255), st.integers(0, 60))
def test_any_part_of_it_is_waited_with(session: int, channel: int, number: int, cut: int) -> None:
    whole = spice.link(session, channel, number)
    assert spice.read_link(whole) == Link(session, channel, number)
    assert spice.read_link(whole[: min(cut, len(whole) - 1)]) is None


@given(st.binary(max_size=80))
def test_anything_else_is_refused_and_nothing_worse(said: bytes) -> None:
    for words in (said, HELLO[:12] + said, HELLO[:16] + said):
        try:
            found = spice.read_link(words)
        except LinkError:
            continue
        assert found is None or found.begins is (found.session == 0)


@pytest.mark.parametrize(("session", "channel", "number"), [(0, 1, 1), (1, 1, 0), (0, 2, 0)])
def test_a_session_is_begun_by_its_one_main_channel(session: int, channel: int, number: int) -> None:
    assert spice.read_link(spice.link(0, Channel.MAIN)) == Link(0, Channel.MAIN)
    with pytest.raises(LinkError):
        spice.read_link(spice.link(session, channel, number))
