"""Interfaces that containers are started with, and get and lose while they run."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("libvirt")

sys.path.insert(0, str(Path(__file__).parent))

from driver_fixtures import NEEDS_LIBVIRT, bridge, driver, images, make_spec, state  # noqa: F401

from nova_lite.virt.driver import CONTAINER, GuestSpec, Nic
from nova_lite.virt.libvirt import container_limits, container_network
from nova_lite.virt.libvirt.driver import LibvirtDriver

pytestmark = NEEDS_LIBVIRT


def another(nic: Nic, number: int) -> Nic:
    """Return another interface in the same network, which has the same gateway."""
    last = (int(nic.mac[-2:], 16) + number) % 256
    mac, device = f"{nic.mac[:-2]}{last:02x}", f"{nic.device[:-1]}{'xyz'[number]}"
    return replace(nic, port_id=f"port{number}", mac=mac, device=device, addresses=(f"10.9.8.{10 + number}/24",))


def inside(driver: LibvirtDriver, spec: GuestSpec, *words: str) -> str:
    _, view = driver._need(spec.server_id)
    first = container_limits.first_process(view.pid)
    line = ["nsenter", "--net", f"--target={first}", "--", "ip", "-4", *words]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def running(driver: LibvirtDriver, make_spec: Callable[..., GuestSpec]) -> GuestSpec:
    spec = make_spec(CONTAINER)
    driver.spawn(spec)
    return spec


def test_two_in_one_network_at_its_start(driver: LibvirtDriver, make_spec: Callable[..., GuestSpec]) -> None:
    spec = make_spec(CONTAINER)
    spec = replace(spec, nics=(*spec.nics, another(spec.nics[0], 1)))
    driver.spawn(spec)
    ways = [line.split() for line in inside(driver, spec, "route", "show", "default").splitlines()]
    assert [(words[4], words[words.index("metric") + 1]) for words in ways] == [("eth0", "1"), ("eth1", "2")]


def test_one_more_and_one_less_while_it_runs(driver: LibvirtDriver, running: GuestSpec) -> None:
    first, second, third = running.nics[0], another(running.nics[0], 1), another(running.nics[0], 2)
    both = replace(running, nics=(first, second))
    for _ in range(2):
        driver.attach_nic(both, second)
    assert "dev eth1 metric 2" in inside(driver, running, "route", "show", "default")
    for _ in range(2):
        driver.detach_nic(running.server_id, first)
    # What is left is eth1 although it is the first of the server's ports: an agent that starts takes the guest up all the same.
    left = replace(running, nics=(second,))
    driver.recover(left)
    driver.attach_nic(replace(running, nics=(second, third)), third)
    shown = inside(driver, running, "address")
    assert "eth1" in shown and "10.9.8.11/24" in shown
    assert "eth0" in shown and "10.9.8.12/24" in shown
    assert inside(driver, running, "route", "show", "default").splitlines()[0].split()[4] == "eth0"


def test_a_container_that_ends_at_once_is_no_error(
    make_spec: Callable[..., GuestSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its end and libvirt's notice of it, process 1 still has its number, and no namespaces and devices any more."""
    nics = make_spec(CONTAINER).nics
    over = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, over.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{over.pid}").exists()
        container_limits.apply(over.pid, 100, 0)
        container_network.settle(over.pid, nics)
    finally:
        over.wait()
    # And once its number is free; on cgroup v2 its group is looked up there.
    monkeypatch.setattr(container_limits, "_V1_PIDS", Path("/nonexistent"))
    container_limits.apply(over.pid, 100, 0)
    container_network.settle(over.pid, nics)
    assert nics
