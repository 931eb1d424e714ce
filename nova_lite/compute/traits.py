"""What hosts can have beyond a kind of guest, by the names of os-traits where those have one, and who asks for it.

Source: https://docs.openstack.org/os-traits/latest/
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

UEFI = "COMPUTE_FIRMWARE_UEFI"
SECURE_BOOT = "COMPUTE_SECURITY_UEFI_SECURE_BOOT"
MACHINE_PC = "CUSTOM_MACHINE_TYPE_PC"
MACHINE_Q35 = "CUSTOM_MACHINE_TYPE_Q35"

WORDS: Mapping[str, str] = {
    UEFI: "UEFI for VMs, which the package ovmf brings",
    SECURE_BOOT: "UEFI with secure boot, which needs the machine type q35 and the package ovmf",
    MACHINE_PC: "the machine type pc",
    MACHINE_Q35: "the machine type q35",
}
"""Every trait that a host may have, in words that go on after "without"."""

_SPEC = re.compile(r"trait[a-zA-Z0-9_-]{0,64}:([A-Z0-9_]+)")


@dataclass(frozen=True)
class Wanted:
    """What a server's host must have, each with words for who asks, and what it must not have."""

    required: Mapping[str, str] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()

    def allows(self, traits: Collection[str]) -> bool:
        """Say whether a host with *traits* will do."""
        return all(name in traits for name in self.required) and not any(name in traits for name in self.forbidden)

    def lacking(self, traits: Collection[str]) -> str:
        """Say what keeps a host with *traits* from doing, as words after "The host is"; empty: it will do."""
        absent = [words for name, words in self.required.items() if name not in traits]
        unwanted = sorted(name for name in self.forbidden if name in traits)
        return " and ".join([f"without {words}" for words in absent] + [f"with {name}" for name in unwanted])

    def says(self) -> str:
        """Say what is asked for, as words about hosts of which any of it is not true."""
        words = [" or ".join(self.required.values()), " or ".join(sorted(self.forbidden))]
        return " or ".join(f"{what} {text}" for what, text in zip(("without", "with"), words, strict=True) if text)


def named(specs: Mapping[str, object], properties: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield each trait that a flavor's *specs* or an image's *properties* name, of those there are: trait, its value, who says so."""
    for source, told in ((specs, "extra spec"), (properties, "image property")):
        for name, value in source.items():
            found = _SPEC.fullmatch(name)
            if found is not None and found[1] in WORDS:
                yield found[1], str(value).strip().lower(), f"{told} {name}={value}"
