"""What was answered otherwise than by Nova 31.0.0 (2025.1), when both were asked the same at each microversion."""

from __future__ import annotations

from typing import Any

import pytest
from compute_cloud import ADMIN, IMAGE, add_project, ask, boot, build
from whole_cloud import WholeCloud

from nova_lite.agent.spec import _user_data

LATEST = "2.96"
NOBODY = "88888888-8888-4888-8888-888888888888"


@pytest.fixture
def server_id(door) -> str:
    made = boot(door).json["server"]["id"]
    build(door, made)
    return made


@pytest.fixture
def cloud(tmp_path):
    (tmp_path / "cloud").mkdir()
    made = WholeCloud(tmp_path / "cloud")
    made.scheduler()
    made.agent()
    yield made
    made.close()


def names_the_field(reply: Any, name: str) -> bool:
    return reply.status_int == 400 and f"field/attribute {name}" in reply.text


def test_numbers_as_text_have_the_bounds_of_numbers(door):
    for member, value in (("min_count", "0"), ("max_count", "0"), ("min_count", "2147483648")):
        assert names_the_field(boot(door, **{member: value}), member)
    for member, value in (("ram", "0"), ("vcpus", "0"), ("disk", "2147483648"), ("swap", "2147483648")):
        flavor = {"name": "f", "ram": 1, "vcpus": 1, "disk": 1, member: value}
        assert names_the_field(ask(door, "POST", "/flavors", {"flavor": flavor}, token=ADMIN), member)
    device = {"block_device_mapping_v2": [{"volume_size": "0", "source_type": "blank"}]}
    assert names_the_field(boot(door, **device), "volume_size")


def test_a_limit_that_no_listing_reaches_is_all(door, server_id):
    huge = "9" * 20
    for path in ("/servers", "/flavors", "/os-server-groups", "/os-keypairs"):
        assert ask(door, "GET", f"{path}?limit={huge}", version=LATEST).status_int == 200, path
    assert ask(door, "GET", f"/os-server-groups?offset={huge}").json == {"server_groups": []}


def test_limits_of_images_are_counts(door):
    for path in ("/images", "/images/detail"):
        for limit in ("a", "", "-1", "0"):
            assert names_the_field(ask(door, "GET", f"{path}?limit={limit}"), "limit[0]")
        assert ask(door, "GET", f"{path}?limit=1&nonsense=1").status_int == 200


def test_base64_may_be_in_lines(door):
    for good in ("aGVs\nbG8=", "aGVs\r\nbG8=\n", "aGVsbG8="):
        assert boot(door, user_data=good).status_int == 202
        assert _user_data(good) == b"hello"
    assert names_the_field(boot(door, user_data="aGVsbG8"), "user_data")


def test_addresses_have_no_zone_and_are_not_empty(door, server_id):
    for member, value in (("accessIPv4", ""), ("accessIPv6", ""), ("accessIPv6", "fe80::1%eth0")):
        assert names_the_field(boot(door, **{member: value}), member)
        path = f"/servers/{server_id}"
        assert names_the_field(ask(door, "PUT", path, {"server": {member: value}}), member)
        rebuild = {"rebuild": {"imageRef": IMAGE, member: value}}
        assert names_the_field(ask(door, "POST", f"{path}/action", rebuild), member)
    assert names_the_field(boot(door, networks=[{"uuid": NOBODY, "fixed_ip": "fe80::1%eth0"}]), "fixed_ip")


def test_one_name_of_a_host_is_for_one_server(door):
    reply = boot(door, version=LATEST, networks="none", hostname="one", min_count=2, max_count=2)
    assert reply.status_int == 400 and "Unable to allocate a single hostname to multiple instances" in reply.text


def test_certificates_are_some_and_different(door):
    for value in ([], ["a", "a"]):
        reply = boot(door, version=LATEST, networks="none", trusted_image_certificates=value)
        assert names_the_field(reply, "trusted_image_certificates") or "trusted_image_certificates" in reply.text
    assert boot(door, version=LATEST, networks="none", trusted_image_certificates=None).status_int == 202


