"""Frames of RFC 6455: its own examples, any cut, and what must be refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite import websocket
from nova_lite.websocket import Decoder, Frame, Opcode, ProtocolError


def test_the_rfcs_examples() -> None:
    assert websocket.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert websocket.encode(Opcode.TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    masked = bytes.fromhex("818537fa213d7f9f4d5158")
    assert websocket.encode(Opcode.TEXT, b"Hello", bytes.fromhex("37fa213d")) == masked
    assert Decoder(masked=True).feed(masked) == [Frame(Opcode.TEXT, b"Hello")]
    pieces = bytes.fromhex("010348656c" + "80026c6f")
    assert [frame.payload for frame in Decoder(masked=False).feed(pieces)] == [b"Hel", b"lo"]
    assert websocket.encode(Opcode.BINARY, bytes(256))[:4] == bytes.fromhex("827e0100")
    assert websocket.encode(Opcode.BINARY, bytes(65_536))[:10] == bytes.fromhex("827f0000000000010000")


@given(st.lists(st.binary(max_size=300), max_size=5), st.binary(min_size=4, max_size=4), st.integers(1, 50))
def test_any_cut_gives_the_same_frames(payloads: list[bytes], mask: bytes, cut: int) -> None:
    stream = b"".join(websocket.encode(Opcode.BINARY, payload, mask) for payload in payloads)
    decoder = Decoder(masked=True)
    found = [frame for at in range(0, len(stream), cut) for frame in decoder.feed(stream[at : at + cut])]
    assert found == [Frame(Opcode.BINARY, payload) for payload in payloads]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        ("c10548656c6c6f", 1002),  # an extension
        ("830548656c6c6f", 1002),  # no such kind
        ("818537fa213d7f9f4d5158", 1002),  # masked by a server
        ("0900", 1002),  # a ping in pieces
        ("897e0100", 1002),  # a ping that is too long
        ("800548656c6c6f", 1002),  # goes on with what was not begun
        ("010048810048", 1002),  # begins before the other has ended
        ("827f0000000100000000", 1009),  # 4 GiB
        ("827fffffffffffffffff", 1009),
    ],
)
def test_what_is_refused(stream: str, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        Decoder(masked=False).feed(bytes.fromhex(stream))
    assert caught.value.code == code


def test_a_reason_is_cut_to_what_fits_and_stays_text() -> None:
    (frame,) = Decoder(masked=False).feed(websocket.close(1001, "ä" * 100))
    assert frame.opcode is Opcode.CLOSE
    assert len(frame.payload) <= 125
    assert set(websocket.close_reason(frame.payload)) == {"ä"}
