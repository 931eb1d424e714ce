"""What each action means for each kind of guest: one table, which the API, the drivers and ``doc/server_states.rst`` read.

A cell says what is done to the guest, or, where the kind is among the row's ``refused``, why that can't be had and which kind or
state has it. What depends on the host rather than on the kind is not here (``Capabilities.missing``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VM, UNIKERNEL, CONTAINER = "vm", "unikernel", "container"
KINDS = (VM, UNIKERNEL, CONTAINER)

PROCESS = "process"
ISOLATIONS = (PROCESS,)
"""What containers there are. A container in a VM of its own, ``vm``, is to come."""

AGENT_PROPERTY = "hw_qemu_guest_agent"
VIDEO_PROPERTY = "hw_video_model"


@dataclass(frozen=True)
class Row:
    """One action. ``names``: what ``POST /servers/{id}/action`` calls it, if it is asked for there; ``ability``: what the
    drivers call it (``nova_lite.virt.abilities``), if not every driver has it."""

    title: str
    vm: str
    unikernel: str
    container: str
    refused: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    transition: str = ""
    ability: str = ""

    def cell(self, kind: str) -> str:
        """Return what is said of *kind*."""
        return {VM: self.vm, UNIKERNEL: self.unikernel, CONTAINER: self.container}[kind]

    def refusal(self, kind: str) -> str:
        """Return why *kind* can't have this, and what can; empty: it can."""
        return self.cell(kind) if kind in self.refused else ""


def _same(title: str, cell: str, name: str = "", transition: str = "") -> Row:
    """Make the row of an action that means the same for every kind; *name* may be several."""
    return Row(title, cell, cell, cell, names=tuple(name.split()), transition=transition)


_ANEW = "booted anew"
_SCREEN = "its serial console works, and a VM has a screen"
_STARTED = "its program is started on what it has written"
_AS_CREATE_IMAGE = "as createImage; then the oldest of the server's backups of that type go, but for the rotation"

LOCAL_EPHEMERAL = Row(
    "ephemeral disks",
    "disks of their own, with a filesystem named ``ephemeral0``, ``ephemeral1``, …; kept until it is rebuilt, offloaded or deleted; "
    "away while it is rescued",
    "as of a VM; it is told of them by nothing but their presence",
    "ext4, mounted at ``/mnt/ephemeral0``, ``/mnt/ephemeral1``, …; kept as a VM's are, and in no snapshot; away while it is rescued",
)
LOCAL_SWAP = Row(
    "swap",
    "a disk made ready for swap, after the ephemeral ones; away while it is rescued",
    "a unikernel does not swap; a VM or a container does, and a flavor without swap runs it",
    "what its processes may have of the host's swap, no more; where the host counts none (cgroups without memsw or "
    "memory.swap), it has what the host gives, unlimited",
    refused=(UNIKERNEL,),
)
"""What a flavor's ``ephemeral`` and ``swap`` are for each kind."""

