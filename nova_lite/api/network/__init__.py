"""The Network API v2.0: https://docs.openstack.org/api-ref/network/v2/"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite.api.network import extensions, networks, ports, subnets
from nova_lite.api.network.collections import QUERY
from nova_lite.api.routes import Mount, Route


def _collection(name: str, module: Any) -> tuple[Route, ...]:
    """Make the routes of one noun. Reading is narrowed to what the caller may see; changing is asked of the row."""
    many, one = f"/v2.0/{name}s", f"/v2.0/{name}s/{{id}}"
    handlers: dict[str, Callable[..., Any]] = vars(module)
    return (
        Route("GET", many, handlers["index"], f"get_{name}", query=QUERY),
        Route("POST", many, handlers["create"], f"create_{name}", status=201, body=handlers["CREATE"], query=QUERY),
        Route("GET", one, handlers["show"], f"get_{name}", query=QUERY),
        Route("PUT", one, handlers["update"], f"update_{name}", late=True, body=handlers["UPDATE"], query=QUERY),
        Route("DELETE", one, handlers["delete"], f"delete_{name}", late=True, status=204, query=QUERY),
    )


ROUTES = (
    Route("GET", "/", extensions.versions, open=True, query=QUERY),
    Route("GET", "/v2.0", extensions.resources, open=True, query=QUERY),
    Route("GET", "/v2.0/extensions", extensions.index, "get_extension", query=QUERY),
    Route("GET", "/v2.0/extensions/{alias}", extensions.show, "get_extension", query=QUERY),
    *_collection("network", networks),
    *_collection("subnet", subnets),
    *_collection("port", ports),
)

MOUNT = Mount("/network", "network", ROUTES)
