"""What the devices of ours are called, so that they are known by name alone."""

from __future__ import annotations

import re

PREFIX = "nl-"
BRIDGE_PREFIX = "nl-br"
_PORT = re.compile(r"nl-[0-9a-f]{8}-[0-9a-f]{3}", re.ASCII)


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


def leg_name(number: int) -> str:
    """Name the leg of a network's namespace, at both of its ends: ``nl-dh<number>`` (DHCP, DNS, metadata)."""
    return f"{PREFIX}dh{number}"


def router_leg_name(port_id: str) -> str:
    """Name a router's leg in a network that it joins, at both of its ends."""
    return f"{PREFIX}rt{port_id.replace('-', '')[:10]}"


def gateway_leg_name(port_id: str) -> str:
    """Name a router's leg in its external network, at both of its ends."""
    return f"{PREFIX}gw{port_id.replace('-', '')[:10]}"


def vxlan_name(number: int) -> str:
    """Name the device that carries a network's frames to other hosts."""
    return f"{PREFIX}vx{number}"


def vlan_name(number: int) -> str:
    """Name the VLAN device that joins a network to a physical one."""
    return f"{PREFIX}vl{number}"


def namespace_prefix(host: str | None) -> str:
    """Return what our namespaces' names begin with: ``nl-``. *host*: the namespace that stands for a host, in a test of several."""
    return PREFIX if host is None else f"{host}.{PREFIX}"


def network_namespace(number: int, prefix: str = PREFIX) -> str:
    """Name the namespace of a network's DHCP, DNS and metadata."""
    return f"{prefix}net-{number}"


def router_namespace(router_id: str, prefix: str = PREFIX) -> str:
    """Name the namespace of a router. By its whole id: a part of it may be another's, too."""
    return f"{prefix}rtr-{router_id}"


def router_directory(router_id: str) -> str:
    """Name the directory of a router's files."""
    return f"rtr-{router_id}"


def is_port_device(name: str) -> bool:
    """Say whether *name* is that of a guest's port rather than of a bridge, a leg or a way to other hosts."""
    return _PORT.fullmatch(name) is not None
