"""An image's bytes: upload and download, streamed in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import webob

from nova_lite.api.context import Call
from nova_lite.api.image.images import viewer
from nova_lite.api.routes import Reply
from nova_lite.errors import Forbidden, Invalid, UnsupportedMedia
from nova_lite.image import files, images, uploads
from nova_lite.image.files import Files

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def upload(call: Call) -> None:
    """Take the body as the image's data; it may be of any size and come in parts."""
    request = call.request
    if request.content_type != "application/octet-stream":
        raise UnsupportedMedia(f"Unsupported Content-Type {request.content_type}; it must be application/octet-stream.")
    with call.store.read() as session:
        image = images.get(session, viewer(call), call.params["id"])
        call.authorize({"project_id": image.owner})
    store = Files(call.services.conf)
    uploads.upload(call.store, store, viewer(call), image.id, _chunks(request), call.services.offload)


def _chunks(request: webob.Request) -> Iterator[bytes]:
    """Read the body as it comes. :raises Invalid: it ended before its declared length."""
    body, expected, received = request.environ["wsgi.input"], request.content_length, 0
    while expected is None or received < expected:
        wanted = files.CHUNK if expected is None else min(files.CHUNK, expected - received)
        try:
            chunk = body.read(wanted)
        except (OSError, ValueError):
            raise Invalid(f"The image's data broke off after {received} bytes.", "image.cut_short") from None
        if not chunk:
            break
        received += len(chunk)
        yield chunk
    if expected is not None and received < expected:
        message = f"The image's data ended after {received} of the {expected} bytes that Content-Length promised."
        raise Invalid(message, "image.cut_short")


def download(call: Call) -> Reply:
    """Send the image's data, or the part of it that a Range header names."""
    with call.store.read() as session:
        image = images.get(session, viewer(call), call.params["id"])
    if image.status == "deactivated" and not call.principal.is_admin:
        raise Forbidden(
            "The requested image has been deactivated. Image data download is forbidden.", "image.deactivated"
        )
    if image.status not in ("active", "deactivated"):
        return Reply(None, 204)
    source = Files(call.services.conf).open(image.id)
    size = image.size or 0
    headers = {"Content-Length": str(size)}
    if image.checksum:
        headers["Content-MD5"] = image.checksum
    wanted = _RANGE.fullmatch(call.request.headers.get("Range", ""))
    if wanted is None:
        return Reply(files.stream(source), 200, headers, "application/octet-stream")
    first, last = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
    if first > last:
        source.close()
        return Reply(None, 416, {"Content-Range": f"bytes */{size}"})
    headers = {"Content-Length": str(last - first + 1), "Content-Range": f"bytes {first}-{last}/{size}"}
    return Reply(files.stream(source, first, last - first + 1), 206, headers, "application/octet-stream")
