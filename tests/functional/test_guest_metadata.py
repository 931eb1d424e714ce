"""What a guest is told over metadata, from the rows of a running cloud, and the password that it leaves there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_host import Cloud, Hypervisor

from nova_lite.compute import guest_passwords
from nova_lite.db.models import Port
from nova_lite.host.metadata_http import Request
from nova_lite.host.metadata_tree import Answer
from nova_lite.host.ports import MetadataSource


class Telling(Hypervisor):
    """A host whose networks answer metadata."""

    source: MetadataSource

    def tell_guests(self, source: MetadataSource) -> None:
        self.source = source


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path, hypervisor=Telling())
    made.agent()
    made.scheduler()
    yield made
    made.close()


def asked(cloud: Cloud, port_id: str, path: str, method: str = "GET", body: bytes = b"") -> Answer:
    assert isinstance(cloud.hypervisor, Telling)
    return cloud.hypervisor.source.answer(port_id, Request(method, path, body))


def port_of(cloud: Cloud, server_id: str) -> str:
    return next(port.port_id for port in cloud.hypervisor.plugged.values() if port.server_id == server_id)


def a_server(cloud: Cloud, **values: object) -> str:
    server_id = cloud.create(**values)
    assert cloud.settled(server_id).vm_state == "active"
    return server_id


def test_each_guest_reads_of_itself(cloud: Cloud) -> None:
    script = b"#!/bin/sh\n\xff"
    first = a_server(
        cloud,
        key_name="mine",
        public_key="ssh-ed25519 AAAA me",
        user_data="\n".join(base64.b64encode(script).decode()),  # as base64 -w breaks it
        metadata_={"role": "web"},
    )
    second = a_server(cloud, kind="container")

    def tag(session: object) -> None:
        session.get_one(Port, port_of(cloud, first)).nic_tag = "uplink"  # type: ignore[attr-defined]

    cloud.store.transact(tag)
    data = json.loads(asked(cloud, port_of(cloud, first), "/openstack/latest/meta_data.json").body)
    assert (data["uuid"], data["meta"], data["public_keys"]) == (
        first,
        {"role": "web"},
        {"mine": "ssh-ed25519 AAAA me"},
    )
    assert data["devices"][0]["tags"] == ["uplink"]
    assert asked(cloud, port_of(cloud, first), "/openstack/latest/user_data").body == script
    (link,) = json.loads(asked(cloud, port_of(cloud, first), "/openstack/latest/network_data.json").body)["links"]
    assert link["vif_id"] == port_of(cloud, first)
    other = json.loads(asked(cloud, port_of(cloud, second), "/openstack/latest/meta_data.json").body)
    assert other["uuid"] == second
    assert asked(cloud, port_of(cloud, second), "/openstack/latest/user_data").status == 404


def test_a_port_that_nobody_has_is_told_nothing(cloud: Cloud) -> None:
    server_id = a_server(cloud)
    port_id = port_of(cloud, server_id)
    assert asked(cloud, "44444444-4444-4444-8444-444444444444", "/openstack").status == 404
    cloud.ask(server_id, "delete")
    cloud.settled(server_id)
    assert asked(cloud, port_id, "/openstack").status == 404


def test_a_password_is_left_once_until_its_user_clears_it(cloud: Cloud) -> None:
    server_id = a_server(cloud)
    port_id = port_of(cloud, server_id)
    path = "/openstack/2013-04-04/password"
    assert asked(cloud, port_id, path).body == b""
    assert asked(cloud, port_id, path, "POST", b"x" * 1021).status == 400
    assert asked(cloud, port_id, path, "POST", b"\xff\n").status == 400
    assert asked(cloud, port_id, path, "POST", b"c2VjcmV0\n").status == 200
    assert asked(cloud, port_id, path, "POST", b"other").status == 409
    assert asked(cloud, port_id, path).body == b"c2VjcmV0"
    assert guest_passwords.show(cloud.store, server_id) == "c2VjcmV0"
    guest_passwords.clear(cloud.store, server_id)
    assert asked(cloud, port_id, path, "POST", b"new").status == 200


def test_only_reading_is_answered_elsewhere(cloud: Cloud) -> None:
    port_id = port_of(cloud, a_server(cloud))
    for method in ("POST", "PUT", "DELETE"):
        assert asked(cloud, port_id, "/openstack/latest/meta_data.json", method).status == 405
    assert asked(cloud, port_id, "/latest/api/token", "PUT").status == 405
