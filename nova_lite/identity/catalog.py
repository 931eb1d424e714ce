"""The service catalog: what this cloud's one endpoint offers, from the configuration alone.

Types and names are those that clients look for: https://service-types.openstack.org/
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from oslo_config import cfg

INTERFACES = ("public", "internal", "admin")
_NAMESPACE = uuid.UUID("a2b3f3d6-5f0c-4a3c-9c52-6f3a9d0f9a11")


@dataclass(frozen=True)
class CatalogService:
    """A service: ``path`` is below the cloud's endpoint."""

    type: str
    name: str
    path: str
    description: str

    @property
    def id(self) -> str:
        """Its id, the same in every cloud."""
        return _stable_id("service", self.type)


@dataclass(frozen=True)
class CatalogEndpoint:
    """One interface of a service. All three lead to the same URL."""

    service: CatalogService
    interface: str
    region: str
    url: str

    @property
    def id(self) -> str:
        """Its id, the same at each start."""
        return _stable_id("endpoint", self.region, self.service.type, self.interface)


SERVICES = (
    CatalogService("identity", "keystone", "/identity/v3", "Identity"),
    CatalogService("compute", "nova", "/compute/v2.1", "Compute"),
    # The clients of these two look for the versions themselves, from the root.
    CatalogService("image", "glance", "/image", "Image"),
    CatalogService("network", "neutron", "/network", "Network"),
)


def endpoints(conf: cfg.ConfigOpts, base: str) -> list[CatalogEndpoint]:
    """List every endpoint. :param base: how clients reach the front door: scheme, host and port."""
    return [
        CatalogEndpoint(service, interface, conf.identity.region, base + service.path)
        for service in SERVICES
        for interface in INTERFACES
    ]


def _stable_id(*parts: str) -> str:
    return uuid.uuid5(_NAMESPACE, "/".join(parts)).hex