def test_hints_have_the_types_of_filters(door):
    def hinted(**hints: Any) -> int:
        body = {"server": {"name": "x", "imageRef": IMAGE, "flavorRef": "1"}, "os:scheduler_hints": hints}
        return ask(door, "POST", "/servers", body).status_int

    for wrong in ({"group": "x"}, {"query": 1}, {"cidr": "x"}, {"build_near_host_ip": "x"}, {"target_cell": ""}):
        assert hinted(**wrong) == 400, wrong
    assert hinted(query='["=","$x",1]', cidr="/24", build_near_host_ip="10.0.0.1", different_cell=["a"]) == 202


def test_passwords_are_as_long_as_their_users_like(door, server_id):
    assert boot(door, adminPass="a" * 300).status_int == 202
    assert ask(door, "POST", f"/servers/{server_id}/action", {"rescue": {"adminPass": "a" * 300}}).status_int == 200


def test_console_output_is_asked_for_with_an_object(door, server_id):
    path = f"/servers/{server_id}/action"
    assert ask(door, "POST", path, {"os-getConsoleOutput": None}).status_int == 400
    assert ask(door, "POST", path, {"os-getConsoleOutput": {"length": "-2"}}).status_int == 400
    door.agents.answers["console_output"] = lambda server_id, length: f"{length}"
    for length in ("99999999999", 10**12):
        body = {"os-getConsoleOutput": {"length": length}}
        assert ask(door, "POST", path, body).json["output"] == str(2**31 - 1)


def test_filters_of_later_microversions_are_passed_over(door, server_id):
    other = boot(door, name="other").json["server"]["id"]
    build(door, other)
    assert ask(door, "PUT", f"/servers/{other}/tags/red", version="2.26").status_int == 201
    for query, since in (("tags=red", 26), ("locked=true", 73), ("changes-before=2001-01-01T00:00:00Z", 66)):
        query += "&all_tenants=1"
        before = ask(door, "GET", f"/servers?{query}", token=ADMIN, version=f"2.{since - 1}").json["servers"]
        after = ask(door, "GET", f"/servers?{query}", token=ADMIN, version=f"2.{since}").json["servers"]
        assert len(before) == 2 and len(after) < 2, query


def test_filters_say_something_and_the_last_counts(door, server_id):
    for name in ("name", "flavor", "key_name", "config_drive"):
        assert names_the_field(ask(door, "GET", f"/servers?{name}=", version=LATEST), f"{name}[0]")
    assert ask(door, "GET", f"/servers?image={IMAGE}&image=nope").json["servers"] == []
    assert len(ask(door, "GET", f"/servers?image=nope&image={IMAGE}").json["servers"]) == 1


def test_hypervisors_queries_by_microversion(door):
    for path in ("/os-hypervisors", "/os-hypervisors/detail"):
        assert len(ask(door, "GET", f"{path}?hypervisor_hostname_pattern=x", token=ADMIN, version="2.52").json) == 1
        for query in ("hypervisor_hostname_pattern=a%20b", "with_servers=maybe", "limit=1&limit=1", "nonsense=1"):
            assert ask(door, "GET", f"{path}?{query}", token=ADMIN, version="2.53").status_int == 400, query
    one = "/os-hypervisors/99999999-9999-4999-8999-999999999999"
    for query in ("with_servers=maybe", "nonsense=1"):
        assert ask(door, "GET", f"{one}?{query}", token=ADMIN, version="2.53").status_int == 400
    assert ask(door, "GET", "/os-migrations?limit=1&limit=1", token=ADMIN, version="2.59").status_int == 400
    assert ask(door, "GET", "/os-migrations?limit=1&limit=1", token=ADMIN, version="2.58").status_int == 200


