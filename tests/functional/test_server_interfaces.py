"""Interfaces attached to servers and taken from them, with the agent at work on the fake driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import CONTAINER, OTHER, UNIKERNEL, add_network, ask, boot
from sqlalchemy import func, select
from whole_cloud import WholeCloud

from nova_lite.db.models import FixedIp, HostNetworkState, Port
from nova_lite.network import ports

LATEST = "2.96"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path)
    made.scheduler()
    made.agent()
    yield made
    made.close()


def attach(cloud: WholeCloud, server_id: str, *, status: int = 200, version: str = LATEST, **members: Any) -> Any:
    reply = ask(cloud, "POST", f"/servers/{server_id}/os-interface", {"interfaceAttachment": members}, version=version)
    assert reply.status_int == status, reply.text
    return reply.json.get("interfaceAttachment") if status == 200 else reply


def detach(cloud: WholeCloud, server_id: str, port_id: str, status: int = 202) -> None:
    reply = ask(cloud, "DELETE", f"/servers/{server_id}/os-interface/{port_id}")
    assert reply.status_int == status, reply.text


def listed(cloud: WholeCloud, server_id: str) -> dict[str, dict[str, Any]]:
    reply = ask(cloud, "GET", f"/servers/{server_id}/os-interface", version=LATEST)
    return {row["port_id"]: row for row in reply.json["interfaceAttachments"]}


def devices(cloud: WholeCloud, server_id: str) -> set[str]:
    return set(cloud.guest(server_id)["nics"].split())


@pytest.mark.parametrize("image", [None, CONTAINER])
def test_attach_and_detach(cloud: WholeCloud, image: str | None) -> None:
    server_id = cloud.boot(**({"imageRef": image} if image else {}))
    second = add_network(cloud, "second", "10.9.0.0/24")
    shown = attach(cloud, server_id, net_id=second, fixed_ips=[{"ip_address": "10.9.0.77"}], tag="backend")
    assert shown["net_id"] == second and shown["tag"] == "backend"
    assert [fixed["ip_address"] for fixed in shown["fixed_ips"]] == ["10.9.0.77"]
    cloud.quiet()
    port_id = shown["port_id"]
    assert listed(cloud, server_id)[port_id]["port_state"] == "ACTIVE"
    assert cloud.networks.devices[port_id] in devices(cloud, server_id)
    assert "second" in cloud.show(server_id)["addresses"]
    assert cloud.show(server_id)["status"] == "ACTIVE"
    detach(cloud, server_id, port_id)
    cloud.quiet()
    assert port_id not in listed(cloud, server_id)
    cloud.until(lambda: port_id not in cloud.networks.devices)
    assert len(devices(cloud, server_id)) == 1
    with cloud.store.read() as session:
        assert session.get(Port, port_id) is None
        assert session.scalar(select(FixedIp.port_id).where(FixedIp.address == "10.9.0.77")) is None
    names = [
        row["action"] for row in ask(cloud, "GET", f"/servers/{server_id}/os-instance-actions").json["instanceActions"]
    ]
    assert names[:2] == ["detach_interface", "attach_interface"]


def test_a_users_port_is_given_back(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    network = add_network(cloud, "second", "10.9.0.0/24")
    port = ports.create(cloud.store, ports.NewPort(network, "demo"), "demo", "fa:16:3e").port
    assert attach(cloud, server_id, port_id=port.id)["port_id"] == port.id
    cloud.quiet()
    attach(cloud, server_id, port_id=port.id, status=409)
    detach(cloud, server_id, port.id)
    cloud.quiet()
    with cloud.store.read() as session:
        kept = session.get_one(Port, port.id)
        assert (kept.device_id, kept.device_owner, kept.host, kept.status) == ("", "", None, "DOWN")


def test_a_detach_asked_for_twice_is_done_once(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    port_id = next(iter(listed(cloud, server_id)))
    with cloud.holding("detach_nic"):
        detach(cloud, server_id, port_id)
        detach(cloud, server_id, port_id)
    cloud.quiet()
    detach(cloud, server_id, port_id, status=404)
    assert [row.state for row in cloud.operations(server_id) if row.action == "detach_interface"] == ["done"]


def test_a_stopped_server_finds_it_at_its_next_start(cloud: WholeCloud) -> None:
    server_id = cloud.boot(imageRef=UNIKERNEL)
    network = add_network(cloud, "second", "10.9.0.0/24")
    refused = attach(cloud, server_id, status=409, net_id=network)
    assert "stop it, attach, and start it" in refused.json["conflictingRequest"]["message"]
    assert len(listed(cloud, server_id)) == 1
    cloud.do(server_id, {"os-stop": None})
    shown = attach(cloud, server_id, net_id=network)
    cloud.quiet()
    cloud.do(server_id, {"os-start": None})
    assert cloud.networks.devices[shown["port_id"]] in devices(cloud, server_id)


def test_a_driver_that_fails_leaves_nothing(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    network = add_network(cloud, "second", "10.9.0.0/24")
    cloud.driver.faults.next_errors["attach_nic"] = ["no slot is free"]
    shown = attach(cloud, server_id, net_id=network)
    cloud.quiet()
    assert len(listed(cloud, server_id)) == 1 and cloud.show(server_id)["status"] == "ACTIVE"
    cloud.until(lambda: shown["port_id"] not in cloud.networks.devices)
    (failed,) = [row for row in cloud.operations(server_id) if row.action == "attach_interface"]
    assert failed.state == "failed" and failed.error == "no slot is free"


def test_what_is_refused(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    network = add_network(cloud, "second", "10.9.0.0/24")
    unknown = "00000000-0000-4000-8000-000000000000"
    assert "net_id" in attach(cloud, server_id, port_id=unknown, net_id=network, status=400).text
    assert "net_id" in attach(cloud, server_id, fixed_ips=[{"ip_address": "10.9.0.5"}], status=400).text
    attach(cloud, server_id, net_id=network, fixed_ips=[{"ip_address": "10.8.0.5"}], status=400)
    attach(cloud, server_id, net_id=unknown, status=404)
    attach(cloud, server_id, port_id=unknown, status=404)
    attach(cloud, server_id, net_id="not-an-id", status=400)
    attach(cloud, server_id, net_id=network, tag="x", version="2.48", status=400)
    detach(cloud, server_id, unknown, status=404)
    reply = ask(cloud, "POST", f"/servers/{server_id}/os-interface", {"interfaceAttachment": {}}, token=OTHER)
    assert reply.status_int == 404
    cloud.do(server_id, {"suspend": None})
    assert "ACTIVE, PAUSED, SHUTOFF" in attach(cloud, server_id, net_id=network, status=409).text


def test_tags_at_creation(cloud: WholeCloud) -> None:
    network = add_network(cloud, "second", "10.9.0.0/24")
    reply = boot(cloud, networks=[{"uuid": network, "tag": "front"}], version=LATEST)
    server_id = reply.json["server"]["id"]
    cloud.settled(server_id)
    assert [row["tag"] for row in listed(cloud, server_id).values()] == ["front"]


def test_hosts_apply_what_concerns_them(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    applied = cloud.networks.applied
    from nova_lite.network import touch

    (port_id,) = listed(cloud, server_id)
    cloud.store.transact(lambda session: touch.touch_ports(session, port_id))
    cloud.until(lambda: cloud.networks.applied > applied)

    def level() -> bool:
        with cloud.store.read() as session:
            row = session.scalars(select(HostNetworkState)).one()
            return row.applied == row.wanted == 1

    cloud.until(level)


def test_one_pass_serves_many(cloud: WholeCloud) -> None:
    before = cloud.networks.applied
    reply = boot(cloud, min_count=8, max_count=8, networks="auto", version=LATEST)
    assert reply.status_int == 202
    cloud.quiet()
    with cloud.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Port).where(Port.status == "ACTIVE")) >= 8
    assert len(cloud.networks.devices) == 8
    assert cloud.networks.applied - before <= 9
