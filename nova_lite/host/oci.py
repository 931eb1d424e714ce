"""Unpack a container image: an OCI archive, or what ``docker save`` writes, to a root filesystem and its configuration.

The archive is a stranger's. What is taken out of it by name here is checked against a pattern; the layers, with their
links and whiteouts, are applied by umoci, which resolves every path inside the root. Before that, each layer is walked once
so that neither its size nor its number of files is a surprise. Format: OCI image-spec, image-layout.md, manifest.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nova_lite.host.ports import HostError
from nova_lite.image import tar_stream
from nova_lite.image.tar_stream import HostileArchive
from nova_lite.virt.waiting import GoOn, go_on

_LAYOUT_FILE = re.compile(r"oci-layout|index\.json|blobs/sha256/[0-9a-f]{64}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_REFERENCE = "org.opencontainers.image.ref.name"
_MAX_JSON = 4 << 20
_MAX_DEPTH = 4
_LOOK_S = 0.2
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}


@dataclass(frozen=True)
class Limits:
    """What an image may come to: bytes unpacked, entries, seconds that a program works on it."""

    size: int
    files: int
    timeout_s: int


def unpack(archive: Path, directory: Path, limits: Limits, go_on: GoOn = go_on) -> dict[str, object]:
    """Unpack *archive* to ``directory/rootfs`` and return the image's ``config`` object.

    *directory* must be there, empty, and closed to other users (0700): a root filesystem has setuid files in it. Owners
    are as in the image, from 0. Device nodes are left out. What *go_on* raises ends it, and the programs that it runs.

    :raises HostError: the archive is damaged, hostile, for another architecture, or larger than *limits*.
    """
    layout = directory / "layout"
    try:
        if not _extract_layout(archive, layout, limits, go_on):
            shutil.rmtree(layout)
            _convert(archive, layout, limits, go_on)
        manifest = _manifest(layout)
        config = _read_json(layout, _descriptor(manifest.get("config")))
        has_devices = _check_layers(layout, manifest, limits, go_on)
        rootfs = directory / "rootfs"
        _run(["umoci", "raw", "unpack", "--image", f"{layout}:image", str(rootfs)], limits, go_on)
        if has_devices:
            _remove_devices(rootfs)
    except HostileArchive as error:
        raise HostError(f"The container image is refused: {error}", code="host.image_refused") from error
    shutil.rmtree(layout)
    inner = config.get("config")
    return {str(key): value for key, value in inner.items()} if isinstance(inner, dict) else {}


def _extract_layout(archive: Path, layout: Path, limits: Limits, go_on: GoOn) -> bool:
    """Take the files of an OCI layout out of *archive*; False: it has none, so it is what docker save writes."""
    layout.mkdir()
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)
    with tar_stream.opened(archive) as stream:
        for count, member in enumerate(tar_stream.members(stream, limits.size)):
            name = member.name.removeprefix("./")
            if count > limits.files:
                raise HostileArchive("it has more entries than is allowed")
            if not _LAYOUT_FILE.fullmatch(name) or not member.is_file():
                continue
            try:
                with (layout / name).open("xb") as file:
                    for chunk in member.chunks():
                        go_on()
                        file.write(chunk)
            except FileExistsError as error:
                raise HostileArchive("an entry comes twice") from error
    return (layout / "oci-layout").exists() and (layout / "index.json").exists()


def _convert(archive: Path, layout: Path, limits: Limits, go_on: GoOn) -> None:
    """Make an OCI layout of a docker archive."""
    _run(
        ["skopeo", "--insecure-policy", "copy", "--quiet", f"docker-archive:{archive}", f"oci:{layout}:image"],
        limits,
        go_on,
    )


def _manifest(layout: Path) -> dict[str, Any]:
    """Find the manifest for this machine, following indexes, and leave the layout's index with it alone, as ``image``."""
    found = _load(layout / "index.json")
    for _ in range(_MAX_DEPTH):
        if "layers" in found:
            return found
        entries = [entry for entry in found.get("manifests") or [] if isinstance(entry, dict)]
        chosen = next(iter(sorted(entries, key=_preference)), None)
        if chosen is None or _preference(chosen) > 1:
            raise HostileArchive(f"it has no manifest for {_architecture()}")
        kept = {key: chosen[key] for key in ("mediaType", "digest", "size") if key in chosen}
        index = {"schemaVersion": 2, "manifests": [kept | {"annotations": {_REFERENCE: "image"}}]}
        (layout / "index.json").write_text(json.dumps(index))
        found = _read_json(layout, _descriptor(chosen))
    raise HostileArchive("its indexes are nested too deeply")


