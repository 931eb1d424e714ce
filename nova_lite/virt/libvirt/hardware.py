"""What a VM's disks and network cards are: virtio's, or what its image says that it was built for.

Source of the properties: https://docs.openstack.org/glance/latest/admin/useful-image-properties.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nova_lite.compute import local_disks
from nova_lite.virt.driver import DriverError

VIRTIO = "virtio"
_NAMES = local_disks.PREFIXES
_IDE_DRIVES = 4
_FIRST_CD, _CONFIG_CD = 2, 3

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

    def disk(self, index: int) -> str:
        """Return the name of the *index*-th disk: ``vda``."""
        return _NAMES[self.disk_bus] + local_disks.letter(index)

    def cdrom(self, disks: int) -> str:
        """Return the name of the CD drive beside that many *disks*: at the letter c, or at the first that they leave."""
        return _NAMES[self.cdrom_bus] + local_disks.letter(self._first_cd(disks))

    def config_cdrom(self, disks: int, *, beside_cd: bool) -> str:
        """Return the name of the config drive where it is a CD: at the letter d, or at the first that is left."""
        first = self._first_cd(disks) + beside_cd
        return _NAMES[self.cdrom_bus] + local_disks.letter(max(_CONFIG_CD, first))

    def _first_cd(self, disks: int) -> int:
        return max(_FIRST_CD, disks) if _NAMES[self.disk_bus] == _NAMES[self.cdrom_bus] else _FIRST_CD

    def check_room(self, disks: int, cdroms: int) -> None:
        """Do nothing if the buses have room for so many. :raises DriverError: IDE has not."""
        at_ide = disks * (self.disk_bus == "ide") + cdroms * (self.cdrom_bus == "ide")
        if at_ide > _IDE_DRIVES:
            raise DriverError(
                f"an IDE bus has room for {_IDE_DRIVES} drives, and the VM would have {at_ide} there; give it fewer ephemeral "
                "disks, no swap, or an image with another hw_disk_bus or hw_cdrom_bus"
            )


def read(properties: Mapping[str, str], *, has_ide: bool = True) -> Hardware:
    """Return what an image's *properties* ask for; *has_ide*: the machine has that bus, which a q35 has not.

    :raises DriverError: there is no such bus or model here; the message names the property and what there is.
    """
    return Hardware(*(_choice(properties, name, has_ide) for name in _CHOICES))


def _choice(properties: Mapping[str, str], name: str, has_ide: bool) -> str:
    choices = tuple(choice for choice in _CHOICES[name] if has_ide or choice != "ide")
    wanted = str(properties.get(name) or choices[0]).lower()
    if wanted not in choices:
        raise DriverError(
            f"the image's {name} is {wanted!r:.40}, which no VM here can have; there are {', '.join(choices)}"
            if has_ide or wanted != "ide"
            else f"the image's {name} is ide, which a machine of type q35 has not; there are {', '.join(choices)}"
        )
    return wanted
