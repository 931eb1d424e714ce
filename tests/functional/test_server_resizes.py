"""Resize, live and cold, and rebuild, over the API with a real agent on the fake driver."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

from typing import Any

import pytest
from action_requests import LIVE, LIVE_SPECS
from compute_cloud import ADMIN, IMAGE, OTHER, PRIVATE_IMAGE, UNIKERNEL, ask
from patient_cloud import cloud, migrations, size  # noqa: F401
from whole_cloud import WholeCloud

from nova_lite.compute import due
from nova_lite.db.models import Flavor

TINY, SMALL = (1, 128, 1), (2, 512, 20)


def test_resize_and_confirm(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, server.power_state) == ("resized", 1)
    shown = cloud.show(server_id)
    assert (shown["status"], shown["flavor"]["original_name"]) == ("VERIFY_RESIZE", "small")
    assert size(cloud, server_id) == (2, 512)
    assert cloud.used() == SMALL
    cloud.act(server_id, {"resize": {"flavorRef": "1"}}, status=409)
    assert cloud.do(server_id, {"confirmResize": None}, status=204).vm_state == "active"
    assert cloud.used() == SMALL
    assert cloud.server(server_id).system_metadata == {}
    assert migrations(cloud) == ["confirmed"]
    reply = cloud.act(server_id, {"revertResize": None}, status=409)
    assert "Cannot 'revertResize' instance" in reply.json["conflictingRequest"]["message"]


def test_resize_and_revert_of_a_stopped_server(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"os-stop": None})
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == ("resized", 4, 4)
    server = cloud.do(server_id, {"revertResize": None})
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == ("stopped", 4, 4)
    assert (server.vcpus, server.flavor["id"], cloud.used()) == (1, "1", TINY)
    assert migrations(cloud) == ["reverted"]
    assert cloud.do(server_id, {"os-start": None}).vm_state == "active"
    assert size(cloud, server_id) == (1, 128)


def test_a_resize_that_fails_is_undone(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.next_errors["resize"] = ["no room on the disk"]
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, server.vcpus, cloud.used()) == ("active", 1, TINY)
    assert server.fault is not None and server.fault["message"] == "no room on the disk"
    assert size(cloud, server_id) == (1, 128)
    assert migrations(cloud) == ["error"]


def test_a_resize_that_can_not_be_undone_ends_in_error(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.driver.faults.next_errors |= {"resize": ["no"], "revert_resize": ["neither"]}
    server = cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert (server.vm_state, cloud.used()) == ("error", TINY)


@pytest.mark.parametrize("done", [True, False])
def test_a_revert_that_failed_is_not_confirmed_but_reverted_again(cloud: WholeCloud, done: bool) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    cloud.driver.faults.next_errors["revert_resize"] = ["no"]
    cloud.driver.faults.after = done  # the failure of a start, say, when all else was done
    server = cloud.do(server_id, {"revertResize": None})
    assert (server.vm_state, server.vcpus, server.fault["message"]) == ("resized", 2, "no")
    assert size(cloud, server_id) == ((1, 128) if done else (2, 512))
    reply = cloud.act(server_id, {"confirmResize": None}, status=409)
    assert "revert it again" in reply.json["conflictingRequest"]["message"]
    cloud.conf.set_override("resize_confirm_window", 0, group="compute")
    assert due.Due(cloud.store, cloud.conf.compute).begin() == set(), "nor by itself"
    cloud.conf.set_override("resize_confirm_window", -1, group="compute")
    assert cloud.do(server_id, {"revertResize": None}).vm_state == "active"
    assert (size(cloud, server_id), cloud.used(), migrations(cloud)) == ((1, 128), TINY, ["reverted"])
    # And the next resize is another one.
    assert cloud.do(server_id, {"resize": {"flavorRef": "2"}}).vm_state == "resized"
    assert cloud.do(server_id, {"confirmResize": None}, status=204).vm_state == "active"
    assert size(cloud, server_id) == (2, 512)


def test_resizes_that_are_refused(cloud: WholeCloud) -> None:
    server_id = cloud.boot(flavorRef="2")
    huge = Flavor(flavorid="huge", name="huge", vcpus=2, memory_mb=40_000, disk_gb=20)
    cloud.store.transact(lambda session: session.add(huge))
    for flavor, words in (
        ("2", "must change flavor"),
        ("1", "smaller"),
        ("nothing", "Unable to locate"),
        ("private", "Unable to locate"),
        ("huge", "No valid host was found"),
    ):
        reply = cloud.act(server_id, {"resize": {"flavorRef": flavor}}, status=400)
        assert words in reply.json["badRequest"]["message"]
    assert (cloud.used(), cloud.server(server_id).task_state, migrations(cloud)) == (SMALL, None, [])
    cloud.do(server_id, {"pause": None})
    cloud.act(server_id, {"resize": {"flavorRef": "huge"}}, status=409)
    cloud.act(server_id, {"resize": {"flavorRef": "huge"}}, token=OTHER, status=404)


def test_a_resize_is_confirmed_by_itself(cloud: WholeCloud) -> None:
    cloud.conf.set_override("resize_confirm_window", 1, group="compute")
    server_id = cloud.boot()
    assert cloud.do(server_id, {"resize": {"flavorRef": "2"}}).vm_state == "resized"
    cloud.until(lambda: cloud.server(server_id).vm_state == "active")
    cloud.quiet()
    cloud.conf.set_override("resize_confirm_window", 0, group="compute")
    other = cloud.boot()
    assert cloud.do(other, {"resize": {"flavorRef": "2"}}).vm_state == "active"
    assert migrations(cloud) == ["confirmed", "confirmed"]


def test_deleting_a_resized_server_leaves_nothing(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    ask(cloud, "DELETE", f"/servers/{server_id}")
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert cloud.used() == (0, 0, 0)
    assert migrations(cloud) == ["confirmed"]


def test_live_resize(cloud: WholeCloud) -> None:
    specs = {"nova_lite:max_vcpus": "4", "nova_lite:max_memory_mb": "1024", "nova_lite:live": "Yes"}

    def flavors(session: Any) -> None:
        for name, vcpus, memory in (("l1", 1, 128), ("l2", 2, 512), ("l3", 8, 512)):
            session.add(Flavor(flavorid=name, name=name, vcpus=vcpus, memory_mb=memory, disk_gb=1, extra_specs=specs))

    cloud.store.transact(flavors)
    server_id = cloud.boot(flavorRef="l1")
    server = cloud.do(server_id, {"resize": {"flavorRef": "l2"}})
    assert (server.vm_state, server.vcpus, cloud.used()) == ("active", 2, (2, 512, 1))
    assert size(cloud, server_id) == (2, 512)
    assert [call for call, _ in cloud.driver.calls if call in ("resize", "resize_live")] == ["resize_live"]
    server = cloud.do(server_id, {"resize": {"flavorRef": "l3"}})
    assert (server.vm_state, server.vcpus, cloud.used()) == ("active", 2, (2, 512, 1))
    assert server.fault is not None and "room for" in server.fault["message"]
    cloud.act(server_id, {"resize": {"flavorRef": "2"}})
    assert cloud.settled(server_id).vm_state == "resized"


def test_migrations_are_listed_for_admins(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"resize": {"flavorRef": "2"}})
    assert ask(cloud, "GET", "/os-migrations").status_int == 403
    (old,) = ask(cloud, "GET", "/os-migrations", token=ADMIN).json["migrations"]
    assert "migration_type" not in old and old["instance_uuid"] == server_id
    assert (old["old_instance_type_id"], old["new_instance_type_id"], old["status"]) == (1, 2, "finished")
    answer = ask(cloud, "GET", "/os-migrations?limit=1", token=ADMIN, version="2.80").json
    assert answer["migrations"][0]["project_id"] == "demo" and "migrations_links" in answer
    path = f"/os-migrations?marker={answer['migrations'][0]['uuid']}"
    assert ask(cloud, "GET", path, token=ADMIN, version="2.80").json["migrations"] == []
    assert ask(cloud, "GET", "/os-migrations?status=error", token=ADMIN).json["migrations"] == []
    assert ask(cloud, "GET", "/os-migrations?nonsense=1", token=ADMIN, version="2.59").status_int == 400
    own = f"/servers/{server_id}/migrations"
    assert ask(cloud, "GET", own, token=ADMIN, version="2.23").json == {"migrations": []}
    assert ask(cloud, "GET", own, token=ADMIN, version="2.22").status_int == 404
    assert ask(cloud, "GET", f"{own}/1", token=ADMIN, version="2.23").status_int == 404


def test_rebuild(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    body = {
        "rebuild": {
            "imageRef": IMAGE,
            "name": "anew",
            "metadata": {"a": "b"},
            "description": "d",
            "user_data": "aGVsbG8=",
            "preserve_ephemeral": False,
        }
    }
    reply = cloud.act(server_id, body)
    answer = reply.json["server"]
    assert (answer["status"], answer["name"], answer["metadata"]) == ("REBUILD", "anew", {"a": "b"})
    assert len(answer["adminPass"]) == 12 and reply.headers["Location"].endswith(server_id)
    server = cloud.settled(server_id)
    assert (server.vm_state, server.name, server.user_data) == ("active", "anew", "aGVsbG8=")
    assert ("rebuild", server_id) in cloud.driver.calls


def test_rebuild_keeps_a_stopped_server_stopped_and_heals_one_in_error(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"os-stop": None})
    server = cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}})
    assert (server.vm_state, server.power_state, cloud.guest(server_id)["power"]) == ("stopped", 4, 4)
    cloud.driver.lose(server_id)
    cloud.act(server_id, {"os-resetState": {"state": "error"}}, token=ADMIN)
    assert cloud.do(server_id, {"rebuild": {"imageRef": IMAGE}}).vm_state == "active"
    assert cloud.guest(server_id)["power"] == 1


def test_rebuilds_that_are_refused(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    for body, version, status in (
        ({"imageRef": UNIKERNEL}, "2.96", 400),
        ({"imageRef": PRIVATE_IMAGE}, "2.96", 400),
        ({"imageRef": "nothing"}, "2.96", 400),
        ({"imageRef": IMAGE, "key_name": "none"}, "2.96", 400),
        ({"imageRef": IMAGE, "key_name": "none"}, "2.53", 400),
        ({"imageRef": IMAGE, "description": "x"}, "2.18", 400),
        ({"imageRef": IMAGE, "personality": []}, "2.57", 400),
        ({"name": "x"}, "2.96", 400),
    ):
        cloud.act(server_id, {"rebuild": body}, version=version, status=status)
    cloud.do(server_id, {"pause": None})
    cloud.act(server_id, {"rebuild": {"imageRef": IMAGE}}, status=409)


def test_a_live_resize_that_was_done_though_it_failed_is_undone(cloud: WholeCloud) -> None:
    flavor = Flavor(flavorid=LIVE, name="live", vcpus=1, memory_mb=64, disk_gb=1, extra_specs=LIVE_SPECS)
    cloud.store.transact(lambda session: session.add(flavor))
    server_id = cloud.boot()
    cloud.driver.faults.next_errors["resize_live"] = ["the answer was lost"]
    cloud.driver.faults.after = True
    server = cloud.do(server_id, {"resize": {"flavorRef": LIVE}})
    assert (server.vm_state, server.flavor["id"], server.fault is not None) == ("active", "1", True)
    assert (size(cloud, server_id), cloud.used()) == (TINY[:2], TINY)
