"""A VM's screen: which protocols show it on this host, and the devices that it is made of."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection
from dataclasses import dataclass

from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt.elements import add

VNC, SPICE = "vnc", "spice"
PROTOCOLS = (VNC, SPICE)
PLAINEST = "vga"
"""Every system, and the firmware, can write on it."""
MODELS = (PLAINEST, "virtio", "bochs", "cirrus", "qxl")


@dataclass(frozen=True)
class Screens:
    """What screens the host's VMs have. ``no_vnc``, ``no_spice``: why not by that protocol; empty: by it too."""

    no_vnc: str = ""
    no_spice: str = ""
    models: tuple[str, ...] = MODELS

    def missing(self, protocol: str) -> str:
        """Return why no VM here has *protocol*, or the empty string."""
        return self.no_vnc if protocol == VNC else self.no_spice


def read(capabilities: str, wanted: Collection[str]) -> Screens:
    """Return what libvirt's domain *capabilities* (XML) can show, of what the operator has *wanted* (``[libvirt] screens``)."""
    root = ET.fromstring(capabilities)  # noqa: S314 - libvirt's own answer
    offered = {value.text for value in root.iterfind("devices/graphics[@supported='yes']/enum[@name='type']/value")}
    cards = {value.text for value in root.iterfind("devices/video[@supported='yes']/enum[@name='modelType']/value")}
    why = {
        protocol: f"[libvirt] screens of its host leaves {protocol} out"
        if protocol not in wanted
        else f"the QEMU of its host has no {protocol}"
        if protocol not in offered
        else ""
        for protocol in PROTOCOLS
    }
    return Screens(why[VNC], why[SPICE], tuple(model for model in MODELS if model in cards))


def show(devices: ET.Element, asked: str, screens: Screens) -> None:
    """Add a video card, a pointer, and a server of each protocol on a socket that libvirt chooses; nothing listens on the network.

    SPICE has no password of its own: only this host's relay reaches the socket, and lets in who was let in by a token.

    :param asked: the model of the card that the image asks for; empty: the plainest, and none on a host where nobody could see it.
    :raises DriverError: the model is none that there is here.
    """
    if not asked and ((screens.no_vnc and screens.no_spice) or PLAINEST not in screens.models):
        return
    model = asked or PLAINEST
    if model not in screens.models:
        raise DriverError(f"there is no video card {model!r:.40} here; there are {', '.join(screens.models)}")
    # A pointer that is where the viewer's is: without one, a mouse is pushed about. It does nothing until the guest has its driver.
    add(devices, "input", type="tablet", bus="virtio")
    if not screens.no_vnc:
        add(add(devices, "graphics", type="vnc"), "listen", type="socket")
    if not screens.no_spice:
        _spice(devices)
    add(add(devices, "video"), "model", type=model)


def _spice(devices: ET.Element) -> None:
    graphics = add(devices, "graphics", type="spice")
    add(graphics, "listen", type="socket")
    # Video streams want codecs that a browser may not have, and what the guest's agent may do ends at the screen's size: it gets
    # neither the viewer's clipboard nor files.
    add(graphics, "streaming", mode="off")
    add(graphics, "clipboard", copypaste="no")
    add(graphics, "filetransfer", enable="no")
    channel = add(devices, "channel", type="spicevmc")
    add(channel, "target", type="virtio", name="com.redhat.spice.0")
