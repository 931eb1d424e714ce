"""Write an OCI archive (a tar file of an image layout) of a container's root and configuration.

Format: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from nova_lite.virt.waiting import GoOn, go_on

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PIECE = 1 << 20
_TYPE = "application/vnd.oci.image"


def write(target: Path, layer: Path, config: Mapping[str, object], go_on: GoOn = go_on) -> int:
    """Write the archive to *target*, in place of what was there, and return its size in bytes.

    :param layer: an uncompressed tar file: the image's one layer. :param config: the image's ``config`` object.
    :param go_on: called for each piece; what it raises ends it, with nothing of it left.
    """
    digest = _digest(layer, go_on)
    image = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    config_blob = json.dumps(image).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.manifest.v1+json",
        "config": _descriptor("config.v1+json", config_blob),
        "layers": [{"mediaType": f"{_TYPE}.layer.v1.tar", "digest": f"sha256:{digest}", "size": layer.stat().st_size}],
    }
    manifest_blob = json.dumps(manifest).encode()
    index = {"schemaVersion": 2, "manifests": [_descriptor("manifest.v1+json", manifest_blob)]}
    part = target.with_name(f"{target.name}.part")
    try:
        _fill(part, layer, digest, index, (manifest_blob, config_blob), go_on)
        size = part.stat().st_size
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)  # as large as the container's root, where the disk was full say
    return size


def _fill(
    part: Path, layer: Path, digest: str, index: Mapping[str, object], blobs: Sequence[bytes], go_on: GoOn
) -> None:
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for blob in blobs:
            _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        entry = tarfile.TarInfo(f"blobs/sha256/{digest}")
        entry.size = layer.stat().st_size
        with layer.open("rb") as file:
            archive.addfile(entry, _Asking(file, go_on))


def _descriptor(suffix: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": f"{_TYPE}.{suffix}", "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


class _Asking(io.RawIOBase):
    """A file that is read for as long as it is wanted."""

    def __init__(self, file: BinaryIO, go_on: GoOn) -> None:
        self._file = file
        self._go_on = go_on

    def read(self, size: int = -1, /) -> bytes:
        self._go_on()
        return self._file.read(size)


def _digest(path: Path, go_on: GoOn) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            go_on()
            found.update(piece)
    return found.hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
