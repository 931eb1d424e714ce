"""The cloud of the functional tests, with the libvirt driver in the fake one's place and real images by their rows' ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from compute_cloud import CONTAINER as CONTAINER_IMAGE
from compute_cloud import IMAGE
from driver_fixtures import make_driver
from sqlalchemy import update
from whole_cloud import WholeCloud

from nova_lite.db.models import Flavor, Image
from nova_lite.host.fake import FakeImages
from nova_lite.host.ports import ImageSpec
from nova_lite.virt.driver import CONTAINER, VM, GuestSpec, LocalImage
from nova_lite.virt.waiting import GoOn, go_on

IMAGES = {VM: IMAGE, CONTAINER: CONTAINER_IMAGE}


class LocalImages(FakeImages):
    """The image cache with real images in it, by id, and a config drive with nothing on it."""

    def __init__(self, directory: Path, found: dict[str, LocalImage]) -> None:
        super().__init__()
        self.found = found
        self._drive = directory / "config.iso"
        self._drive.write_bytes(bytes(1 << 20))

    def config_drive(self, server_id: str, files: dict[str, bytes]) -> Path:
        return self._drive

    def fetch(self, image: ImageSpec, go_on: GoOn = go_on) -> LocalImage:
        go_on()
        return self.found[image.image_id]


def make_cloud(state: Path, make_spec: Callable[..., GuestSpec], **options: Any) -> WholeCloud:
    """Make a cloud with this machine's libvirt and a scheduler, and no agent yet; :func:`close` is for its end."""
    cloud = WholeCloud(state, **{"state_path": str(state), "compute.shutdown_timeout": 0.5, **options})
    cloud.driver = make_driver(state)  # type: ignore[assignment]
    cloud.images = LocalImages(state, {IMAGES[kind]: make_spec(kind).image for kind in IMAGES})
    cloud.store.transact(_fit)
    cloud.scheduler()
    return cloud


def close(cloud: WholeCloud, state: Path) -> None:
    """End the cloud and remove its guests."""
    cloud.close()
    for entry in (state / "instances").glob("*-*"):
        cloud.driver.destroy(entry.name)


def _fit(session: Any) -> None:
    """Give the VM's image what its kernel wants, and the second flavor a size that this machine bears."""
    properties = {"os_command_line": "console=ttyS0 quiet no_timer_check tsc=reliable", "hw_video_model": "none"}
    session.execute(update(Image).where(Image.id == IMAGE).values(properties=properties))
    session.execute(update(Flavor).where(Flavor.flavorid == "2").values(vcpus=1, memory_mb=192, disk_gb=2))