ROWS: tuple[Row, ...] = (
    Row(
        "create",
        "disk made over the image's (or its kernel booted), config drive if it has one, QEMU",
        "its command line is rendered; QEMU with virtio and a serial line only",
        "its root is mounted (the unpacked image below, its own disk above); LXC. Isolation ``vm`` is refused: there is "
        "``process`` only",
        transition="create",
    ),
    LOCAL_EPHEMERAL,
    LOCAL_SWAP,
    _same("delete", "guest, disks, devices, leases and addresses go; what is under way is interrupted", "", "delete"),
    Row("os-start", "booted from the disk that it has", _ANEW, _STARTED, names=("os-start",), transition="start"),
    Row(
        "os-stop",
        "by its guest agent, if one is connected, else by the ACPI power button, which is pressed again every 3 s; ended after the "
        "grace time",
        "ended at once: nobody in it hears the button",
        "SIGTERM to its first process, SIGKILL after the grace time",
        names=("os-stop",),
        transition="stop",
    ),
    Row(
        "reboot SOFT",
        "as os-stop, then os-start",
        "as os-stop, then os-start",
        "as os-stop, then os-start",
        names=("reboot",),
        transition="reboot-soft",
    ),
    Row(
        "reboot HARD",
        "ended at once, defined and started anew",
        "ended at once, defined and started anew",
        "killed, defined and started anew",
        names=("reboot",),
        transition="reboot-hard",
    ),
    Row(
        "pause",
        "its vCPUs stand still, memory stays",
        "its vCPUs stand still, memory stays",
        "its processes are frozen",
        names=("pause",),
        transition="pause",
    ),
    Row("unpause", "goes on", "goes on", "thawed", names=("unpause",), transition="unpause"),
    Row(
        "suspend",
        "memory is saved to disk, QEMU ends",
        "memory is saved to disk, QEMU ends",
        "its processes are frozen: LXC can't save memory, so a boot of the host loses it",
        names=("suspend",),
        transition="suspend",
    ),
    Row(
        "resume",
        "goes on from the saved memory",
        "goes on from the saved memory",
        "thawed; after a boot of the host started anew",
        names=("resume",),
        transition="resume",
    ),
    _same("lock", "its user's further actions are 409 until it is unlocked; the guest does not notice", "lock"),
    _same("unlock", "its user may act on it again", "unlock"),
    Row(
        "rescue",
        "booted from the rescue image; its own disk is the second, vdb",
        "a unikernel has no system that somebody could log in to and repair; rebuild it, or rescue a VM or a container",
        "the rescue image's program is run in that image's root; its own root is at /mnt/own",
        refused=(UNIKERNEL,),
        names=("rescue",),
        transition="rescue",
        ability="rescue",
    ),
    Row(
        "unrescue",
        "booted from its own disk; the rescue's goes",
        "a unikernel is never in rescue: it can't be rescued; rebuild it, or rescue a VM or a container",
        "its own program on its own root; what the rescue wrote goes",
        refused=(UNIKERNEL,),
        names=("unrescue",),
        transition="unrescue",
    ),
    Row(
        "shelve",
        "stopped; its disk becomes an image (qcow2)",
        "stopped; its image is kept once more, for it has no other state",
        "stopped; its root becomes an OCI image",
        names=("shelve",),
        transition="shelve",
        ability="shelve",
    ),
    _same("shelveOffload", "guest, disk and ports leave the host; the image stays", "shelveOffload", "shelveOffload"),
    Row(
        "unshelve",
        "booted from its disk, or once offloaded from the image, on any host",
        "booted anew, once offloaded on any host",
        "started on its own root, or once offloaded on the image's, on any host",
        names=("unshelve",),
        transition="unshelve",
    ),
    Row(
        "resize",
        "stopped, its disk kept and grown, booted with the new vCPUs and memory",
        "stopped, booted with the new vCPUs and memory",
        "stopped, its disk kept and grown, started with the new limits",
        names=("resize",),
        transition="resize",
        ability="resize",
    ),
    Row(
        "resize, live",
        "vCPUs are plugged and unplugged (emulated ones are not unplugged: together they get the time of as many as there shall be), "
        "the balloon follows, within what nova_lite:max_vcpus and nova_lite:max_memory_mb of the flavor that it was booted with "
        "reserve; the guest must take part",
        "a unikernel takes its memory and vCPUs when it boots; resize it without nova_lite:live (it boots anew), or resize a VM or a "
        "container live",
        "its cgroup's limits change, at once",
        refused=(UNIKERNEL,),
        transition="resize-live",
        ability="resize_live",
    ),
    _same("confirmResize", "the disk from before the resize goes; the guest runs on", "confirmResize", "confirmResize"),
    Row(
        "revertResize",
        "booted with its old size from the disk of before",
        "booted with its old size",
        "started with its old size on the disk of before",
        names=("revertResize",),
        transition="revertResize",
    ),
    Row(
        "rebuild",
        "its disk is thrown away and made anew from the image",
        "booted anew, from another image if one is named",
        "what it wrote is thrown away; started from the image",
        names=("rebuild",),
        transition="rebuild",
        ability="rebuild",
    ),
    Row(
        "createImage",
        "its disk as it is at one instant, flattened to a qcow2, while it runs",
        "a copy of its image (of its disk, where it boots from one)",
        "its root is committed to an OCI image of one layer; frozen meanwhile, so that all files are of one instant",
        names=("createImage",),
        transition="createImage",
        ability="snapshot",
    ),
    _same("createBackup", _AS_CREATE_IMAGE, "createBackup", "createBackup"),
    _same(
        "delete, to be restored",
        "as os-stop; kept for ``[compute] reclaim_instance_interval`` seconds, then deleted",
        "",
        "soft-delete",
    ),
    Row("restore", "as os-start", "as os-start", "as os-start", names=("restore",), transition="restore"),
    _same("forceDelete", "as delete, with nothing to be restored", "forceDelete"),
    _same(
        "os-resetState",
        "the state is set, what is under way ends at its next step; the guest is not touched",
        "os-resetState",
    ),
    Row(
        "attach an interface",
        "plugged while it runs",
        "a unikernel finds its interfaces when it boots; stop it, attach, and start it, or attach to a VM or a container",
        "put into it while it runs",
        refused=(UNIKERNEL,),
        transition="attach_interface",
        ability="attach_interface",
    ),
    Row(
        "detach an interface",
        "unplugged while it runs; the guest must let it go",
        "a unikernel finds its interfaces when it boots; stop it, detach, and start it, or detach from a VM or a container",
        "taken out of it while it runs",
        refused=(UNIKERNEL,),
        transition="detach_interface",
    ),
    _same(
        "security groups",
        "its ports' filters on the host change; the guest does not notice",
        "addSecurityGroup removeSecurityGroup",
    ),
    _same(
        "fixed IPs",
        "its port has one address more or less, which its host lets it use; the guest learns it by DHCP or from its metadata",
        "addFixedIp removeFixedIp",
    ),
    _same(
        "floating IPs",
        "translated on the guest's host; the guest does not notice",
        "addFloatingIp removeFloatingIp",
    ),
    _same(
        "injectNetworkInfo", "its host applies its networks again; nothing is put into the guest", "injectNetworkInfo"
    ),
    Row(
        "trigger_crash_dump",
        "a non-maskable interrupt, upon which a kernel that is set up for it dumps",
        "a non-maskable interrupt; what it does upon it is its own affair",
        "a container has no kernel of its own that could dump; a running VM or unikernel has",
        refused=(CONTAINER,),
        names=("trigger_crash_dump",),
        transition="trigger_crash_dump",
        ability="crash_dump",
    ),
    Row(
        "changePassword",
        f"by the guest agent (qemu-ga) of a running VM whose image has {AGENT_PROPERTY}=yes; of another: refused",
        f"a unikernel has no users; a running VM whose image has {AGENT_PROPERTY}=yes has",
        "a program started inside a container from outside would escape what confines the container; a running VM whose image has "
        f"{AGENT_PROPERTY}=yes can",
        refused=(UNIKERNEL, CONTAINER),
        names=("changePassword",),
        transition="changePassword",
        ability="set_password",
    ),
    Row(
        "os-getConsoleOutput",
        "what it wrote to its serial port",
        "what it wrote to its serial port",
        "what its first process and children wrote to standard output and error",
        names=("os-getConsoleOutput",),
    ),
    Row(
        "serial console",
        "its serial port",
        "its serial port",
        "the terminal of its first process",
        names=("os-getSerialConsole",),
        ability="console.serial",
    ),
    Row(
        "VNC console",
        f"its screen, unless its image has {VIDEO_PROPERTY}=none: refused",
        f"a unikernel has no screen; {_SCREEN}",
        f"a container has no screen; {_SCREEN}",
        refused=(UNIKERNEL, CONTAINER),
        names=("os-getVNCConsole",),
        ability="console.novnc",
    ),
    Row(
        "SPICE console",
        f"its screen, if its host's QEMU has SPICE, and unless its image has {VIDEO_PROPERTY}=none: refused",
        f"a unikernel has no screen; {_SCREEN}",
        f"a container has no screen; {_SCREEN}",
        refused=(UNIKERNEL, CONTAINER),
        names=("os-getSPICEConsole",),
        ability="console.spice-html5",
    ),
    Row(
        "diagnostics",
        "CPU time, memory, bytes of each interface and disk",
        "CPU time, memory, bytes of each interface",
        "CPU time, memory, bytes of each interface; its disk's are not counted apart",
    ),
    Row(
        "restart by itself",
        "nova_lite:restart: after its own shutdown (always), or QEMU's end by a signal or failure (on-failure too)",
        "nova_lite:restart: as of a VM",
        "nova_lite:restart: after its program's end (always); how that ended can't be seen, so on-failure starts nothing",
        transition="restart",
    ),
    Row(
        "adopt",
        "a libvirt guest that runs becomes a server, and keeps disks and definition",
        "as of a VM",
        "a libvirt container that runs becomes a server, and keeps its definition",
        transition="adopt",
        ability="adopt",
    ),
)
"""In the order of the documentation. The rows of ``POST …/action`` have its names; each transition has one row."""

