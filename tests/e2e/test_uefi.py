"""A VM by UEFI, from upload to console to nothing left: the disk itself says which firmware has booted it."""

from __future__ import annotations

from pathlib import Path

import efi_medium
import pytest
from private_host import wait_for
from real_cloud import Cloud, marks_of, traces
from test_images_from_elsewhere import upload


def test_a_vm_boots_by_the_firmware_that_its_image_asks_for(cloud: Cloud) -> None:
    if not list(Path("/usr/share/qemu/firmware").glob("*.json")):
        pytest.skip("the package ovmf is missing")
    disk = efi_medium.disk()
    image = upload(cloud, "by-uefi", disk, "raw", hw_firmware_type="uefi", hw_machine_type="q35")
    plain = upload(cloud, "by-bios", disk, "raw")
    server_id = cloud.create("by-uefi", "vm", imageRef=image)
    cloud.await_status(server_id, "ACTIVE")
    cloud.await_console(server_id, efi_medium.SAYS, 120)
    directory = cloud.host.state / "instances" / server_id
    variables = directory / "nvram.fd"
    number = variables.stat().st_ino
    assert cloud.act(server_id, reboot={"type": "HARD"}).status == 202
    cloud.await_status(server_id, "ACTIVE")
    assert variables.stat().st_ino == number
    assert cloud.act(server_id, rebuild={"imageRef": plain}).status == 202
    cloud.await_status(server_id, "ACTIVE")
    wait_for("BIOS", lambda: cloud.console(server_id).rstrip().endswith(efi_medium.BIOS_SAYS.decode()), 120, 0.2)
    assert not list(directory.glob("nvram*"))
    assert cloud.act(server_id, rebuild={"imageRef": image}).status == 202
    cloud.await_status(server_id, "ACTIVE")
    marks = marks_of(cloud, server_id)
    cloud.delete([server_id])
    assert traces(cloud, marks) == []
