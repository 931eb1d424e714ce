"""What a stranger's review of the Compute API found: what was taken without effect, or answered otherwise than upstream."""

from __future__ import annotations

from typing import Any

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, add_project, ask, boot, build

from nova_lite.db.models import Server

LATEST = "2.96"
HEX = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def server_id(door) -> str:
    made = boot(door).json["server"]["id"]
    build(door, made)
    return made


def test_a_locked_server_keeps_its_metadata(door, server_id):
    path = f"/servers/{server_id}/metadata"
    assert ask(door, "POST", path, {"metadata": {"a": "1"}}).status_int == 200
    assert ask(door, "POST", f"/servers/{server_id}/action", {"lock": None}).status_int == 202
    for method, below, body in (
        ("POST", "", {"metadata": {"b": "2"}}),
        ("PUT", "", {"metadata": {"b": "2"}}),
        ("PUT", "/a", {"meta": {"a": "2"}}),
        ("DELETE", "/a", None),
    ):
        reply = ask(door, method, path + below, body)
        assert reply.status_int == 409 and "is locked" in reply.text
    assert ask(door, "GET", path).json == {"metadata": {"a": "1"}}
    assert ask(door, "PUT", path + "/a", {"meta": {"a": "2"}}, token=ADMIN).status_int == 200
    assert ask(door, "PUT", f"/servers/{server_id}/tags/blue", version="2.26").status_int == 201  # as upstream


def test_a_restart_policy_is_one_of_three(door, server_id):
    path = f"/servers/{server_id}/metadata"
    for bad in ("sometimes", "", "Always"):
        reply = ask(door, "POST", path, {"metadata": {"nova_lite:restart": bad}})
        assert reply.status_int == 400 and "nova_lite:restart" in reply.text and "on-failure" in reply.text
        assert boot(door, metadata={"nova_lite:restart": bad}).status_int == 400
    assert ask(door, "PUT", path + "/nova_lite:restart", {"meta": {"nova_lite:restart": "always"}}).status_int == 200


@pytest.mark.parametrize(
    ("action", "argument", "version"),
    [
        ("addFloatingIp", {"address": "10.0.0.1"}, "2.44"),
        ("os-getVNCConsole", {"type": "novnc"}, "2.6"),
        ("trigger_crash_dump", None, "2.16"),
    ],
)
def test_an_action_of_other_microversions_is_not_there(door, server_id, action, argument, version):
    reply = ask(door, "POST", f"/servers/{server_id}/action", {action: argument}, version=version)
    assert reply.status_int == 404 and "is not supported on this method" in reply.text
    assert ask(door, "POST", f"/servers/{server_id}/action", {"nonsense": None}, version=version).status_int == 400


def test_a_rebuild_refuses_what_a_creation_refuses(door, server_id):
    path = f"/servers/{server_id}/action"
    extra = {"trusted_image_certificates": ["x"]}
    reply = ask(door, "POST", path, {"rebuild": {"imageRef": IMAGE, **extra}}, version=LATEST)
    assert reply.status_int == 400 and "leave" in reply.text
    assert boot(door, version=LATEST, networks="none", **extra).status_int == 400
    add_project(door, "demo")
    limit = {"quota_set": {"metadata_items": 1}}
    assert ask(door, "PUT", "/os-quota-sets/demo", limit, token=ADMIN).status_int == 200
    metadata = {"a": "1", "b": "2"}
    for body in (
        {"rebuild": {"imageRef": IMAGE, "metadata": metadata}},
        {"createImage": {"name": "x", "metadata": metadata}},
        {"createBackup": {"name": "x", "backup_type": "daily", "rotation": 1, "metadata": metadata}},
    ):
        assert ask(door, "POST", path, body).status_int == 403


