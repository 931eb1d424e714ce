"""The listening socket, made without eventlet so that a parent can hand it to its workers."""

from __future__ import annotations

import socket


def listen(host: str, port: int, backlog: int = 1024) -> socket.socket:
    """Bind and listen. :raises OSError: the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{host}:{port} can't be listened on: {error.strerror}") from error
    listener.listen(backlog)
    return listener
