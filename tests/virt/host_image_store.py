"""An image store and a cache in a directory of their own, and container images made by hand."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from nova_lite.conf import load
from nova_lite.host.image_source import FileSource
from nova_lite.host.images import HostImages
from nova_lite.host.ports import HostError, ImageSpec

needs_tools = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("umoci", "skopeo", "qemu-img", "prlimit")),
    reason="needs root, umoci, skopeo, qemu-img and prlimit",
)


class Counting:
    """A source that counts how often it was opened, and can be slow."""

    def __init__(self, root: Path, delay: float = 0.0) -> None:
        self.opened = 0
        self._source = FileSource(root)
        self._delay = delay

    def open(self, image_id: str) -> BinaryIO:
        self.opened += 1
        time.sleep(self._delay)
        return self._source.open(image_id)


class Store:
    def __init__(self, **overrides: object) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="nlt-images-"))
        self.state.chmod(0o711)
        self.root = self.state / "images"
        self.root.mkdir()
        self.source = Counting(self.root)
        self.conf = load([], {"state_path": str(self.state), **overrides})
        self.images = HostImages(self.conf, self.source)

    def add(
        self, data: bytes, disk_format: str = "raw", container_format: str = "bare", **changes: object
    ) -> ImageSpec:
        image_id = str(uuid.uuid4())
        (self.root / image_id).write_bytes(data)
        values = {"size": len(data), "sha512": hashlib.sha512(data).hexdigest(), **changes}
        return ImageSpec(image_id, disk_format, container_format, **values)  # type: ignore[arg-type]

    def refused(self, image: ImageSpec) -> str:
        """Fetch what must be refused; return the words, having seen that nothing is left."""
        with pytest.raises(HostError) as caught:
            self.images.fetch(image)
        assert [path.name for path in (self.state / "cache").iterdir()] == [".locks"]
        return caught.value.message


def layer(entries: Sequence[tuple[str, Mapping[str, object], bytes]]) -> bytes:
    """Make a layer: (name, tarfile attributes, data)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, attributes, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def oci_archive(layers: Sequence[bytes], *, compress: bool = True, wrong: Mapping[str, bytes] | None = None) -> bytes:
    """Make an OCI archive of *layers*. ``wrong``: files that are put in besides, by name."""
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/bin/hello"], "Env": ["A=b"], "User": "1000"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [
            blob(gzip.compress(each), "layer.v1.tar+gzip") if compress else blob(each, "layer.v1.tar")
            for each in layers
        ],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
        **blobs,
        **(wrong or {}),
    }
    return layer([(name, {}, data) for name, data in files.items()])


HELLO = ("bin/hello", {"mode": 0o4755, "uid": 0, "gid": 0}, b"#!/bin/sh\necho hello\n")
