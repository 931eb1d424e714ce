"""Prefixes of subnet pools: which go together, and the first part of them that is free. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nova_lite.errors import Invalid
from nova_lite.network.subnet_rules import IpNetwork

_LEAST = {4: 8, 6: 64}
_MOST = {4: 32, 6: 128}


def compact(texts: Sequence[str]) -> list[IpNetwork]:
    """Return the prefixes sorted, with those joined that touch or overlap.

    :raises Invalid: there are none, one is malformed, or both IP versions are among them.
    """
    if not texts:
        raise Invalid("Empty subnet pool prefix list.", "network.empty_subnet_pool_prefix_list")
    try:
        found = [ipaddress.ip_network(text, strict=False) for text in texts]
    except ValueError as error:
        raise Invalid(f"Invalid input for prefixes. Reason: {error}.", "request.schema") from None
    if len({prefix.version for prefix in found}) != 1:
        raise Invalid("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "network.prefix_version_mismatch")
    if any(prefix.prefixlen == 0 for prefix in found):
        raise Invalid(
            f"Prefix '{found[0]}' not supported in IPv{found[0].version} pool.",
            "network.unsupported_min_subnet_pool_prefix",
        )
    alike: Any = found
    return list(ipaddress.collapse_addresses(alike))


@dataclass(frozen=True)
class Bounds:
    """How long the prefixes of a pool's subnets may be, and how long they are where nobody says."""

    least: int
    most: int
    default: int

    @classmethod
    def of(cls, version: int, least: int | None, most: int | None, default: int | None) -> Bounds:
        """Fill in upstream's defaults for what is None. :raises Invalid: the lengths do not fit together."""
        widest = _MOST[version]
        low = _LEAST[version] if least is None else least
        high = widest if most is None else most
        middle = low if default is None else default
        for name, value, other, limit, wrong in (
            ("min_prefixlen", low, "0", 0, low < 1),
            ("max_prefixlen", high, "ip_version's longest", widest, high > widest),
            ("min_prefixlen", low, "max_prefixlen", high, low > high),
            ("default_prefixlen", middle, "max_prefixlen", high, middle > high),
            ("default_prefixlen", middle, "min_prefixlen", low, middle < low),
        ):
            if wrong:
                raise Invalid(
                    f"Illegal prefix bounds: {name}={value}, {other}={limit}.",
                    "network.illegal_subnet_pool_prefix_bounds",
                )
        return cls(low, high, middle)

    def check(self, length: int) -> None:
        """Refuse a subnet's prefix length that is out of bounds. :raises Invalid: it is."""
        if length < self.least:
            raise Invalid(
                f"Unable to allocate subnet with prefix length {length}, minimum allowed prefix is {self.least}.",
                "network.min_prefix_subnet_allocation_error",
            )
        if length > self.most:
            raise Invalid(
                f"Unable to allocate subnet with prefix length {length}, maximum allowed prefix is {self.most}.",
                "network.max_prefix_subnet_allocation_error",
            )


def first_free(prefixes: Sequence[IpNetwork], taken: Sequence[IpNetwork], length: int) -> IpNetwork | None:
    """Return the lowest network of *length* that lies in one of *prefixes* and overlaps none of *taken*; None: there is none."""
    held = sorted((int(network.network_address), int(network.broadcast_address)) for network in taken)
    for prefix in sorted(prefixes, key=lambda network: int(network.network_address)):
        if length < prefix.prefixlen:
            continue
        size = 1 << (prefix.max_prefixlen - length)
        start, last = int(prefix.network_address), int(prefix.broadcast_address)
        for low, high in held:
            if high < start:
                continue
            if start + size - 1 < low:
                break
            # Beyond what is taken, where the next network of this length begins.
            start = (high // size + 1) * size
        if start + size - 1 <= last:
            return type(prefix)((start, length))
    return None
