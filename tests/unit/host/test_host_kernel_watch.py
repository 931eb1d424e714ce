"""Netlink messages taken apart."""

from __future__ import annotations

import struct

from nova_lite.host.networks.kernel_watch import messages


def message(kind: int, body: bytes) -> bytes:
    whole = struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body
    return whole.ljust((len(whole) + 3) & ~3, b"\0")


def test_messages_one_after_the_other() -> None:
    received = message(16, b"nl-a\0") + message(2562, b"nova_lite\0\0\0") + message(3, b"")
    assert list(messages(received)) == [(16, b"nl-a\0"), (2562, b"nova_lite\0\0\0"), (3, b"")]


def test_what_is_cut_off_or_no_message_ends_it() -> None:
    assert list(messages(b"")) == []
    assert list(messages(message(16, b"abc")[:10])) == []
    assert list(messages(struct.pack("=IHHII", 3, 1, 0, 0, 0))) == []
    assert list(messages(bytes(64))) == []
