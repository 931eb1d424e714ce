"""What can't be had for which kind of guest, whatever the driver, as the table of ``nova_lite.compute.kinds`` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_lite.compute import kinds
from nova_lite.compute.kinds import AGENT_PROPERTY, KINDS, VIDEO_PROPERTY
from nova_lite.virt.driver import DriverError, GuestSpec

__all__ = ["ABILITIES", "AGENT_PROPERTY", "MAX_MEMORY_MB", "MAX_VCPUS", "REFUSED", "VIDEO_PROPERTY"]

ABILITIES = tuple(kinds.BY_ABILITY)
"""The abilities' names, as they stand behind a kind in ``Capabilities.missing``: ``unikernel.rescue``."""

MAX_VCPUS = "nova_lite:max_vcpus"
MAX_MEMORY_MB = "nova_lite:max_memory_mb"

REFUSED: Mapping[tuple[str, str], str] = {
    (kind, ability): why for ability, row in kinds.BY_ABILITY.items() for kind in KINDS if (why := row.refusal(kind))
}


def reason(kind: str, ability: str) -> str:
    """Return why guests of *kind* don't have *ability*, or the empty string."""
    return REFUSED.get((kind, ability), "")


def check(kind: str, ability: str) -> None:
    """Do nothing where guests of *kind* may have *ability*. :raises DriverError: why they don't, and who does."""
    why = reason(kind, ability)
    if why:
        raise DriverError(f"{ability.replace('_', ' ')} can't be had: {why}", code="driver.unsupported")


def missing(of: Iterable[str] = KINDS) -> dict[str, str]:
    """Return ``Capabilities.missing``'s part: ``<kind>.<ability>`` → reason."""
    return {f"{kind}.{ability}": why for kind in of for ability in ABILITIES if (why := reason(kind, ability))}


def live_maximum(spec: GuestSpec) -> tuple[int, int]:
    """Return the vCPUs and MiB that the flavor's extra specs reserve for a VM, at least what it begins with.

    :raises DriverError: an extra spec is no number.
    """
    found = []
    for name, least in ((MAX_VCPUS, spec.vcpus), (MAX_MEMORY_MB, spec.memory_mb)):
        text = str(spec.extra_specs.get(name, least))
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            raise DriverError(f"the flavor's extra spec {name} is {text!r:.40}; it must be a number")
        found.append(max(int(text), least))
    return found[0], found[1]


def has_agent(spec: GuestSpec) -> bool:
    """Say whether the image asks for the guest agent's channel."""
    return kinds.has_agent(spec.kind, spec.properties)


def has_screen(spec: GuestSpec) -> bool:
    """Say whether the guest is to have a screen."""
    return kinds.has_screen(spec.kind, spec.properties)
