"""What 169.254.169.254 answers for which path: the OpenStack and the EC2 layout, pure.

Source: https://docs.openstack.org/nova/latest/user/metadata.html. Every version has the same files, as on the config drive: each version
only added members, and a reader takes those that it knows. A directory answers with the names in it.
"""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_lite.host import metadata
from nova_lite.host.metadata import GuestData, GuestNic

OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    "latest",
)
EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "latest",
)
JSON, TEXT, BYTES = "application/json", "text/plain; charset=utf-8", "application/octet-stream"
PASSWORD = "password"  # noqa: S105 - a path


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    kind: str = TEXT


NOT_FOUND = Answer(http.HTTPStatus.NOT_FOUND, b"Not found\n")


@dataclass(frozen=True)
class Tree:
    """All that one guest may read. Keys of ``openstack`` and ``content`` are file names, of ``ec2`` paths below a version."""

    openstack: Mapping[str, bytes] = field(default_factory=dict)
    content: Mapping[str, bytes] = field(default_factory=dict)
    ec2: Mapping[str, bytes] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """What a directory of ``ec2`` is called in its parent's listing, where that is not its own name."""


def tree(guest: GuestData, nics: Sequence[GuestNic]) -> Tree:
    """Make the tree from a guest's data; the same files as on its config drive."""
    files = metadata.files(guest, nics)
    openstack, content = (
        {path.removeprefix(below): data for path, data in files.items() if path.startswith(below)}
        for below in ("openstack/latest/", f"openstack/{metadata.CONTENT}/")
    )
    ec2: dict[str, bytes] = {}
    data = metadata.ec2_meta_data(guest, nics)
    names = {
        f"meta-data/public-keys/{index}": str(entry.pop("_name"))
        for index, entry in data.get("public-keys", {}).items()
    }
    _flatten("meta-data", data, ec2)
    if guest.user_data is not None:
        ec2["user-data"] = guest.user_data
    return Tree(openstack, content, ec2, names)


def _flatten(path: str, data: Any, into: dict[str, bytes]) -> None:
    if isinstance(data, Mapping):
        for key, value in data.items():
            _flatten(f"{path}/{key}", value, into)
    else:
        into[path] = str(data).encode()


def answer(found: Tree, path: str, password: str) -> Answer:
    """Answer a GET. *path* as the guest sent it; *password*: what it has left for its owner, or empty."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    if not parts:
        return _listing(EC2_VERSIONS)
    if parts[0] == "openstack":
        return _openstack(found, parts[1:], password)
    return _ec2(found, parts)


def is_password(path: str) -> bool:
    """Say whether *path* is where a guest leaves its password."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    return len(parts) == 3 and parts[0] == "openstack" and parts[1] in OPENSTACK_VERSIONS and parts[2] == PASSWORD


def _openstack(found: Tree, parts: Sequence[str], password: str) -> Answer:
    if not parts:
        return _listing([*OPENSTACK_VERSIONS, *([metadata.CONTENT] if found.content else [])])
    if parts[0] == metadata.CONTENT and found.content and len(parts) <= 2:
        return _content(found, parts[1:])
    if parts[0] not in OPENSTACK_VERSIONS or len(parts) > 2:
        return NOT_FOUND
    if len(parts) == 1:
        return _listing(sorted([*found.openstack, PASSWORD]))
    if parts[1] == PASSWORD:
        return Answer(http.HTTPStatus.OK, password.encode())
    content = found.openstack.get(parts[1])
    if content is None:
        return NOT_FOUND
    return Answer(http.HTTPStatus.OK, content, JSON if parts[1].endswith(".json") else BYTES)


def _content(found: Tree, parts: Sequence[str]) -> Answer:
    if not parts:
        return _listing(sorted(found.content))
    data = found.content.get(parts[0])
    return NOT_FOUND if data is None else Answer(http.HTTPStatus.OK, data, BYTES)


def _ec2(found: Tree, parts: Sequence[str]) -> Answer:
    if parts[0] not in EC2_VERSIONS:
        return NOT_FOUND
    path = "/".join(parts[1:])
    content = found.ec2.get(path)
    if content is not None:
        return Answer(http.HTTPStatus.OK, content, BYTES if path == "user-data" else TEXT)
    below = f"{path}/" if path else ""
    entries = []
    for known in found.ec2:
        if known.startswith(below):
            name, slash, _ = known.removeprefix(below).partition("/")
            entries.append(found.names.get(f"{below}{name}", name + slash))
    return _listing(sorted(set(entries))) if entries else NOT_FOUND


def _listing(names: Sequence[str]) -> Answer:
    return Answer(http.HTTPStatus.OK, "\n".join(names).encode())
