"""From an error to a response: the one place where a domain's error meets an HTTP status.

Each API words its errors in its own way; clients parse them, so the forms here are upstream's.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
import webob

from nova_lite import errors
from nova_lite.api.version import VersionNotAcceptable

STATUS: dict[type[errors.NovaLiteError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.OverLimit: 403,
    errors.NotFound: 404,
    VersionNotAcceptable: 406,
    errors.Conflict: 409,
    errors.StaleState: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.NotOffered: 501,
    errors.Unavailable: 503,
}

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class Fault:
    """What went wrong, as the styles word it. ``kind`` is the error's class name in Neutron's way."""

    status: int
    message: str
    code: str
    headers: dict[str, str] = field(default_factory=dict)


def status_of(error: errors.NovaLiteError) -> int:
    """Return the HTTP status of a domain's error, by its nearest class in the table."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def _json(status: int, body: object) -> webob.Response:
    return webob.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        charset="UTF-8",
        conditional_response=False,
    )


_COMPUTE_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def _compute(fault: Fault) -> webob.Response:
    name = _COMPUTE_NAMES.get(fault.status, "computeFault")
    return _json(fault.status, {name: {"code": fault.status, "message": fault.message}})


def _identity(fault: Fault) -> webob.Response:
    title = TITLES.get(fault.status, "Error")
    return _json(fault.status, {"error": {"code": fault.status, "message": fault.message, "title": title}})


def _image(fault: Fault) -> webob.Response:
    """Glance answers errors in HTML; its clients take the text between the tags."""
    title = f"{fault.status} {TITLES.get(fault.status, 'Error')}"
    page = (
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n"
        f"  {html.escape(fault.message)}<br /><br />\n\n\n </body>\n</html>"
    )
    return webob.Response(
        status=fault.status, body=page.encode(), content_type="text/html", charset="UTF-8", conditional_response=False
    )


_NETWORK_KINDS = {
    "policy.forbidden": "PolicyNotAuthorized",
    "network.mtu_subnet_conflict": "NetworkMTUSubnetConflict",
    "request.no_route": "HTTPNotFound",
    "request.method": "HTTPMethodNotAllowed",
    "request.unsupported_media": "HTTPUnsupportedMediaType",
    "request.too_large": "HTTPRequestEntityTooLarge",
    "request.schema": "HTTPBadRequest",
    "request.malformed": "HTTPBadRequest",
}
"""Kinds of Neutron's that our codes are called otherwise by; the code's own words are the kind of all others."""


def _network(fault: Fault) -> webob.Response:
    words = fault.code.removeprefix("network.").replace(".", "_").split("_")
    kind = _NETWORK_KINDS.get(fault.code) or "".join(word.capitalize() for word in words)
    return _json(fault.status, {"NeutronError": {"type": kind, "message": fault.message, "detail": ""}})


STYLES: dict[str, Callable[[Fault], webob.Response]] = {
    "compute": _compute,
    "identity": _identity,
    "image": _image,
    "network": _network,
}

MALFORMED = {
    "compute": "Malformed request body",
    "identity": "Expecting to find valid JSON in the request body; the server could not comply with the request.",
    "image": "Malformed JSON in request body.",
    "network": "Malformed request body",
}
"""What each API says of a body that is no JSON object."""


def respond(style: str, fault: Fault) -> webob.Response:
    """Word *fault* in the way of one API."""
    response = STYLES[style](fault)
    if fault.status == 401:
        # Whatever the service, it is the token middleware that says so, in identity's form.
        response = _identity(fault)
    response.headers.update(fault.headers)
    return response
