"""What can't be had for which kind of guest, whatever the driver: one table, so that drivers and documents say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_lite.virt.driver import CONTAINER, KINDS, UNIKERNEL, VM, DriverError, GuestSpec

ABILITIES = (
    "snapshot",
    "rescue",
    "resize",
    "rebuild",
    "resize_live",
    "shelve",
    "crash_dump",
    "set_password",
    "console.serial",
    "console.novnc",
    "console.spice-html5",
    "adopt",
    "attach_interface",
)
"""The abilities' names, as they stand behind a kind in ``Capabilities.missing``: ``unikernel.rescue``."""

AGENT_PROPERTY = "hw_qemu_guest_agent"
VIDEO_PROPERTY = "hw_video_model"
MAX_VCPUS = "nova_lite:max_vcpus"
MAX_MEMORY_MB = "nova_lite:max_memory_mb"

_NO_SCREEN = "its serial console works, and a VM whose image has hw_video_model has a screen"

REFUSED: Mapping[tuple[str, str], str] = {
    (UNIKERNEL, "rescue"): "a unikernel has no system that somebody could log in to and repair; "
    "rebuild it, or rescue a VM or a container",
    (UNIKERNEL, "resize_live"): "a unikernel takes its memory and vCPUs when it boots; "
    "resize it without nova_lite:live (it boots anew), or resize a VM or a container live",
    (
        UNIKERNEL,
        "attach_interface",
    ): "a unikernel finds its interfaces when it boots; stop it, attach, and start it, or attach "
    "to a VM or a container",
    (UNIKERNEL, "set_password"): f"a unikernel has no users; a running VM whose image has {AGENT_PROPERTY}=yes has",
    (CONTAINER, "set_password"): "a program started inside a container from outside would escape what confines the "
    f"container; a running VM whose image has {AGENT_PROPERTY}=yes can",
    (CONTAINER, "crash_dump"): "a container has no kernel of its own that could dump; a running VM or unikernel has",
    (UNIKERNEL, "console.novnc"): f"a unikernel has no screen; {_NO_SCREEN}",
    (CONTAINER, "console.novnc"): f"a container has no screen; {_NO_SCREEN}",
}

_NO_SPICE = f"screens are shown by VNC (novnc) only, of a VM whose image has {VIDEO_PROPERTY}"


def reason(kind: str, ability: str) -> str:
    """Return why guests of *kind* don't have *ability*, or the empty string."""
    if ability == "console.spice-html5":
        return _NO_SPICE
    return REFUSED.get((kind, ability), "")


def check(kind: str, ability: str) -> None:
    """Do nothing where guests of *kind* may have *ability*. :raises DriverError: why they don't, and who does."""
    why = reason(kind, ability)
    if why:
        raise DriverError(f"{ability.replace('_', ' ')} can't be had: {why}", code="driver.unsupported")


def missing(kinds: Iterable[str] = KINDS) -> dict[str, str]:
    """Return ``Capabilities.missing``'s part: ``<kind>.<ability>`` → reason."""
    return {f"{kind}.{ability}": why for kind in kinds for ability in ABILITIES if (why := reason(kind, ability))}


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
    """Say whether the image asks for the guest agent's channel (``hw_qemu_guest_agent``: yes, true or 1)."""
    return spec.kind == VM and str(spec.properties.get(AGENT_PROPERTY, "")).lower() in ("yes", "true", "1", "on")


def has_screen(spec: GuestSpec) -> bool:
    """Say whether the image asks for a screen (``hw_video_model`` other than none)."""
    return spec.kind == VM and str(spec.properties.get(VIDEO_PROPERTY, "none")).lower() not in ("", "none")
