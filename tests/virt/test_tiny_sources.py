"""Boot the tiny image with each source of metadata, with none, and from its disk."""
# ruff: noqa: F811 - fixtures come by import

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_station import (  # noqa: F401
    NEEDS_QEMU,
    SCRIPT,
    Guest,
    Images,
    Key,
    Lan,
    boot,
    copy,
    direct_boot,
    drive,
    images,
    iso_config_drive,
    key,
    lan,
    vfat_config_drive,
    write_metadata,
)

pytestmark = NEEDS_QEMU
# The prompt waits 1.5 s for the guest's name, and on a loaded machine in vain: then it says "tiny". The name is in the line after it.


def test_metadata_service(images: Images, lan: Lan, key: Key, boot: Callable[[list[str | Path]], Guest]) -> None:
    write_metadata(lan.metadata, "from-metadata", key, SCRIPT)
    try:
        guest = boot([*direct_boot(images), *lan.nic()])
        guest.wait_for(r"(?:tiny|from-metadata) login: ")
        guest.wait_for(r"tiny: from-metadata up, eth0 10\.77\.0\.\d+/24, key\(s\): 1, datasource: metadata\n")
        guest.wait_for(r"user-data-ran-as-root-on-from-metadata")
        assert lan.ssh(guest, "tiny", key.private, "hostname").stdout == "from-metadata\n"
    finally:
        shutil.rmtree(lan.metadata / "openstack/latest")


def test_user_data_that_do_not_come_are_asked_for_again(
    images: Images, lan: Lan, key: Key, boot: Callable[[list[str | Path]], Guest]
) -> None:
    write_metadata(lan.metadata, "patient", key, SCRIPT)
    served = lan.metadata / "openstack/latest/user_data"
    kept = served.rename(served.with_name("kept"))
    os.mkfifo(served)  # who asks for it waits in vain
    try:
        guest = boot([*direct_boot(images), *lan.nic()])
        guest.wait_for(r"tiny: tiny up, eth0 10\.77\.0\.\d+/24, key\(s\): 0, datasource: none\n")
        kept.rename(served)
        guest.wait_for(r"tiny: patient up, eth0 10\.77\.0\.\d+/24, key\(s\): 1, datasource: metadata\n")
        guest.wait_for(r"user-data-ran-as-root-on-patient")
    finally:
        shutil.rmtree(lan.metadata / "openstack/latest")


def test_late_metadata_without_a_key_are_taken_whole(
    images: Images, lan: Lan, boot: Callable[[list[str | Path]], Guest]
) -> None:
    guest = boot([*direct_boot(images), *lan.nic()])
    guest.wait_for(r"tiny login: ")
    write_metadata(lan.metadata, "keyless", None, SCRIPT)
    try:
        guest.wait_for(r"tiny: keyless up, eth0 10\.77\.0\.\d+/24, key\(s\): 0, datasource: metadata\n")
        guest.wait_for(r"user-data-ran-as-root-on-keyless")
    finally:
        shutil.rmtree(lan.metadata / "openstack/latest")


def test_late_metadata_is_taken_and_never_delays_the_prompt(
    images: Images, lan: Lan, key: Key, boot: Callable[[list[str | Path]], Guest]
) -> None:
    guest = boot([*direct_boot(images), *lan.nic()])
    guest.wait_for(r"tiny login: ")
    guest.wait_for(r"tiny: tiny up, eth0 10\.77\.0\.\d+/24, key\(s\): 0, datasource: none\n")
    write_metadata(lan.metadata, "late", key, "#cloud-config\nhostname: other\n")
    try:
        guest.wait_for(r"tiny: late up, eth0 10\.77\.0\.\d+/24, key\(s\): 1, datasource: metadata\n")
        guest.wait_for(r"user-data is no script .*: ignored")
        assert lan.ssh(guest, "tiny", key.private, "hostname").stdout == "late\n"
    finally:
        shutil.rmtree(lan.metadata / "openstack/latest")


def test_without_network_or_datasource_there_is_a_prompt(
    images: Images, boot: Callable[[list[str | Path]], Guest]
) -> None:
    guest = boot(direct_boot(images))
    guest.wait_for(r"tiny login: ")
    guest.wait_for(r"tiny: tiny up, no network, key\(s\): 0, datasource: none\n")


@pytest.mark.parametrize(
    ("make", "kind"), [(iso_config_drive, "virtio"), (iso_config_drive, "ide"), (vfat_config_drive, "virtio")]
)
def test_each_form_of_config_drive(
    images: Images,
    key: Key,
    tmp_path: Path,
    boot: Callable[[list[str | Path]], Guest],
    make: Callable[[Path, str, Key], Path],
    kind: str,
) -> None:
    guest = boot([*direct_boot(images), *drive(make(tmp_path, "formed", key), kind=kind)])
    guest.wait_for(r"(?:tiny|formed) login: ")
    guest.wait_for(r"tiny: formed up, no network, key\(s\): 1, datasource: config-drive\n")


def test_disk_image_boots_by_bios(
    images: Images, lan: Lan, key: Key, tmp_path: Path, boot: Callable[[list[str | Path]], Guest]
) -> None:
    disk = copy(images.path("tiny-disk"), tmp_path / "disk")
    iso = iso_config_drive(tmp_path, "from-disk", key)
    memory = str(images.index["tiny-disk"]["min_ram"])
    guest = boot(["-m", memory, *drive(disk, "qcow2"), *drive(iso), *lan.nic()])
    seconds = guest.wait_for(r"(?:tiny|from-disk) login: ")
    print(f"tiny-disk: login prompt after {seconds:.2f} s")
    guest.wait_for(r"datasource: config-drive")
    guest.press_power_button()
    assert guest.process.returncode == 0


def test_the_data_disk_lives_through_power_failures(
    images: Images, tmp_path: Path, key: Key, boot: Callable[[list[str | Path]], Guest]
) -> None:
    disk = copy(images.path("tiny"), tmp_path / "disk")
    script = """#!/bin/sh
    [ ! -e /mnt/kept ] || echo "kept $(wc -l </mnt/kept)"
    echo line >>/mnt/kept
    sync
    echo writing
    while :; do sync; done &
    while :; do mkdir /mnt/d && echo x >/mnt/d/x && mv /mnt/d/x /mnt/x && rm -r /mnt/x /mnt/d; done
    """
    arguments = [*direct_boot(images), *drive(disk), *drive(iso_config_drive(tmp_path, "cut-off", key, script))]
    for times in range(3):
        guest = boot(arguments)
        guest.wait_for(r"writing\n")
        assert times == 0 or f"kept {times}\n" in guest.console
        time.sleep(1)
        guest.end()
        assert "EXT4-fs error" not in guest.console
    # What is in the journal, and no more, makes it whole.
    done = subprocess.run(["e2fsck", "-p", disk], check=False, capture_output=True, text=True)
    assert "check forced" not in done.stdout
    done = subprocess.run(["e2fsck", "-f", "-n", disk], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