@pytest.mark.parametrize(
    ("limit", "wanted", "made"),
    [
        ({"instances": 4}, (3, 8), 4),
        ({"cores": 5}, (1, 8), 5),
        ({"ram": 256}, (1, 8), 2),
        ({"instances": 1}, (1, 8), 1),
        ({"instances": 4}, (4, 4), 4),
        ({"instances": -1, "cores": -1, "ram": -1}, (2, 6), 6),
        ({"instances": 4}, (5, 8), 0),
        ({"instances": 0}, (1, 8), 0),
    ],
)
def test_as_many_servers_as_the_quota_allows(door, limit, wanted, made):
    add_project(door, "demo")
    assert ask(door, "PUT", "/os-quota-sets/demo", {"quota_set": limit}, token=ADMIN).status_int == 200
    reply = boot(door, min_count=wanted[0], max_count=wanted[1])
    assert reply.status_int == (202 if made else 403), reply.text
    names = [server["name"] for server in ask(door, "GET", "/servers").json["servers"]]
    assert sorted(names) == (["vm"] if made == 1 else [f"vm-{number}" for number in range(1, made + 1)])
    used = ask(door, "GET", "/os-quota-sets/demo/detail", token=ADMIN, version="2.57").json["quota_set"]
    assert [used[name]["in_use"] for name in ("instances", "cores", "ram")] == [made, made, 128 * made]


def test_one_user_s_limit_bounds_how_many_too(door):
    add_project(door, "demo")
    path = "/os-quota-sets/demo?user_id=demo"
    assert ask(door, "PUT", path, {"quota_set": {"instances": 2}}, token=ADMIN).status_int == 200
    assert boot(door, min_count=1, max_count=5).status_int == 202
    assert len(ask(door, "GET", "/servers").json["servers"]) == 2


def test_who_gets_something_must_be_there(door):
    path = "/flavors/private/action"
    reply = ask(door, "POST", path, {"addTenantAccess": {"tenant": "nobody"}}, token=ADMIN)
    assert reply.status_int == 400 and "nobody is not a valid project" in reply.text
    add_project(door, "somebody")
    assert ask(door, "POST", path, {"addTenantAccess": {"tenant": "somebody"}}, token=ADMIN).status_int == 200
    for what in ("", "/detail"):
        assert ask(door, "GET", f"/os-quota-sets/nobody{what}", token=ADMIN).status_int == 400
        assert ask(door, "GET", f"/os-quota-sets/somebody{what}", token=ADMIN).status_int == 200


def test_messages_name_the_field(door, server_id):
    for query, name in (("limit=x", "limit"), ("sort_key=foo", "sort_key"), ("changes-since=never", "changes-since")):
        reply = ask(door, "GET", f"/servers?{query}", version=LATEST)
        assert reply.status_int == 400 and f"field/attribute {name}[0]." in reply.text, reply.text
    for members, text in (
        ({"networks": "none", "tags": ["a/b"]}, "field/attribute tags[0]."),
        ({"networks": "foo"}, "'foo' is not one of ['none', 'auto']"),
        ({"networks": "none", "accessIPv4": "x"}, "'x' is not a "),
        ({"networks": "none", "tags": ["x"] * 51}, "tags must contain"),
    ):
        reply = boot(door, version=LATEST, **members)
        assert reply.status_int == 400 and text in reply.json["badRequest"]["message"], reply.text


def test_what_no_number_or_time_can_hold_is_no_error_of_ours(door, server_id):
    huge = "9" * 40
    assert ask(door, "GET", f"/flavors?minDisk={huge}", version=LATEST).json == {"flavors": []}
    assert len(ask(door, "GET", f"/flavors?minRam=-{huge}", version=LATEST).json["flavors"]) == 2
    for moment in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"):
        assert ask(door, "GET", f"/servers?changes-since={moment}", version=LATEST).status_int == 400


