"""What the Compute API refuses: the status and words that upstream has, and nothing half-made."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, PRIVATE_IMAGE, add_project, ask, boot, build
from sqlalchemy import func, insert, select, update

from nova_lite.db.models import Flavor, Image, Operation, Port, Server
from nova_lite.db.types import new_id

GONE = "deadbeef-0000-4000-8000-000000000000"


def nothing_was_made(door):
    with door.store.read() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in (Server, Port, Operation)] == [
            0
        ] * 3


REFUSED = [
    ({"flavorRef": "nope"}, "2.1", 400, "Flavor nope could not be found."),
    ({"flavorRef": "private"}, "2.1", 400, "Flavor private could not be found."),
    ({"imageRef": GONE}, "2.1", 400, "Can not find requested image"),
    ({"imageRef": PRIVATE_IMAGE}, "2.1", 400, "Can not find requested image"),
    ({"imageRef": ""}, "2.1", 400, "Invalid imageRef provided."),
    ({"imageRef": "no-uuid"}, "2.1", 400, "imageRef"),
    ({"key_name": "nope"}, "2.1", 400, "Invalid key_name provided."),
    ({"name": "x" * 300}, "2.1", 400, "is too long"),
    ({"name": " x"}, "2.1", 400, "name"),
    ({"name": "a\nb"}, "2.1", 400, "name"),
    ({"name": ""}, "2.1", 400, "name"),
    ({"name": 7}, "2.1", 400, "is not of type 'string'"),
    ({"unknown": 1}, "2.1", 400, "Additional properties are not allowed ('unknown' was unexpected)"),
    ({"description": "later"}, "2.18", 400, "'description' was unexpected"),
    ({"tags": ["a"]}, "2.51", 400, "'tags' was unexpected"),
    ({"networks": "auto"}, "2.36", 400, "networks"),
    ({"host": "host1"}, "2.73", 400, "'host' was unexpected"),
    ({"hostname": "h1"}, "2.89", 400, "'hostname' was unexpected"),
    ({"networks": [{"uuid": GONE}]}, "2.1", 400, f"Network {GONE} could not be found."),
    ({"networks": [{"port": GONE}]}, "2.1", 400, f"Port id {GONE} could not be found."),
    ({"networks": [{}]}, "2.1", 400, "Bad network format"),
    ({"min_count": 3, "max_count": 2}, "2.1", 400, "min_count must be <= max_count"),
    ({"min_count": 0}, "2.1", 400, "min_count"),
    ({"max_count": 101}, "2.1", 403, "Quota exceeded for instances"),
    ({"availability_zone": "mars"}, "2.1", 400, "The requested availability zone is not available"),
    ({"user_data": "not base64!"}, "2.1", 400, "user_data"),
    ({"metadata": {"k" * 256: "v"}}, "2.1", 400, "metadata"),
    ({"metadata": {"a": 1}}, "2.1", 400, "is not of type 'string'"),
    ({"security_groups": [{"name": "web"}]}, "2.1", 400, "Security group web not found"),
    ({"personality": [{"path": "/x", "contents": "not base64!"}]}, "2.1", 400, "is not a 'base64'"),
    ({"personality": [{"path": "/x"}]}, "2.1", 400, "missing 'contents'"),
    ({"personality": [{"contents": ""}]}, "2.1", 400, "missing 'path'"),
    ({"personality": [{"path": "/x\n", "contents": ""}]}, "2.1", 400, "'path' must be"),
    ({"personality": [{"path": "/x", "contents": ""}]}, "2.57", 400, "'personality' was unexpected"),
    ({"personality": [{"path": "/x", "contents": ""}] * 6}, "2.1", 403, "Personality file limit exceeded"),
    ({"personality": [{"path": "/" + "x" * 255, "contents": ""}]}, "2.1", 403, "path exceeds maximum 255"),
    ({"personality": [{"path": "/x", "contents": "A" * 13660}]}, "2.1", 403, "content exceeds maximum 10240"),
    ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": GONE, "boot_index": 0}]}, "2.1", 400, "no volumes"),
    (
        {
            "block_device_mapping_v2": [
                {"source_type": "image", "uuid": IMAGE, "destination_type": "volume", "boot_index": 0}
            ]
        },
        "2.1",
        400,
        "no volumes",
    ),
    ({"adminPass": 5}, "2.1", 400, "adminPass"),
    ({"accessIPv4": "nowhere"}, "2.1", 400, "accessIPv4"),
]


@pytest.mark.parametrize(("members", "version", "status", "words"), REFUSED)
def test_a_create_that_can_not_be_is_refused_and_leaves_nothing(door, members, version, status, words):
    if version > "2.36" and "networks" not in members and len(version) > 3:
        members = {"networks": "none", **members}
    reply = boot(door, version=version, **members)
    assert reply.status_int == status, reply.text
    (body,) = reply.json.values()
    assert body["code"] == status and words in body["message"]
    assert nothing_was_made(door)


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"{not json", "application/json", 400, "Malformed request body"),
        (b"", "application/json", 400, "Malformed request body"),
        (b"[]", "application/json", 400, "body"),
        (b"{}", "application/json", 400, "'server' is a required property"),
        (b'{"server": {}}', "text/xml", 415, "Unsupported Content-Type"),
        (b'{"server": "' + b"x" * 200_000 + b'"}', "application/json", 413, "larger"),
    ],
)
def test_a_body_that_is_none(door, body, kind, status, words):
    reply = door.ask("POST", "/compute/v2.1/servers", body, Content_Type=kind)
    assert reply.status_int == status and words in reply.text
    assert nothing_was_made(door)


def test_an_image_must_fit_and_be_whole(door):
    def change(**values):
        door.store.transact(lambda session: session.execute(update(Image).where(Image.id == IMAGE).values(**values)))

    for values, words in (
        ({"status": "queued"}, f"Image {IMAGE} is not active."),
        ({"status": "active", "min_ram": 4096}, "memory is too small for requested image"),
        ({"min_ram": 0, "min_disk": 5}, "smaller than the minimum size"),
        ({"min_disk": 0, "virtual_size": 5 << 30}, "disk is too small for requested image"),
        ({"virtual_size": None, "properties": {"kernel_id": GONE}}, "Can not find requested image"),
    ):
        change(**values)
        reply = boot(door)
        assert reply.status_int == 400 and words in reply.text, values
    change(properties={})
    assert boot(door).status_int == 202


def test_the_image_may_be_named_by_a_device_mapping_as_clients_do(door):
    device = {
        "uuid": IMAGE,
        "boot_index": 0,
        "source_type": "image",
        "destination_type": "local",
        "delete_on_termination": True,
    }
    assert boot(door, block_device_mapping_v2=[device]).status_int == 202
    assert boot(door, imageRef="", block_device_mapping_v2=[device]).status_int == 202
    other = boot(door, block_device_mapping_v2=[{**device, "uuid": GONE}])
    assert other.status_int == 400 and "another image" in other.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/servers/{GONE}", None),
        ("GET", "/servers/not-a-uuid", None),
        ("GET", f"/servers/{'x' * 300}", None),
        ("DELETE", f"/servers/{GONE}", None),
        ("PUT", f"/servers/{GONE}", {"server": {"name": "x"}}),
        ("POST", f"/servers/{GONE}/action", {"os-stop": None}),
        ("GET", f"/servers/{GONE}/metadata", None),
        ("GET", f"/servers/{GONE}/os-instance-actions", None),
        ("GET", f"/servers/{GONE}/os-interface", None),
        ("GET", "/flavors/nope", None),
        ("GET", "/flavors/private", None),
        ("GET", "/os-keypairs/nope", None),
        ("GET", "/extensions/nope", None),
        ("GET", "/nothing/here", None),
    ],
)
def test_what_is_not_there_is_404_in_novas_form(door, method, path, body):
    reply = ask(door, method, path, body)
    assert reply.status_int == 404
    assert list(reply.json) == ["itemNotFound"] and reply.json["itemNotFound"]["code"] == 404


def test_a_method_that_is_not_there(door):
    reply = ask(door, "PATCH", "/servers")
    assert reply.status_int == 405 and "GET" in reply.headers["Allow"] and "badMethod" in reply.json


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("limit=-1", "2.1"),
        ("limit=abc", "2.1"),
        (f"marker={GONE}", "2.1"),
        ("sort_key=nonsense", "2.1"),
        ("sort_dir=sideways", "2.1"),
        ("changes-since=yesterday", "2.1"),
        ("status=nonsense", "2.38"),
        ("unknown=1", "2.75"),
        ("sort_key=vcpus", "2.75"),
        ("name=(a%2B)%2B", "2.1"),
        ("name=[", "2.1"),
        ("ip=(", "2.1"),
        ("changes-since=2026-02-01T00:00:00Z&changes-before=2026-01-01T00:00:00Z", "2.66"),
        ("locked=perhaps", "2.73"),
    ],
)
def test_a_query_that_can_not_be_meant(door, query, version):
    boot(door)
    reply = ask(door, "GET", f"/servers/detail?{query}", version=version)
    assert reply.status_int == 400 and "badRequest" in reply.json, reply.text


def test_only_admins_are_told_of_filters_that_can_not_be(door):
    boot(door)
    for name in ("metadata", "system_metadata", "block_device_mapping", "_private"):
        for version in ("2.1", "2.75", "2.96"):
            assert len(ask(door, "GET", f"/servers?{name}=x", version=version).json["servers"]) == 1
            reply = ask(door, "GET", f"/servers?{name}=x", version=version, token=ADMIN)
            assert reply.status_int == 400 and f"Invalid filter field: {name}" in reply.text


def test_queries_that_upstream_passes_over(door):
    boot(door)
    for query in ("unknown=1", "sort_key=vcpus", "host=nowhere", "limit=5&flavor=1", "status=ACTIVE&status=BUILD"):
        assert len(ask(door, "GET", f"/servers?{query}", version="2.74").json["servers"]) == 1, query
    assert ask(door, "GET", "/servers?status=nonsense", version="2.37").json == {"servers": []}
    assert ask(door, "GET", "/servers?limit=0").json["servers"] == []


def test_what_only_admins_may_list(door):
    boot(door, token=OTHER)
    assert ask(door, "GET", "/servers?all_tenants=1").status_int == 403
    assert ask(door, "GET", "/servers?status=deleted").status_int == 403
    assert ask(door, "GET", "/servers?sort_key=host").status_int == 403
    assert ask(door, "GET", "/servers", token=ADMIN).json == {"servers": []}
    assert len(ask(door, "GET", "/servers?all_tenants=1", token=ADMIN).json["servers"]) == 1
    assert len(ask(door, "GET", "/servers?all_tenants=1&project_id=other", token=ADMIN).json["servers"]) == 1
    assert ask(door, "GET", "/servers?all_tenants=1&project_id=demo", token=ADMIN).json["servers"] == []


@pytest.mark.parametrize("path", ["", "/servers", "/flavors/detail", "/os-services"])
def test_without_a_token(door, path):
    reply = ask(door, "GET", path, token=None)
    assert reply.status_int == (200 if path == "" else 401)
    if path:
        assert "Keystone" in reply.headers["WWW-Authenticate"]


def test_a_locked_server_is_for_admins_only(door):
    server_id = boot(door).json["server"]["id"]
    build(door, server_id, locked=True)
    for method, path, body in (("DELETE", "", None), ("POST", "/action", {"os-stop": None})):
        reply = ask(door, method, f"/servers/{server_id}{path}", body)
        assert reply.status_int == 409 and f"Instance {server_id} is locked" in reply.text
    assert ask(door, "POST", f"/servers/{server_id}/action", {"os-stop": None}, token=ADMIN).status_int == 202


def test_a_flavor_that_is_not_public_is_for_those_who_were_let_in(door):
    assert boot(door, flavorRef="private").status_int == 400
    add_project(door, "demo")
    grant = ask(door, "POST", "/flavors/private/action", {"addTenantAccess": {"tenant": "demo"}}, token=ADMIN)
    assert grant.json == {"flavor_access": [{"flavor_id": "private", "tenant_id": "demo"}]}
    assert boot(door, flavorRef="private").status_int == 202
    assert boot(door, flavorRef="http://somewhere/flavors/private").status_int == 202
    assert boot(door, token=OTHER, flavorRef="private").status_int == 400
    door.store.transact(
        lambda session: session.execute(
            insert(Flavor),
            [{"flavorid": new_id(), "name": "off", "vcpus": 1, "memory_mb": 1, "disk_gb": 1, "disabled": True}],
        )
    )
    assert "off" not in {flavor["name"] for flavor in ask(door, "GET", "/flavors", token=DEMO).json["flavors"]}
