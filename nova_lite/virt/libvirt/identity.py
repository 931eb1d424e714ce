"""What marks a domain as ours: its UUID is the server's id, and an element of ours stands in its metadata."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

import libvirt

from nova_lite.virt.driver import GuestSpec

NAMESPACE = "urn:nova-lite:guest:1"
PREFIX = "nl"
ET.register_namespace(PREFIX, NAMESPACE)


@dataclass(frozen=True)
class GuestIdentity:
    """What a domain of ours says of itself."""

    server_id: str
    kind: str
    project_id: str
    rescue: str = ""
    """The id of the image that the guest is rescued with; empty: it is not."""
    adopted: bool = False
    """Somebody else defined it: what it has is not what we would give it."""


def domain_name(server_id: str) -> str:
    """Return the domain's name: the whole id, because eight digits of it may meet again on a host."""
    return f"nl-{server_id}"


def element(spec: GuestSpec, rescue: str = "") -> ET.Element:
    """Return the metadata element for *spec*; only *rescue*, a rescue image's id, changes during the guest's life."""
    found = ET.Element(f"{{{NAMESPACE}}}server", {"id": spec.server_id, "kind": spec.kind, "project": spec.project_id})
    if rescue:
        found.set("rescue", rescue)
    return found


def parse(text: str, domain_uuid: str) -> GuestIdentity | None:
    """Read our element; None if it is not one, or is of another guest (a copied definition)."""
    try:
        found = ET.fromstring(text)  # noqa: S314 - libvirt's own answer, parsed and written anew by libvirt
    except ET.ParseError:
        return None
    if found.tag not in (f"{{{NAMESPACE}}}server", "server") or found.get("id") != domain_uuid:
        return None
    return GuestIdentity(
        domain_uuid,
        found.get("kind", ""),
        found.get("project", ""),
        found.get("rescue", ""),
        found.get("adopted") == "yes",
    )


def of(domain: Any) -> GuestIdentity | None:
    """Return what *domain* says of itself, or None for a domain that is none of ours.

    :raises libvirt.libvirtError: libvirt does not answer.
    """
    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    return parse(text, domain.UUIDString())
