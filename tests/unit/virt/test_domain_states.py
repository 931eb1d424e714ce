"""What libvirt's pairs of state and reason are to us."""

from __future__ import annotations

import pytest

libvirt = pytest.importorskip("libvirt")

from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.virt.libvirt.domains import power_of  # noqa: E402

PAIRS = {
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED): PowerState.RUNNING,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER): PowerState.PAUSED,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP): PowerState.NOSTATE,
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN): PowerState.SHUTDOWN,
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED): PowerState.SHUTDOWN,
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED): PowerState.SHUTDOWN,
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): PowerState.CRASHED,
    (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED): PowerState.CRASHED,
    (99, 0): PowerState.NOSTATE,
}


@pytest.mark.parametrize(("pair", "power"), PAIRS.items())
def test_each_pair(pair: tuple[int, int], power: PowerState) -> None:
    assert power_of(pair) is power
