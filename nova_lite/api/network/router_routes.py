"""The routes of routers and floating IPs."""

from __future__ import annotations

from nova_lite.api.network import floating_ips, routers
from nova_lite.api.network.collections import QUERY
from nova_lite.api.network.crud import crud
from nova_lite.api.network.tags import Tagged
from nova_lite.api.routes import Route
from nova_lite.db.models import FloatingIp, Router

_ACTIONS = (
    ("add_router_interface", routers.add_interface, routers.INTERFACE),
    ("remove_router_interface", routers.remove_interface, routers.INTERFACE),
    ("add_extraroutes", routers.add_routes, routers.ROUTES),
    ("remove_extraroutes", routers.remove_routes, routers.ROUTES),
)

ROUTES = (
    *crud("router", routers),
    *(
        Route("PUT", f"/v2.0/routers/{{id}}/{name}", handler, name, late=True, body=body, query=QUERY)
        for name, handler, body in _ACTIONS
    ),
    *crud("floatingip", floating_ips),
)

TAGGED = (
    Tagged("routers", "router", Router, routers.owner_of),
    Tagged("floatingips", "floatingip", FloatingIp, floating_ips.owner_of),
)
