"""A request as a guest sends it, and the answer: the little of HTTP/1.1 that metadata takes. Pure.

Whatever a guest writes into headers (X-Forwarded-For, X-Instance-ID) says nothing: who it is was known before its first byte.
"""

from __future__ import annotations

import http
from dataclasses import dataclass

from nova_lite.host.metadata_tree import Answer

MAX_HEAD = 8192
MAX_BODY = 4096


@dataclass(frozen=True)
class Request:
    """A whole request."""

    method: str
    path: str
    body: bytes = b""


class Refused(Exception):
    """The request can't be taken; ``answer`` says why."""

    def __init__(self, status: http.HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.answer = Answer(status, f"{status.phrase}\n".encode())


def parse(received: bytes) -> Request | None:
    """Return the request that *received* holds; None: it is not whole yet. :raises Refused: it never will be one."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        if len(received) > MAX_HEAD:
            raise Refused(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return None
    if len(head) > MAX_HEAD:
        raise Refused(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not first.isascii():
        raise Refused(http.HTTPStatus.BAD_REQUEST)
    length = _length(lines)
    if len(body) < length:
        return None
    return Request(words[0].decode(), words[1].decode(), body[:length])


def _length(lines: list[bytes]) -> int:
    lengths = set()
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip():
            raise Refused(http.HTTPStatus.BAD_REQUEST)
        if name.lower() == b"transfer-encoding":
            raise Refused(http.HTTPStatus.LENGTH_REQUIRED)
        if name.lower() == b"content-length":
            lengths.add(value.strip())
    if not lengths:
        return 0
    text = lengths.pop()
    if lengths or not text.isdigit():
        raise Refused(http.HTTPStatus.BAD_REQUEST)
    if len(text) > 9 or int(text) > MAX_BODY:
        raise Refused(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return int(text)


def rendered(answer: Answer, *, is_head: bool = False) -> bytes:
    """Return an answer's bytes. The connection ends with it."""
    status = http.HTTPStatus(answer.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {answer.kind}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if is_head else answer.body)
