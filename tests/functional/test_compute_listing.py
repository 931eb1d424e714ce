"""Listings of servers: the pages together are the whole, in order, whatever is sorted by."""

from __future__ import annotations

import datetime
import random
from urllib.parse import urlsplit

import pytest
from compute_cloud import ADMIN, DEMO, OTHER, ask, boot, build, rows
from sqlalchemy import insert, update

from nova_lite.db.models import Server
from nova_lite.db.types import now

SORTS = [
    "",
    "sort_dir=asc",
    "sort_key=display_name&sort_dir=asc",
    "sort_key=vm_state&sort_key=created_at&sort_dir=desc&sort_dir=asc",
    "sort_key=launched_at&sort_dir=asc",
    "sort_key=task_state&sort_dir=desc",
    "sort_key=key_name&sort_key=uuid&sort_dir=asc&sort_dir=desc",
    "sort_key=kernel_id",
    "sort_key=locked&sort_dir=asc",
    "sort_key=instance_type_id",
    "sort_key=power_state&sort_key=display_description",
]


@pytest.fixture
def many(door):
    chance = random.Random(7)
    made = rows(37) + rows(3, project="other")
    moment = now()
    for row in made:
        row |= {
            "created_at": moment - datetime.timedelta(seconds=chance.randrange(5)),
            "launched_at": chance.choice([None, moment, moment - datetime.timedelta(hours=1)]),
            "vm_state": chance.choice(["active", "stopped", "error"]),
            "task_state": chance.choice([None, "deleting", "rebooting"]),
            "key_name": chance.choice([None, "a", "b"]),
            "description": chance.choice([None, "", "x"]),
            "locked": chance.random() < 0.5,
            "image_properties": chance.choice([{}, {"kernel_id": "k"}]),
            "deleted": chance.random() < 0.1,
        }
    door.store.transact(lambda session: session.execute(insert(Server), made))
    return made


