"""The Network API v2.0: https://docs.openstack.org/api-ref/network/v2/"""

from __future__ import annotations

from nova_lite.api.network import (
    auto_topologies,
    extensions,
    hosts,
    ip_availabilities,
    networks,
    ports,
    qos_routes,
    quotas,
    rbac_policies,
    router_routes,
    security_routes,
    subnetpools,
    subnets,
    tags,
)
from nova_lite.api.network.collections import QUERY
from nova_lite.api.network.crud import crud
from nova_lite.api.network.tags import Tagged
from nova_lite.api.routes import Mount, Route
from nova_lite.db.models import Network, Port, Subnet, SubnetPool

TAGGED = (
    Tagged("networks", "network", Network, networks.owner_of),
    Tagged("subnets", "subnet", Subnet, subnets.owner_of),
    Tagged("subnetpools", "subnetpool", SubnetPool, subnetpools.owner_of),
    Tagged("ports", "port", Port, ports.owner_of),
    *security_routes.TAGGED,
    *router_routes.TAGGED,
    *qos_routes.TAGGED,
)
"""What can have tags."""


ROUTES = (
    Route("GET", "/", extensions.versions, open=True, query=QUERY),
    Route("GET", "/v2.0", extensions.resources, open=True, query=QUERY),
    Route("GET", "/v2.0/extensions", extensions.index, "get_extension", query=QUERY),
    Route("GET", "/v2.0/extensions/{alias}", extensions.show, "get_extension", query=QUERY),
    *crud("network", networks),
    *crud("subnet", subnets),
    *crud("subnetpool", subnetpools),
    *crud("port", ports),
    *crud("rbac_policy", rbac_policies, "rbac-policies"),
    *quotas.ROUTES,
    *hosts.ROUTES,
    *ip_availabilities.ROUTES,
    *auto_topologies.ROUTES,
    *security_routes.ROUTES,
    *router_routes.ROUTES,
    *qos_routes.ROUTES,
    *(route for kind in TAGGED for route in tags.routes(kind)),
)

MOUNT = Mount("/network", "network", ROUTES)
