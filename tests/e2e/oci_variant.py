"""An OCI archive with another program: the same layers, a new configuration and manifest."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def with_program(archive: Path, out: Path, program: Sequence[str]) -> None:
    """Write *archive*, an OCI layout in a tar of one image, to *out* with *program* as its entry point."""
    with tarfile.open(archive) as tar:
        files = {item.name.removeprefix("./"): _content(tar, item) for item in tar.getmembers() if item.isfile()}
    index = json.loads(files["index.json"])
    manifest = _blob(files, index["manifests"][0])
    config = _blob(files, manifest["config"])
    config["config"] = {**config["config"], "Entrypoint": list(program), "Cmd": []}
    manifest["config"].update(_store(files, config))
    index["manifests"][0].update(_store(files, manifest))
    files["index.json"] = json.dumps(index).encode()
    with tarfile.open(out, "w") as tar:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            tar.addfile(item, io.BytesIO(content))


def _content(tar: tarfile.TarFile, item: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(item)
    assert stream is not None
    return stream.read()


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files[_path(descriptor["digest"])])
    return found


def _store(files: dict[str, bytes], value: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps(value).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    files[_path(digest)] = content
    return {"digest": digest, "size": len(content)}
