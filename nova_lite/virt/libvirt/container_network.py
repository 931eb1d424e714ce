"""What libvirt's LXC driver does not do for a container's interfaces: their MTU, and new ones while it runs."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nova_lite.virt.driver import DriverError, Nic


def settle(first_process: int, nics: Sequence[Nic]) -> None:
    """Set the MTU of both ends of each veth pair: the host's by its name, the container's as ``eth<n>`` in its namespace.

    And keep the host from speaking IPv6 of its own at its end.
    """
    for index, nic in enumerate(nics):
        silence_ipv6(nic.device)
        _run(first_process, ["ip", "link", "set", "dev", nic.device, "mtu", str(nic.mtu)])
        inner = ["ip", "link", "set", "dev", f"eth{index}", "mtu", str(nic.mtu)]
        _run(first_process, ["nsenter", "--net", f"--target={first_process}", "--", *inner])


def silence_ipv6(device: str) -> None:
    """Keep the host from sending IPv6 of its own (router solicitations, MLD) into a guest's network."""
    setting = Path("/proc/sys/net/ipv6/conf", device, "disable_ipv6")
    if setting.exists():
        setting.write_text("1")


def attach(first_process: int, nic: Nic, index: int) -> None:
    """Give a running container *nic* as ``eth<index>``, with its addresses and routes; there already is success.

    The outer end comes up on its bridge last, so that nothing is sent before all is set.
    """
    inner = ["nsenter", "--net", f"--target={first_process}", "--", "ip"]
    name = f"eth{index}"
    if not os.path.exists(f"/sys/class/net/{nic.device}"):
        pair = ["ip", "link", "add", nic.device, "mtu", str(nic.mtu), "type", "veth", "peer", "name", name]
        _run(first_process, [*pair, "address", nic.mac, "mtu", str(nic.mtu), "netns", str(first_process)])
    silence_ipv6(nic.device)
    for address in nic.addresses:
        _run(first_process, [*inner, "address", "replace", address, "dev", name])
    _run(first_process, [*inner, "link", "set", name, "up"])
    for destination, hop in nic.routes:
        family = f"-{ipaddress.ip_network(destination).version}"
        _run(first_process, [*inner, family, "route", "replace", destination, "via", hop, "dev", name])
    _run(first_process, ["ip", "link", "set", nic.device, "master", nic.bridge, "up"])


def detach(nic: Nic) -> None:
    """Remove the pair whose outer end is *nic*'s device; none there is success."""
    command = ["ip", "link", "del", nic.device]
    if os.path.exists(f"/sys/class/net/{nic.device}"):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
        if os.path.exists(f"/sys/class/net/{nic.device}"):
            raise DriverError(
                f"the container's interface {nic.device} could not be removed: {done.stderr.strip()[:200]}"
            )


def _run(first_process: int, command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise DriverError(f"{error.filename} is missing; containers need iproute2 and util-linux") from error
    except subprocess.SubprocessError as error:
        # The container may have ended meanwhile, and its devices with it.
        if os.path.exists(f"/proc/{first_process}"):
            raise DriverError(f"the container's network could not be set: {error}") from error
