"""A tap of ours under a real QEMU of libvirt's: attached to, left on its bridge, and still there afterwards."""

from __future__ import annotations

import functools
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator

import pytest
from host_sandbox import run

from nova_lite.host.networks import links
from nova_lite.host.networks.namespace import Namespace

libvirt = pytest.importorskip("libvirt")

XML = """<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <interface type='ethernet'>
      <mac address='fa:16:3e:12:34:56'/><target dev='{tap}' managed='no'/><model type='virtio'/><mtu size='1400'/>
    </interface>
  </devices>
</domain>"""


@pytest.fixture
def connection() -> Iterator[object]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    try:
        opened = libvirt.open("qemu:///system")
    except libvirt.libvirtError as error:
        pytest.skip(f"needs libvirt: {error}")
    yield opened
    opened.close()


def state(device: str) -> dict[str, object]:
    [found] = json.loads(run("ip", "-j", "-d", "link", "show", device))
    # Not the rest: the bridge's timers and the link's operational state move by themselves.
    return {key: found.get(key) for key in ("ifindex", "master", "mtu", "flags", "address")}


def carried(device: str, wanted: bool) -> dict[str, object]:
    """Return the device's state once the kernel has seen to its carrier: a work of its own does that."""
    deadline = time.monotonic() + 60
    while ("NO-CARRIER" in (found := state(device))["flags"]) is wanted:  # type: ignore[operator]
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def plug(namespace: Namespace, tap: links.Tap) -> None:
    namespace.netlink(links.ensure_tap, tap)
    namespace.netlink(functools.partial(links.attach, up=True), tap.name, tap.bridge, tap.mtu)


def test_libvirt_takes_our_tap(connection: object) -> None:
    tag = secrets.token_hex(3)
    bridge, tap = f"nlhx{tag}b", f"nlhx{tag}t"
    wanted = links.Tap(tap, bridge, 1400, up=True, make=True)
    namespace = Namespace()
    domain = None
    run("ip", "link", "add", bridge, "type", "bridge")
    try:
        run("ip", "link", "set", bridge, "up")
        for _ in range(2):
            plug(namespace, wanted)
        before = carried(tap, False)
        assert (before["master"], before["mtu"], "NO-CARRIER" in before["flags"]) == (bridge, 1400, True)  # type: ignore[operator]
        domain = connection.createXML(XML.format(name=f"nlhx-{tag}", tap=tap), 0)  # type: ignore[attr-defined]
        during = carried(tap, True)
        assert "LOWER_UP" in during["flags"] and during["master"] == bridge  # type: ignore[operator]
        plug(namespace, wanted)
        assert state(tap) == during, "a pass does not touch a tap that a guest uses"
        domain.destroy()
        domain = None
        assert (state(tap)["master"], state(tap)["ifindex"]) == (bridge, before["ifindex"])
    finally:
        if domain is not None:
            domain.destroy()
        namespace.netlink(links.remove, tap)
        namespace.netlink(links.remove, tap)
        namespace.close()
        subprocess.run(["ip", "link", "del", bridge], check=False)