BY_TRANSITION: Mapping[str, Row] = {row.transition: row for row in ROWS if row.transition}
BY_ABILITY: Mapping[str, Row] = {row.ability: row for row in ROWS if row.ability}
BY_NAME: Mapping[str, Row] = {name: row for row in ROWS for name in row.names}
"""Of a name with two rows (reboot) the later one: they refuse alike."""


def isolation(kind: str, extra_specs: Mapping[str, object], properties: Mapping[str, object]) -> str:
    """Return a container's isolation: its flavor's extra specs decide before its image's properties do."""
    if kind != CONTAINER:
        return PROCESS
    return str(extra_specs.get("nova_lite:isolation") or properties.get("nova_lite_isolation") or PROCESS)


def has_agent(kind: str, properties: Mapping[str, object]) -> bool:
    """Say whether the image asks for the guest agent's channel (``hw_qemu_guest_agent``: yes, true or 1)."""
    return kind == VM and str(properties.get(AGENT_PROPERTY, "")).lower() in ("yes", "true", "1", "on")


def has_screen(kind: str, properties: Mapping[str, object]) -> bool:
    """Say whether the guest is to have a screen: a VM, unless its image says ``hw_video_model=none``."""
    return kind == VM and str(properties.get(VIDEO_PROPERTY, "")).lower() != "none"


def refusal(name: str, kind: str, properties: Mapping[str, object]) -> str:
    """Return why a guest of *kind* from an image with *properties* can't have the action *name*, and what can; empty: it can."""
    row = BY_NAME.get(name)
    if row is None or row.ability.startswith("console."):
        return ""  # which consoles there are is a matter of configuration too; they answer for themselves
    why = row.refusal(kind)
    if not why and row.ability == "set_password" and not has_agent(kind, properties):
        why = f"the server's image has no {AGENT_PROPERTY}=yes; a running VM of an image that has it, and runs qemu-ga, can"
    return why
