"""The SPICE server of fake guests: it lets channels in as the real one does, and shows one colour all over."""

from __future__ import annotations

import contextlib
import functools
import secrets
import socket
import socketserver
import struct
import threading
from typing import ClassVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nova_lite import spice
from nova_lite.spice import Channel, Link, LinkError, Refusal

SIDE = 16
"""Pixels of the fake screen's sides."""
COLOUR = 0x00C08040

# Messages of the server and of the client, as spice/enums.h numbers them for each channel.
_MAIN_INIT, _MAIN_CHANNELS, _ATTACH = 103, 104, 104
_DISPLAY_INIT, _FILL, _SURFACE = 101, 302, 314
_INPUTS_INIT, _CURSOR_INIT = 101, 101

_CHANNELS = (Channel.DISPLAY, Channel.INPUTS, Channel.CURSOR)
_LONGEST_MESSAGE = 1 << 20
_AUTH_SPICE = 1


class SpiceChannel(socketserver.BaseRequestHandler):
    """One connection. The main one begins a session; others are let in as long as that lasts, and end with it."""

    _sessions: ClassVar[dict[int, set[socket.socket]]] = {}
    _lock = threading.Lock()

    def handle(self) -> None:
        """Serve one channel until its other end closes it."""
        with contextlib.suppress(OSError, EOFError, LinkError):
            link = self._linked()
            if link.begins:
                self._main()
            elif self._ticket_fits() and self._joined(link.session):
                self._show(Channel(link.channel))

    def _linked(self) -> Link:
        said = b""
        while (link := spice.read_link(said)) is None:
            piece = self.request.recv(1)  # what follows belongs to the ticket
            if not piece:
                raise EOFError
            said += piece
        if not link.begins and (link.channel not in _CHANNELS or link.number):
            self.request.sendall(spice.reply(_public_key(), Refusal.INVALID_DATA))
            raise EOFError
        self.request.sendall(spice.reply(_public_key()))
        return link

    def _ticket_fits(self) -> bool:
        """Take the ticket. No password is set; but what was not encrypted with the key is refused, as by the real one."""
        (mechanism,) = struct.unpack("<I", take(self.request, 4))
        ticket = take(self.request, spice.TICKET_BYTES)
        try:
            _key().decrypt(ticket, _OAEP)
        except ValueError:
            mechanism = 0
        if mechanism != _AUTH_SPICE:
            self._answer(Refusal.PERMISSION_DENIED)
        return bool(mechanism == _AUTH_SPICE)

    def _answer(self, result: Refusal) -> None:
        self.request.sendall(struct.pack("<I", result))

    def _joined(self, session: int) -> bool:
        with self._lock:
            there = self._sessions.get(session)
            if there is not None:
                there.add(self.request)
        self._answer(Refusal.BAD_CONNECTION_ID if there is None else Refusal.NONE)
        return there is not None

    def _main(self) -> None:
        if not self._ticket_fits():
            return
        session = secrets.randbits(31) + 1
        with self._lock:
            self._sessions[session] = set()
        try:
            self._answer(Refusal.NONE)
            # One display, pointer by client or server (now by the server), no agent.
            self._send(_MAIN_INIT, struct.pack("<8I", session, 1, 3, 1, 0, 10, 0, 0))
            while True:
                if self._heard() == _ATTACH:
                    channels = b"".join(struct.pack("<BB", channel, 0) for channel in _CHANNELS)
                    self._send(_MAIN_CHANNELS, struct.pack("<I", len(_CHANNELS)) + channels)
        finally:
            with self._lock:
                others = self._sessions.pop(session)
            for other in others:
                with contextlib.suppress(OSError):
                    other.shutdown(socket.SHUT_RDWR)

    def _show(self, channel: Channel) -> None:
        if channel is Channel.INPUTS:
            self._send(_INPUTS_INIT, struct.pack("<H", 0))
        elif channel is Channel.CURSOR:
            self._send(_CURSOR_INIT, struct.pack("<hhHHBH", 0, 0, 0, 0, 1, 1))
        while True:
            if self._heard() == _DISPLAY_INIT and channel is Channel.DISPLAY:
                self._send(_SURFACE, struct.pack("<5I", 0, SIDE, SIDE, 32, 1))
                # Surface, box, no clip; a solid brush, put, no mask.
                box = struct.pack("<I4iB", 0, 0, 0, SIDE, SIDE, 0)
                self._send(_FILL, box + struct.pack("<BIHBiiI", 1, COLOUR, 8, 0, 0, 0, 0))

    def _send(self, kind: int, payload: bytes) -> None:
        self.request.sendall(spice.message(kind, payload))

    def _heard(self) -> int:
        """Return what kind of message the client sends next. :raises EOFError: it ends, or sends too much."""
        kind, size = struct.unpack("<HI", take(self.request, 6))
        if size > _LONGEST_MESSAGE:
            raise EOFError
        take(self.request, size)
        return int(kind)


def take(connection: socket.socket, count: int) -> bytes:
    """Return the next *count* bytes. :raises EOFError: it ends before."""
    taken = b""
    while len(taken) < count:
        piece = connection.recv(count - len(taken))
        if not piece:
            raise EOFError
        taken += piece
    return taken


_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - the protocol's


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 8 * spice.TICKET_BYTES)


def _public_key() -> bytes:
    return _key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
