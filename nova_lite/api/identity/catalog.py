"""The service catalog, and its parts: services, endpoints, regions. They come from the configuration."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.identity.collection import collection, links
from nova_lite.errors import NotFound
from nova_lite.identity.catalog import SERVICES, CatalogEndpoint, CatalogService, endpoints


def view(call: Call) -> list[dict[str, Any]]:
    """Shape the catalog as a token carries it."""
    listed = endpoints(call.services.conf, call.services.endpoint)
    return [
        {
            "id": service.id,
            "type": service.type,
            "name": service.name,
            "endpoints": [
                {
                    "id": endpoint.id,
                    "interface": endpoint.interface,
                    "region": endpoint.region,
                    "region_id": endpoint.region,
                    "url": endpoint.url,
                }
                for endpoint in listed
                if endpoint.service is service
            ],
        }
        for service in SERVICES
    ]


def show_catalog(call: Call) -> dict[str, Any]:
    """Show the catalog by itself."""
    return collection(call, "catalog", view(call))


def _service(call: Call, service: CatalogService) -> dict[str, Any]:
    return {
        "id": service.id,
        "type": service.type,
        "name": service.name,
        "description": service.description,
        "enabled": True,
        "links": links(call, "services", service.id),
    }


def _endpoint(call: Call, endpoint: CatalogEndpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "interface": endpoint.interface,
        "region": endpoint.region,
        "region_id": endpoint.region,
        "service_id": endpoint.service.id,
        "url": endpoint.url,
        "enabled": True,
        "links": links(call, "endpoints", endpoint.id),
    }


def _region(call: Call, name: str) -> dict[str, Any]:
    return {"id": name, "description": "", "parent_region_id": None, "links": links(call, "regions", name)}


def list_services(call: Call) -> dict[str, Any]:
    """List the services, by type or name if asked for."""
    wanted = {key: call.query[key] for key in ("type", "name") if key in call.query}
    found = [service for service in SERVICES if all(getattr(service, key) == wanted[key] for key in wanted)]
    return collection(call, "services", [_service(call, service) for service in found])


def show_service(call: Call) -> dict[str, Any]:
    """Show a service."""
    for service in SERVICES:
        if service.id == call.params["id"]:
            return {"service": _service(call, service)}
    raise NotFound(f"Could not find service: {call.params['id']}.", "service.not_found")


def list_endpoints(call: Call) -> dict[str, Any]:
    """List the endpoints, by service, interface or region if asked for."""
    shown = [_endpoint(call, endpoint) for endpoint in endpoints(call.services.conf, call.services.endpoint)]
    wanted = {key: call.query[key] for key in ("service_id", "interface", "region_id") if key in call.query}
    return collection(call, "endpoints", [one for one in shown if all(one[key] == wanted[key] for key in wanted)])


def show_endpoint(call: Call) -> dict[str, Any]:
    """Show an endpoint."""
    for endpoint in endpoints(call.services.conf, call.services.endpoint):
        if endpoint.id == call.params["id"]:
            return {"endpoint": _endpoint(call, endpoint)}
    raise NotFound(f"Could not find endpoint: {call.params['id']}.", "endpoint.not_found")


def list_regions(call: Call) -> dict[str, Any]:
    """List the regions: there is one."""
    return collection(call, "regions", [_region(call, call.services.conf.identity.region)])


def show_region(call: Call) -> dict[str, Any]:
    """Show the region."""
    if call.params["id"] != call.services.conf.identity.region:
        raise NotFound(f"Could not find region: {call.params['id']}.", "region.not_found")
    return {"region": _region(call, call.params["id"])}
