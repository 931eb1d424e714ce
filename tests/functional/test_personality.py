"""Files that come with a server (until 2.56): what its guest is told of them, after a rebuild too, and their limits."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_cloud import ADMIN, IMAGE, add_project, ask, boot
from whole_cloud import WholeCloud

from nova_lite.agent import spec
from nova_lite.host import metadata_tree
from nova_lite.host.metadata_tree import Answer

TEXT = "été\n".encode()
MOTD = {"path": "/etc/motd", "contents": base64.encodebytes(TEXT).decode()}
HOSTS = {"path": "/etc/hosts.local", "contents": ""}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path)
    made.agent()
    made.scheduler()
    yield made
    made.close()


def told(cloud: WholeCloud, server_id: str, path: str) -> Answer:
    tree = metadata_tree.tree(spec.guest_data(cloud.server(server_id), "nova", b""), [])
    return metadata_tree.answer(tree, path, "")


def test_a_guest_finds_its_files_and_where_they_go(cloud: WholeCloud) -> None:
    server_id = cloud.boot(version="2.56", networks="none", personality=[MOTD, HOSTS])
    assert json.loads(told(cloud, server_id, "/openstack/latest/meta_data.json").body)["files"] == [
        {"path": "/etc/motd", "content_path": "/content/0000"},
        {"path": "/etc/hosts.local", "content_path": "/content/0001"},
    ]
    assert told(cloud, server_id, "/openstack/content/0000").body == TEXT
    assert told(cloud, server_id, "/openstack/content/0001").body == b""
    assert told(cloud, server_id, "/openstack/content").body == b"0000\n0001"
    assert told(cloud, server_id, "/openstack").body.endswith(b"latest\ncontent")
    assert told(cloud, server_id, "/openstack/content/0002").status == 404
    assert told(cloud, server_id, "/openstack/latest/0000").status == 404


def test_a_rebuild_has_files_of_its_own_or_none(cloud: WholeCloud) -> None:
    server_id = cloud.boot(version="2.56", networks="none", personality=[MOTD])
    cloud.do(server_id, {"rebuild": {"imageRef": IMAGE, "personality": [MOTD, HOSTS]}}, version="2.56")
    assert told(cloud, server_id, "/openstack/content").body == b"0000\n0001"
    cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}})
    assert told(cloud, server_id, "/openstack/content").status == 404
    assert "files" not in json.loads(told(cloud, server_id, "/openstack/latest/meta_data.json").body)
    cloud.act(server_id, {"rebuild": {"imageRef": IMAGE, "personality": [MOTD] * 6}}, version="2.56", status=403)


def test_a_project_has_its_own_limits_of_files(cloud: WholeCloud) -> None:
    absolute = ask(cloud, "GET", "/limits", version="2.56").json["limits"]["absolute"]
    assert (absolute["maxPersonality"], absolute["maxPersonalitySize"]) == (5, 10240)
    add_project(cloud, "demo")
    body = {"quota_set": {"injected_files": 1, "injected_file_content_bytes": len(TEXT) - 1}}
    assert ask(cloud, "PUT", "/os-quota-sets/demo", body, token=ADMIN, version="2.56").status_int == 200
    absolute = ask(cloud, "GET", "/limits", version="2.56").json["limits"]["absolute"]
    assert (absolute["maxPersonality"], absolute["maxPersonalitySize"]) == (1, len(TEXT) - 1)
    for files, words in (([HOSTS] * 2, "file limit exceeded"), ([MOTD], f"content exceeds maximum {len(TEXT) - 1}")):
        reply = boot(cloud, version="2.56", networks="none", personality=files)
        assert reply.status_int == 403 and words in reply.text
