"""What libvirt's LXC driver does not do for a container's interfaces: their MTU, and new ones while it runs."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nova_lite.virt.driver import DriverError, Nic
from nova_lite.virt.libvirt import container, container_limits


def settle(first_process: int, nics: Sequence[Nic]) -> None:
    """Set the MTU of both ends of each veth pair, the container's in its namespace, where its MAC tells which it is.

    And keep the host from speaking IPv6 of its own at its end.
    """
    inner = _inner(first_process)
    for nic in nics:
        silence_ipv6(nic.device)
        _run(first_process, ["ip", "link", "set", "dev", nic.device, "mtu", str(nic.mtu)])
        if nic.mac in inner:
            _run(first_process, [*_inside(first_process), "link", "set", "dev", inner[nic.mac], "mtu", str(nic.mtu)])


def silence_ipv6(device: str) -> None:
    """Keep the host from sending IPv6 of its own (router solicitations, MLD) into a guest's network."""
    setting = Path("/proc/sys/net/ipv6/conf", device, "disable_ipv6")
    with contextlib.suppress(FileNotFoundError):  # no IPv6 here, or its program has ended already
        setting.write_text("1")


def attach(first_process: int, nic: Nic) -> None:
    """Give a running container *nic* as the first ``eth<n>`` that it has not, with its addresses and routes; there already is success.

    The outer end comes up on its bridge last, so that nothing is sent before all is set.
    """
    names = _inner(first_process)
    free = next(number for number in itertools.count() if f"eth{number}" not in names.values())
    name = names.get(nic.mac, f"eth{free}")
    inner = _inside(first_process)
    if not os.path.exists(f"/sys/class/net/{nic.device}"):
        pair = ["ip", "link", "add", nic.device, "mtu", str(nic.mtu), "type", "veth", "peer", "name", name]
        _run(first_process, [*pair, "address", nic.mac, "mtu", str(nic.mtu), "netns", str(first_process)])
    silence_ipv6(nic.device)
    for address in nic.addresses:
        _run(first_process, [*inner, "address", "replace", address, "dev", name])
    _run(first_process, [*inner, "link", "set", name, "up"])
    metric = str(container.metric(int(name.removeprefix("eth"))))
    for destination, hop in container.routes(nic):
        family = f"-{ipaddress.ip_network(destination).version}"
        _run(
            first_process,
            [*inner, family, "route", "replace", destination, "via", hop, "dev", name, "metric", metric],
        )
    _run(first_process, ["ip", "link", "set", nic.device, "master", nic.bridge, "up"])


def _inside(first_process: int) -> list[str]:
    return ["nsenter", "--net", f"--target={first_process}", "--", "ip"]


def _inner(first_process: int) -> dict[str, str]:
    """Return the names of the container's own interfaces by their MACs, which it can't change; it may have ended: none."""
    command = [*_inside(first_process), "-json", "link"]
    shown = subprocess.run(command, check=False, capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
    if shown.returncode != 0:
        if not container_limits.has_ended(first_process):
            raise DriverError(
                f"the container's interfaces can't be read: {shown.stderr.decode(errors='replace')[:200]}"
            )
        return {}
    return {link["address"]: link["ifname"] for link in json.loads(shown.stdout) if link["ifname"].startswith("eth")}


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
        if not container_limits.has_ended(first_process):
            raise DriverError(f"the container's network could not be set: {error}") from error
