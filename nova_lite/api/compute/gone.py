"""What upstream took away: clients of old are told so, as upstream tells them."""

from __future__ import annotations

from nova_lite.api.context import Call
from nova_lite.errors import Gone


def refuse(_call: Call) -> None:
    """Say that it is gone for good."""
    raise Gone("This resource is no longer available. No forwarding address is given.", "request.gone")
