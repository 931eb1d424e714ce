"""The fakes hold to the protocols as the real ones do."""

from __future__ import annotations

import subprocess
import sys
import uuid
from dataclasses import replace

import pytest
from test_host_network_text import NETWORK, PORT, other

from nova_lite.host.fake import FakeImages, FakeNetworks
from nova_lite.host.ports import HostError, Images, ImageSpec, Networks


def test_networks() -> None:
    networks = FakeNetworks()
    as_protocol: Networks = networks
    second = other(6)
    nic = as_protocol.plug(NETWORK, PORT, [PORT])
    assert as_protocol.plug(NETWORK, PORT, [PORT]) == nic
    assert (nic.device, nic.addresses, nic.gateway) == ("nl-33333333-333", ("10.0.0.5/24",), "10.0.0.1")
    as_protocol.plug(NETWORK, second, [second])
    assert networks.served(7) == [second, PORT]
    for _ in range(2):
        as_protocol.unplug(7, PORT.port_id, [second])
    assert networks.served(7) == [second] and set(networks.devices) == {second.port_id}
    as_protocol.sync([(NETWORK, [PORT])])
    assert networks.served(7) == [PORT] and set(networks.devices) == {PORT.port_id}
    as_protocol.clean()
    assert networks.served(7) == [] and networks.devices == {}
    networks.refuse[PORT.port_id] = "no"
    with pytest.raises(HostError, match="no"):
        as_protocol.plug(NETWORK, PORT, [PORT])


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


def test_the_fakes_do_not_need_pyroute2() -> None:
    code = "import sys, nova_lite.host.fake; sys.exit('pyroute2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
