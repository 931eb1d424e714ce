"""Routes of what there is beside servers, flavors and keypairs: quotas, groups, aggregates, usage, services, …"""

from __future__ import annotations

from nova_lite.api.compute import aggregates, quota_sets, server_groups, service_control
from nova_lite.api.compute.parameters import ANY_QUERY as ANY
from nova_lite.api.compute.policies import PREFIX as P
from nova_lite.api.routes import Route

_QUOTA = "/v2.1/os-quota-sets/{project_id}"
_QUOTAS = P + "os-quota-sets:"
_CLASS = "/v2.1/os-quota-class-sets/{name}"

QUOTAS = (
    Route("GET", _QUOTA, quota_sets.show, _QUOTAS + "show", late=True, query=quota_sets.QUERY),
    Route("GET", f"{_QUOTA}/defaults", quota_sets.show_defaults, _QUOTAS + "defaults", late=True, query=ANY),
    Route("GET", f"{_QUOTA}/detail", quota_sets.show_detail, _QUOTAS + "detail", late=True, query=quota_sets.QUERY),
    Route(
        "PUT",
        _QUOTA,
        quota_sets.update,
        _QUOTAS + "update",
        late=True,
        body=quota_sets.UPDATE,
        query=quota_sets.QUERY,
    ),
    Route("DELETE", _QUOTA, quota_sets.delete, _QUOTAS + "delete", late=True, status=202, query=quota_sets.QUERY),
    Route("GET", _CLASS, quota_sets.show_class, P + "os-quota-class-sets:show", query=ANY),
    Route(
        "PUT",
        _CLASS,
        quota_sets.update_class,
        P + "os-quota-class-sets:update",
        body=quota_sets.UPDATE_CLASS,
        query=ANY,
    ),
)

_GROUP = "/v2.1/os-server-groups/{group_id}"
_GROUPS = P + "os-server-groups:"

GROUPS = (
    Route("GET", "/v2.1/os-server-groups", server_groups.index, _GROUPS + "index", query=server_groups.QUERY),
    Route(
        "POST", "/v2.1/os-server-groups", server_groups.create, _GROUPS + "create", body=server_groups.CREATE, query=ANY
    ),
    Route("GET", _GROUP, server_groups.show, _GROUPS + "show", late=True, query=ANY),
    Route("DELETE", _GROUP, server_groups.delete, _GROUPS + "delete", late=True, status=204, query=ANY),
)

_AGGREGATE = "/v2.1/os-aggregates/{aggregate_id}"
_AGGREGATES = P + "os-aggregates:"
_SERVICES = P + "os-services:"

HOSTS = (
    Route("GET", "/v2.1/os-aggregates", aggregates.index, _AGGREGATES + "index", query=ANY),
    Route("POST", "/v2.1/os-aggregates", aggregates.create, _AGGREGATES + "create", body=aggregates.CREATE, query=ANY),
    Route("GET", _AGGREGATE, aggregates.show, _AGGREGATES + "show", query=ANY),
    Route("PUT", _AGGREGATE, aggregates.update, _AGGREGATES + "update", body=aggregates.UPDATE, query=ANY),
    Route("DELETE", _AGGREGATE, aggregates.delete, _AGGREGATES + "delete", query=ANY),
    # Each action has a rule of its own.
    Route(
        "POST",
        f"{_AGGREGATE}/action",
        aggregates.act,
        _AGGREGATES + "add_host",
        late=True,
        body=aggregates.ACTION,
        query=ANY,
    ),
    Route(
        "PUT",
        "/v2.1/os-services/{id}",
        service_control.update,
        _SERVICES + "update",
        body=service_control.UPDATE,
        query=ANY,
    ),
    Route("DELETE", "/v2.1/os-services/{id}", service_control.delete, _SERVICES + "delete", status=204, query=ANY),
)

RESOURCES = (*QUOTAS, *GROUPS, *HOSTS)
