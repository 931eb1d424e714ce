"""Hold a server against what libvirt, its processes and its files say: one and the same thing, once nothing is under way."""

from __future__ import annotations

import fcntl
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from killed_server import Subject
from private_host import PrivateHost, run

from nova_lite.compute.transitions import VmState
from nova_lite.db.models import Server
from nova_lite.virt.libvirt import container_limits
from nova_lite.virt.libvirt.identity import NAMESPACE

URIS = {"vm": "qemu:///system", "unikernel": "qemu:///system", "container": "lxc:///system"}
RUNS, STOPS, FROZEN = "running", "shut off", "paused"
STATES = {
    VmState.ACTIVE: {RUNS},
    VmState.PAUSED: {FROZEN},
    VmState.STOPPED: {STOPS},
    VmState.SUSPENDED: {STOPS},
    VmState.RESCUED: {RUNS},
    VmState.RESIZED: {RUNS, STOPS},
    VmState.SHELVED: {STOPS},
    VmState.SOFT_DELETED: {STOPS},
}
"""How libvirt says that the guest of such a server stands; a suspended container is frozen."""
EMULATORS = ("qemu-system-x86_64", "libvirt_lxc")


@dataclass(frozen=True)
class Sight:
    """A domain: its state in virsh's words, its sizes, how many interfaces it has, whether its memory is saved, what it is rescued with."""

    state: str
    vcpus: int
    memory_mb: int
    nics: int
    saved: bool
    rescue: str


def look(host: PrivateHost, subject: Subject) -> Sight | None:
    """Return how the guest is; None: there is no domain."""
    uri = URIS[subject.kind]

    def virsh(*words: str) -> str:
        return host.run("virsh", "-q", "-c", uri, *words, f"nl-{subject.id}", check=False).stdout

    state = virsh("domstate").strip()
    # What a VM has of its memory it says when it has booted, so its definition is looked at.
    texts = virsh("dumpxml"), virsh("dumpxml", "--inactive")
    if not state or not all(texts):
        return None
    root, defined = (ET.fromstring(text) for text in texts)
    vcpu, mark = defined.find("vcpu"), root.find(f"metadata/{{{NAMESPACE}}}server")
    assert vcpu is not None and mark is not None
    limit = root.findtext("memtune/hard_limit") if subject.kind == "container" else None
    return Sight(
        state,
        int(vcpu.get("current") or vcpu.text or 0),
        int(limit or defined.findtext("currentMemory") or defined.findtext("memory") or 0) // 1024,
        len(root.findall("devices/interface")),
        "yes" in next((line for line in virsh("dominfo").splitlines() if line.startswith("Managed save")), ""),
        mark.get("rescue", ""),
    )


def differences(subject: Subject) -> Iterator[str]:
    """Say how the guest, its processes, its disk's mounts and its files are otherwise than its server."""
    host, row = subject.cloud.host, subject.row()
    state = VmState(row.vm_state)
    if state is VmState.ERROR:
        return  # something failed half-way: what there is of it is paid for, and goes with the server
    sight = look(host, subject)
    wanted = STATES.get(state)
    if wanted is None:
        if sight is not None:
            yield f"it is {state}, and has a domain"
    elif sight is None:
        yield f"it is {state}, and has no domain"
        return
    else:
        yield from _domain(subject, row, state, sight)
    runs = sight is not None and sight.state != STOPS
    yield from _processes(host, subject, runs)
    yield from _files(host, subject, state, runs=runs)
    if runs and subject.kind == "container":
        yield from _confinement(host, subject)


def _domain(subject: Subject, row: Server, state: VmState, sight: Sight) -> Iterator[str]:
    suspended = state is VmState.SUSPENDED
    wanted = {FROZEN} if suspended and subject.kind == "container" else STATES[state]
    if sight.state not in wanted:
        yield f"it is {state}, and its domain is {sight.state}"
    if suspended and subject.kind != "container" and not sight.saved:
        yield "it is suspended, and its memory is not saved"
    if bool(sight.rescue) is not (state is VmState.RESCUED) and sight.state != STOPS:
        yield f"it is {state}, and its domain's rescue image is {sight.rescue or 'none'}"
    if sight.state == STOPS:
        return
    if state in (VmState.ACTIVE, VmState.RESIZED) and sight.memory_mb != row.memory_mb:
        yield f"it has {row.memory_mb} MiB, and its domain {sight.memory_mb}"
    # An emulated VM that was resized live keeps the vCPUs that it had, and a container's domain the count that it began with.
    if state in (VmState.ACTIVE, VmState.RESIZED) and subject.kind == "unikernel" and sight.vcpus != row.vcpus:
        yield f"it has {row.vcpus} vCPUs, and its domain {sight.vcpus}"
    ports = len(subject.cloud.ports(subject.id))
    # libvirt learns of a container's interface at its next start.
    if subject.kind != "container" and sight.nics != ports:
        yield f"it has {ports} ports, and its domain {sight.nics} interfaces"


def _processes(host: PrivateHost, subject: Subject, runs: bool) -> Iterator[str]:
    found = [pid for pid in host.pids() if _emulates(pid, subject.id)]
    if len(found) != runs:
        yield f"its domain {'runs' if runs else 'does not run'}, and {found} are its processes"


def _confinement(host: PrivateHost, subject: Subject) -> Iterator[str]:
    """Say what a container lacks that the agent does after its start: its limit of user namespaces, and somebody who reads its console."""
    for pid in host.pids():
        if _emulates(pid, subject.id) and (first := container_limits.first_process(pid)) is not None:
            command = ["nsenter", "--user", f"--target={first}", "--", "cat", "/proc/sys/user/max_user_namespaces"]
            if run(command, check=False).stdout.strip() != "0":
                yield "its processes may make user namespaces"
    with (host.state / "instances" / subject.id / "console.lock").open() as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield "nobody reads its console"


def _emulates(pid: int, server_id: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return Path(words[0]).name in EMULATORS and any(server_id in word for word in words)


def _files(host: PrivateHost, subject: Subject, state: VmState, *, runs: bool) -> Iterator[str]:
    directory = host.state / "instances" / subject.id
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = sorted(os.listdir(directory))
    kept = {VmState.RESIZED: (".before", ".none"), VmState.RESCUED: (".rescue",)}.get(state, ())
    if state is VmState.SOFT_DELETED:  # a restore, or the deletion, ends what was not confirmed
        kept = (".before", ".none", ".rescue")
    for name in names:
        if name.endswith((".part", ".before", ".none", ".rescue", ".frozen", ".oci")) and not name.endswith(
            kept or " "
        ):
            yield f"it is {state}, and there is its file {name}"
        if state is VmState.SHELVED_OFFLOADED and not name.startswith("console.log"):
            yield f"it is {state}, and there is its file {name}"
    loops = attached(subject.id)
    if not runs and loops:
        yield f"its domain does not run, and {loops} are in use"


def attached(server_id: str) -> list[str]:
    """Return the server's files that loop devices have."""
    found = []
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            name = entry.read_text(errors="replace").strip()
        except OSError:
            continue
        if server_id in name:
            found.append(name)
    return found
