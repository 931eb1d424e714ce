"""Servers over the API: from creation to deletion, and everything that is shown of them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from compute_cloud import (
    ADMIN,
    CONTAINER,
    DEMO,
    IMAGE,
    KERNEL,
    OTHER,
    READER,
    UNIKERNEL,
    Statements,
    add_network,
    ask,
    boot,
    build,
    lift_quotas,
    rows,
    seed,
)
from sqlalchemy import insert, select, update

from nova_lite.db.models import FixedIp, Operation, Port, Server
from nova_lite.errors import Unavailable

LATEST = "2.96"


def made(door, **members):
    reply = boot(door, **members)
    assert reply.status_int == 202, reply.text
    return reply.json["server"]["id"]


def show(door, server_id, *, version=LATEST, token=DEMO):
    reply = ask(door, "GET", f"/servers/{server_id}", version=version, token=token)
    assert reply.status_int == 200, reply.text
    return reply.json["server"]


def all_of(door, query):
    with door.store.read() as session:
        return session.execute(query).all()


def test_a_create_writes_server_port_and_operation_together_and_wakes_the_scheduler(door):
    reply = boot(door, metadata={"a": "b"}, user_data=base64.b64encode(b"#!").decode(), config_drive="true")
    assert reply.status_int == 202
    body = reply.json["server"]
    assert reply.headers["Location"] == body["links"][0]["href"]
    assert body["links"][0]["href"].endswith(f"/compute/v2.1/servers/{body['id']}")
    assert len(body["adminPass"]) == 12 and body["OS-DCF:diskConfig"] == "MANUAL"
    assert reply.headers["X-OpenStack-Request-ID"].startswith("req-")
    assert door.wakes.seen == [("scheduler", None)]
    (operation,) = all_of(door, select(Operation.action, Operation.target_id, Operation.queue, Operation.state))
    assert tuple(operation) == ("create", body["id"], "scheduler", "pending")
    (port,) = all_of(door, select(Port.device_id, Port.device_owner, Port.made_by_compute, Port.project_id))
    assert tuple(port) == (body["id"], "compute:nova", True, "demo")
    server = show(door, body["id"])
    assert (server["status"], server["OS-EXT-STS:vm_state"], server["OS-EXT-STS:task_state"]) == (
        "BUILD",
        "building",
        "scheduling",
    )
    assert server["metadata"] == {"a": "b"} and server["config_drive"] == "True"
    (address,) = server["addresses"]["private"]
    assert address["addr"].startswith("10.0.0.") and address["OS-EXT-IPS-MAC:mac_addr"].startswith("fa:16:3e:")


@pytest.mark.parametrize(("image", "kind"), [(IMAGE, "vm"), (UNIKERNEL, "unikernel"), (CONTAINER, "container")])
def test_the_image_decides_the_kind_and_only_our_clients_see_it(door, image, kind):
    server_id = made(door, imageRef=image)
    assert not any(name.startswith("nova_lite") for name in show(door, server_id))
    path = f"/compute/v2.1/servers/{server_id}"
    assert door.ask("GET", path, X_Nova_Lite="1").json["server"]["nova_lite:kind"] == kind
    listed = door.ask("GET", "/compute/v2.1/servers/detail", X_Nova_Lite="1").json["servers"]
    assert [server["nova_lite:kind"] for server in listed] == [kind]


def test_several_at_once_are_named_and_counted_as_nova_does(door):
    reply = boot(door, min_count=2, max_count=3, return_reservation_id=True)
    assert reply.status_int == 202 and list(reply.json) == ["reservation_id"]
    query = f"/servers/detail?reservation_id={reply.json['reservation_id']}&sort_key=display_name&sort_dir=asc"
    servers = ask(door, "GET", query, version=LATEST).json["servers"]
    assert [server["name"] for server in servers] == ["vm-1", "vm-2", "vm-3"]
    assert [server["OS-EXT-SRV-ATTR:hostname"] for server in servers] == ["vm-1", "vm-2", "vm-3"]
    assert len({server["addresses"]["private"][0]["addr"] for server in servers}) == 3


def test_fifty_at_once_take_as_many_statements_as_two(door):
    lift_quotas(door)
    made(door)  # a project's first server makes the row that its use is counted in
    with Statements(door) as two:
        made(door, min_count=2)
    with Statements(door) as fifty:
        made(door, min_count=50)
    # Addresses are guessed; who guessed one that is held looks once at which ones are, and takes others.
    assert abs(len(fifty.seen) - len(two.seen)) <= 3


def test_all_or_nothing_when_the_addresses_do_not_suffice(compute_door):
    door = compute_door
    seed(door, network=False)
    add_network(door, "small", "10.9.0.0/29")
    reply = boot(door, min_count=6)
    assert reply.status_int == 409 and "No more IP addresses" in reply.json["conflictingRequest"]["message"]
    assert all_of(door, select(Server.id)) == [] == all_of(door, select(Port.id)) == all_of(door, select(Operation.id))
    assert boot(door, min_count=5).status_int == 202


def test_networks_absent_auto_none_several(compute_door):
    door = compute_door
    seed(door, network=False)
    assert show(door, made(door))["addresses"] == {}
    refused = boot(door, version=LATEST, networks="auto")
    assert refused.status_int == 400 and "automatically allocate" in refused.text
    missing = boot(door, version=LATEST)
    assert missing.status_int == 400 and "networks" in missing.text
    first = add_network(door, "one", "10.1.0.0/24")
    assert list(show(door, made(door))["addresses"]) == ["one"]
    second = add_network(door, "two", "10.2.0.0/24")
    several = boot(door)
    assert several.status_int == 409
    assert several.json["conflictingRequest"]["message"].startswith("Multiple possible networks found")
    assert show(door, made(door, version=LATEST, networks="none"))["addresses"] == {}
    both = show(door, made(door, networks=[{"uuid": second}, {"uuid": first, "fixed_ip": "10.1.0.77"}]))
    assert list(both["addresses"]) == ["two", "one"] and both["addresses"]["one"][0]["addr"] == "10.1.0.77"
    again = boot(door, networks=[{"uuid": first, "fixed_ip": "10.1.0.77"}])
    assert again.status_int == 400 and "already allocated" in again.text
    theirs = add_network(door, "theirs", "10.3.0.0/24", project="other")
    assert boot(door, networks=[{"uuid": theirs}]).status_int == 400


def test_a_port_that_its_user_made_is_bound_once_and_survives_the_server(door):
    network = door.ask("GET", "/network/v2.0/networks").json["networks"][0]["id"]
    port = door.ask("POST", "/network/v2.0/ports", {"port": {"network_id": network}}).json["port"]
    server_id = made(door, networks=[{"port": port["id"]}])
    assert show(door, server_id)["addresses"]["private"][0]["addr"] == port["fixed_ips"][0]["ip_address"]
    again = boot(door, networks=[{"port": port["id"]}])
    assert (
        again.status_int == 409 and again.json["conflictingRequest"]["message"] == f"Port {port['id']} is still in use."
    )
    assert ask(door, "DELETE", f"/servers/{server_id}").status_int == 204
    freed = door.ask("GET", f"/network/v2.0/ports/{port['id']}").json["port"]
    assert freed["device_id"] == "" and freed["status"] == "DOWN"


def test_members_of_each_microversion(door):
    server_id = made(door)
    build(door, server_id)
    old = show(door, server_id, version="2.1")
    assert "locked" not in old and "tags" not in old and set(old["flavor"]) == {"id", "links"}
    assert "OS-EXT-SRV-ATTR:host" not in old
    new = show(door, server_id)
    assert new["flavor"]["original_name"] == "tiny" and new["flavor"]["extra_specs"] == {"a:b": "c"}
    assert new["locked"] is False and new["tags"] == [] and new["server_groups"] == []
    assert new["hostId"] == hashlib.sha224(b"demohost1").hexdigest() and new["OS-EXT-AZ:availability_zone"] == "nova"
    seen = show(door, server_id, token=ADMIN)
    assert seen["OS-EXT-SRV-ATTR:host"] == "host1" and seen["host_status"] == "UP"
    assert seen["OS-EXT-SRV-ATTR:kernel_id"] == KERNEL


def test_a_fault_is_shown_with_details_for_admins_only(door):
    server_id = made(door)
    fault = {"code": 500, "message": "No valid host", "details": "why", "created": "2026-01-01T00:00:00Z"}
    build(door, server_id, vm_state="error", host=None, fault=fault)
    assert show(door, server_id)["fault"] == {key: fault[key] for key in ("code", "message", "created")}
    assert show(door, server_id, token=ADMIN)["fault"] == fault


def test_update_changes_what_was_given_and_nothing_else(door):
    server_id = made(door, metadata={"a": "b"})
    changed = ask(
        door, "PUT", f"/servers/{server_id}", {"server": {"name": "new", "accessIPv4": "192.0.2.1"}}, version="2.19"
    )
    assert changed.status_int == 200
    assert changed.json["server"]["name"] == "new" and changed.json["server"]["accessIPv4"] == "192.0.2.1"
    assert changed.json["server"]["metadata"] == {"a": "b"} and "OS-EXT-STS:vm_state" not in changed.json["server"]
    assert (
        "OS-EXT-STS:vm_state"
        in ask(door, "PUT", f"/servers/{server_id}", {"server": {}}, version="2.75").json["server"]
    )


ACTIONS = [
    ({"os-stop": None}, "active", "stop", "powering-off"),
    ({"os-start": None}, "stopped", "start", "powering-on"),
    ({"reboot": {"type": "SOFT"}}, "active", "reboot-soft", "rebooting"),
    ({"reboot": {"type": "HARD"}}, "stopped", "reboot-hard", "rebooting_hard"),
    ({"suspend": None}, "active", "suspend", "suspending"),
    ({"resume": None}, "suspended", "resume", "resuming"),
    ({"pause": None}, "active", "pause", "pausing"),
    ({"unpause": None}, "paused", "unpause", "unpausing"),
]


@pytest.mark.parametrize(("body", "vm_state", "action", "task_state"), ACTIONS)
def test_an_action_goes_to_the_servers_host(door, body, vm_state, action, task_state):
    server_id = made(door)
    build(door, server_id, vm_state=vm_state)
    door.wakes.seen.clear()
    reply = ask(door, "POST", f"/servers/{server_id}/action", body)
    assert (reply.status_int, reply.body) == (202, b"")
    assert door.wakes.seen == [("agent", "host1")]
    assert show(door, server_id)["OS-EXT-STS:task_state"] == task_state
    operation = all_of(door, select(Operation.action, Operation.queue, Operation.host).order_by(Operation.id))[-1]
    assert tuple(operation) == (action, "agent", "host1")
    busy = ask(door, "POST", f"/servers/{server_id}/action", body)
    assert busy.status_int == 409 and f"task_state {task_state}" in busy.text


@pytest.mark.parametrize(
    ("body", "vm_state", "word"),
    [
        ({"os-start": None}, "active", "start"),
        ({"os-stop": None}, "stopped", "stop"),
        ({"unpause": {}}, "active", "unpause"),
    ],
)
def test_an_action_that_the_state_does_not_allow_is_409_in_novas_words(door, body, vm_state, word):
    server_id = made(door)
    build(door, server_id, vm_state=vm_state)
    reply = ask(door, "POST", f"/servers/{server_id}/action", body)
    assert reply.status_int == 409
    message = reply.json["conflictingRequest"]["message"]
    assert message.startswith(f"Cannot '{word}' instance {server_id} while it is in vm_state {vm_state}")


def test_actions_that_there_are_not(door):
    server_id = made(door)
    reply = ask(door, "POST", f"/servers/{server_id}/action", {"nonsense": None})
    assert reply.status_int == 400 and reply.json["badRequest"]["message"] == "There is no such action: nonsense"
    for name in ("migrate", "os-migrateLive", "evacuate"):
        reply = ask(door, "POST", f"/servers/{server_id}/action", {name: None}, token=ADMIN)
        assert reply.status_int == 400 and "not moved from host to host" in reply.json["badRequest"]["message"]
        nobody = "/servers/88888888-8888-4888-8888-888888888888/action"
        assert ask(door, "POST", nobody, {name: None}, token=ADMIN).status_int == 404
    assert ask(door, "POST", f"/servers/{server_id}/action", {}).status_int == 400
    assert ask(door, "POST", f"/servers/{server_id}/action", {"pause": None, "os-stop": None}).status_int == 400


def test_console_output_is_the_agents_and_says_when_there_is_none(door):
    server_id = made(door)
    body = {"os-getConsoleOutput": {"length": 3}}
    assert ask(door, "POST", f"/servers/{server_id}/action", body).status_int == 409
    build(door, server_id)
    door.agents.answers["console_output"] = lambda server_id, length: f"{length} lines\x00 of \x1b[31m{server_id}"
    reply = ask(door, "POST", f"/servers/{server_id}/action", body)
    assert reply.json == {"output": f"3 lines of \x1b[31m{server_id}"}
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    build(door, server_id, host="dead")
    assert ask(door, "POST", f"/servers/{server_id}/action", body).status_int == 503

    def silent(**_arguments):
        raise Unavailable("late")

    door.agents.answers["console_output"] = silent
    build(door, server_id)
    assert ask(door, "POST", f"/servers/{server_id}/action", body).status_int == 503


def test_delete_before_a_host_is_chosen_is_done_at_once(door):
    server_id = made(door)
    assert ask(door, "DELETE", f"/servers/{server_id}").status_int == 204
    assert ask(door, "GET", f"/servers/{server_id}").status_int == 404
    assert all_of(door, select(Port.id)) == [] == all_of(door, select(FixedIp.address))
    assert {row.state for row in all_of(door, select(Operation.state))} == {"cancelled", "done"}


def test_delete_twice_is_one_operation(door):
    server_id = made(door)
    build(door, server_id)
    door.store.transact(lambda session: session.execute(update(Operation).values(state="done")))
    door.wakes.seen.clear()
    for _ in range(2):
        assert ask(door, "DELETE", f"/servers/{server_id}").status_int == 204
    assert show(door, server_id)["OS-EXT-STS:task_state"] == "deleting"
    assert len(all_of(door, select(Operation.id).where(Operation.action == "delete"))) == 1
    assert door.wakes.seen == [("agent", "host1")] * 2


def test_metadata_one_by_one_and_all_at_once(door):
    server_id = made(door, metadata={"a": "1"})
    path = f"/servers/{server_id}/metadata"
    for state in ({"vm_state": "error"}, {"vm_state": "building"}, {"task_state": "rebooting"}):
        build(door, server_id, **state)
        refused = ask(door, "POST", path, {"metadata": {"b": "2"}})
        assert refused.status_int == 409 and "Cannot 'update metadata' instance" in refused.text
        assert ask(door, "DELETE", path + "/a").status_int == 409
    build(door, server_id)
    assert ask(door, "POST", path, {"metadata": {"b": "2"}}).json == {"metadata": {"a": "1", "b": "2"}}
    assert ask(door, "PUT", f"{path}/c", {"meta": {"c": "3"}}).json == {"meta": {"c": "3"}}
    assert ask(door, "PUT", f"{path}/c", {"meta": {"d": "3"}}).status_int == 400
    assert ask(door, "GET", f"{path}/b").json == {"meta": {"b": "2"}}
    assert ask(door, "DELETE", f"{path}/b").status_int == 204
    missing = ask(door, "DELETE", f"{path}/b")
    assert missing.status_int == 404 and missing.json["itemNotFound"]["message"] == "Metadata item was not found"
    assert ask(door, "GET", path).json == {"metadata": {"a": "1", "c": "3"}}
    assert ask(door, "PUT", path, {"metadata": {}}).json == {"metadata": {}}
    many = {f"k{index}": "v" for index in range(129)}
    assert ask(door, "PUT", path, {"metadata": many}).status_int == 403
    assert ask(door, "PUT", path, {"metadata": {"k": "v" * 256}}).status_int == 400


def test_tags_and_filters_by_them(door):
    first, second = made(door, name="first"), made(door, name="second")
    path = f"/servers/{first}/tags"
    assert ask(door, "PUT", f"{path}/red", version="2.26").status_int == 409  # it is building
    for server_id in (first, second):
        build(door, server_id)
    assert ask(door, "PUT", f"{path}/red", version="2.26").status_int == 201
    assert ask(door, "PUT", f"{path}/red", version="2.26").status_int == 204
    assert ask(door, "PUT", path, {"tags": ["red", "Blue"]}, version="2.26").json == {"tags": ["red", "Blue"]}
    ask(door, "PUT", f"/servers/{second}/tags", {"tags": ["red"]}, version="2.26")
    for query, wanted in {
        "tags=red,Blue": {first},
        "tags-any=Blue,green": {first},
        "not-tags=red,Blue": {second},
        "not-tags-any=Blue": {second},
        "tags=blue": set(),
        "tags=re": set(),
    }.items():
        listed = ask(door, "GET", f"/servers?{query}", version="2.26").json["servers"]
        assert {server["id"] for server in listed} == wanted, query
    assert ask(door, "GET", f"{path}/red", version="2.26").status_int == 204
    assert ask(door, "GET", f"{path}/pink", version="2.26").status_int == 404
    assert ask(door, "DELETE", f"{path}/red", version="2.26").status_int == 204
    assert ask(door, "DELETE", path, version="2.26").status_int == 204
    assert ask(door, "PUT", f"{path}/a,b", version="2.26").status_int == 400
    fifty = [str(number) for number in range(50)]
    assert ask(door, "PUT", path, {"tags": fifty}, version="2.26").status_int == 200
    assert ask(door, "PUT", f"{path}/more", version="2.26").status_int == 400


def test_addresses_and_interfaces(door):
    server_id = made(door)
    shown = ask(door, "GET", f"/servers/{server_id}/ips").json["addresses"]["private"]
    assert list(shown[0]) == ["version", "addr"]
    assert ask(door, "GET", f"/servers/{server_id}/ips/private").json == {"private": shown}
    assert ask(door, "GET", f"/servers/{server_id}/ips/other").status_int == 404
    (nic,) = ask(door, "GET", f"/servers/{server_id}/os-interface").json["interfaceAttachments"]
    assert nic["fixed_ips"][0]["ip_address"] == shown[0]["addr"]
    path = f"/servers/{server_id}/os-interface"
    assert ask(door, "GET", f"{path}/{nic['port_id']}").json == {"interfaceAttachment": nic}
    assert ask(door, "GET", f"{path}/{server_id}").status_int == 404


def test_instance_actions_are_the_operations(door):
    server_id = made(door)
    build(door, server_id)
    stopped = ask(door, "POST", f"/servers/{server_id}/action", {"reboot": {"type": "SOFT"}})
    request_id = stopped.headers["X-OpenStack-Request-ID"]
    listed = ask(door, "GET", f"/servers/{server_id}/os-instance-actions", version=LATEST).json["instanceActions"]
    assert [action["action"] for action in listed] == ["reboot", "create"]
    path = f"/servers/{server_id}/os-instance-actions"
    page = ask(door, "GET", f"{path}?limit=1", version="2.58").json
    assert page["instanceActions"] == listed[:1] and "marker=req-" in page["links"][0]["href"]
    rest = ask(door, "GET", f"{path}?limit=1&marker={request_id}", version="2.58").json["instanceActions"]
    assert rest == listed[1:]
    action = ask(door, "GET", f"{path}/{request_id}", version=LATEST).json["instanceAction"]
    assert "traceback" not in action["events"][0] and action["events"][0]["hostId"]
    assert "events" not in ask(door, "GET", f"{path}/{request_id}").json["instanceAction"]
    seen = ask(door, "GET", f"{path}/{request_id}", version=LATEST, token=ADMIN).json["instanceAction"]
    assert seen["events"][0]["host"] == "host1"
    assert ask(door, "GET", f"{path}/req-no").status_int == 404


def test_readers_read_and_others_see_nothing(door):
    server_id = made(door)
    assert ask(door, "GET", f"/servers/{server_id}", token=READER).status_int == 200
    for method, path, body in (
        ("DELETE", "", None),
        ("POST", "/action", {"os-stop": None}),
        ("PUT", "", {"server": {"name": "x"}}),
        ("PUT", "/metadata", {"metadata": {}}),
    ):
        assert ask(door, method, f"/servers/{server_id}{path}", body, token=READER).status_int == 403, (method, path)
        assert ask(door, method, f"/servers/{server_id}{path}", body, token=OTHER).status_int == 404, (method, path)
    assert boot(door, token=READER).status_int == 403
    assert ask(door, "GET", f"/servers/{server_id}", token=OTHER).json == {
        "itemNotFound": {"code": 404, "message": f"Instance {server_id} could not be found."}
    }
    assert ask(door, "GET", "/servers/detail", token=OTHER).json == {"servers": []}


def test_the_number_of_queries_does_not_grow_with_the_servers(door):
    counts = []
    for add in (5, 200):
        door.store.transact(lambda session, add=add: session.execute(insert(Server), rows(add)))
        made(door)
        with Statements(door) as statements:
            listed = ask(door, "GET", "/servers/detail?limit=150", version=LATEST).json["servers"]
        counts.append((len(listed), len(statements.seen)))
    assert counts[0][0] < counts[1][0] == 150
    assert counts[0][1] == counts[1][1] <= 4


def test_a_host_is_named_by_admins_only(door):
    for member in ({"host": "host1"}, {"availability_zone": "nova:host1"}):
        assert boot(door, version=LATEST, networks="none", **member).status_int == 403
        assert boot(door, version=LATEST, networks="none", token=ADMIN, **member).status_int == 202
    arguments = [row.arguments for row in all_of(door, select(Operation.arguments))]
    assert arguments == [{"host": "host1"}] * 2
    for member in ({"host": "nowhere"}, {"availability_zone": "nova:nowhere"}, {"availability_zone": "mars"}):
        assert boot(door, version=LATEST, networks="none", token=ADMIN, **member).status_int == 400
