"""Say what on one host is not as the database has it. Pure, as :mod:`nova_lite.doctor.diagnosis` is."""

from __future__ import annotations

from collections.abc import Iterator

from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.compute.undoing import AWAY
from nova_lite.doctor.facts import Facts, HostSight, ServerFact
from nova_lite.doctor.findings import Finding
from nova_lite.host.networks import devices
from nova_lite.virt.driver import Observed

STRAY_S = 600.0
"""A file of no image that was written to later than this may yet become one: as the image service's own sweep has it."""

_LIVES = (VmState.ACTIVE, VmState.PAUSED, VmState.RESCUED, VmState.RESIZED)
_ENDED = (PowerState.SHUTDOWN, PowerState.CRASHED)
_AGENT = "nova-lite-compute does it within [compute] reconcile_interval; if it runs, look at its log"


def diagnose(facts: Facts, sight: HostSight) -> list[Finding]:
    """List what differs on the host of *sight*."""
    return [
        *_guests(facts, sight),
        *_missing(facts, sight),
        *_directories(facts, sight),
        *_devices(facts, sight),
        *_networks(facts, sight),
        *_image_files(facts, sight),
    ]


def _guests(facts: Facts, sight: HostSight) -> Iterator[Finding]:
    for guest in sight.guests or ():
        server_id = guest.server_id
        if server_id is None:
            continue  # never was one of ours: no difference, and no business of the doctor's
        server = facts.servers.get(server_id)
        if server_id in facts.deleted:
            problem = "is a guest whose server was deleted"
            yield Finding("guest-left-over", server_id, problem, "remove it with its files", True, sight.name)
        elif server is None:
            yield Finding(
                "guest-unknown",
                server_id,
                f"is a guest ({guest.name}) that the database does not know",
                "leave it if it is another installation's; else end it with virsh",
                False,
                sight.name,
            )
        elif not server.busy:
            yield from _known(facts, server, guest, sight)


def _elsewhere(facts: Facts, sight: HostSight, server_id: str, else_cure: str) -> str:
    """Return the cure of what is on this host of a server that is not: known to be left over, it goes by itself."""
    return f"remove it ({_AGENT})" if (sight.name, server_id) in facts.left_overs else else_cure


def _known(facts: Facts, server: ServerFact, guest: Observed, sight: HostSight) -> Iterator[Finding]:
    basis = str(server.generation)
    if server.host != sight.name:
        yield Finding(
            "guest-elsewhere",
            server.server_id,
            f"has a guest here, and its row says that it is on {server.host or 'no host'}",
            _elsewhere(facts, sight, server.server_id, "find out which has the newer disk before ending either"),
            False,
            sight.name,
            basis,
        )
    elif (
        (server.vm_state == VmState.ACTIVE and guest.power in _ENDED)
        or (server.vm_state == VmState.STOPPED and guest.power is PowerState.RUNNING)
        or (server.vm_state in AWAY and guest.power in (PowerState.RUNNING, PowerState.PAUSED))
    ):
        problem = f"is {server.vm_state}, and its guest is {guest.power.name}"
        yield Finding("guest-power", server.server_id, problem, _AGENT, False, sight.name, basis)


def _missing(facts: Facts, sight: HostSight) -> Iterator[Finding]:
    if sight.guests is None:
        return
    seen = {guest.server_id for guest in sight.guests}
    for server in facts.servers.values():
        if server.host != sight.name or server.busy or server.task_state or server.vm_state not in _LIVES:
            continue
        if server.server_id not in seen:
            yield Finding(
                "guest-missing",
                server.server_id,
                f"is {server.vm_state}, and the hypervisor has no such guest",
                f"mark it ERROR ({_AGENT}); then reboot --hard or rebuild it",
                False,
                sight.name,
                str(server.generation),
            )


def _directories(facts: Facts, sight: HostSight) -> Iterator[Finding]:
    for name in sorted(sight.directories):
        server = facts.servers.get(name)
        if name in facts.deleted:
            problem = "has a directory with disks, and was deleted"
            yield Finding("directory-left-over", name, problem, "remove the directory", True, sight.name)
        elif server is None:
            yield Finding(
                "directory-unknown",
                name,
                "is a directory of a server that the database does not know",
                "look what is in it before removing it by hand",
                False,
                sight.name,
            )
        elif server.host != sight.name and not server.busy and name not in sight.logs:
            yield Finding(
                "directory-elsewhere",
                name,
                f"has a directory here, and its row says that it is on {server.host or 'no host'}",
                _elsewhere(facts, sight, name, "remove it by hand once the server is known to run elsewhere"),
                False,
                sight.name,
                str(server.generation),
            )


def _devices(facts: Facts, sight: HostSight) -> Iterator[Finding]:
    if sight.devices is None:
        return
    known = {devices.device_name(port.port_id) for port in facts.ports}
    for name, used in sorted(sight.devices.items()):
        number = devices.bridge_number(name)
        if number is not None:
            if number not in facts.networks:
                cure = "nova-lite-compute's next start removes it"
                yield Finding("bridge-left-over", name, "is of a network that is gone", cure, False, sight.name)
        elif name not in known:
            yield Finding(
                "device-left-over",
                name,
                "is of no port" + (", and something uses it" if used else ""),
                "find the guest that uses it" if used else "remove it",
                not used,
                sight.name,
            )
    for port in facts.ports:
        server = facts.servers.get(port.device_id)
        if server is None or server.busy or server.task_state or server.vm_state != VmState.ACTIVE:
            continue
        if port.host == server.host == sight.name and devices.device_name(port.port_id) not in sight.devices:
            problem = f"has no device on the host, and its server {server.server_id} is active"
            cure = "openstack server reboot --hard"
            yield Finding("device-missing", port.port_id, problem, cure, False, sight.name, str(server.generation))


def _networks(facts: Facts, sight: HostSight) -> Iterator[Finding]:
    bound = {(port.network, port.mac, address) for port in facts.ports for address in port.addresses}
    for number in sorted(sight.networks - facts.networks):
        cure = "nova-lite-compute's next start removes them"
        yield Finding("network-left-over", str(number), "has files, and is gone", cure, False, sight.name)
    known = {devices.network_namespace(number) for number in facts.networks}
    known |= {devices.router_namespace(router_id) for router_id in facts.routers}
    for name in sorted(sight.namespaces - known):
        problem = "is a network namespace of a network or router that is gone"
        cure = "nova-lite-compute removes it within [compute] reconcile_interval"
        yield Finding("namespace-left-over", name, problem, cure, False, sight.name)
    for number, mac, address in sorted(sight.leases - bound):
        if number in facts.networks:
            yield Finding(
                "lease-left-over",
                address,
                f"is leased to {mac} in network {number}, and no port has the two",
                "restart nova-lite-compute, which releases it",
                False,
                sight.name,
            )


def _image_files(facts: Facts, sight: HostSight) -> Iterator[Finding]:
    if not sight.image_files:
        return
    known = {image.image_id for image in facts.images} | facts.removed_images
    for name, idle_s in sorted(sight.image_files.items()):
        if name not in known and idle_s > STRAY_S:
            problem = "is a file of no image in the image store"
            yield Finding("image-file-left-over", name, problem, "remove it", True, sight.name)
    for image in facts.images:
        if image.status == "active" and image.image_id not in sight.image_files:
            problem = "is active, and the image store has no file of it"
            cure = "delete it and upload it again"
            yield Finding("image-file-missing", image.image_id, problem, cure, False, sight.name)
