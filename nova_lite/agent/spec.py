"""Turn database rows into what drivers, networks and the image cache are given. Pure: rows in, plain data out."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_lite.agent import cmdline_presets
from nova_lite.compute import kinds, local_disks
from nova_lite.compute.kinds import PROCESS
from nova_lite.compute.local_disks import LocalDisks
from nova_lite.db.models import Image, Server
from nova_lite.errors import NovaLiteError
from nova_lite.host.metadata import GuestData
from nova_lite.host.ports import ImageSpec
from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, GuestSpec, LocalImage, Nic

DEFAULT_TEMPLATE = "ip={address}/{prefix} gw={gateway} name={hostname}"
TEMPLATE_WITHOUT_ADDRESS = "name={hostname}"
PLACEHOLDERS = ("address", "prefix", "netmask", "gateway", "dns", "dns1", "hostname", "mac", "args")


class SpecError(NovaLiteError):
    """What was asked for can't be made into a guest; the sentence is fit for the server's fault."""

    default_code = "server.spec_invalid"


NO_IMAGE = LocalImage(image_id="", path=Path("/dev/null"), disk_format="raw", virtual_size=0)
"""What an adopted guest stands on: drivers start it from its own definition and look at no image."""


def is_adopted(server: Server) -> bool:
    """Tell whether somebody else made the server's guest (``nova_lite.compute.adoption``)."""
    return bool((server.system_metadata or {}).get("adopted"))


def device_kind(kind: str, isolated_by: str) -> str:
    """Say what device a guest's port is: a veth for what libvirt-LXC runs, else the tap that QEMU opens."""
    return "veth" if kind == CONTAINER and isolated_by == PROCESS else "tap"


