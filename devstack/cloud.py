"""Talk to the cloud that stack.sh made as any OpenStack client does: clouds.yaml, keystoneauth1, REST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from keystoneauth1.adapter import Adapter
from keystoneauth1.exceptions import HttpError
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session


class CloudError(Exception):
    """Something that the user should read: one line, no traceback."""


@dataclass(frozen=True)
class Cloud:
    """The APIs of one cloud as one user sees them."""

    compute: Adapter
    image: Adapter
    network: Adapter
    project_id: str


def connect(clouds_file: Path, name: str) -> Cloud:
    """Log in to the cloud called *name* in *clouds_file*.

    :raises CloudError: the file has no such cloud.
    :raises keystoneauth1.exceptions.ClientException: the cloud can't be reached or refuses.
    """
    clouds = yaml.safe_load(clouds_file.read_text(encoding="utf-8"))["clouds"]
    if name not in clouds:
        raise CloudError(f"{clouds_file} has no cloud {name}")
    session = Session(auth=Password(**clouds[name]["auth"]))
    region = clouds[name]["region_name"]

    def adapter(service: str, version: str) -> Adapter:
        return Adapter(session, service_type=service, interface="public", region_name=region, version=version)

    compute = adapter("compute", "2.1")
    compute.default_microversion = "2.1"
    return Cloud(compute, adapter("image", "2"), adapter("network", "2.0"), str(session.get_project_id()))


def reason(error: Exception) -> str:
    """Return what the cloud said, with the request id that its log has too."""
    if isinstance(error, HttpError):
        return f"{error.message} (HTTP {error.http_status}, {error.method} {error.url}, request {error.request_id})"
    return str(error)


def listing(api: Adapter, path: str, key: str, **query: str) -> list[dict[str, Any]]:
    """Return every item of a listing that fits on one page, as all of ours do."""
    found: list[dict[str, Any]] = api.get(path, params=query).json()[key]
    return found