def test_aggregates_names_and_zones(door):
    made = ask(door, "POST", "/os-aggregates", {"aggregate": {"name": "a"}}, token=ADMIN).json["aggregate"]["id"]
    changed = ask(door, "PUT", f"/os-aggregates/{made}", {"aggregate": {"name": " b "}}, token=ADMIN)
    assert changed.json["aggregate"]["name"] == "b"
    for zone in (" z", "z ", "a:b"):
        body = {"aggregate": {"name": "c", "availability_zone": zone}}
        assert ask(door, "POST", "/os-aggregates", body, token=ADMIN).status_int == 400


def test_ids_that_can_not_be_are_told_so(door):
    for method, body in (("PUT", {"status": "enabled"}), ("DELETE", None)):
        reply = ask(door, method, "/os-services/nope", body, token=ADMIN, version="2.53")
        assert reply.status_int == 400 and "Invalid uuid nope" in reply.text
    reply = ask(door, "GET", "/os-security-groups/nope")
    assert reply.status_int == 400 and "should be uuid" in reply.text
    assert ask(door, "GET", f"/os-security-groups/{NOBODY}").status_int == 404
    group = {"security_group": {"name": "g"}}
    assert names_the_field(ask(door, "POST", "/os-security-groups", group), "security_group")


def test_limits_of_groups_in_classes_are_taken_before_they_are_shown(door):
    body = {"quota_class_set": {"server_groups": 3}}
    old = ask(door, "PUT", "/os-quota-class-sets/default", body, token=ADMIN, version="2.49")
    assert old.status_int == 200 and "server_groups" not in old.json["quota_class_set"]
    add_project(door, "demo")
    assert ask(door, "GET", "/os-quota-sets/demo", version="2.50").json["quota_set"]["server_groups"] == 3


def test_which_action_comes_before_which_server(door, server_id):
    for target in (server_id, NOBODY):
        path = f"/servers/{target}/action"
        assert ask(door, "POST", path, {"nonsense": None}).status_int == 400
        assert ask(door, "POST", path, {"resetNetwork": None}).status_int == 410
        assert ask(door, "POST", path, {"trigger_crash_dump": None}, version="2.16").status_int == 404
    build(door, server_id, vm_state="paused")
    for body in ({"rebuild": {"imageRef": NOBODY}}, {"rescue": {"rescue_image_ref": NOBODY}}):
        assert ask(door, "POST", f"/servers/{server_id}/action", body, version=LATEST).status_int == 409


def test_where_an_image_will_be_is_a_header_until_2_44(cloud):
    server_id = cloud.boot()
    for body in ({"createImage": {"name": "x"}}, {"createBackup": {"name": "x", "backup_type": "d", "rotation": 1}}):
        old = cloud.act(server_id, body, version="2.44")
        assert "Location" in old.headers and old.body == b""
        cloud.settled(server_id)
        new = cloud.act(server_id, body, version="2.45")
        assert "Location" not in new.headers and new.json["image_id"]
        cloud.settled(server_id)


def test_servers_have_another_path_of_old(door, server_id):
    shown = ask(door, "GET", f"/os-volumes_boot/{server_id}", version=LATEST).json["server"]
    assert shown == ask(door, "GET", f"/servers/{server_id}", version=LATEST).json["server"]
    assert len(ask(door, "GET", "/os-volumes_boot/detail").json["servers"]) == 1
    body = {"server": {"name": "x", "imageRef": IMAGE, "flavorRef": "1"}}
    assert ask(door, "POST", "/os-volumes_boot", body).status_int == 202
    assert ask(door, "POST", f"/os-volumes_boot/{server_id}/action", {"os-stop": None}).status_int == 202
    assert ask(door, "DELETE", f"/os-volumes_boot/{server_id}").status_int == 204


def test_the_log_of_usage_is_asked_for_by_the_second(door):
    for text, status in (("2020-01-01", 400), ("2020-01-01 00:00:00", 200), ("2020-01-01 00:00:00.5", 200)):
        assert ask(door, "GET", f"/os-instance_usage_audit_log/{text}", token=ADMIN).status_int == status
