"""Which servers have a config drive, that they show it, and that each start of theirs has what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import CONTAINER, IMAGE, KERNEL, UNIKERNEL
from sqlalchemy import update
from whole_cloud import LATEST, WholeCloud

from nova_lite.db.models import Image, Subnet
from nova_lite.network import networks, ports, subnets
from nova_lite.network.port_addresses import WantedAddress

MANDATORY = {"kernel_id": KERNEL, "img_config_drive": "mandatory"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.shelved_offload_time": 0})
    made.agent()
    made.scheduler()
    yield made
    made.close()


def has_drive(cloud: WholeCloud, server_id: str) -> bool:
    """Say what is shown, and that the guest was given the same."""
    shown = cloud.show(server_id)["config_drive"]
    assert shown in ("", "True")
    assert (server_id in cloud.images.drives) == (shown == "True")
    return bool(shown)


def give(cloud: WholeCloud, properties: dict[str, str]) -> None:
    """Give the image other properties."""
    cloud.store.transact(
        lambda session: session.execute(update(Image).where(Image.id == IMAGE).values(properties=properties))
    )


def network(cloud: WholeCloud, *ranges: dict[str, Any]) -> str:
    """Make a network with these subnets."""
    made = networks.create(cloud.store, networks.NewNetwork(project_id="demo", name="other")).network.id
    for each in ranges:
        subnets.create(cloud.store, subnets.NewSubnet(made, **each), None)
    return made


def test_nobody_has_one_who_has_not_asked(cloud: WholeCloud) -> None:
    assert not has_drive(cloud, cloud.boot())
    assert has_drive(cloud, cloud.boot(config_drive=True))
    assert not has_drive(cloud, cloud.boot(config_drive=False))


def test_an_operator_may_give_one_to_every_vm(cloud: WholeCloud) -> None:
    cloud.conf.set_override("force_config_drive", True, group="compute")
    server_id = cloud.boot(config_drive=False)
    assert has_drive(cloud, server_id)
    assert not has_drive(cloud, cloud.boot(imageRef=UNIKERNEL))
    # What was decided stands, whatever becomes of the option.
    cloud.conf.set_override("force_config_drive", False, group="compute")
    assert not has_drive(cloud, cloud.boot())
    cloud.images.drives.clear()
    cloud.do(server_id, {"reboot": {"type": "HARD"}})
    assert has_drive(cloud, server_id)


@pytest.mark.parametrize("image", [UNIKERNEL, CONTAINER])
def test_what_can_have_none_shows_none(cloud: WholeCloud, image: str) -> None:
    assert not has_drive(cloud, cloud.boot(imageRef=image, config_drive=True))
    assert not has_drive(cloud, cloud.boot(imageRef=image, networks="none", version=LATEST))


def test_an_image_may_ask_for_one(cloud: WholeCloud) -> None:
    give(cloud, MANDATORY | {"img_config_drive": "optional"})
    server_id = cloud.boot()
    assert not has_drive(cloud, server_id)
    give(cloud, MANDATORY)
    assert has_drive(cloud, cloud.boot())
    cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}})
    assert has_drive(cloud, server_id)


def test_one_whom_metadata_can_not_reach_has_one(cloud: WholeCloud) -> None:
    dhcp, silent = {"cidr": "10.7.0.0/24"}, {"cidr": "10.8.0.0/24", "enable_dhcp": False}
    six = {"cidr": "fd00:7::/64", "ip_version": 6, "ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}
    assert has_drive(cloud, cloud.boot(networks="none", version=LATEST))
    reached, unreached, only_six = network(cloud, dhcp, silent), network(cloud, silent), network(cloud, six)
    assert has_drive(cloud, cloud.boot(networks=[{"uuid": unreached}]))
    assert has_drive(cloud, cloud.boot(networks=[{"uuid": only_six}]))
    assert not has_drive(cloud, cloud.boot(networks=[{"uuid": reached}]))
    assert not has_drive(cloud, cloud.boot(networks=[{"uuid": unreached}, {"uuid": reached}]))


def test_a_port_counts_by_its_own_address(cloud: WholeCloud) -> None:
    made = network(cloud, {"cidr": "10.7.0.0/24"}, {"cidr": "10.8.0.0/24", "enable_dhcp": False})
    with cloud.store.read() as session:
        by_dhcp = {row.enable_dhcp: row.id for row in session.query(Subnet).where(Subnet.network_id == made)}
    for enabled, subnet_id in by_dhcp.items():
        wanted = ports.NewPort(made, "demo", addresses=(WantedAddress(subnet_id),))
        port = ports.create(cloud.store, wanted, "demo", "fa:16:3e").port.id
        assert has_drive(cloud, cloud.boot(networks=[{"port": port}])) == (not enabled)


ROUNDS = (
    ({"reboot": {"type": "HARD"}},),
    ({"os-stop": None}, {"os-start": None}),
    ({"rescue": {}}, {"unrescue": None}),
    ({"rebuild": {"imageRef": IMAGE}},),
    ({"resize": {"flavorRef": "2"}},),
    ({"shelve": None}, {"unshelve": None}),
)


@pytest.mark.parametrize("bodies", ROUNDS, ids=lambda bodies: next(iter(bodies[0])))
@pytest.mark.parametrize("wanted", [False, True])
def test_each_start_has_what_is_shown(cloud: WholeCloud, bodies: tuple[dict[str, Any], ...], wanted: bool) -> None:
    server_id = cloud.boot(config_drive=wanted)
    assert has_drive(cloud, server_id) is wanted
    cloud.images.drives.clear()
    for body in bodies:
        cloud.do(server_id, body, status=200 if "rescue" in body else 202)
        if "shelve" in body:
            cloud.until(lambda: cloud.server(server_id).vm_state == "shelved_offloaded")
            cloud.quiet()
    assert has_drive(cloud, server_id) is wanted
