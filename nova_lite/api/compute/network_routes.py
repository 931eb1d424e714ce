"""Routes of what compute shows of the network: security groups and floating IPs, until 2.35, and a server's groups."""

from __future__ import annotations

from nova_lite.api.compute import floating_ip_proxy, security_group_proxy
from nova_lite.api.compute.parameters import ANY_QUERY as ANY
from nova_lite.api.compute.policies import PREFIX as P
from nova_lite.api.routes import Route
from nova_lite.api.version import Version

_LAST = Version(2, 35)
_GROUPS, _GROUP = "/v2.1/os-security-groups", "/v2.1/os-security-groups/{group_id}"
_RULES = "/v2.1/os-security-group-rules"
_IPS, _IP = "/v2.1/os-floating-ips", "/v2.1/os-floating-ips/{id}"
_G, _F = P + "os-security-groups:", P + "os-floating-ips:"

_READING = (
    (_GROUPS, security_group_proxy.index, _G + "get"),
    (_GROUP, security_group_proxy.show, _G + "show"),
    (_IPS, floating_ip_proxy.index, _F + "list"),
    (_IP, floating_ip_proxy.show, _F + "show"),
    ("/v2.1/os-floating-ip-pools", floating_ip_proxy.pools, P + "os-floating-ip-pools"),
)

ROUTES = (
    *(Route("GET", path, handler, rule, query=ANY, until=_LAST) for path, handler, rule in _READING),
    Route(
        "POST",
        _GROUPS,
        security_group_proxy.create,
        _G + "create",
        body=security_group_proxy.CREATE,
        query=ANY,
        until=_LAST,
    ),
    Route(
        "PUT",
        _GROUP,
        security_group_proxy.update,
        _G + "update",
        late=True,
        body=security_group_proxy.UPDATE,
        query=ANY,
        until=_LAST,
    ),
    Route("DELETE", _GROUP, security_group_proxy.delete, _G + "delete", late=True, status=202, query=ANY, until=_LAST),
    Route(
        "POST",
        _RULES,
        security_group_proxy.create_rule,
        _G + "rule:create",
        late=True,
        body=security_group_proxy.CREATE_RULE,
        query=ANY,
        until=_LAST,
    ),
    Route(
        "DELETE",
        f"{_RULES}/{{rule_id}}",
        security_group_proxy.delete_rule,
        _G + "rule:delete",
        late=True,
        status=202,
        query=ANY,
        until=_LAST,
    ),
    Route(
        "GET",
        "/v2.1/servers/{server_id}/os-security-groups",
        security_group_proxy.of_server,
        _G + "list",
        late=True,
        query=ANY,
    ),
    Route("POST", _IPS, floating_ip_proxy.create, _F + "create", body=floating_ip_proxy.CREATE, query=ANY, until=_LAST),
    Route("DELETE", _IP, floating_ip_proxy.delete, _F + "delete", late=True, status=202, query=ANY, until=_LAST),
)
