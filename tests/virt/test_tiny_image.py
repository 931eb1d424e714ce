"""Boot the tiny image bare in QEMU and hold it to what a cirros does: DHCP, keys, user-data, console, power button."""
# ruff: noqa: F811 - fixtures come by import

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_station import (  # noqa: F401
    INSTANCE,
    NEEDS_QEMU,
    PATIENCE,
    PROMPT_LIMIT,
    Guest,
    Images,
    Key,
    Lan,
    boot,
    configured,
    copy,
    direct_boot,
    drive,
    images,
    iso_config_drive,
    key,
    lan,
    run,
)

pytestmark = NEEDS_QEMU


def test_login_prompt_comes_in_time(configured: Guest, record_property: Callable[[str, object], None]) -> None:
    seconds = configured.wait_for(r"(?:tiny|demo-vm) login: ")
    used = configured.cpu_seconds()
    record_property("login_prompt_seconds", round(seconds, 2))
    record_property("login_prompt_cpu_seconds", round(used, 2))
    print(f"login prompt after {seconds:.2f} s, {used:.2f} s of a processor")
    assert used < PROMPT_LIMIT


def test_console_tells_address_keys_and_datasource(configured: Guest) -> None:
    configured.wait_for(r"tiny: demo-vm up, eth0 10\.77\.0\.\d+/24, key\(s\): 1, datasource: config-drive\n")
    assert "gotiny" in configured.console


def test_user_data_script_runs_once(configured: Guest, lan: Lan, key: Key) -> None:
    configured.wait_for(r"user-data-ran-as-root-on-demo-vm")
    assert lan.ssh(configured, "root", key.private, "cat /run/times").stdout == "x\n"


@pytest.mark.parametrize("user", ["tiny", "root"])
def test_key_logs_in(configured: Guest, lan: Lan, key: Key, user: str) -> None:
    configured.wait_for(r"datasource: config-drive")
    done = lan.ssh(configured, user, key.private, "id -un; hostname; echo $HOME")
    assert done.stdout.split() == [user, "demo-vm", "/root" if user == "root" else "/home/tiny"], done.stderr


def test_no_key_is_refused(configured: Guest, lan: Lan) -> None:
    configured.wait_for(r"datasource: config-drive")
    done = lan.ssh(configured, "tiny", None, "true")
    assert done.returncode != 0
    assert "No auth methods could be used" in done.stderr


def test_network_is_as_dhcp_says(configured: Guest, lan: Lan, key: Key) -> None:
    configured.wait_for(r"datasource: config-drive")
    seen = lan.ssh(configured, "root", key.private, "ip route; cat /etc/resolv.conf /sys/class/net/eth0/mtu").stdout
    assert "default via 10.77.0.1 dev eth0" in seen
    assert "10.99.0.0/16 via 10.77.0.2 dev eth0" in seen
    assert "10.77.0.200" not in seen, "RFC 3442: the router option is ignored beside classless routes"
    assert "nameserver 10.77.0.53" in seen
    assert "search example.org" in seen
    assert seen.endswith("1400\n")


def test_data_disk_is_mounted_and_host_key_stays_on_it(configured: Guest, lan: Lan, key: Key) -> None:
    configured.wait_for(r"datasource: config-drive")
    done = lan.ssh(configured, "root", key.private, "grep ' /mnt ' /proc/mounts; ls /mnt/.tiny/*/*; free -m")
    print(done.stdout)
    assert re.search(r"/dev/vda /mnt ext4 rw", done.stdout)
    assert f"/mnt/.tiny/{INSTANCE}/host_key" in done.stdout


def test_password_logs_in_on_the_serial_console(configured: Guest) -> None:
    configured.wait_for(r"(?:tiny|demo-vm) login: ")
    configured.type("tiny")
    configured.wait_for(r"Password: ")
    configured.type("gotiny")
    configured.wait_for(r"tiny@demo-vm:~\$ (\x1b\[6n)?$")
    configured.type("id -u; su - -c 'echo is-$(id -un)'")
    configured.wait_for(r"\n1000\n[^$]*Password: ")
    configured.type("gotiny")
    configured.wait_for(r"\nis-root\n")


def test_hotplugged_card_gets_an_address(configured: Guest, lan: Lan, key: Key) -> None:
    configured.wait_for(r"datasource: config-drive")
    configured.qmp("netdev_add", type="tap", id="late", ifname=lan.tap(), script="no", downscript="no")
    configured.qmp("device_add", driver="virtio-net-pci", netdev="late", mac="fa:16:3e:00:ff:01", id="late-card")
    seen = ""
    until = time.monotonic() + PATIENCE
    while not re.search(r"inet 10\.77\.0\.\d+/24", seen):
        assert time.monotonic() < until, seen
        seen = lan.ssh(configured, "root", key.private, "ip -4 addr show dev eth1").stdout


def test_power_button_stops_it(
    images: Images,
    lan: Lan,
    key: Key,
    tmp_path: Path,
    boot: Callable[[list[str | Path]], Guest],
    record_property: Callable[[str, object], None],
) -> None:
    disk = copy(images.path("tiny"), tmp_path / "disk")
    guest = boot([*direct_boot(images), *drive(disk), *drive(iso_config_drive(tmp_path, "off", key)), *lan.nic()])
    guest.wait_for(r"(?:tiny|off) login: ")
    guest.wait_for(r"datasource: config-drive")
    assert lan.ssh(guest, "root", key.private, "echo kept >/mnt/kept").returncode == 0
    seconds = guest.press_power_button()
    record_property("power_button_seconds", round(seconds, 2))
    print(f"powered off after {seconds:.2f} s")
    assert guest.process.returncode == 0
    # It was unmounted, and what the guest wrote is there.
    assert "clean" in run("e2fsck", "-n", disk)
    assert run("debugfs", "-R", "cat /kept", disk) == "kept\n"