def _preference(entry: Mapping[str, Any]) -> int:
    """Rank an index's entry: 0 for this machine, 1 for one that does not say, 2 for another's (and attestations)."""
    wanted = entry.get("platform")
    if not isinstance(wanted, dict):
        return 1
    return 0 if (wanted.get("os"), wanted.get("architecture")) == ("linux", _architecture()) else 2


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def _descriptor(value: object) -> Path:
    """Return where a descriptor's blob is, below the layout. :raises HostileArchive: it is not a SHA-256 descriptor."""
    digest = value.get("digest") if isinstance(value, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise HostileArchive("a descriptor has no SHA-256 digest")
    return Path("blobs/sha256", digest.removeprefix("sha256:"))


def _read_json(layout: Path, blob: Path) -> dict[str, Any]:
    return _load(layout / blob, digest=blob.name)


def _load(path: Path, digest: str | None = None) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON:
            raise HostileArchive("a manifest is larger than 4 MiB")
        data = path.read_bytes()
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise HostileArchive("a blob is not what its digest says")
        value = json.loads(data)
    except FileNotFoundError as error:
        raise HostileArchive("a blob that it speaks of is not in it") from error
    except (ValueError, RecursionError) as error:
        raise HostileArchive("a manifest is not JSON") from error
    if not isinstance(value, dict):
        raise HostileArchive("a manifest is not a JSON object")
    return value


def _check_layers(layout: Path, manifest: Mapping[str, Any], limits: Limits, go_on: GoOn) -> bool:
    """Walk every layer within the limits, all together; True: there are device nodes in one."""
    size = files = 0
    has_devices = False
    layers = manifest.get("layers")
    for layer in layers if isinstance(layers, list) else []:
        blob = layout / _descriptor(layer)
        if not blob.exists():
            raise HostileArchive("a layer is not in it")
        with tar_stream.opened(blob) as stream:
            for member in tar_stream.members(stream, max(limits.size - size, 0)):
                go_on()
                files += 1
                size += member.size
                has_devices |= member.is_device()
                if files > limits.files:
                    raise HostileArchive(f"it has more than {limits.files} files")
    return has_devices


def _remove_devices(rootfs: Path) -> None:
    for path in _below(rootfs):
        mode = path.lstat().st_mode
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            path.unlink()


def _below(directory: Path) -> Iterator[Path]:
    for where, _, names in os.walk(directory):
        yield from (Path(where, name) for name in names)


def _run(argv: list[str], limits: Limits, go_on: GoOn) -> None:
    """Run a program under limits on CPU time, file size and open files. :raises HostError: it fails; with its last words.

    What *go_on* raises ends it.
    """
    bounded = [
        "setpriv",
        "--pdeathsig=KILL",  # it must not write on when its agent has died
        "--",
        "prlimit",
        f"--cpu={limits.timeout_s}",
        f"--fsize={limits.size}",
        "--nofile=4096",
        "--core=0",
        "--",
        *argv,
    ]
    deadline = time.monotonic() + limits.timeout_s
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                bounded,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise HostError("setpriv (util-linux) is not installed on this host") from error
        try:
            while not _has_ended(process):
                go_on()
                if time.monotonic() > deadline:
                    raise HostError(f"{argv[0]} did not unpack the image within {limits.timeout_s} s")
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            words = _last_words(said) or f"status {process.returncode}"
            raise HostError(f"The container image is refused: {argv[0]}: {words}", code="host.image_refused")


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_LOOK_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _last_words(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4096))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
