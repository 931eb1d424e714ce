"""What a command ends with when it can't do what was asked: one line, without a traceback."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from nova_lite.cli.hostile import clean

_TAGS = re.compile(r"<[^>]{0,200}>")
_LONGEST = 1000


class CommandError(Exception):
    """The base: a sentence for whoever typed the command; exit code 1."""


_HINTS = (
    (409, "is locked", "Unlock it first: `nova-lite server unlock SERVER`; `server show` says who locked it, and why."),
    (409, "in vm_state resized", "End its resize first: `nova-lite server resize confirm SERVER`, or `revert`."),
    (409, "in vm_state rescued", "End its rescue first: `nova-lite server unrescue SERVER`."),
    (409, "in vm_state shelved", "Bring it back first: `nova-lite server unshelve SERVER`."),
    (409, "in vm_state paused", "Let it go on first: `nova-lite server unpause SERVER`."),
    (409, "in vm_state suspended", "Resume it first: `nova-lite server resume SERVER`."),
    (409, "in vm_state soft-delete", "Bring it back first: `nova-lite server restore SERVER`."),
    (409, "in task_state", "`nova-lite server event list SERVER` shows what is under way."),
    (403, "Quota exceeded", "`nova-lite quota show` says what there is; an admin can raise it: `nova-lite quota set`."),
    (
        400,
        "Invalid key_name",
        "`nova-lite keypair list` shows your keypairs, `nova-lite keypair create NAME` makes one.",
    ),
    (400, "Host aggregate is not empty", "Take its hosts out first: `nova-lite aggregate remove host AGGREGATE HOST`."),
)
"""(status, words of the message, what can be done about it)."""


def hint(status: int, message: str) -> str:
    """Return what can be done about a refusal, if there is something to say that the message does not."""
    return next((advice for code, words, advice in _HINTS if code == status and words in message), "")


class ApiError(CommandError):
    """A service refused.

    :ivar status: the HTTP status.
    :ivar request_id: what the service's log has it under; empty where the answer had none.
    """

    def __init__(self, status: int, message: str, request_id: str = "") -> None:
        noted = f"HTTP {status}, {request_id}" if request_id else f"HTTP {status}"
        advice = hint(status, message)
        super().__init__(f"{message} ({noted})" + (f"\n{advice}" if advice else ""))
        self.status = status
        self.message = message
        self.request_id = request_id


class Unreachable(CommandError):
    """Nothing answered; it may answer in a moment."""


class Missing(CommandError):
    """There is no thing of that name or id."""


def refusal(status: int, body: str, headers: Any) -> ApiError:
    """Make the error of a response of 400 or more. :param headers: a mapping that ignores case."""
    request_id = clean(headers.get("X-OpenStack-Request-ID") or headers.get("X-Compute-Request-ID") or "")
    message = message_in(body)
    if not message:
        message = f"The service answered with status {status} and no explanation."
    return ApiError(status, message, request_id)


def message_in(body: str) -> str:
    """Return an error body's message in one line, whichever API wrote it: JSON of any of their forms, or Glance's HTML."""
    try:
        found = _message(json.loads(body))
    except ValueError:
        found = _text_of_page(body)
    return " ".join(clean(found).split())[:_LONGEST]


def _message(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    for key in ("message", "detail", "description"):
        if isinstance(value.get(key), str) and value[key]:
            return str(value[key])
    for inner in value.values():
        if isinstance(inner, str) and len(value) == 1:
            return inner
        if found := _message(inner):
            return found
    return ""


def _text_of_page(body: str) -> str:
    """Return what an HTML page says below its heading, or a plain text as it is."""
    _, heading, rest = body.partition("</h1>")
    return html.unescape(_TAGS.sub(" ", rest if heading else body))
