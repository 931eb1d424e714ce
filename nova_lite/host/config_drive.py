"""Write a config drive labelled ``config-2``, in pure Python: ISO 9660 with Rock Ridge and Joliet names, or FAT16."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from nova_lite.host import config_fat
from nova_lite.host.ports import HostError

LABEL = "config-2"
"""cloud-init and cirros look for the drive by this label."""


ISO9660, VFAT = "iso9660", "vfat"


def write(path: Path, files: Mapping[str, bytes], form: str = ISO9660) -> None:
    """Write *files* (relative path → content) as an image at *path*, mode 0600, whole or not at all.

    :param form: iso9660 or vfat.
    :raises HostError: a path is absolute, has ``..`` or an empty part in it, or is not fit for the format.
    """
    for name in files:
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise HostError(f"This is not a path on a config drive: {name[:64]!r}", code="host.refused_value")
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            if form == VFAT:
                config_fat.write(file, LABEL, files)
            else:
                _write_iso(file, files)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _write_iso(file: BinaryIO, files: Mapping[str, bytes]) -> None:
    image = pycdlib.PyCdlib()
    # Level 4 (ISO 9660:1999) keeps the names as they are, so that a guest without Rock Ridge and Joliet reads them too.
    image.new(interchange_level=4, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    try:
        _add(image, files)
        image.write_fp(file)
    except PyCdlibException as error:
        raise HostError(f"The config drive could not be written: {error}") from error
    finally:
        image.close()


def _add(image: pycdlib.PyCdlib, files: Mapping[str, bytes]) -> None:
    made: set[str] = set()
    for name, content in sorted(files.items()):
        parts = name.split("/")
        for depth in range(1, len(parts)):
            directory = "/" + "/".join(parts[:depth])
            if directory not in made:
                image.add_directory(directory, rr_name=parts[depth - 1], joliet_path=directory)
                made.add(directory)
        image.add_fp(io.BytesIO(content), len(content), f"/{name}", rr_name=parts[-1], joliet_path=f"/{name}")
