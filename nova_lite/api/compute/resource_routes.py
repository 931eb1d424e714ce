"""Routes of what there is beside servers, flavors and keypairs: quotas, groups, aggregates, usage, services, …"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite.api.compute import (
    adoption,
    aggregates,
    gone,
    hypervisors,
    image_proxy,
    network_proxy,
    os_hosts,
    packet_trace,
    quota_sets,
    server_groups,
    server_insight,
    service_control,
    tenant_usage,
    usage_audit_log,
)
from nova_lite.api.compute.parameters import ANY_QUERY as ANY
from nova_lite.api.compute.parameters import METADATA_BODY, METADATA_ITEM_BODY
from nova_lite.api.compute.policies import PREFIX as P
from nova_lite.api.routes import Route, Schema
from nova_lite.api.version import Version

Handler = Callable[..., Any]


def _v(minor: int) -> Version:
    return Version(2, minor)


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
        "POST",
        f"{_AGGREGATE}/images",
        aggregates.cache_images,
        "compute:aggregates:images",
        status=202,
        body=aggregates.CACHE,
        query=ANY,
        since=_v(81),
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

_HOST = "/v2.1/os-hosts/{host}"
_HOSTS = P + "os-hosts:"
_USAGE = "/v2.1/os-simple-tenant-usage"
_AUDIT = "/v2.1/os-instance_usage_audit_log"

USAGE = (
    Route("GET", "/v2.1/os-hosts", os_hosts.index, _HOSTS + "list", query=ANY, until=_v(42)),
    Route("GET", _HOST, os_hosts.show, _HOSTS + "show", query=ANY, until=_v(42)),
    Route("PUT", _HOST, os_hosts.update, _HOSTS + "update", body=os_hosts.UPDATE, query=ANY, until=_v(42)),
    *(
        Route("GET", f"{_HOST}/{verb}", os_hosts.power, _HOSTS + rule, query=ANY, until=_v(42))
        for verb, rule in (("startup", "start"), ("shutdown", "shutdown"), ("reboot", "reboot"))
    ),
    Route("GET", _USAGE, tenant_usage.index, P + "os-simple-tenant-usage:list", query=tenant_usage.LIST_QUERY),
    Route(
        "GET",
        f"{_USAGE}/{{project_id}}",
        tenant_usage.show,
        P + "os-simple-tenant-usage:show",
        late=True,
        query=tenant_usage.QUERY,
    ),
    Route("GET", _AUDIT, usage_audit_log.index, P + "os-instance-usage-audit-log:list", query=ANY),
    Route("GET", f"{_AUDIT}/{{before}}", usage_audit_log.show, P + "os-instance-usage-audit-log:show", query=ANY),
)

_SERVER = "/v2.1/servers/{server_id}"
_VOLUMES = f"{_SERVER}/os-volume_attachments"
_GUEST_SECRET = f"{_SERVER}/os-server-password"
_SNAPSHOTS = "/v2.1/os-assisted-volume-snapshots"

INSIGHT = (
    Route(
        "GET", f"{_SERVER}/diagnostics", server_insight.diagnostics, P + "os-server-diagnostics", late=True, query=ANY
    ),
    Route(
        "GET",
        f"{_SERVER}/nova-lite-trace",
        packet_trace.show,
        P + "nova-lite-trace",
        late=True,
        query=packet_trace.QUERY,
    ),
    Route(
        "GET",
        f"{_SERVER}/topology",
        server_insight.topology,
        "compute:server:topology:index",
        late=True,
        query=ANY,
        since=_v(78),
    ),
    Route("GET", _VOLUMES, server_insight.volume_attachments, P + "os-volumes-attachments:index", late=True, query=ANY),
    Route(
        "GET",
        f"{_VOLUMES}/{{volume_id}}",
        server_insight.volume_attachment,
        P + "os-volumes-attachments:show",
        late=True,
        query=ANY,
    ),
    Route("GET", _GUEST_SECRET, server_insight.show_password, P + "os-server-password:show", late=True, query=ANY),
    Route(
        "DELETE",
        _GUEST_SECRET,
        server_insight.clear_password,
        P + "os-server-password:clear",
        late=True,
        status=204,
        query=ANY,
    ),
    Route(
        "POST",
        "/v2.1/os-server-external-events",
        server_insight.receive_events,
        P + "os-server-external-events:create",
        body=server_insight.EVENTS,
        query=ANY,
    ),
    Route(
        "POST",
        _SNAPSHOTS,
        server_insight.refuse_snapshot,
        P + "os-assisted-volume-snapshots:create",
        body=server_insight.SNAPSHOT,
        query=ANY,
    ),
    Route(
        "DELETE",
        f"{_SNAPSHOTS}/{{id}}",
        server_insight.refuse_deletion,
        P + "os-assisted-volume-snapshots:delete",
        query=server_insight.SNAPSHOT_QUERY,
    ),
)

ADOPTION = (
    Route(
        "GET", "/v2.1/os-nova-lite-strangers", adoption.strangers, P + "nova-lite-adoption:list", query=adoption.QUERY
    ),
    Route(
        "POST",
        "/v2.1/os-nova-lite-adoptions",
        adoption.create,
        P + "nova-lite-adoption:create",
        body=adoption.CREATE,
        query=ANY,
    ),
)

_IMAGE = "/v2.1/images/{image_id}"
_IMAGE_META = f"{_IMAGE}/metadata"


def _until(
    minor: int,
    method: str,
    path: str,
    handler: Handler,
    status: int = 200,
    body: Schema | None = None,
    query: Schema = ANY,
) -> Route:
    """Make the route of a proxy; whom it asks for decides what the caller may see, so the rule is one for all."""
    return Route(method, path, handler, P + "proxy", status=status, body=body, query=query, until=_v(minor))


PROXIES = (
    _until(35, "GET", "/v2.1/images", image_proxy.index, query=image_proxy.QUERY),
    _until(35, "GET", "/v2.1/images/detail", image_proxy.detail, query=image_proxy.QUERY),
    _until(35, "GET", _IMAGE, image_proxy.show),
    Route("DELETE", _IMAGE, image_proxy.delete, P + "proxy:change", status=204, query=ANY, until=_v(35)),
    _until(38, "GET", _IMAGE_META, image_proxy.metadata),
    _until(38, "GET", f"{_IMAGE_META}/{{key}}", image_proxy.metadata_item),
    *(
        Route(method, path, handler, P + "proxy:change", body=body, status=status, query=ANY, until=_v(38))
        for method, path, handler, body, status in (
            ("POST", _IMAGE_META, image_proxy.add_metadata, METADATA_BODY, 200),
            ("PUT", _IMAGE_META, image_proxy.replace_metadata, METADATA_BODY, 200),
            ("PUT", f"{_IMAGE_META}/{{key}}", image_proxy.set_metadata_item, METADATA_ITEM_BODY, 200),
            ("DELETE", f"{_IMAGE_META}/{{key}}", image_proxy.delete_metadata_item, None, 204),
        )
    ),
    _until(35, "GET", "/v2.1/os-networks", network_proxy.index),
    _until(35, "GET", "/v2.1/os-networks/{network_id}", network_proxy.show),
    _until(35, "GET", "/v2.1/os-tenant-networks", network_proxy.tenant_index),
    _until(35, "GET", "/v2.1/os-tenant-networks/{network_id}", network_proxy.tenant_show),
)

GONE = tuple(
    Route(method, f"/v2.1/{path}", gone.refuse, P + "gone", query=ANY)
    for path, methods in gone.PATHS.items()
    for method in methods
)

_HYPERVISOR = "/v2.1/os-hypervisors/{hypervisor_id}"

HYPERVISORS = (
    Route("GET", f"{_HYPERVISOR}/uptime", hypervisors.uptime, P + "os-hypervisors:uptime", query=ANY, until=_v(87)),
    Route("GET", f"{_HYPERVISOR}/search", hypervisors.search, P + "os-hypervisors:search", query=ANY, until=_v(52)),
    Route(
        "GET", f"{_HYPERVISOR}/servers", hypervisors.list_servers, P + "os-hypervisors:servers", query=ANY, until=_v(52)
    ),
)

RESOURCES = (*HYPERVISORS, *QUOTAS, *GROUPS, *HOSTS, *USAGE, *INSIGHT, *ADOPTION, *PROXIES, *GONE)
