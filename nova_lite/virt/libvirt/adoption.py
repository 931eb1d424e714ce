"""Make a libvirt guest that somebody else defined one of ours, without stopping it.

Its UUID becomes the server's id, since a domain's can't be changed; our mark is written into its metadata. What it was
defined with stays until it is next started, which is from a definition of our own. Its console log begins with the first start
that is ours: a chardev of a running QEMU can't be given a log file.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import libvirt

from nova_lite.virt.driver import CONTAINER, VM, DriverError
from nova_lite.virt.libvirt import identity
from nova_lite.virt.libvirt.domains import power_of

_BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


def describe(domain: Any) -> Mapping[str, object]:
    """Return what the domain has, as ``abilities.Adopts.describe`` says."""
    root = ET.fromstring(domain.XMLDesc())  # noqa: S314 - libvirt's own answer
    who = identity.of(domain)
    vcpu = root.find("vcpu")
    memory = root.findtext("currentMemory") or root.findtext("memory") or "0"
    return {
        "name": domain.name(),
        "uuid": domain.UUIDString(),
        "server_id": who.server_id if who else None,
        "adopted": who is not None and who.adopted,
        "kind": who.kind if who else _kind(root),
        "vcpus": int((vcpu.get("current") or vcpu.text or 1) if vcpu is not None else 1),
        "memory_mb": int(memory) // 1024,
        "power": int(power_of(tuple(domain.state()))),
        "persistent": bool(domain.isPersistent()),
        "disks": [_disk(disk) for disk in root.iterfind("devices/disk")],
        "nics": [_nic(nic) for nic in root.iterfind("devices/interface")],
    }


def adopt(domain: Any, server_id: str) -> None:
    """Write our mark into the domain; it being there already is success.

    :raises DriverError: it does not run, is no guest of a kind that we run, or has another UUID.
    """
    who = identity.of(domain)
    if who is not None and who.server_id == server_id:
        return
    if domain.UUIDString() != server_id:
        raise DriverError(
            f"guest {domain.name()} can be adopted only as a server with its own UUID, {domain.UUIDString()}"
        )
    if not domain.isActive():
        raise DriverError(f"guest {domain.name()} does not run; start it, then it can be adopted")
    if not domain.isPersistent():
        raise DriverError(
            f"guest {domain.name()} is transient: it would be gone once stopped; define it, then adopt it"
        )
    kind = _kind(ET.fromstring(domain.XMLDesc()))  # noqa: S314 - libvirt's own answer
    mark = ET.Element("server", {"id": server_id, "kind": kind, "project": "", "adopted": "yes"})
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        ET.tostring(mark, encoding="unicode"),
        identity.PREFIX,
        identity.NAMESPACE,
        _BOTH,
    )


def disown(domain: Any) -> None:
    """Take our mark off a domain that was adopted; one without it is left alone.

    :raises DriverError: it was made here.
    """
    who = identity.of(domain)
    if who is None:
        return
    if not who.adopted:
        raise DriverError(f"guest {domain.name()} was made here, so it can't be let go")
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, identity.PREFIX, identity.NAMESPACE, flags)


def _kind(root: ET.Element) -> str:
    return CONTAINER if root.get("type") == "lxc" else VM


def _disk(disk: ET.Element) -> dict[str, str]:
    found = {"device": "", "path": "", "format": ""}
    for tag, attribute, name in (("target", "dev", "device"), ("driver", "type", "format")):
        child = disk.find(tag)
        if child is not None:
            found[name] = child.get(attribute, "")
    source = disk.find("source")
    if source is not None:
        found["path"] = source.get("file") or source.get("dev") or source.get("name") or ""
    return found


def _nic(nic: ET.Element) -> dict[str, str]:
    def value(tag: str, *attributes: str) -> str:
        child = nic.find(tag)
        return "" if child is None else next((child.attrib[name] for name in attributes if name in child.attrib), "")

    return {
        "mac": value("mac", "address"),
        "device": value("target", "dev"),
        "bridge": value("source", "bridge", "network"),
    }
