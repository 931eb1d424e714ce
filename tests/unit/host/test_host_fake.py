"""The fakes hold to the protocols as the real ones do."""

from __future__ import annotations

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from test_host_network_text import NETWORK, PORT, other

from nova_lite.host.fake import FakeImages, FakeNetworks
from nova_lite.host.network_state import HostState
from nova_lite.host.ports import HostError, Images, ImageSpec, Networks, NetworksFailed


def test_networks() -> None:
    networks = FakeNetworks()
    as_protocol: Networks = networks
    second = other(6)
    one = HostState({NETWORK.network_id: NETWORK}, {PORT.port_id: PORT})
    both = HostState(one.networks, {PORT.port_id: PORT, second.port_id: second})
    as_protocol.apply(one)
    nic = as_protocol.nic(one, PORT.port_id)
    assert (nic.device, nic.addresses, nic.gateway) == ("nl-33333333-333", ("10.0.0.5/24",), "10.0.0.1")
    as_protocol.apply(both)
    assert networks.served(NETWORK.network_id) == [PORT, second]
    as_protocol.apply(one)
    assert networks.served(NETWORK.network_id) == [PORT] and set(networks.devices) == {PORT.port_id}
    networks.refuse[PORT.port_id] = "no"
    with pytest.raises(NetworksFailed, match="no") as refused:
        as_protocol.apply(both)
    assert refused.value.failed == {PORT.port_id: "no"} and set(networks.devices) == {second.port_id}
    networks.refuse.clear()
    as_protocol.clean()
    assert networks.served(NETWORK.network_id) == [] and networks.devices == {}


def test_images() -> None:
    images = FakeImages()
    as_protocol: Images = images
    kernel = ImageSpec(str(uuid.uuid4()), "aki", "aki", 5, "0" * 128)
    image = ImageSpec(str(uuid.uuid4()), "ami", "ami", 7, "0" * 128, kernel=kernel)
    found = as_protocol.fetch(image)
    assert (found.disk_format, found.virtual_size, found.rootfs, found.ramdisk) == ("raw", 7, None, None)
    assert found.kernel is not None and kernel.image_id in str(found.kernel)
    assert as_protocol.fetch(replace(image, container_format="docker")).rootfs is not None
    as_protocol.config_drive("s", {"a": b"b"})
    assert images.drives == {"s": {"a": b"b"}}
    images.refuse[kernel.image_id] = "gone"
    with pytest.raises(HostError, match="gone"):
        as_protocol.fetch(image)


def test_config_drives_of_many_workers_at_once() -> None:
    images = FakeImages()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as workers:
            drives = [workers.submit(images.config_drive, str(number), {"a": b"b"}) for number in range(20_000)]
            assert [drive.exception() for drive in drives if drive.exception() is not None] == []
    finally:
        sys.setswitchinterval(interval)
    assert len(images.drives) == 100


def test_the_fakes_do_not_need_pyroute2() -> None:
    code = "import sys, nova_lite.host.fake; sys.exit('pyroute2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
