"""A cloud's directory as it is before its first start: schema, accounts, flavors, images, a network. Made once, then copied."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import options
from action_requests import LIVE, LIVE_SPECS

from nova_lite.db import migrate
from nova_lite.db.models import Flavor, Image
from nova_lite.identity.bootstrap import Account, bootstrap
from nova_lite.network import networks, subnets

IMAGES = {
    "vm": "11111111-1111-4111-8111-111111111111",
    "unikernel": "22222222-2222-4222-8222-222222222222",
    "container": "33333333-3333-4333-8333-333333333333",
}
"""Kind of guest: its image."""
SIZE = 1000
FLAVORS = ("small", "large", LIVE)


def make(directory: Path) -> None:
    """Make the template in *directory*."""
    conf = options.load(directory)
    store = migrate.open_store(conf)
    migrate.upgrade(store.engine)
    bootstrap(conf, store, (Account("admin", options.PASSWORD),))
    store.transact(_rows)
    (directory / "images").mkdir()
    for image_id in IMAGES.values():
        (directory / "images" / image_id).write_bytes(bytes(SIZE))
    made = networks.create(store, networks.NewNetwork(project_id="admin", name="private", shared=True))
    subnets.create(store, subnets.NewSubnet(made.network.id, str(ipaddress.ip_network("10.0.0.0/16"))), None)
    store.close()


def _rows(session: Any) -> None:
    disks = {"disk_gb": 1, "ephemeral_gb": 1}
    session.add(Flavor(flavorid="small", name="small", vcpus=1, memory_mb=128, **disks))
    session.add(Flavor(flavorid="large", name="large", vcpus=2, memory_mb=256, **disks))
    session.add(Flavor(flavorid=LIVE, name="live", vcpus=1, memory_mb=64, extra_specs=LIVE_SPECS, **disks))
    common: dict[str, Any] = {"status": "active", "visibility": "public", "owner": "admin", "size": SIZE}
    common |= {"os_hash_algo": "sha512", "os_hash_value": "0" * 128}
    formats = {"vm": ("bare", "qcow2"), "unikernel": ("bare", "raw"), "container": ("docker", "raw")}
    for kind, image_id in IMAGES.items():
        container, disk = formats[kind]
        properties = {"nova_lite_kind": "unikernel"} if kind == "unikernel" else {}
        session.add(
            Image(id=image_id, name=kind, container_format=container, disk_format=disk, properties=properties, **common)
        )