def walk(door, path, version):
    seen, pages = [], 0
    while path:
        reply = ask(door, "GET", path, version=version)
        assert reply.status_int == 200, reply.text
        seen += [server["id"] for server in reply.json["servers"]]
        links = reply.json.get("servers_links", [])
        pages += 1
        if links:
            url = urlsplit(links[0]["href"])
            path = f"{url.path.removeprefix('/compute/v2.1')}?{url.query}"
        else:
            path = None
    return seen, pages


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 7, 36, 100])
def test_pages_are_the_whole(door, many, sort, limit):
    version = "2.73"
    whole = [server["id"] for server in ask(door, "GET", f"/servers?{sort}", version=version).json["servers"]]
    wanted = {row["id"] for row in many if row["project_id"] == "demo" and not row["deleted"]}
    assert set(whole) == wanted and len(whole) == len(wanted)
    kind = "/detail" if limit == 7 else ""
    seen, pages = walk(door, f"/servers{kind}?{sort}&limit={limit}", version)
    assert seen == whole
    assert pages in (-(-len(whole) // limit), len(whole) // limit + 1)


def test_a_page_stays_right_when_servers_come_and_go(door, many):
    first = ask(door, "GET", "/servers?limit=10&sort_key=display_name&sort_dir=asc").json
    boot(door, name="aaaa")
    ask(door, "DELETE", f"/servers/{first['servers'][0]['id']}")
    url = urlsplit(first["servers_links"][0]["href"])
    rest, _ = walk(door, f"/servers?{url.query}", "2.1")
    assert not set(rest) & {server["id"] for server in first["servers"]}
    assert len(rest) + 10 == sum(row["project_id"] == "demo" and not row["deleted"] for row in many)


def ids(door, query, *, version="2.96", token=DEMO):
    reply = ask(door, "GET", f"/servers?{query}", version=version, token=token)
    assert reply.status_int == 200, reply.text
    return {server["id"] for server in reply.json["servers"]}


def test_filters(door):
    web = boot(door, name="web-1", flavorRef="1").json["server"]["id"]
    data = boot(door, name="data-1", flavorRef="2", config_drive=True).json["server"]["id"]
    build(door, web)
    build(door, data, vm_state="stopped")
    address = ask(door, "GET", f"/servers/{web}").json["server"]["addresses"]["private"][0]["addr"]
    for query, wanted in {
        "name=web": {web},
        "name=-1$": {web, data},
        "name=^data": {data},
        "status=ACTIVE": {web},
        "status=shutoff": {data},
        "status=ACTIVE&status=SHUTOFF": {web, data},
        "flavor=2": {data},
        "image=11111111-1111-4111-8111-111111111111": {web, data},
        f"ip={address.replace('.', '%5C.')}$": {web},
        "ip6=fe80": set(),
        "changes-since=2020-01-01T00:00:00Z": {web, data},
        "changes-since=2099-01-01T00:00:00Z": set(),
        "changes-before=2020-01-01T00:00:00Z": set(),
        "power_state=1": {web},
        "vm_state=stopped": {data},
        "locked=false": {web, data},
        "hostname=^web-1$": {web},
        "user_id=demo": {web, data},
        "user_id=somebody": set(),
        "config_drive=True": {data},
        "config_drive=False": {web},
        "availability_zone=nova": {web, data},
        "availability_zone=elsewhere": set(),
        "reservation_id=r-none": set(),
        "key_name=none": set(),
        "task_state=None": {web, data},
    }.items():
        assert ids(door, query) == wanted, query
    assert ids(door, "host=host1&all_tenants=1", token=ADMIN) == {web, data}
    locked = {"lock": None}
    assert ask(door, "POST", f"/servers/{web}/action", locked).status_int == 202
    assert ask(door, "POST", f"/servers/{data}/action", locked, token=ADMIN).status_int == 202
    assert ids(door, "locked_by=owner&all_tenants=1", token=ADMIN) == {web}
    assert ids(door, "locked_by=admin&all_tenants=1", token=ADMIN) == {data}
    assert ids(door, "all_tenants=1&sort_key=locked_by", token=ADMIN, version="2.1") == {web, data}
    assert ids(door, f"uuid={web}&all_tenants=1", token=ADMIN) == {web}
    assert ids(door, "ip6=10", version="2.1") == {web, data}


def test_deleted_servers_are_for_admins_and_for_those_who_follow_changes(door):
    server_id = boot(door).json["server"]["id"]
    before = "2020-01-01T00:00:00Z"
    ask(door, "DELETE", f"/servers/{server_id}")
    assert ids(door, "") == set()
    assert ids(door, f"changes-since={before}") == {server_id}
    assert ids(door, "deleted=true&all_tenants=1", token=ADMIN) == {server_id}
    assert ids(door, "status=DELETED&all_tenants=1", token=ADMIN) == {server_id}
    (shown,) = ask(door, "GET", f"/servers/detail?changes-since={before}", version="2.96").json["servers"]
    assert shown["status"] == "DELETED" and shown["addresses"] == {}
    history = f"/servers/{server_id}/os-instance-actions"
    assert ask(door, "GET", history, version="2.20").status_int == 404
    actions = ask(door, "GET", history, version="2.21").json["instanceActions"]
    assert [action["action"] for action in actions] == ["delete", "create"]


def test_a_server_changed_before_the_moment_that_it_shows(door):
    """``openstack server list --changes-before`` is given ``updated``, whole seconds, of a server that is to be in the list."""
    server_id = boot(door).json["server"]["id"]
    changed = datetime.datetime(2026, 1, 31, 12, 0, 0, 654_321)
    door.store.transact(
        lambda session: session.execute(update(Server).where(Server.id == server_id).values(updated_at=changed))
    )
    shown = ask(door, "GET", f"/servers/{server_id}").json["server"]["updated"]
    assert shown == "2026-01-31T12:00:00Z"
    assert ids(door, f"changes-before={shown}") == {server_id}
    assert ids(door, f"changes-since={shown}&changes-before={shown}") == {server_id}
    assert ids(door, "changes-before=2026-01-31T11:59:59Z") == set()
    assert ids(door, "changes-before=2026-01-31T12:00:00.5Z") == set()
    history = f"/servers/{server_id}/os-instance-actions"
    (action,) = ask(door, "GET", history, version="2.66").json["instanceActions"]
    second = action["updated_at"].partition(".")[0]
    listed = ask(door, "GET", f"{history}?changes-before={second}", version="2.66").json["instanceActions"]
    assert listed == [action]


def test_servers_that_can_be_restored_are_for_admins_who_ask(door):
    server_id = boot(door).json["server"]["id"]
    other = boot(door).json["server"]["id"]
    build(door, server_id, vm_state="soft-delete")
    assert ids(door, "") == {other}
    assert ids(door, "soft_deleted=true") == {other}  # a filter for admins, as upstream has it
    assert ids(door, "status=SOFT_DELETED&all_tenants=1", token=ADMIN) == {server_id}
    assert ids(door, "soft_deleted=true&all_tenants=1", token=ADMIN) == {server_id, other}
    assert ids(door, "deleted=true&all_tenants=1", token=ADMIN) == {server_id}
    assert ids(door, "deleted=true&soft_deleted=false&all_tenants=1", token=ADMIN) == set()


def test_all_projects_are_for_admins(door):
    mine = boot(door).json["server"]["id"]
    theirs = boot(door, token=OTHER).json["server"]["id"]
    assert ids(door, "all_tenants=1", token=ADMIN) == ids(door, "all_tenants=", token=ADMIN) == {mine, theirs}
    assert ids(door, "all_tenants=0", token=ADMIN) == set()
    assert ids(door, "all_tenants=1&project_id=other", token=ADMIN) == {theirs}
    assert ids(door, "all_tenants=1&tenant_id=demo", token=ADMIN) == {mine}
    assert ids(door, "project_id=other", token=ADMIN) == set()
    assert ids(door, "project_id=other") == {mine}
    for path in ("/servers?all_tenants=1", "/servers/detail?all_tenants=1"):
        assert ask(door, "GET", path).status_int == 403
    assert ask(door, "GET", "/servers?all_tenants=perhaps", token=ADMIN).status_int == 400
