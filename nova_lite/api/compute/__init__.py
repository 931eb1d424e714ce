"""The Compute API v2.1: https://docs.openstack.org/api-ref/compute/"""

from __future__ import annotations

from dataclasses import replace

from nova_lite.api.compute import (
    availability_zones,
    extensions,
    flavor_access,
    flavor_extra_specs,
    flavors,
    hypervisors,
    instance_actions,
    keypairs,
    limits,
    migrations,
    remote_consoles,
    server_actions,
    server_addresses,
    server_filters,
    server_interfaces,
    server_metadata,
    server_schemas,
    server_tags,
    servers,
    services,
    versions,
)
from nova_lite.api.compute.network_routes import ROUTES as NETWORK
from nova_lite.api.compute.parameters import ANY_QUERY as ANY
from nova_lite.api.compute.parameters import METADATA_BODY, METADATA_ITEM_BODY
from nova_lite.api.compute.policies import PREFIX as P
from nova_lite.api.compute.policies import SERVERS as S
from nova_lite.api.compute.resource_routes import RESOURCES
from nova_lite.api.routes import Mount, Route
from nova_lite.api.version import Version


def _v(minor: int) -> Version:
    return Version(2, minor)


_SERVER = "/v2.1/servers/{server_id}"
_META = P + "server-metadata:"
_TAG = P + "os-server-tags:"
_FLAVOR = "/v2.1/flavors/{flavor_id}"
_SPEC = P + "os-flavor-extra-specs:"
_KEY = P + "os-keypairs:"
_HYPERVISOR = P + "os-hypervisors:"

_SERVERS = (
    Route("GET", "/v2.1/servers", servers.index, S + "index", query=server_filters.QUERY),
    Route("GET", "/v2.1/servers/detail", servers.detail, S + "detail", query=server_filters.QUERY),
    Route("POST", "/v2.1/servers", servers.create, S + "create", body=server_schemas.CREATE, query=ANY),
    Route("GET", _SERVER, servers.show, S + "show", late=True, query=ANY),
    Route("PUT", _SERVER, servers.update, S + "update", late=True, body=server_schemas.UPDATE, query=ANY),
    Route("DELETE", _SERVER, servers.delete, S + "delete", late=True, status=204, query=ANY),
    # Each action has a rule of its own, which the table of actions names.
    Route("POST", f"{_SERVER}/action", server_actions.run, S + "show", late=True, body=server_actions.BODY, query=ANY),
    Route(
        "POST",
        f"{_SERVER}/remote-consoles",
        remote_consoles.create,
        P + "os-remote-consoles",
        late=True,
        body=remote_consoles.CREATE,
        query=ANY,
        since=_v(6),
    ),
    Route(
        "GET",
        "/v2.1/os-console-auth-tokens/{token}",
        remote_consoles.show_token,
        P + "os-console-auth-tokens",
        query=ANY,
    ),
    Route("GET", f"{_SERVER}/ips", server_addresses.index, P + "ips:index", late=True, query=ANY),
    Route("GET", f"{_SERVER}/ips/{{label}}", server_addresses.show, P + "ips:show", late=True, query=ANY),
    Route(
        "GET",
        f"{_SERVER}/os-interface",
        server_interfaces.index,
        P + "os-attach-interfaces:list",
        late=True,
        query=ANY,
    ),
    Route(
        "GET",
        f"{_SERVER}/os-interface/{{port_id}}",
        server_interfaces.show,
        P + "os-attach-interfaces:show",
        late=True,
        query=ANY,
    ),
    Route(
        "POST",
        f"{_SERVER}/os-interface",
        server_interfaces.create,
        P + "os-attach-interfaces:create",
        late=True,
        body=server_interfaces.ATTACH,
        query=ANY,
    ),
    Route(
        "DELETE",
        f"{_SERVER}/os-interface/{{port_id}}",
        server_interfaces.delete,
        P + "os-attach-interfaces:delete",
        late=True,
        query=ANY,
    ),
    Route(
        "GET",
        f"{_SERVER}/os-instance-actions",
        instance_actions.index,
        P + "os-instance-actions:list",
        late=True,
        query=instance_actions.QUERY,
    ),
    Route(
        "GET",
        f"{_SERVER}/os-instance-actions/{{request_id}}",
        instance_actions.show,
        P + "os-instance-actions:show",
        late=True,
        query=ANY,
    ),
)

