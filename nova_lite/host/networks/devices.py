"""What the devices of ours are called, so that they are known by name alone."""

from __future__ import annotations

PREFIX = "nl-"
BRIDGE_PREFIX = "nl-br"


def bridge_name(number: int) -> str:
    """Name the bridge of network *number*: ``nl-br<number>``, at most 15 characters (IFNAMSIZ less the NUL)."""
    return f"{BRIDGE_PREFIX}{number}"


def bridge_number(name: str) -> int | None:
    """Return the number of the network that a bridge of ours belongs to; None: not a bridge of ours."""
    digits = name.removeprefix(BRIDGE_PREFIX)
    return int(digits) if digits != name and digits.isascii() and digits.isdigit() else None


def device_name(port_id: str) -> str:
    """Name a port's device: ``nl-`` and the first 12 characters of its id (44 bits), as an operator would search for it.

    Never the name of a bridge: an id is hexadecimal and ``br`` is not.
    """
    return f"{PREFIX}{port_id[:12]}"


def bridge_mac(number: int) -> str:
    """Return the bridge's MAC, the same after each restart, so that guests' ARP tables stay right.

    Locally administered, and of a prefix that no port has.
    """
    return "fe:16:3e:" + ":".join(f"{byte:02x}" for byte in (number & 0xFFFFFF).to_bytes(3, "big"))
