"""Make flavors, images and networks over REST, as an administrator would; again and again, if need be.

What is there already, and as it should be, is left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud import Cloud, CloudError, connect, listing, reason
from keystoneauth1.exceptions import ClientException
from networks import open_default_group, seed_networks

HOST_LIMIT_S = 60.0


@dataclass(frozen=True)
class FlavorSpec:
    """A flavor: memory in MiB, disk in GiB (0: as large as the image)."""

    flavor_id: str
    name: str
    memory: int
    disk: int
    vcpus: int = 1


# The ids of m1.* are those that a fresh OpenStack has always had.
FLAVORS = (
    FlavorSpec("42", "m1.nano", 128, 1),
    FlavorSpec("1", "m1.tiny", 512, 1),
    FlavorSpec("2", "m1.small", 2048, 20),
    FlavorSpec("u1.nano", "u1.nano", 32, 0),
    FlavorSpec("c1.tiny", "c1.tiny", 64, 1),
)


@dataclass(frozen=True)
class ImageFile:
    """One image as images.json has it, with its file's whole path; sizes in MiB and GiB."""

    name: str
    path: Path
    disk_format: str
    container_format: str
    min_ram: int
    min_disk: int
    properties: dict[str, str] = field(default_factory=dict)


def read_images(index: Path) -> list[ImageFile]:
    """Return the images that *index* lists."""
    return [
        ImageFile(
            entry["name"],
            index.parent / entry["file"],
            entry["disk_format"],
            entry["container_format"],
            entry["min_ram"],
            entry["min_disk"],
            entry["properties"],
        )
        for entry in json.loads(index.read_text(encoding="utf-8"))
    ]


def seed_flavors(cloud: Cloud) -> None:
    """Create the flavors that are missing by name."""
    known = {flavor["name"] for flavor in listing(cloud.compute, "/flavors", "flavors")}
    for spec in FLAVORS:
        if spec.name in known:
            continue
        body = {"id": spec.flavor_id, "name": spec.name, "ram": spec.memory, "disk": spec.disk, "vcpus": spec.vcpus}
        cloud.compute.post("/flavors", json={"flavor": body})
        print(f"flavor {spec.name}: created")


def hash_of(path: Path, algorithm: str) -> str:
    """Return the file's hash in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def is_same(image: dict[str, Any], wanted: ImageFile) -> bool:
    """Whether the cloud's *image* is *wanted*, byte for byte and property for property."""
    if image["status"] != "active" or any(image.get(key) != value for key, value in wanted.properties.items()):
        return False
    return bool(image["os_hash_value"] == hash_of(wanted.path, image["os_hash_algo"]))


def seed_images(cloud: Cloud, images: list[ImageFile]) -> None:
    """Upload the images that are missing or have changed; an "@name" in a property becomes that image's id."""
    ids: dict[str, str] = {}
    for image in images:
        properties = {
            key: ids[value[1:]] if value.startswith("@") else value for key, value in image.properties.items()
        }
        ids[image.name] = seed_image(cloud, ImageFile(**{**vars(image), "properties": properties}))


def seed_image(cloud: Cloud, wanted: ImageFile) -> str:
    """Have *wanted* in the cloud, once, and return its id. Older ones of its name go only when the new one is whole."""
    known = listing(cloud.image, "/images", "images", name=wanted.name, owner=cloud.project_id)
    same = [image["id"] for image in known if is_same(image, wanted)]
    current = same[0] if same else upload(cloud, wanted)
    for image in known:
        if image["id"] != current:
            cloud.image.delete(f"/images/{image['id']}")
    return str(current)


def upload(cloud: Cloud, wanted: ImageFile) -> str:
    """Create the image's record and send its bytes; return its id."""
    began = time.monotonic()
    body = {
        "name": wanted.name,
        "disk_format": wanted.disk_format,
        "container_format": wanted.container_format,
        "min_ram": wanted.min_ram,
        "min_disk": wanted.min_disk,
        "visibility": "public",
        **wanted.properties,
    }
    image_id = cloud.image.post("/images", json=body).json()["id"]
    cloud.image.put(
        f"/images/{image_id}/file", data=chunks(wanted.path), headers={"Content-Type": "application/octet-stream"}
    )
    size = wanted.path.stat().st_size
    print(f"image {wanted.name}: uploaded, {size} bytes in {time.monotonic() - began:.1f} s")
    return str(image_id)


def chunks(path: Path) -> Iterator[bytes]:
    """Yield the file in pieces of 256 KiB."""
    with path.open("rb") as stream:
        while piece := stream.read(1 << 18):
            yield piece


def await_host(cloud: Cloud, limit: float) -> None:
    """Wait until a compute host is up: the first look at a hypervisor takes an agent some seconds.

    :raises CloudError: none was up within *limit* seconds.
    """
    deadline = time.monotonic() + limit
    while True:
        services = listing(cloud.compute, "/os-services", "services", binary="nova-compute")
        if any(service["state"] == "up" and service["status"] == "enabled" for service in services):
            return
        if time.monotonic() > deadline:
            raise CloudError(f"no compute host came up within {limit:.0f} s; its agent's log says why")
        time.sleep(0.1)


def main() -> int:
    """Seed the cloud; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clouds", type=Path, required=True, help="clouds.yaml")
    parser.add_argument("--cloud", required=True, help="the administrator's cloud in it")
    parser.add_argument("--images", type=Path, required=True, help="images.json of devstack/images/build.sh")
    parser.add_argument("--cidr", required=True, help='the addresses of the network "private"')
    parser.add_argument("--public-cidr", required=True, help='the addresses of the external network "public"')
    parser.add_argument("--user-cloud", help="a user's cloud, whose default security group is opened too")
    options = parser.parse_args()
    try:
        cloud = connect(options.clouds, options.cloud)
        seed_flavors(cloud)
        seed_networks(cloud, options.cidr, options.public_cidr)
        open_default_group(cloud)
        if options.user_cloud:
            open_default_group(connect(options.clouds, options.user_cloud))
        seed_images(cloud, read_images(options.images))
        await_host(cloud, HOST_LIMIT_S)
    except (CloudError, ClientException, OSError) as error:
        print(f"seed.py: {reason(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