def isolation(kind: str, flavor: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """Return a container's isolation, ``process`` or ``vm``: the flavor decides before the image does."""
    return kinds.isolation(kind, flavor.get("extra_specs") or {}, properties)


def image_spec(server: Server, images: Mapping[str, Image], image_id: str | None = None) -> ImageSpec:
    """Make the spec of the image that *server*'s disk stands on, with its kernel and ramdisk; *image_id*: of another one.

    An image that was deleted since is described by the copy that the server keeps: the host's cache still has it
    while a guest of it is there.

    :raises SpecError: the server has no image, or a part of it is missing.
    """
    properties: Mapping[str, Any] = server.image_properties
    root = (server.system_metadata or {}).get("root_image") if image_id is None else None
    wanted = image_id or server.image_id
    if wanted is None:
        raise SpecError("The server has no image to boot from.", "server.no_image")
    image = None if root else images.get(wanted)
    if image is not None:
        properties = image.properties
        main = _one_image(image)
    elif image_id is not None and image_id != server.image_id:
        raise SpecError(f"Image {image_id} could not be found.", "image.not_found")
    else:
        main = _remembered_image(root["image_id"] if root else wanted, root or server.image_properties)
    return _with_parts(main, properties, images)


def whole_image(image_id: str, images: Mapping[str, Image]) -> ImageSpec:
    """Make the spec of an image that belongs to no server yet. :raises SpecError: it or a part of it is missing."""
    image = images.get(image_id)
    if image is None:
        raise SpecError(f"Image {image_id} could not be found.", "image.not_found")
    return _with_parts(_one_image(image), image.properties, images)


def _with_parts(main: ImageSpec, properties: Mapping[str, Any], images: Mapping[str, Image]) -> ImageSpec:
    parts: dict[str, ImageSpec] = {}
    for name in ("kernel", "ramdisk"):
        part_id = properties.get(f"{name}_id")
        if not part_id:
            continue
        part = images.get(part_id)
        if part is None:
            raise SpecError(f"Image {main.image_id} names {name} {part_id}, which could not be found.")
        parts[name] = _one_image(part)
    return dataclasses.replace(main, kernel=parts.get("kernel"), ramdisk=parts.get("ramdisk"))


def _one_image(image: Image) -> ImageSpec:
    if image.status != "active" or not image.os_hash_value or image.size is None:
        raise SpecError(f"Image {image.id} is not active.", "image.not_active")
    return ImageSpec(
        image_id=image.id,
        disk_format=image.disk_format or "raw",
        container_format=image.container_format or "bare",
        size=image.size,
        sha512=image.os_hash_value,
    )


def _remembered_image(image_id: str, kept: Mapping[str, Any]) -> ImageSpec:
    digest = kept.get("os_hash_value")
    if not digest:
        raise SpecError(f"Image {image_id} could not be found.", "image.not_found")
    return ImageSpec(
        image_id=image_id,
        disk_format=str(kept.get("disk_format") or "raw"),
        container_format=str(kept.get("container_format") or "bare"),
        size=int(kept.get("size") or 0),
        sha512=str(digest),
    )


def guest_spec(server: Server, image: LocalImage, nics: Sequence[Nic], config_drive: Path | None) -> GuestSpec:
    """Make the guest's spec, the same from the same rows each time.

    :raises SpecError: the command line's template names what there is not.
    """
    flavor = server.flavor
    return GuestSpec(
        server_id=server.id,
        name=server.name,
        hostname=server.hostname,
        project_id=server.project_id,
        user_id=server.user_id,
        kind=server.kind,
        vcpus=server.vcpus,
        memory_mb=server.memory_mb,
        disk_gb=server.disk_gb,
        image=image,
        nics=tuple(nics),
        command_line=command_line(server, nics),
        config_drive=config_drive,
        isolation=isolation(server.kind, flavor, server.image_properties),
        properties={key: str(value) for key, value in server.image_properties.items() if value is not None},
        extra_specs={key: str(value) for key, value in (flavor.get("extra_specs") or {}).items()},
        disks=disks_of(server),
    )


def disks_of(server: Server) -> LocalDisks:
    """Return what the server's guest has beside its root disk; an adopted one has what it was found with."""
    if is_adopted(server):
        return LocalDisks()
    return local_disks.of(server.ephemeral_gb, server.swap_mb, server.local_disks)


def guest_data(server: Server, zone: str, seed: bytes) -> GuestData:
    """Make what the guest is told about itself; *zone*: its host's availability zone, *seed*: fresh entropy."""
    return GuestData(
        server_id=server.id,
        name=server.name,
        hostname=server.hostname,
        project_id=server.project_id,
        availability_zone=zone,
        launch_index=server.launch_index,
        meta={key: str(value) for key, value in server.metadata_.items()},
        keys={server.key_name or "key": server.public_key} if server.public_key else {},
        user_data=_user_data(server.user_data) if server.user_data else None,
        injected_files={file["path"]: base64.b64decode(file["contents"]) for file in server.injected_files or ()},
        random_seed=seed,
        flavor=str(server.flavor.get("name") or ""),
        devices={}
        if server.kind == CONTAINER
        else local_disks.devices(server.image_properties if server.kind == VM else {}, disks_of(server)),
        reservation_id=server.reservation_id,
    )


def _user_data(text: str) -> bytes:
    """Decode what the API took as base64, which may be in lines; what is none goes as it is."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return text.encode()


def command_line(server: Server, nics: Sequence[Nic]) -> str:
    """Render the kernel's command line: a unikernel's from its template, a VM's as the image gives it.

    :raises SpecError: see :func:`render`.
    """
    properties = server.image_properties
    if server.kind == VM:
        return str(properties.get("os_command_line") or "")
    if server.kind != UNIKERNEL:
        return ""
    values = _values(server, nics)
    values["args"] = str(properties.get("nova_lite_cmdline_args") or "")
    return render(_template(properties, values), values)


def _template(properties: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """Return the image's own template, that of the preset which it names, or the default one."""
    own = str(properties.get("nova_lite_cmdline") or "")
    preset = str(properties.get("nova_lite_cmdline_preset") or "")
    if own.startswith(cmdline_presets.PREFIX):
        preset = own.removeprefix(cmdline_presets.PREFIX).strip()
    elif own or not preset:
        return own or (DEFAULT_TEMPLATE if values["address"] else TEMPLATE_WITHOUT_ADDRESS)
    found = cmdline_presets.template(preset.lower(), values)
    if found is None:
        known = ", ".join(sorted(cmdline_presets.PRESETS))
        raise SpecError(
            f"The image's nova_lite_cmdline_preset is the unknown {preset[:64]!r}; there are {known}.",
            "server.cmdline_preset",
        )
    return found


def render(template: str, values: Mapping[str, str]) -> str:
    """Fill *template*'s ``{name}`` placeholders.

    Not ``str.format``: a tenant writes the template, and must not reach into objects.

    :raises SpecError: a placeholder is not one of :data:`PLACEHOLDERS`, or a line break would be in the result.
    """

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise SpecError(
                f"The image's nova_lite_cmdline has the unknown placeholder {{{name[:64]}}}; there are {known}.",
                "server.cmdline_placeholder",
            )
        return values[name]

    rendered = re.sub(r"\{([^{}]*)\}", fill, template)
    if any(ord(character) < 32 for character in rendered):
        raise SpecError("The image's nova_lite_cmdline has control characters.", "server.cmdline_invalid")
    return rendered


def _values(server: Server, nics: Sequence[Nic]) -> dict[str, str]:
    values = dict.fromkeys(PLACEHOLDERS, "")
    values["hostname"] = server.hostname
    for nic in nics:
        fours = [ipaddress.ip_interface(text) for text in nic.addresses]
        four = next((interface for interface in fours if interface.version == 4), None)
        if four is None:
            continue
        values |= {
            "address": str(four.ip),
            "prefix": str(four.network.prefixlen),
            "netmask": str(four.network.netmask),
            "gateway": nic.gateway or "",
            "dns": ",".join(nic.dns),
            "dns1": next((server for server in nic.dns if ":" not in server), ""),
            "mac": nic.mac,
        }
        return values
    if nics:
        values["mac"] = nics[0].mac
    return values
