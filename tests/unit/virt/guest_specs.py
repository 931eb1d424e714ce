"""Specs that the unit tests of drivers share; the same each time, so that golden files can be made of them."""

from __future__ import annotations

from pathlib import Path

from nova_lite.virt.driver import CONTAINER, UNIKERNEL, VM, GuestSpec, LocalImage, Nic

SERVER_ID = "11111111-2222-4333-8444-555555555555"
NIC = Nic(
    "port-1",
    "fa:16:3e:00:00:01",
    "nltap1",
    "nl-br1",
    1450,
    ("10.0.0.5/24", "fd00::5/64"),
    "10.0.0.1",
    ("10.0.0.2",),
    (("192.168.0.0/16", "10.0.0.254"),),
)
IMAGES = {
    VM: LocalImage("i", Path("/cache/tiny.img"), "ami", 8 << 20, Path("/cache/kernel"), Path("/cache/ramdisk")),
    UNIKERNEL: LocalImage("i", Path("/cache/hello"), "raw", 0),
    CONTAINER: LocalImage("i", Path("/cache/oci.tar"), "raw", 0, rootfs=Path("/cache/rootfs")),
}


def guest_spec(kind: str, **changes: object) -> GuestSpec:
    """Return a spec of *kind* with *changes*."""
    values: dict[str, object] = {
        "server_id": SERVER_ID,
        "name": "demo",
        "hostname": "demo",
        "project_id": "project-1",
        "user_id": "user-1",
        "kind": kind,
        "vcpus": 2,
        "memory_mb": 256,
        "disk_gb": 1,
        "image": IMAGES[kind],
        "nics": (NIC,),
    }
    return GuestSpec(**(values | changes))  # type: ignore[arg-type]
