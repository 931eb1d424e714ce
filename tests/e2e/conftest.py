"""The clouds of the end-to-end tests: each on a private host, so that any number of them may be on one machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_host import PrivateHost, run
from real_cloud import PROGRAMS, ROOT, Cloud

NEEDED = ("libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "tini", "dnsmasq", "nft", "nsenter", "unshare", "ip")


@pytest.fixture(scope="session")
def machine() -> None:
    """Skip where real guests can't be run."""
    if os.geteuid() != 0:
        pytest.skip("real guests need root")
    missing = [name for name in NEEDED if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None]
    if missing or not (PROGRAMS / "nova-lite").exists():
        pytest.skip(f"not installed: {missing or 'nova-lite'}")


@pytest.fixture(scope="session")
def images(machine: None) -> Path:
    """Build the guest images once per machine and return their list."""
    out = Path(os.environ.get("NOVA_LITE_TEST_IMAGES", "/var/tmp/nova-lite-test-images"))
    run(["bash", str(ROOT / "devstack/images/build.sh"), "--out", str(out)], timeout=540)
    return out / "images.json"


@pytest.fixture(scope="session")
def standing_cloud(images: Path) -> Iterator[Cloud]:
    """Keep one embedded cloud for all tests that do no harm to it."""
    host = PrivateHost()
    try:
        host.start()
        cloud = Cloud(host)
        with host.inside():
            cloud.prepare(images)
        yield cloud
        with host.inside():
            cloud.stop()
            before = host.domains()
            said = cloud.manage("host", "clean")
        assert host.domains() == [], f"there were {before}; {said}; {cloud.tail()}"
        assert host.links() == []
    finally:
        host.remove()


@pytest.fixture
def cloud(standing_cloud: Cloud) -> Iterator[Cloud]:
    """Return the standing cloud, and be inside its host's network for this test."""
    with standing_cloud.host.inside():
        yield standing_cloud
