"""What a VM's disks and network cards are: virtio's, or what its image says that it was built for.

Source of the properties: https://docs.openstack.org/glance/latest/admin/useful-image-properties.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nova_lite.virt.driver import DriverError

VIRTIO = "virtio"
_NAMES = {VIRTIO: "vd", "scsi": "sd", "sata": "sd", "ide": "hd"}
"""Each bus, and how the devices at it are called."""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "hw_disk_bus": tuple(_NAMES),
    "hw_scsi_model": ("virtio-scsi", "lsilogic"),
    "hw_cdrom_bus": ("ide", "sata", "scsi"),
    "hw_vif_model": (VIRTIO, "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet"),
}
"""What each property may be; the first is what it is where the image says nothing."""


@dataclass(frozen=True)
class Hardware:
    """The models of one VM's devices, as libvirt calls them."""

    disk_bus: str = VIRTIO
    scsi_model: str = "virtio-scsi"
    cdrom_bus: str = "ide"
    nic_model: str = VIRTIO

    @property
    def has_scsi(self) -> bool:
        """Say whether anything needs a SCSI controller."""
        return "scsi" in (self.disk_bus, self.cdrom_bus)

    def disk(self, letter: str) -> str:
        """Return the name of the disk *letter*: ``vda``."""
        return _NAMES[self.disk_bus] + letter

    def cdrom(self, letter: str) -> str:
        """Return the name of the CD drive *letter*."""
        return _NAMES[self.cdrom_bus] + letter


def read(properties: Mapping[str, str]) -> Hardware:
    """Return what an image's *properties* ask for.

    :raises DriverError: there is no such bus or model here; the message names the property and what there is.
    """
    return Hardware(*(_choice(properties, name) for name in _CHOICES))


def _choice(properties: Mapping[str, str], name: str) -> str:
    choices = _CHOICES[name]
    wanted = str(properties.get(name) or choices[0]).lower()
    if wanted not in choices:
        raise DriverError(
            f"the image's {name} is {wanted!r:.40}, which no VM here can have; there are {', '.join(choices)}"
        )
    return wanted
