"""The errors that the domains raise, each with a stable code.

A domain knows nothing of HTTP: it raises one of these, and the front door maps its class to a status
and its API's own body (``nova_lite.api.errors``). ``code`` never changes once it has been released, so a
client may test it; ``message`` is for people and names the field or the state and what would be right.
"""

from __future__ import annotations


class NovaLiteError(Exception):
    """The base: something that a caller can be told in words.

    :param message: a sentence for the user; it must hold no secret and no traceback.
    :param code: a stable dotted name, ``noun.reason``.
    """

    default_code = "internal.error"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class Invalid(NovaLiteError):
    """The request is malformed or asks for what can never be (400)."""

    default_code = "request.invalid"


class Unauthenticated(NovaLiteError):
    """Nobody is known to be asking (401)."""

    default_code = "identity.unauthenticated"


class Forbidden(NovaLiteError):
    """The caller is known and may not do this (403)."""

    default_code = "policy.forbidden"


class OverLimit(NovaLiteError):
    """A quota or a limit would be passed (403; Nova and Neutron differ, the API's style decides)."""

    default_code = "quota.exceeded"


class NotFound(NovaLiteError):
    """There is no such thing, or the caller may not know of it (404)."""

    default_code = "request.not_found"


class Conflict(NovaLiteError):
    """The thing is in a state that does not allow this, or the name is taken (409)."""

    default_code = "request.conflict"


class Gone(NovaLiteError):
    """What was there is there no more (410)."""

    default_code = "request.gone"


class PreconditionFailed(NovaLiteError):
    """The thing is not as the caller said that it must be, its revision for example (412)."""

    default_code = "request.precondition_failed"


class TooLarge(NovaLiteError):
    """The body is larger than the limit (413)."""

    default_code = "request.too_large"


class UnsupportedMedia(NovaLiteError):
    """The body's type is not one that this route takes (415)."""

    default_code = "request.unsupported_media"


class NotOffered(NovaLiteError):
    """The request is understood, and is not one that this cloud serves (501)."""

    default_code = "request.not_offered"


class Unavailable(NovaLiteError):
    """A part that is needed does not answer now; the same request may go through later (503)."""

    default_code = "service.unavailable"


class StaleState(NovaLiteError):
    """A compare-and-swap found another state than it expected: somebody else was first.

    Never reaches a client: the caller looks again and decides.
    """

    default_code = "state.stale"