def test_limits_written_as_text_have_bounds_too(door):
    add_project(door, "demo")
    for value in ("9999999999", "-5", -2, 2**31):
        for path, member in (("/os-quota-sets/demo", "quota_set"), ("/os-quota-class-sets/default", "quota_class_set")):
            reply = ask(door, "PUT", path, {member: {"cores": value}}, token=ADMIN)
            assert reply.status_int == 400 and "cores" in reply.text
    assert ask(door, "PUT", "/os-quota-sets/demo", {"quota_set": {"cores": "-1"}}, token=ADMIN).status_int == 200
    group = {"name": "x", "policy": "anti-affinity", "rules": {"max_server_per_host": "0"}}
    assert ask(door, "POST", "/os-server-groups", {"server_group": group}, version=LATEST).status_int == 400


def test_a_tag_may_be_written_in_any_script(door, server_id):
    path = f"/servers/{server_id}/tags/%F0%9F%98%80%20%C3%BC"
    made = ask(door, "PUT", path, version="2.26")
    assert made.status_int == 201
    # A header can't carry it as it is: the server would close the connection without an answer.
    assert made.headers["Location"].isascii() and made.headers["Location"].endswith("/tags/%F0%9F%98%80%20%C3%BC")
    assert ask(door, "GET", f"/servers/{server_id}/tags", version="2.26").json == {"tags": ["\U0001f600 \u00fc"]}
    assert ask(door, "GET", path, version="2.26").status_int == 204


def test_hints_that_name_servers_name_them_by_id(door, server_id):
    def hinted(**hints: Any) -> int:
        body = {"server": {"name": "x", "imageRef": IMAGE, "flavorRef": "1"}, "os:scheduler_hints": hints}
        return ask(door, "POST", "/servers", body).status_int

    assert hinted(same_host="nope") == hinted(different_host=["nope"]) == hinted(group=7) == 400
    assert hinted(same_host=server_id) == hinted(different_host=[server_id]) == hinted(whatever="x") == 202


def test_a_resize_is_refused_by_the_state_first(door, server_id):
    build(door, server_id, vm_state="paused")
    for flavor in ("1", "nope"):
        assert ask(door, "POST", f"/servers/{server_id}/action", {"resize": {"flavorRef": flavor}}).status_int == 409


def test_a_hypervisor_s_id_is_a_uuid(door):
    reply = ask(door, "GET", "/os-hypervisors/nope", token=ADMIN, version="2.53")
    assert reply.status_int == 400 and "Invalid uuid nope" in reply.text
    assert ask(door, "GET", "/os-hypervisors/nope", token=ADMIN, version="2.52").status_int == 404


def test_extra_specs_of_ours_are_known(door):
    path = "/flavors/1/os-extra_specs"
    for spec in ({"nova_lite:lve": "true"}, {"nova_lite:max_vcpus": "many"}):
        assert ask(door, "POST", path, {"extra_specs": spec}, token=ADMIN, version="2.86").status_int == 400
    good = {"extra_specs": {"nova_lite:max_vcpus": "4", "nova_lite:max_memory_mb": "512"}}
    assert ask(door, "POST", path, good, token=ADMIN, version="2.86").status_int == 200


def test_the_project_may_stand_in_the_path(door):
    token = f"u:{HEX}:member"
    made = door.ask("POST", f"/compute/v2.1/{HEX}/os-keypairs", {"keypair": {"name": "k"}}, token=token)
    assert made.status_int == 200
    assert [door.ask("GET", f"/compute/{v}/{HEX}/servers/detail", token=token).status_int for v in ("v2", "v2.1")] == [
        200,
        200,
    ]
    reply = door.ask("GET", f"/compute/v2.1/{HEX}/servers", token=DEMO)
    assert reply.status_int == 400 and "doesn't match Context's project_id" in reply.text
    assert door.ask("GET", f"/compute/v2.1/{HEX}/nonsense", token=token).status_int == 404
    assert door.ask("GET", f"/compute/v2.1/{HEX}/servers", token=None).status_int == 401
    with door.store.read() as session:
        assert session.query(Server).count() == 0
