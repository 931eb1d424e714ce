"""Random sequences of actions with random faults, against the table of transitions: what is taken, and where it may end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import action_requests
import pytest
from action_requests import LIVE, LIVE_SPECS
from compute_cloud import ADMIN, CONTAINER, IMAGE, UNIKERNEL, ask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from left_over import left_over
from sqlalchemy import func, select
from whole_cloud import WholeCloud

from nova_lite.compute import kinds
from nova_lite.compute.transitions import TRANSITIONS, PowerState, VmState
from nova_lite.db.models import Allocation, Flavor, Image, Port, Server
from nova_lite.virt.driver import Observed

ASKED_OTHERWISE = ("restart", "attach_interface", "detach_interface", "soft-delete")
ACTIONS = sorted({*action_requests.ACTIONS, *ASKED_OTHERWISE} - {"delete"})
RUNS = {VmState.ACTIVE: PowerState.RUNNING, VmState.STOPPED: PowerState.SHUTDOWN, VmState.RESCUED: PowerState.RUNNING}

FAULTS = ("", "", "before", "after", "mixed", "hang", "away")
"""What goes wrong during an action: nothing, calls fail before or after their work (or either), get no answer, the hypervisor is away."""

steps = st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(FAULTS)), min_size=1, max_size=24)


def test_every_action_is_tried() -> None:
    # A password is changed by the API's asking the host, not by an agent's operation; an adoption begins a server's life.
    assert set(ACTIONS) | {"create", "adopt", "delete", "changePassword"} == set(TRANSITIONS)


def disturb(cloud: WholeCloud, fault: str) -> None:
    """Let the driver fail as *fault* says from now on."""
    faults = cloud.driver.faults
    faults.rate = 0.4 if fault in ("before", "after", "mixed") else 0.0
    faults.after, faults.unreachable = fault == "after", fault == "away"
    faults.done_rate = 0.5 if fault in ("mixed", "hang") else 0.0
    faults.hang_rate, faults.hang_s = (0.4 if fault == "hang" else 0.0), 0.01


def begin(cloud: WholeCloud, server_id: str, action: str, image: str) -> bool:
    """Ask; return whether it was taken, which must be what the table says."""
    server = cloud.server(server_id)
    if action == "restart":
        if server.vm_state != VmState.ACTIVE:
            return False
        cloud.driver.crash(server_id)
        cloud._agents[0].reconcile()
        return True
    if action == "resize-live" and (server.vm_state != VmState.ACTIVE or server.flavor["id"] == LIVE):
        return False  # it would be an ordinary resize, or none
    if action in ("attach_interface", "detach_interface"):
        return change_interfaces(cloud, server, action)
    if action == "soft-delete":
        if server.vm_state not in TRANSITIONS[action].allowed_from:
            return False  # a delete of such a server is a delete for good
        reply = ask(cloud, "DELETE", f"/servers/{server_id}")
    else:
        body = action_requests.body(action, image=image, flavor="r2" if server.flavor["id"] == "r1" else "r1")
        reply = ask(cloud, "POST", f"/servers/{server_id}/action", body, version="2.96", token=ADMIN)
    if kinds.BY_TRANSITION[action].refusal(server.kind):
        assert reply.status_int == 400, reply.text
        return False
    if server.vm_state in TRANSITIONS[action].allowed_from:
        assert reply.status_int == (204 if action == "soft-delete" else action_requests.accepted(action)), reply.text
        return True
    assert reply.status_int == 409, reply.text
    assert "it is possible from" in reply.json["conflictingRequest"]["message"]
    return False


def change_interfaces(cloud: WholeCloud, server: Server, action: str) -> bool:
    """Attach another interface, or detach the last one."""
    with cloud.store.read() as session:
        ports = session.scalars(select(Port.id).where(Port.device_id == server.id).order_by(Port.position)).all()
    path = f"/servers/{server.id}/os-interface"
    if action == "attach_interface":
        reply = ask(cloud, "POST", path, {"interfaceAttachment": {}}, version="2.96", token=ADMIN)
    elif ports:
        reply = ask(cloud, "DELETE", f"{path}/{ports[-1]}", version="2.96", token=ADMIN)
    else:
        return False
    refused = server.vm_state != VmState.STOPPED and kinds.BY_TRANSITION[action].refusal(server.kind)
    if refused or server.vm_state not in TRANSITIONS[action].allowed_from:
        assert reply.status_int == 409, reply.text
        return False
    # The answer waits for the guest, so it may tell of a failure.
    assert reply.status_int in (200, 202, 500), reply.text
    return True


def check(cloud: WholeCloud, server_id: str, action: str, was: VmState, faulty: bool) -> None:
    server = cloud.settled(server_id)
    transition = TRANSITIONS[action]
    state = VmState(server.vm_state)
    stays = was in transition.stays or transition.on_ok is None
    good = {was} if stays else {transition.on_ok}
    if action in ("confirmResize", "revertResize"):
        good = {VmState.ACTIVE, VmState.STOPPED}
    if not faulty:
        assert state in good and server.fault is None, (action, was, state, server.fault)
        if state in RUNS:
            assert cloud.guest(server_id)["power"] == RUNS[state], (action, was, state)
    else:
        # A guest that ended by itself is shown as stopped, and stays so where its restart fails.
        ended = {VmState.STOPPED} if action == "restart" else set()
        assert state in {*good, *ended, was, transition.on_fail, VmState.ERROR}, (action, was, state)
        assert state is not VmState.ERROR or server.fault or was is VmState.ERROR
    assert cloud.used() == held(cloud, server_id)
    if server.vm_state == VmState.SHELVED_OFFLOADED:
        assert (server.host, cloud.used()) == (None, (0, 0, 0))
    elif server.vm_state != VmState.RESIZED:
        assert cloud.used() == (server.vcpus, server.memory_mb, server.disk_gb)
    with cloud.store.read() as session:
        assert not session.scalar(select(func.count()).select_from(Image).where(Image.status != "active"))


def held(cloud: WholeCloud, server_id: str) -> tuple[int, int, int]:
    with cloud.store.read() as session:
        row = session.get(Allocation, server_id)
    return (row.vcpus, row.memory_mb, row.disk_gb) if row else (0, 0, 0)


def end(cloud: WholeCloud, server_id: str) -> None:
    disturb(cloud, "")
    cloud.act(server_id, {"forceDelete": None})
    cloud.until(lambda: cloud.server(server_id).deleted)
    seen: list[Observed] = [guest for guest in cloud.driver.observe() if guest.server_id]
    assert not seen and not cloud.networks.devices and cloud.used() == (0, 0, 0)
    with cloud.store.read() as session:
        assert left_over(session) == {}


def add_flavors(session: Any) -> None:
    session.add(Flavor(flavorid="r1", name="r1", vcpus=1, memory_mb=128, disk_gb=1))
    session.add(Flavor(flavorid="r2", name="r2", vcpus=2, memory_mb=256, disk_gb=1))
    session.add(Flavor(flavorid=LIVE, name="live", vcpus=1, memory_mb=64, disk_gb=1, extra_specs=LIVE_SPECS))


@pytest.mark.timeout(900)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([IMAGE, UNIKERNEL, CONTAINER]), steps)
def test_random_sequences_hold_to_the_table(image: str, sequence: list[tuple[str, str]]) -> None:
    options: dict[str, Any] = {
        "compute.resize_confirm_window": -1,
        "compute.shelved_offload_time": -1,
        "compute.reclaim_instance_interval": 3600,
        "compute.reconcile_interval": 3600,
        "compute.max_attempts": 1,
        "compute.restart_delay": 0.0,
        "compute.restart_limit": 1000,
    }
    with tempfile.TemporaryDirectory() as directory:
        cloud = WholeCloud(Path(directory), **options)
        cloud.store.transact(add_flavors)
        try:
            cloud.agent()
            cloud.scheduler()
            server_id = cloud.boot(imageRef=image, flavorRef="r1", metadata={"nova_lite:restart": "always"})
            unseen = False
            for action, fault in sequence:
                was = VmState(cloud.server(server_id).vm_state)
                disturb(cloud, fault)
                if begin(cloud, server_id, action, image):
                    # A unikernel is not resized live: its agent says so.
                    refused = action == "resize-live" and image == UNIKERNEL
                    faulty = bool(fault) or refused or unseen or was_broken(cloud, server_id)
                    # A guest that ended while nobody could look: its server does not show it yet.
                    unseen |= action == "restart" and bool(fault)
                    check(cloud, server_id, action, was, faulty=faulty)
            end(cloud, server_id)
        finally:
            cloud.close()


def was_broken(cloud: WholeCloud, server_id: str) -> bool:
    """Tell whether an earlier action failed, so that the guest may be in another state than its row says."""
    return any(row.state == "failed" for row in cloud.operations(server_id))
