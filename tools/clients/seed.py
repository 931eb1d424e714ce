#!/usr/bin/env python3
"""Make what the clients' suites look for, as DevStack makes it: flavors, images, networks, projects and their users.

Usage: ``seed.py`` with a ``clouds.yaml`` that has ``devstack-admin``; run by ``run.py``, with the clients' openstacksdk.
"""

from __future__ import annotations

import sys
from typing import Any

import openstack

# name, id, MiB of memory, vCPUs, GiB of disk
FLAVORS = (
    *(("m1.tiny", "1", 512, 1, 1), ("m1.small", "2", 2048, 1, 20), ("m1.medium", "3", 4096, 2, 40)),
    *(("m1.large", "4", 8192, 4, 80), ("m1.xlarge", "5", 16384, 8, 160), ("cirros256", "c1", 256, 1, 1)),
    *(
        ("ds512M", "d1", 512, 1, 5),
        ("ds1G", "d2", 1024, 1, 10),
        ("ds2G", "d3", 2048, 2, 10),
        ("ds4G", "d4", 4096, 4, 20),
    ),
)
IMAGES = ("cirros-0.6.3-x86_64-disk", "cirros-0.6.3-x86_64-alt-disk")
QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(12) + (16).to_bytes(4, "big") + (1 << 20).to_bytes(8, "big")
"""The head of an empty qcow2 image of 1 MiB."""


def main(password: str) -> None:
    """Make them."""
    cloud: Any = openstack.connect(cloud="devstack-admin")
    for name, flavor_id, memory, vcpus, disk in FLAVORS:
        cloud.compute.create_flavor(id=flavor_id, name=name, ram=memory, vcpus=vcpus, disk=disk)
    for name in IMAGES:
        made = cloud.image.create_image(
            name, data=QCOW2.ljust(1 << 20, b"\0"), disk_format="qcow2", container_format="bare"
        )
        cloud.image.update_image(made, visibility="public")
    for name in ("demo", "alt_demo"):
        # The bootstrap makes a project of that name.
        project = cloud.identity.find_project(name) or cloud.identity.create_project(name=name, domain_id="default")
        user = cloud.identity.create_user(name=name, password=password, domain_id="default")
        for role in ("member", "reader"):
            cloud.grant_role(role, user=user.id, project=project.id)
    owner = cloud.identity.find_project("demo").id
    public = cloud.network.create_network(name="public", is_router_external=True)
    cloud.network.create_subnet(
        name="public-subnet", network_id=public.id, ip_version=4, cidr="172.24.4.0/24", is_dhcp_enabled=False
    )
    private = cloud.network.create_network(name="private", project_id=owner, is_shared=True)
    subnet = cloud.network.create_subnet(
        name="private-subnet", network_id=private.id, ip_version=4, cidr="10.1.0.0/20", project_id=owner
    )
    router = cloud.network.create_router(
        name="router1", project_id=owner, external_gateway_info={"network_id": public.id}
    )
    cloud.network.add_interface_to_router(router, subnet_id=subnet.id)


if __name__ == "__main__":
    main(sys.argv[1])
