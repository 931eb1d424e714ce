"""Extra specs through the API: checked since 2.86, and what no host has is refused with its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import ADMIN, ask, boot
from whole_cloud import WholeCloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeCloud]:
    directory: Path = tmp_path_factory.mktemp("specs")
    made = WholeCloud(directory)
    made.agent()
    made.scheduler()
    yield made
    made.close()


def flavor(cloud: WholeCloud, **specs: str) -> str:
    body = {"flavor": {"name": f"f{id(specs)}", "ram": 128, "vcpus": 1, "disk": 1}}
    made: str = ask(cloud, "POST", "/flavors", body, token=ADMIN).json["flavor"]["id"]
    reply = set_specs(cloud, made, {name.replace("__", ":"): value for name, value in specs.items()})
    assert reply.status_int == 200, reply.text
    return made


def set_specs(cloud: WholeCloud, flavor_id: str, specs: dict[str, str], version: str = "2.86") -> Any:
    return ask(
        cloud, "POST", f"/flavors/{flavor_id}/os-extra_specs", {"extra_specs": specs}, version=version, token=ADMIN
    )


@pytest.mark.parametrize("specs", [{"hw:no_such": "1"}, {"os:secure_boot": "maybe"}, {"trait:x": "required"}])
def test_they_are_checked_since_2_86(cloud: WholeCloud, specs: dict[str, str]) -> None:
    made = flavor(cloud)
    refused = set_specs(cloud, made, specs)
    (name,) = specs
    assert refused.status_int == 400 and name in refused.json["badRequest"]["message"]
    alone = ask(cloud, "PUT", f"/flavors/{made}/os-extra_specs/{name}", specs, version="2.96", token=ADMIN)
    assert alone.status_int == 400
    assert ask(cloud, "GET", f"/flavors/{made}/os-extra_specs").json["extra_specs"] == {}
    assert set_specs(cloud, made, specs, "2.85").status_int == 200


def test_what_no_host_has_is_refused_by_its_name(cloud: WholeCloud) -> None:
    made = flavor(cloud, hw__mem_encryption="true", quota__cpu_shares="10")
    server_id = boot(cloud, flavorRef=made).json["server"]["id"]
    assert cloud.settled(server_id).vm_state == "error"
    message = cloud.show(server_id)["fault"]["message"]
    assert message == (
        "No valid host was found. 0 of 1 hosts: 1 without guests whose memory is encrypted (extra spec hw:mem_encryption=true)."
    )


def test_nor_is_a_server_resized_to_it(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    made = flavor(cloud, trait__CUSTOM_GOLD="required")
    reply = cloud.act(server_id, {"resize": {"flavorRef": made}}, status=400)
    assert "trait:CUSTOM_GOLD=required" in reply.json["badRequest"]["message"]
    assert cloud.server(server_id).task_state is None


def test_what_changes_nothing_boots(cloud: WholeCloud) -> None:
    cloud.boot(flavorRef=flavor(cloud, quota__disk_read_iops_sec="10", hw__cpu_sockets="1"))
