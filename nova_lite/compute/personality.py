"""Personality: files that come with a server, for its guest to write when it first boots (until microversion 2.56).

As in Nova today nobody writes to the guest's disk: they lie on its config drive and are told by the metadata service, in
``openstack/content``, and ``meta_data.json`` says where each of them goes. cloud-init writes them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.compute import quotas
from nova_lite.db.types import JsonDict
from nova_lite.errors import Invalid, OverLimit


def read(wanted: Sequence[JsonDict]) -> list[JsonDict]:
    """Take files as users send them, ``contents`` in base64; return them as they are kept, with no break in the base64.

    :raises Invalid: a file has no path, or contents that are no base64.
    """
    return [_one(file) for file in wanted]


def _one(file: JsonDict) -> JsonDict:
    for member in ("path", "contents"):
        if member not in file:
            raise Invalid(f"Bad personality format: missing '{member}'", "server.personality")
    path = file["path"]
    if not path or not path.isprintable():
        raise Invalid("Bad personality format: 'path' must be the path of a file", "server.personality")
    try:
        content = base64.b64decode(file["contents"])
    except (binascii.Error, ValueError):
        raise Invalid(f"Personality content for {path} cannot be decoded", "server.personality") from None
    return {"path": path, "contents": base64.b64encode(content).decode()}


def check(conf: cfg.ConfigOpts, session: Session, project_id: str, files: Sequence[JsonDict]) -> None:
    """Refuse more, or longer, files than a server of the project may have; in Nova's words. :raises OverLimit: it is."""
    if not files:
        return
    most = quotas.limits(conf, session, project_id)
    sizes: dict[str, tuple[int, str]] = {
        "injected_files": (len(files), "Personality file limit exceeded"),
        "injected_file_path_bytes": (
            max(len(file["path"].encode()) for file in files),
            "Personality file path exceeds maximum {}",
        ),
        "injected_file_content_bytes": (
            max(len(base64.b64decode(file["contents"])) for file in files),
            "Personality file content exceeds maximum {}",
        ),
    }
    for name, (size, words) in sizes.items():
        if 0 <= most[name] < size:
            raise OverLimit(words.format(most[name]), "server.personality_limit")
