"""From a name, an address or an id to routers, floating IPs, security groups, address groups and QoS policies."""

from __future__ import annotations

from urllib.parse import quote

from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import ApiError
from nova_lite.cli.names import Thing, is_uuid, the_one


def _find(connection: Connection, noun: str, path: str, member: str, text: str, key: str = "name") -> Thing:
    network = connection.network
    if is_uuid(text):
        try:
            return dict(network.get(f"{path}/{quote(text, safe='')}")[member])
        except ApiError as error:
            if error.status != 404:
                raise
    plural = "policies" if member == "policy" else f"{member}s"
    return the_one(noun, text, network.pages(path, plural, **{key: text}), key=key)


def router(connection: Connection, text: str) -> Thing:
    """Find a router."""
    return _find(connection, "router", "routers", "router", text)


def floating_ip(connection: Connection, text: str) -> Thing:
    """Find a floating IP, by address or id."""
    return _find(connection, "floating IP", "floatingips", "floatingip", text, "floating_ip_address")


def security_group(connection: Connection, text: str) -> Thing:
    """Find a security group."""
    return _find(connection, "security group", "security-groups", "security_group", text)


def address_group(connection: Connection, text: str) -> Thing:
    """Find an address group."""
    return _find(connection, "address group", "address-groups", "address_group", text)


def qos_policy(connection: Connection, text: str) -> Thing:
    """Find a QoS policy."""
    return _find(connection, "QoS policy", "qos/policies", "policy", text)


def subnet_pool(connection: Connection, text: str) -> Thing:
    """Find a subnet pool."""
    return _find(connection, "subnet pool", "subnetpools", "subnetpool", text)


def rbac_policy(connection: Connection, text: str) -> Thing:
    """Find an RBAC policy, by its id."""
    return dict(connection.network.get(f"rbac-policies/{quote(text, safe='')}")["rbac_policy"])
