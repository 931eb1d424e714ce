"""Routes of what there is beside servers, flavors and keypairs: quotas, groups, aggregates, usage, services, …"""

from __future__ import annotations

from nova_lite.api.compute import quota_sets
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

RESOURCES = (*QUOTAS,)
