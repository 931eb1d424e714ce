"""The five routes that each noun of the Network API has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite.api.network.collections import QUERY
from nova_lite.api.routes import Route


def crud(name: str, module: Any, path: str | None = None) -> tuple[Route, ...]:
    """Make the routes of one noun. Reading is narrowed to what the caller may see; changing is asked of the row.

    :param path: the collection's name where it is not the noun's plural.
    """
    many = f"/v2.0/{path or name + 's'}"
    one = f"{many}/{{id}}"
    handlers: dict[str, Callable[..., Any]] = vars(module)
    routes = [
        Route("GET", many, handlers["index"], f"get_{name}", query=QUERY),
        Route("POST", many, handlers["create"], f"create_{name}", status=201, body=handlers["CREATE"], query=QUERY),
        Route("GET", one, handlers["show"], f"get_{name}", query=QUERY),
        Route("DELETE", one, handlers["delete"], f"delete_{name}", late=True, status=204, query=QUERY),
    ]
    if "update" in handlers:
        body = handlers["UPDATE"]
        routes.append(Route("PUT", one, handlers["update"], f"update_{name}", late=True, body=body, query=QUERY))
    return tuple(routes)
