"""The Network API v2.0: https://docs.openstack.org/api-ref/network/v2/"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite.api.network import extensions, networks, ports, subnets, tags
from nova_lite.api.network.collections import QUERY
from nova_lite.api.network.tags import Tagged
from nova_lite.api.routes import Mount, Route
from nova_lite.db.models import Network, Port, Subnet

TAGGED = (
    Tagged("networks", "network", Network, networks.owner_of),
    Tagged("subnets", "subnet", Subnet, subnets.owner_of),
    Tagged("ports", "port", Port, ports.owner_of),
)
"""What can have tags."""


def _collection(name: str, module: Any, path: str | None = None) -> tuple[Route, ...]:
    """Make the routes of one noun. Reading is narrowed to what the caller may see; changing is asked of the row.

    :param path: the collection's name where it is not the noun's plural.
    """
    many = f"/v2.0/{path or name + 's'}"
    one = f"{many}/{{id}}"
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
    *(route for kind in TAGGED for route in tags.routes(kind)),
)

MOUNT = Mount("/network", "network", ROUTES)
