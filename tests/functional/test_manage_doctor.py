"""The doctor over a real store, agent and scheduler: each thing broken by hand is found alone, cured, and gone."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from one_host import IMAGE, NETWORK, Cloud, Guest, rest
from sqlalchemy import delete, update

from nova_lite.cmd import manage
from nova_lite.cmd.manage_doctor import examine
from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Allocation, Host, Image, Operation, Port, QuotaUsage, Server
from nova_lite.db.types import epoch, new_id
from nova_lite.doctor.findings import Finding
from nova_lite.virt.driver import Observed


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    # What is late must be there to be found, not swept away.
    quiet = {"compute.reconcile_interval": 3600, "scheduler.sweep_interval": 3600}
    made = Cloud(tmp_path, with_bus=False, overrides={"compute.driver": "fake", **quiet})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / IMAGE).write_bytes(b"x")
    yield made
    made.close()


@pytest.fixture
def servers(cloud: Cloud) -> list[str]:
    """Two active servers, one deleted, with nothing at work any more."""
    cloud.scheduler()
    agent = cloud.agent()
    made = [cloud.create() for _ in range(3)]
    for server_id in made:
        assert cloud.settled(server_id).vm_state == "active"
    cloud.ask(made[2], "delete")
    assert cloud.settled(made[2]).deleted
    rest(agent)
    return made


def _look(cloud: Cloud, *, fix: bool = False, interval: float = 0.0) -> tuple[list[Finding], set[Finding]]:
    arguments = argparse.Namespace(fix=fix, host=None, interval=interval, format="json")
    return examine(cloud.conf, cloud.store, cloud.hypervisor, arguments, here=True)


def _operation(session: Any, target: str, **values: Any) -> None:
    row = {"request_id": "req-1", "action": "reboot-hard", "target_type": "server", "target_id": target}
    session.add(Operation(**{**row, "queue": "agent", "host": "elsewhere", "deadline": epoch() + 60, **values}))


def _saving(session: Any) -> None:
    old = datetime.datetime(2020, 1, 1)
    session.add(Image(id=new_id(), status="saving", upload_owner="dead", created_at=old, updated_at=old))


def _port_of(session: Any, server_id: str) -> None:
    mac = "fa:16:3e:ff:ff:ff"
    session.add(Port(id=new_id(), network_id=NETWORK, project_id="p", mac_address=mac, device_id=server_id))


Breaking = Callable[[Any, list[str]], Any]
IN_DATABASE: dict[str, Breaking] = {
    "server-stranded": lambda session, ids: session.execute(
        update(Server).where(Server.id == ids[0]).values(task_state="rebooting")
    ),
    "operation-orphan": lambda session, ids: _operation(session, ids[2]),
    "claim-sum": lambda session, _: session.execute(update(Host).values(used_vcpus=7, running_servers=9)),
    "quota-sum": lambda session, _: session.add(QuotaUsage(scope="project", instances=4)),
    "claim-size": lambda session, ids: session.execute(update(Server).where(Server.id == ids[0]).values(memory_mb=65)),
    "port-of-deleted-server": lambda session, ids: _port_of(session, ids[2]),
    "image-saving": lambda session, _: _saving(session),
}


@pytest.mark.parametrize("kind", IN_DATABASE)
def test_a_difference_in_the_database_is_found_alone_and_cured(cloud: Cloud, servers: list[str], kind: str) -> None:
    assert _look(cloud) == ([], set())
    cloud.store.transact(lambda session: IN_DATABASE[kind](session, servers))
    found, cured = _look(cloud)
    assert [row.kind for row in found] == [kind]
    assert not cured
    found, cured = _look(cloud, fix=True)
    assert set(found) == cured != set()
    assert _look(cloud) == ([], set())


def test_claims_of_deleted_servers_go_and_missing_ones_are_made(cloud: Cloud, servers: list[str]) -> None:
    before = cloud.host()

    def swap(session: Any) -> None:
        session.execute(delete(Allocation).where(Allocation.server_id == servers[0]))
        session.add(Allocation(server_id=servers[2], host="h1", vcpus=1, memory_mb=64, disk_gb=0))

    cloud.store.transact(swap)
    found, cured = _look(cloud, fix=True)
    assert {row.kind for row in found} == {"claim-stale", "claim-missing"}
    assert set(found) == cured
    assert _look(cloud) == ([], set())
    after = cloud.host()
    assert (after.used_vcpus, after.used_memory_mb, after.running_servers) == (
        before.used_vcpus,
        before.used_memory_mb,
        before.running_servers,
    )


def test_what_is_left_on_the_host_goes_and_strangers_stay(cloud: Cloud, servers: list[str]) -> None:
    stranger = new_id()
    spec = cloud.hypervisor.guests[servers[0]].spec
    cloud.hypervisor.guests[servers[2]] = Guest(spec)
    cloud.hypervisor.strangers = [
        Observed(stranger, "unknown", PowerState.RUNNING, "vm"),
        Observed(None, "somebody's", PowerState.RUNNING, "vm"),
    ]
    for name in (*servers, stranger):
        (cloud.directory / "instances" / name).mkdir(parents=True)
    stray = cloud.directory / "images" / new_id()
    stray.write_bytes(b"x")
    os.utime(stray, (1e9, 1e9))
    found, cured = _look(cloud, fix=True)
    assert {(row.kind, row.object_id) for row in cured} == {
        ("guest-left-over", servers[2]),
        ("directory-left-over", servers[2]),
        ("image-file-left-over", stray.name),
    }
    rest = {(row.kind, row.object_id) for row in set(found) - cured}
    assert rest == {("guest-unknown", stranger), ("directory-unknown", stranger)}
    assert {(row.kind, row.object_id) for row in _look(cloud, fix=True)[0]} == rest
    assert (cloud.directory / "instances" / stranger).is_dir()
    assert set(cloud.hypervisor.guests) == set(servers[:2])
    assert not stray.exists()


def test_what_only_an_operator_can_decide_is_said_and_left(cloud: Cloud, servers: list[str]) -> None:
    del cloud.hypervisor.guests[servers[0]]
    cloud.hypervisor.guests[servers[1]].power = PowerState.SHUTDOWN
    (cloud.directory / "images" / IMAGE).rename(cloud.directory / "images" / new_id())
    cloud.store.transact(lambda session: _operation(session, servers[1], deadline=1.0, state="pending"))
    kinds = ["operation-late", "guest-missing", "image-file-missing"]
    found, cured = _look(cloud, fix=True)
    assert [row.kind for row in found] == kinds  # of a server that is busy nothing else is said
    assert not cured
    assert cloud.server(servers[0]).vm_state == "active"


def test_a_cure_does_nothing_to_what_has_changed_meanwhile(cloud: Cloud, servers: list[str]) -> None:
    from nova_lite.doctor.cures import Surgery, cure

    cloud.store.transact(lambda session: IN_DATABASE["server-stranded"](session, servers))
    found, _ = _look(cloud)
    cloud.store.transact(lambda session: _operation(session, servers[0]))
    surgery = Surgery(cloud.store, cloud.hypervisor, cloud.directory / "instances", cloud.directory / "images")
    assert not cure(surgery, found[0])
    assert cloud.server(servers[0]).task_state == "rebooting"


def test_a_cloud_under_load_has_nothing(cloud: Cloud, servers: list[str]) -> None:
    stop = threading.Event()
    made: list[str] = []

    def churn() -> None:
        while not stop.is_set():
            server_id = cloud.create()
            made.append(server_id)
            if len(made) % 2:
                cloud.settled(server_id)
                cloud.ask(server_id, "reboot-hard")
            cloud.ask(server_id, "delete")

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    found: list[Finding] = []
    try:
        until = time.monotonic() + 4
        while time.monotonic() < until or len(made) <= 5:
            found += _look(cloud, fix=True, interval=0.3)[0]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert found == []
    for server_id in made:
        while not cloud.server(server_id).deleted:
            time.sleep(0.01)
    assert _look(cloud) == ([], set())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "nova-lite.conf"
    settings.write_text(f"[DEFAULT]\nstate_path = {tmp_path}/state\nhost = h1\n[compute]\ndriver = fake\n")
    command = ["--config-file", str(settings)]
    doctor = [*command, "doctor", "--interval", "0"]
    assert manage.main(doctor) == 2
    assert "could not look" in capsys.readouterr().err
    assert manage.main([*command, "db", "sync"]) == 0
    capsys.readouterr()
    assert manage.main(doctor) == 0
    assert capsys.readouterr().out == "Nothing differs.\n"
    cloud = Cloud(tmp_path, f"sqlite:///{tmp_path}/state/nova-lite.db", with_bus=False)
    cloud.store.transact(lambda session: session.add(QuotaUsage(scope="project", cores=4)))
    cloud.close()
    assert manage.main([*doctor, "-f", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["kind"], row["object"], row["safe"], row["cured"]) == ("quota-sum", "project", True, False)
    assert manage.main([*doctor, "--host", "h1"]) == 0
    assert manage.main([*doctor, "--fix"]) == 0
    assert "quota-sum" in capsys.readouterr().out
    assert manage.main(doctor) == 0
