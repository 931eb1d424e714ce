"""Take only values of their type into a rule: what is not of it is refused, since nft would read it as a command."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from nova_lite.host.ports import HostError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)


def uuid(value: str, what: str) -> str:
    """Return *value* if it is a UUID in canonical form. :raises HostError: it is not."""
    if not _UUID.fullmatch(value):
        raise _refused(f"{what} is not a UUID: {value[:64]!r}")
    return value


def mac(value: str) -> str:
    """Return *value* if it is a MAC address that one device can have. :raises HostError: it is not."""
    text = value.lower()
    if not _MAC.fullmatch(text) or int(text[:2], 16) & 1:
        raise _refused(f"This is not a device's MAC address: {value[:64]!r}")
    return text


def cidr(value: str) -> Network:
    """Return an address or a CIDR as a network; host bits are cut off. :raises HostError: it is neither."""
    if "%" in value:
        # An IPv6 address may have a scope, and a scope is free text.
        raise _refused(f"An address must have no scope: {value[:64]!r}")
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise _refused(f"This is not an IP address or network: {value[:64]!r}") from error


def collapsed(values: Iterable[Network], version: int) -> list[str]:
    """Return the networks of one IP version with none inside another and neighbours joined, in order.

    An interval set takes no overlapping elements.
    """
    if version == 4:
        return [_text(each) for each in ipaddress.collapse_addresses(v for v in values if v.version == 4)]
    return [_text(each) for each in ipaddress.collapse_addresses(v for v in values if v.version == 6)]


def _text(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def link_local(mac_address: str) -> ipaddress.IPv6Network:
    """Return the IPv6 link-local address that EUI-64 makes of a MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac_address.replace(":", ""))
    interface = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return ipaddress.IPv6Network((b"\xfe\x80" + bytes(6) + interface, 128))


def _refused(message: str) -> HostError:
    return HostError(message, code="host.refused_value")
