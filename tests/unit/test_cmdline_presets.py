"""The command lines of the unikernels that have a preset."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from nova_lite.agent import spec
from nova_lite.agent.cmdline_presets import PRESETS
from nova_lite.agent.spec import SpecError
from nova_lite.virt.driver import Nic

NIC = Nic(
    "p", "fa:16:3e:00:00:05", "nl-p", "nl-br7", 1450, ("fd00::5/64", "10.0.0.5/24"), "10.0.0.1", ("10.0.0.2", "9.9.9.9")
)
BARE = Nic("p", "fa:16:3e:00:00:05", "nl-p", "nl-br7", 1450, ("10.0.0.5/24",), None, ())


def line(nics: list[Nic], **properties: str) -> str:
    server: Any = SimpleNamespace(kind="unikernel", hostname="uni", image_properties=properties)
    return spec.command_line(server, nics)


def preset(name: str, *nics: Nic, args: str = "app -v") -> str:
    return line(list(nics), nova_lite_cmdline_preset=name, nova_lite_cmdline_args=args)


def test_unikraft() -> None:
    assert preset("unikraft", NIC) == "netdev.ip=10.0.0.5/24:10.0.0.1:10.0.0.2::uni -- app -v"
    assert preset("unikraft", BARE, args="") == "netdev.ip=10.0.0.5/24::::uni --"
    assert preset("unikraft") == "-- app -v"


@pytest.mark.parametrize("name", ["solo5", "mirageos", "MirageOS"])
def test_solo5_and_mirageos(name: str) -> None:
    assert preset(name, NIC) == "--ipv4=10.0.0.5/24 --ipv4-gateway=10.0.0.1 app -v"
    assert preset(name, BARE) == "--ipv4=10.0.0.5/24 app -v"
    assert preset(name) == "app -v"


def test_osv() -> None:
    wanted = "--ip=eth0,10.0.0.5,255.255.255.0 --defaultgw=10.0.0.1 --nameserver=10.0.0.2 --hostname=uni /app.so"
    assert preset("osv", NIC, args="/app.so") == wanted
    assert preset("osv", BARE, args="/app.so") == "--ip=eth0,10.0.0.5,255.255.255.0 --hostname=uni /app.so"


def test_rumprun() -> None:
    net = {"if": "vioif0", "type": "inet", "method": "static", "addr": "10.0.0.5", "mask": "24"}
    assert json.loads(preset("rumprun", NIC)) == {
        "cmdline": "app -v",
        "hostname": "uni",
        "net": {**net, "gw": "10.0.0.1"},
    }
    assert json.loads(preset("rumprun", BARE)) == {"cmdline": "app -v", "hostname": "uni", "net": net}
    assert json.loads(preset("rumprun")) == {"cmdline": "app -v", "hostname": "uni"}


def test_how_a_preset_is_named() -> None:
    assert line([NIC], nova_lite_cmdline="preset:solo5") == "--ipv4=10.0.0.5/24 --ipv4-gateway=10.0.0.1"
    # A template of the image's own comes before a preset that it names.
    assert line([NIC], nova_lite_cmdline="x={address}", nova_lite_cmdline_preset="osv") == "x=10.0.0.5"
    assert (
        line([NIC], nova_lite_cmdline="{netmask} {dns1} {args}", nova_lite_cmdline_args="z")
        == "255.255.255.0 10.0.0.2 z"
    )
    with pytest.raises(SpecError, match="unknown 'nonsense'; there are mirageos, osv, rumprun, solo5, unikraft"):
        line([NIC], nova_lite_cmdline_preset="nonsense")
    with pytest.raises(SpecError, match="control characters"):
        preset("osv", NIC, args="a\nb")


def test_every_preset_is_rendered_from_nothing() -> None:
    for name in PRESETS:
        assert "{}" not in preset(name, args="")
