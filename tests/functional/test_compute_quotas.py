"""Quota sets and classes, and that they are kept: at creation, at deletion, for keypairs and metadata."""

from __future__ import annotations

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, READER, ask, boot, build, lift_quotas, seed

from nova_lite.compute import claims, quota_recount, quotas
from nova_lite.db.models import Domain, Project, QuotaUsage
from nova_lite.errors import OverLimit


@pytest.fixture
def door(compute_door):
    seed(compute_door)
    compute_door.store.transact(_projects)
    return compute_door


def _projects(session):
    session.add(Domain(id="default", name="Default"))
    session.flush()
    session.add_all(Project(id=name, name=name, domain_id="default") for name in ("demo", "other", "admin"))


def set_quota(door, version="2.1", query="", project="demo", **members):
    return ask(door, "PUT", f"/os-quota-sets/{project}{query}", {"quota_set": members}, token=ADMIN, version=version)


def used(door):
    detail = ask(door, "GET", "/os-quota-sets/demo/detail").json["quota_set"]
    return tuple(detail[name]["in_use"] for name in ("instances", "cores", "ram"))


def test_a_project_may_have_so_many_servers_and_no_more(door):
    assert set_quota(door, instances=2, cores="3", ram=-1).json["quota_set"]["cores"] == 3
    first = boot(door).json["server"]["id"]
    assert boot(door, flavorRef="2").status_int == 202
    assert used(door) == (2, 3, 640)
    refused = boot(door)
    assert refused.status_int == 403
    assert refused.json["forbidden"]["message"] == (
        "Quota exceeded for instances, cores: Requested 1, 1, but already used 2, 3 of 2, 3 instances, cores"
    )
    set_quota(door, cores=10)
    assert boot(door).json["forbidden"]["message"] == (
        "Quota exceeded for instances: Requested 1, but already used 2 of 2 instances"
    )
    assert ask(door, "DELETE", f"/servers/{first}").status_int == 204
    assert used(door) == (1, 2, 512)
    assert boot(door, min_count=2, max_count=2).status_int == 403
    assert boot(door).status_int == 202
    assert quota_recount.check(door.store) == []


def test_a_server_in_error_holds_its_quota_until_it_is_deleted_and_gives_it_back_once(door):
    set_quota(door, instances=1)
    server_id = boot(door).json["server"]["id"]
    build(door, server_id, vm_state="error", host=None)
    assert boot(door).status_int == 403
    assert ask(door, "DELETE", f"/servers/{server_id}").status_int == 204
    assert ask(door, "DELETE", f"/servers/{server_id}").status_int == 404
    assert used(door) == (0, 0, 0)


def test_a_project_begins_with_novas_numbers(door):
    found = ask(door, "GET", "/os-quota-sets/demo/defaults", version="2.96").json["quota_set"]
    expected = {"instances": 10, "cores": 20, "ram": 51_200, "metadata_items": 128, "key_pairs": 100}
    assert found == {"id": "demo", **expected, "server_groups": 10, "server_group_members": 10}
    assert boot(door, min_count=10).status_int == 202
    assert boot(door).json["forbidden"]["message"].startswith("Quota exceeded for instances")
    lift_quotas(door)
    assert boot(door, min_count=20).status_int == 202


def test_limits_show_what_is_in_use(door):
    set_quota(door, instances=5, metadata_items=7)
    boot(door)
    absolute = ask(door, "GET", "/limits").json["limits"]["absolute"]
    assert (absolute["maxTotalInstances"], absolute["totalInstancesUsed"], absolute["totalRAMUsed"]) == (5, 1, 128)
    assert absolute["maxServerMeta"] == 7 and absolute["maxTotalCores"] == 20
    other = ask(door, "GET", "/limits", token=OTHER).json["limits"]["absolute"]
    assert (other["maxTotalInstances"], other["totalInstancesUsed"]) == (10, 0)


@pytest.mark.parametrize(
    ("version", "has", "has_not"),
    [
        ("2.1", {"fixed_ips", "injected_files", "server_groups"}, set()),
        ("2.36", {"injected_files", "server_groups"}, {"fixed_ips", "floating_ips", "security_groups"}),
        ("2.57", {"server_group_members", "cores"}, {"fixed_ips", "injected_files"}),
    ],
)
def test_a_quota_set_by_microversion(door, version, has, has_not):
    for path in ("", "/defaults", "/detail"):
        shown = ask(door, "GET", f"/os-quota-sets/demo{path}", version=version).json["quota_set"]
        assert has <= set(shown) and not has_not & set(shown)
        assert shown["id"] == "demo"
    gone = next(iter(has_not), None)
    if gone:
        assert set_quota(door, version=version, **{gone: 5}).status_int == 400


