"""Look into an image before anything else does: the bytes must be what was declared, whole, and harmless.

Pure Python (oslo.utils' format inspectors), at upload and again on each host, as qemu-img has been made to open a
host's files by what an image says of itself (CVE-2024-32498, CVE-2022-47951, CVE-2024-40767).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from nova_lite.errors import Invalid
from nova_lite.image import qcow2, tar_stream

DISK_FORMATS = ("raw", "qcow2", "ami", "aki", "ari", "iso")
"""What we can boot or use; Glance knows more, none of which a driver of ours runs."""

CONTAINER_FORMATS = ("bare", "docker", "ami", "aki", "ari")

_RAW = ("raw", "ami", "aki", "ari")
_CHUNK = 64 * 1024
_LOOKED_AT = 4 * 1024 * 1024
"""Every inspector has made up its mind within the first bytes; the rest of a raw image need not be read."""


_LARGEST_FOLD = 20
"""How many times its size a compressed archive may unfold to here; layers are compressed already."""


_MOST_ENTRIES = 65_536
"""Entries of an archive: a file or three for each layer, and some more. What is in the layers does not count."""

_INDEXES = ("index.json", "manifest.json")


class FormatMismatch(Invalid):
    """The bytes are not what was declared, or hold what must not be there."""

    default_code = "image.format"


@dataclass(frozen=True)
class Facts:
    """What inspection found. ``virtual_size``: bytes that the guest sees."""

    format: str
    virtual_size: int


def inspect(path: Path, disk_format: str, container_format: str) -> Facts:
    """Check the file at *path* against its declared formats.

    :raises FormatMismatch: it is of another format, refers to other files, uses unknown features or is cut short.
    """
    if container_format == "docker":
        return _archive(path)
    inspector = _detect(path)
    found = str(inspector)
    size = path.stat().st_size
    if disk_format in _RAW:
        # A partition table at the front of a raw disk is just that.
        if found not in ("raw", "gpt"):
            raise FormatMismatch(f"Image content is {found}, but disk_format is {disk_format}.")
        return Facts("raw", size)
    if found != disk_format:
        raise FormatMismatch(f"Image content is {found}, but disk_format is {disk_format}.")
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        reasons = ", ".join(sorted(error.failures))
        raise FormatMismatch(f"Image content is refused: the {found} file fails these checks: {reasons}.") from None
    except format_inspector.ImageFormatError:
        raise FormatMismatch(f"Image content is cut short: its {found} header is not whole.") from None
    if found == "qcow2":
        try:
            qcow2.check_whole(path)
        except qcow2.CutShort:
            message = "Image content is cut short: the qcow2 file refers to data beyond its end."
            raise FormatMismatch(message) from None
        except qcow2.Odd:
            raise FormatMismatch("Image content is refused: the qcow2 file's tables lie over one another.") from None
    return Facts(found, int(inspector.virtual_size))


def _detect(path: Path) -> format_inspector.FileInspector:
    with path.open("rb") as file:
        wrapper = format_inspector.InspectWrapper(file)
        try:
            read = 0
            while read < _LOOKED_AT and (chunk := wrapper.read(_CHUNK)):
                read += len(chunk)
        finally:
            wrapper.close()
        try:
            found = wrapper.format
        except format_inspector.ImageFormatError:
            raise FormatMismatch("Image content matches several formats at once.") from None
    if found is None:
        raise FormatMismatch("Image content is of no format that is known.")
    return found


def _archive(path: Path) -> Facts:
    """Check that an OCI or docker archive is whole and has its index; its layers are unpacked, bounded, on the host."""
    size = path.stat().st_size
    try:
        with tar_stream.opened(path) as stream:
            has_index = _has_index(tar_stream.members(stream, _LARGEST_FOLD * max(size, _CHUNK)))
    except tar_stream.HostileArchive as error:
        raise FormatMismatch(
            f"Image content is not a tar archive that container_format docker can have: {error}."
        ) from None
    if not has_index:
        raise FormatMismatch("Image content is a tar archive with neither index.json (OCI) nor manifest.json (docker).")
    return Facts("raw", size)


def _has_index(members: Iterable[tar_stream.Member]) -> bool:
    """Walk an archive to its end, and say whether it has an index. :raises HostileArchive: it is damaged, or has too many entries."""
    found = False
    for count, member in enumerate(members, 1):
        if count > _MOST_ENTRIES:
            raise tar_stream.HostileArchive(f"it has more than {_MOST_ENTRIES} entries")
        found |= member.name.removeprefix("./") in _INDEXES
    return found