_SERVER_METADATA = (
    Route("GET", f"{_SERVER}/metadata", server_metadata.index, _META + "index", late=True, query=ANY),
    Route(
        "POST",
        f"{_SERVER}/metadata",
        server_metadata.create,
        _META + "create",
        late=True,
        body=METADATA_BODY,
        query=ANY,
    ),
    Route(
        "PUT",
        f"{_SERVER}/metadata",
        server_metadata.replace,
        _META + "update_all",
        late=True,
        body=METADATA_BODY,
        query=ANY,
    ),
    Route("GET", f"{_SERVER}/metadata/{{key}}", server_metadata.show, _META + "show", late=True, query=ANY),
    Route(
        "PUT",
        f"{_SERVER}/metadata/{{key}}",
        server_metadata.update,
        _META + "update",
        late=True,
        body=METADATA_ITEM_BODY,
        query=ANY,
    ),
    Route(
        "DELETE",
        f"{_SERVER}/metadata/{{key}}",
        server_metadata.delete,
        _META + "delete",
        late=True,
        status=204,
        query=ANY,
    ),
)

_SERVER_TAGS = (
    Route("GET", f"{_SERVER}/tags", server_tags.index, _TAG + "index", late=True, query=ANY, since=_v(26)),
    Route(
        "PUT",
        f"{_SERVER}/tags",
        server_tags.replace,
        _TAG + "update_all",
        late=True,
        body=server_tags.REPLACE,
        query=ANY,
        since=_v(26),
    ),
    Route(
        "DELETE",
        f"{_SERVER}/tags",
        server_tags.delete_all,
        _TAG + "delete_all",
        late=True,
        status=204,
        query=ANY,
        since=_v(26),
    ),
    Route(
        "GET",
        f"{_SERVER}/tags/{{tag}}",
        server_tags.show,
        _TAG + "show",
        late=True,
        status=204,
        query=ANY,
        since=_v(26),
    ),
    Route("PUT", f"{_SERVER}/tags/{{tag}}", server_tags.add, _TAG + "update", late=True, query=ANY, since=_v(26)),
    Route(
        "DELETE",
        f"{_SERVER}/tags/{{tag}}",
        server_tags.delete,
        _TAG + "delete",
        late=True,
        status=204,
        query=ANY,
        since=_v(26),
    ),
)

_FLAVORS = (
    Route("GET", "/v2.1/flavors", flavors.index, P + "flavors", query=flavors.QUERY),
    Route("GET", "/v2.1/flavors/detail", flavors.detail, P + "flavors", query=flavors.QUERY),
    Route("GET", _FLAVOR, flavors.show, P + "flavors", query=ANY),
    Route("POST", "/v2.1/flavors", flavors.create, P + "os-flavor-manage:create", body=flavors.CREATE, query=ANY),
    Route("PUT", _FLAVOR, flavors.update, P + "os-flavor-manage:update", body=flavors.UPDATE, query=ANY, since=_v(55)),
    Route("DELETE", _FLAVOR, flavors.delete, P + "os-flavor-manage:delete", status=202, query=ANY),
    Route("GET", f"{_FLAVOR}/os-extra_specs", flavor_extra_specs.index, _SPEC + "index", query=ANY),
    Route(
        "POST",
        f"{_FLAVOR}/os-extra_specs",
        flavor_extra_specs.create,
        _SPEC + "create",
        body=flavor_extra_specs.CREATE,
        query=ANY,
    ),
    Route("GET", f"{_FLAVOR}/os-extra_specs/{{key}}", flavor_extra_specs.show, _SPEC + "show", query=ANY),
    Route(
        "PUT",
        f"{_FLAVOR}/os-extra_specs/{{key}}",
        flavor_extra_specs.update,
        _SPEC + "update",
        body=flavor_extra_specs.UPDATE,
        query=ANY,
    ),
    Route("DELETE", f"{_FLAVOR}/os-extra_specs/{{key}}", flavor_extra_specs.delete, _SPEC + "delete", query=ANY),
    Route("GET", f"{_FLAVOR}/os-flavor-access", flavor_access.index, P + "os-flavor-access", query=ANY),
    Route(
        "POST",
        f"{_FLAVOR}/action",
        flavor_access.act,
        P + "os-flavor-access:add_tenant_access",
        late=True,
        body=flavor_access.BODY,
        query=ANY,
    ),
)

