"""What the agent does for its host beside its guests."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from compute_cloud import ADMIN, IMAGE, KERNEL, UNIKERNEL, ask
from whole_cloud import WholeCloud

from nova_lite.agent.upkeep import Upkeep
from nova_lite.host.fake import FakeImages, FakeNetworks
from nova_lite.host.ports import HostError
from nova_lite.virt.driver import REMOVED, DriverError


class Cache(FakeImages):
    """An image cache that remembers what it was to keep."""

    kept: tuple[set[str], ...] = ()

    def evict(self, keep: Collection[str]) -> list[str]:
        self.kept = (*self.kept, set(keep))
        return ["gone"]


class Dhcp(FakeNetworks):
    """Networks whose DHCP is tended."""

    tended = 0
    broken = False

    def tend(self) -> int:
        self.tended += 1
        if self.broken:
            raise HostError("no")
        return 0


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.reconcile_interval": 1, "compute.shelved_offload_time": 0})
    made.images, made.networks = Cache(), Dhcp()
    made.scheduler()
    yield made
    made.close()


def test_dhcp_is_tended_at_each_look(cloud: WholeCloud) -> None:
    networks = cloud.networks
    assert isinstance(networks, Dhcp)
    networks.broken = True
    cloud.agent()
    cloud.until(lambda: networks.tended >= 2)
    assert cloud.boot()


def test_images_that_guests_stand_on_are_kept(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    server_id = cloud.boot()
    cloud.do(server_id, {"shelve": None})
    root = cloud.server(server_id).system_metadata["shelved_image_id"]
    cloud.do(server_id, {"unshelve": None})
    unikernel = cloud.boot(imageRef=UNIKERNEL)
    cache = cloud.images
    assert isinstance(cache, Cache)
    upkeep = Upkeep(agent._tools)
    upkeep.run()
    assert cache.kept == ()
    upkeep.run(now=True)
    assert cache.kept[-1] == {IMAGE, KERNEL, UNIKERNEL, root}
    ask(cloud, "DELETE", f"/servers/{unikernel}")
    cloud.until(lambda: cloud.server(unikernel).deleted)
    upkeep.run(now=True)
    assert cache.kept[-1] == {IMAGE, KERNEL, root}


def test_what_an_offloaded_server_left_goes_when_it_is_deleted(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    upkeep = Upkeep(agent._tools)
    server_id, other = cloud.boot(), cloud.boot()
    cloud.do(server_id, {"shelve": None})
    cloud.until(lambda: cloud.server(server_id).vm_state == "shelved_offloaded")
    unknown = "00000000-0000-4000-8000-000000000000"
    for name in (server_id, other, unknown):
        (cloud.directory / "instances" / name).mkdir(parents=True)
    calls: list[str] = []
    cloud.driver.destroy = calls.append  # type: ignore[method-assign]
    upkeep.run()
    assert calls == []
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.until(lambda: cloud.server(server_id).deleted)
    upkeep.run()
    assert set(calls) == {server_id}


def test_a_directory_that_can_not_be_removed_keeps_no_other(cloud: WholeCloud) -> None:
    upkeep = Upkeep(cloud.agent()._tools)
    gone = [cloud.boot(), cloud.boot()]
    for server_id in gone:
        ask(cloud, "DELETE", f"/servers/{server_id}")
        cloud.until(lambda key=server_id: cloud.server(key).deleted)  # type: ignore[misc]
        (cloud.directory / "instances" / server_id).mkdir(parents=True)
    tried: list[str] = []

    def destroy(server_id: str) -> None:
        tried.append(server_id)
        raise DriverError("the directory is busy")

    cloud.driver.destroy = destroy  # type: ignore[method-assign]
    upkeep.run()
    assert set(tried) == set(gone)


def test_what_of_a_directory_is_left_whose_removal_was_cut_off(cloud: WholeCloud) -> None:
    upkeep = Upkeep(cloud.agent()._tools)
    server_id, other = cloud.boot(), cloud.boot()
    for name in (server_id, other):
        (cloud.directory / "instances" / f"{REMOVED}{name}").mkdir(parents=True)
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.until(lambda: cloud.server(server_id).deleted)
    calls: list[str] = []
    cloud.driver.destroy = calls.append  # type: ignore[method-assign]
    upkeep.run()
    assert set(calls) == {server_id}


def test_networks_that_can_not_be_mended_keep_nothing_else_from_its_turn(cloud: WholeCloud) -> None:
    upkeep = Upkeep(cloud.agent()._tools)
    networks, cache = cloud.networks, cloud.images
    assert isinstance(networks, Dhcp)
    assert isinstance(cache, Cache)
    networks.broken = True
    left = cloud.directory / "snapshots" / "00000000-0000-4000-8000-000000000000.part"
    left.parent.mkdir(exist_ok=True)
    left.touch()
    upkeep.run(now=True)
    assert not left.exists()
    assert cache.kept


def test_an_embedded_host_has_an_address(cloud: WholeCloud) -> None:
    cloud.agent()
    shown = ask(cloud, "GET", "/os-hypervisors/detail", token=ADMIN).json["hypervisors"]
    assert [row["host_ip"] for row in shown] == ["127.0.0.1"]