def test_defaults_of_everybody_and_what_is_set_goes_again(door):
    body = {"quota_class_set": {"instances": 4, "key_pairs": 3}}
    changed = ask(door, "PUT", "/os-quota-class-sets/default", body, token=ADMIN, version="2.50")
    assert changed.json["quota_class_set"]["instances"] == 4 and "id" not in changed.json["quota_class_set"]
    shown = ask(door, "GET", "/os-quota-class-sets/default", token=ADMIN).json["quota_class_set"]
    assert shown["id"] == "default" and "fixed_ips" in shown and "server_groups" not in shown
    assert ask(door, "GET", "/os-quota-sets/demo").json["quota_set"]["instances"] == 4
    set_quota(door, instances=9)
    assert ask(door, "GET", "/os-quota-sets/demo").json["quota_set"]["instances"] == 9
    assert ask(door, "GET", "/os-quota-sets/demo/defaults").json["quota_set"]["instances"] == 4
    assert ask(door, "DELETE", "/os-quota-sets/demo", token=ADMIN).status_int == 202
    assert ask(door, "GET", "/os-quota-sets/demo").json["quota_set"]["instances"] == 4


def test_a_user_in_a_project_has_limits_of_their_own(door):
    set_quota(door, instances=5)
    assert set_quota(door, query="?user_id=demo", instances=6).status_int == 400
    assert set_quota(door, query="?user_id=demo", instances=1).json["quota_set"]["instances"] == 1
    assert ask(door, "GET", "/os-quota-sets/demo?user_id=demo").json["quota_set"]["instances"] == 1
    assert ask(door, "GET", "/os-quota-sets/demo").json["quota_set"]["instances"] == 5
    assert boot(door).status_int == 202
    assert boot(door).status_int == 403
    assert boot(door, token="ann:demo:member").status_int == 202
    assert used(door)[0] == 2
    ask(door, "DELETE", "/os-quota-sets/demo?user_id=demo", token=ADMIN)
    assert boot(door).status_int == 202


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"instances": 0}, 400),
        ({"instances": 0, "force": True}, 200),
        ({"instances": -2}, 400),
        ({"instances": "many"}, 400),
        ({"instances": 1 << 40}, 400),
        ({"unknown": 1}, 400),
        ({"instances": "7", "tenant_id": "demo"}, 200),
    ],
)
def test_what_may_be_set(door, members, status):
    boot(door)
    assert set_quota(door, **members).status_int == status


def test_who_may_set_and_see(door):
    assert ask(door, "PUT", "/os-quota-sets/demo", {"quota_set": {"cores": 1}}).status_int == 403
    assert ask(door, "GET", "/os-quota-sets/other", token=DEMO).status_int == 403
    assert ask(door, "GET", "/os-quota-sets/demo", token=READER).status_int == 200
    assert ask(door, "GET", "/os-quota-class-sets/default").status_int == 403
    assert set_quota(door, project="nowhere", cores=1).status_int == 400


def test_keypairs_and_metadata_have_their_limits(door):
    set_quota(door, key_pairs=1, metadata_items=2)
    assert ask(door, "POST", "/os-keypairs", {"keypair": {"name": "a"}}).status_int == 200
    refused = ask(door, "POST", "/os-keypairs", {"keypair": {"name": "b"}})
    assert refused.status_int == 403
    assert refused.json["forbidden"]["message"] == "Quota exceeded, too many key pairs."
    assert ask(door, "DELETE", "/os-keypairs/a").status_int == 202
    assert ask(door, "POST", "/os-keypairs", {"keypair": {"name": "b"}}).status_int == 200
    assert boot(door, metadata={"a": "1", "b": "2", "c": "3"}).status_int == 403
    server_id = boot(door, metadata={"a": "1", "b": "2"}).json["server"]["id"]
    build(door, server_id)
    more = ask(door, "POST", f"/servers/{server_id}/metadata", {"metadata": {"c": "3"}})
    assert more.status_int == 403
    assert more.json["forbidden"]["message"] == "Maximum number of metadata items exceeds 2"
    assert quota_recount.check(door.store) == []


def test_a_resize_holds_the_greater_until_it_is_settled(door):
    set_quota(door, cores=4)
    server_id = boot(door, flavorRef="2").json["server"]["id"]
    conf = door.services.conf

    def grow(vcpus):
        door.store.transact(lambda session: quotas.grow(session, conf, server_id, vcpus, 256))

    with pytest.raises(OverLimit):
        grow(5)
    grow(4)
    assert used(door) == (1, 4, 512)
    door.store.transact(lambda session: claims.settle(session, server_id, 4, 256, 1))
    assert used(door) == (1, 4, 256)
    assert quota_recount.check(door.store) == []
    assert ask(door, "DELETE", f"/servers/{server_id}").status_int == 204
    assert used(door) == (0, 0, 0)


def test_what_is_recorded_wrongly_is_found_and_put_right(door):
    boot(door)

    def spoil(session):
        session.get(QuotaUsage, "demo").cores = 7

    door.store.transact(spoil)
    (found,) = quota_recount.check(door.store)
    assert (found.scope, found.resource, found.recorded, found.counted) == ("demo", "cores", 7, 1)
    assert quota_recount.repair(door.store) == [found]
    assert quota_recount.check(door.store) == []
    assert used(door) == (1, 1, 128)