_KEYPAIRS = (
    Route("GET", "/v2.1/os-keypairs", keypairs.index, _KEY + "index", late=True, query=keypairs.LIST_QUERY),
    Route("POST", "/v2.1/os-keypairs", keypairs.create, _KEY + "create", late=True, body=keypairs.CREATE, query=ANY),
    Route("GET", "/v2.1/os-keypairs/{name}", keypairs.show, _KEY + "show", late=True, query=keypairs.QUERY),
    Route("DELETE", "/v2.1/os-keypairs/{name}", keypairs.delete, _KEY + "delete", late=True, query=keypairs.QUERY),
)

_CLOUD = (
    Route("GET", "/v2.1/limits", limits.show, P + "limits", query=limits.QUERY),
    Route("GET", "/v2.1/os-availability-zone", availability_zones.index, P + "os-availability-zone:list", query=ANY),
    Route(
        "GET",
        "/v2.1/os-availability-zone/detail",
        availability_zones.detail,
        P + "os-availability-zone:detail",
        query=ANY,
    ),
    Route("GET", "/v2.1/os-hypervisors", hypervisors.index, _HYPERVISOR + "list", query=hypervisors.QUERY),
    Route(
        "GET", "/v2.1/os-hypervisors/detail", hypervisors.detail, _HYPERVISOR + "list-detail", query=hypervisors.QUERY
    ),
    Route(
        "GET",
        "/v2.1/os-hypervisors/statistics",
        hypervisors.statistics,
        _HYPERVISOR + "statistics",
        query=ANY,
        until=_v(87),
    ),
    Route(
        "GET",
        "/v2.1/os-hypervisors/{hypervisor_id}",
        hypervisors.show,
        _HYPERVISOR + "show",
        query=hypervisors.SHOW_QUERY,
    ),
    Route("GET", "/v2.1/os-services", services.index, P + "os-services:list", query=services.QUERY),
    Route("GET", "/v2.1/os-migrations", migrations.index, P + "os-migrations:index", query=migrations.QUERY),
    Route(
        "GET",
        f"{_SERVER}/migrations",
        migrations.of_server,
        P + "servers:migrations:index",
        late=True,
        query=ANY,
        since=_v(23),
    ),
    Route(
        "GET",
        f"{_SERVER}/migrations/{{migration_id}}",
        migrations.show_of_server,
        P + "servers:migrations:show",
        late=True,
        query=ANY,
        since=_v(23),
    ),
    Route(
        "POST",
        f"{_SERVER}/migrations/{{migration_id}}/action",
        migrations.change_of_server,
        P + "servers:migrations:force_complete",
        late=True,
        status=202,
        body=migrations.FORCE_COMPLETE,
        query=ANY,
        since=_v(22),
    ),
    Route(
        "DELETE",
        f"{_SERVER}/migrations/{{migration_id}}",
        migrations.change_of_server,
        P + "servers:migrations:delete",
        late=True,
        status=202,
        query=ANY,
        since=_v(24),
    ),
    Route("GET", "/v2.1/extensions", extensions.index, P + "extensions", query=ANY),
    Route("GET", "/v2.1/extensions/{alias}", extensions.show, P + "extensions", query=ANY),
)

_VOLUMES_BOOT = tuple(
    replace(route, path=route.path.replace("/servers", "/os-volumes_boot"))
    for route in _SERVERS
    if route.path in ("/v2.1/servers", "/v2.1/servers/detail", _SERVER, f"{_SERVER}/action")
)
"""The other path of old that servers have; clients boot from volumes by it."""

ROUTES = (
    Route("GET", "/", versions.index, open=True, query=ANY),
    Route("GET", "/v2.1", versions.show, open=True, query=ANY),
    *_SERVERS,
    *_VOLUMES_BOOT,
    *_SERVER_METADATA,
    *_SERVER_TAGS,
    *_FLAVORS,
    *_KEYPAIRS,
    *_CLOUD,
    *RESOURCES,
    *NETWORK,
)

MOUNT = Mount(
    "/compute",
    "compute",
    ROUTES,
    versions=versions.VERSIONS,
    unversioned=frozenset({"/", "/v2.1"}),
    aliases={"v2": "v2.1"},
    project_paths=True,
)
