"""What disks a server has beside its root one: from its flavor, from what was asked for, and what they count as."""

from __future__ import annotations

import pytest

from nova_lite.compute import local_disks
from nova_lite.compute.local_disks import Ephemeral, LocalDisks


@pytest.mark.parametrize(
    ("flavor", "asked", "has"),
    [
        ((0, 0), None, LocalDisks()),
        ((5, 0), None, LocalDisks((Ephemeral(5),))),
        ((5, 64), {}, LocalDisks((Ephemeral(5),), 64)),
        ((0, 64), None, LocalDisks((), 64)),
        ((5, 64), {"swap": 32}, LocalDisks((Ephemeral(5),), 32)),
        ((5, 64), {"swap": None}, LocalDisks((Ephemeral(5),), 64)),
        ((5, 64), {"ephemerals": [{"size": 2, "format": "ext3"}]}, LocalDisks((Ephemeral(2, "ext3"),), 64)),
        ((5, 0), {"ephemerals": [{"size": None, "format": None}]}, LocalDisks((Ephemeral(5),))),
        # Under another flavor: disks that were asked for keep their sizes, swap is never more than the flavor's.
        ((9, 16), {"ephemerals": [{"size": 2}, {"size": 3}], "swap": 32}, LocalDisks((Ephemeral(2), Ephemeral(3)), 16)),
        ((0, 0), {"swap": 32}, LocalDisks()),
    ],
)
def test_a_server_has_what_its_flavor_gives_and_it_asked_for(flavor, asked, has) -> None:
    assert local_disks.of(*flavor, asked) == has


@pytest.mark.parametrize(
    ("sizes", "held"), [((1, 0, 0), 1), ((1, 5, 0), 6), ((1, 5, 1), 7), ((1, 5, 1024), 7), ((0, 0, 1025), 2)]
)
def test_swap_is_held_in_whole_gibibytes(sizes, held) -> None:
    assert local_disks.held_gb(*sizes) == held


@pytest.mark.parametrize(
    ("bus", "prefix"), [(None, "vd"), ("virtio", "vd"), ("SCSI", "sd"), ("sata", "sd"), ("ide", "hd")]
)
def test_devices_follow_the_root_disk_at_its_bus(bus, prefix) -> None:
    disks = LocalDisks((Ephemeral(1), Ephemeral(1)), 64)
    found = local_disks.devices({"hw_disk_bus": bus} if bus else {}, disks)
    names = ("root", "ephemeral0", "ephemeral1", "swap")
    assert found == {name: prefix + letter for name, letter in zip(names, "abcd", strict=True)}
