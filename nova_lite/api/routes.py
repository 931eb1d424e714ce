"""Routes as data: which handler answers a method on a path, under which rule, for which body.

Each API's folder exports a :class:`Mount` with a tuple of :class:`Route`; nothing is routed anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from routes import Mapper

from nova_lite.api.version import Version, VersionRange

if TYPE_CHECKING:
    from nova_lite.api.context import Call

Schema = dict[str, Any]

_WITH_PROJECT = re.compile(
    r"(?P<version>/v[0-9.]+)/(?P<project_id>[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<rest>/.+)"
)


@dataclass(frozen=True)
class Reply:
    """What a handler answers when a plain dict with the route's own status is not enough.

    ``body``: a dict or list becomes JSON; bytes, or an iterable of bytes (streamed), go out as they are with ``content_type``; None: no body.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True)
class Route:
    """One method on one path.

    :ivar path: below the mount, in Routes' syntax: ``/v2.1/servers/{id}``; of two that fit, the earlier in the table wins.
    :ivar handler: takes the :class:`Call` and returns a dict (JSON), a :class:`Reply` or None (no body).
    :ivar rule: the policy rule. It is enforced before the handler with the caller's own project as target; with
        ``late`` the handler itself calls ``call.authorize(row)`` once it has the row, and the front door sees that it did.
        None only where ``open`` is true.
    :ivar open: whether the route is answered without a token.
    :ivar body: the JSON schema of the body, or a function of the version that gives it; None: no body is read.
    :ivar query: the JSON schema of the query string (each value a list of strings), likewise.
    :ivar raw: the handler reads the body itself, as a stream.
    :ivar since, until: the microversions in which the route exists; outside it is 404.
    """

    method: str
    path: str
    handler: Callable[[Call], Any]
    rule: str | None = None
    status: int = 200
    open: bool = False
    late: bool = False
    body: Schema | Callable[[Version], Schema] | None = None
    query: Schema | Callable[[Version], Schema] | None = None
    raw: bool = False
    since: Version | None = None
    until: Version | None = None


@dataclass(frozen=True)
class Mount:
    """One API: where it lives, what it serves, how it words its errors.

    :ivar prefix: ``/compute``; the routes' paths come below it.
    :ivar style: the key of ``nova_lite.api.errors.STYLES``.
    :ivar versions: the API's microversions, if it has any. ``unversioned`` paths (version documents) ignore the header.
    :ivar aliases: other first path segments that lead to the same routes, ``{"v2": "v2.1"}``, always at the least version.
    """

    prefix: str
    style: str
    routes: tuple[Route, ...]
    versions: VersionRange | None = None
    unversioned: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    project_paths: bool = False
    """Whether the caller's project may stand after the version, as clients of old have it: ``/v2.1/{project_id}/servers``."""


@dataclass(frozen=True)
class Match:
    """What a path led to: the routes by method, and the path's variables."""

    mount: Mount
    methods: Mapping[str, tuple[Route, ...]]
    params: Mapping[str, str]
    legacy: bool = False
    project_id: str | None = None
    """The project that the path names, which must be the token's."""


class Table:
    """All mounts, compiled. Built once at start; nothing in it changes."""

    def __init__(self, mounts: tuple[Mount, ...]) -> None:
        self.mounts = mounts
        self._compiled = {mount.prefix: (mount, *_compile(mount)) for mount in mounts}

    def mount_of(self, path: str) -> Mount | None:
        """Return the API that *path* lies in, whether or not there is anything at it: it words the error."""
        compiled = self._compiled.get(f"/{path[1:].partition('/')[0]}")
        return None if compiled is None else compiled[0]

    def match(self, path: str) -> Match | None:
        """Find what answers *path* (percent-decoded, beginning with a slash); None: nothing does."""
        first, slash, rest = path[1:].partition("/")
        prefix = f"/{first}"
        compiled = self._compiled.get(prefix)
        if compiled is None:
            return None
        mount, mapper, by_path = compiled
        inner = slash + rest or "/"
        legacy = False
        version = inner[1:].partition("/")[0]
        if version in mount.aliases:
            inner = f"/{mount.aliases[version]}{inner[len(version) + 1 :]}"
            legacy = True
        project_id = None
        if mount.project_paths and (named := _WITH_PROJECT.fullmatch(inner)):
            project_id, inner = named["project_id"], named["version"] + named["rest"]
        if len(inner) > 1:
            inner = inner.rstrip("/") or "/"
        found = mapper.match(inner)
        if found is None:
            return None
        methods = by_path[found.pop("controller")]
        found.pop("action", None)
        params = {key: value for key, value in found.items() if value is not None}
        return Match(mount, methods, params, legacy, project_id)


def _compile(mount: Mount) -> tuple[Any, dict[str, dict[str, tuple[Route, ...]]]]:
    """Return the mapper of a mount's paths, and the routes by path and method."""
    by_path: dict[str, dict[str, tuple[Route, ...]]] = {}
    for route in mount.routes:
        methods = by_path.setdefault(route.path, {})
        methods[route.method] = (*methods.get(route.method, ()), route)
    mapper = Mapper(register=False)
    mapper.minimization = False
    for path in by_path:
        # Routes turns whatever it is given into text, so a path leads to its own template.
        mapper.connect(None, path, controller=path)
    mapper.create_regs()
    return mapper, by_path
