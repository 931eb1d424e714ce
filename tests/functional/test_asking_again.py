"""A POST with an ``Idempotency-Key``: asked twice, done once, answered alike, whatever dies in between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, build, seed
from sqlalchemy import func, select, text, update

from nova_lite.api import idempotency as front
from nova_lite.api.compute import servers
from nova_lite.db import idempotency
from nova_lite.db.models import IdempotencyKey, Keypair, Operation, Server
from nova_lite.db.types import epoch
from nova_lite.identity import keys

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
BODY = {"server": {"name": "vm", "imageRef": IMAGE, "flavorRef": "1"}}


class Killed(BaseException):
    """The process dies: no handler of ours sees it."""


@pytest.fixture
def door(compute_door):
    seed(compute_door)
    keys.ensure(keys.key_repository(compute_door.services.conf))
    return compute_door


def post(door, body=None, *, key=KEY, token=DEMO, path="/servers", version="2.1"):
    headers = {"Idempotency-Key": key, "OpenStack-API-Version": f"compute {version}"}
    return door.ask("POST", f"/compute/v2.1{path}", BODY if body is None else body, token=token, **headers)


def count(door, model):
    with door.store.read() as session:
        return session.scalar(select(func.count()).select_from(model))


def age(door, **values):
    door.store.transact(lambda session: session.execute(update(IdempotencyKey).values(values)))


def test_the_same_key_gives_the_same_answer_and_one_server(door):
    first, second = post(door), post(door)
    assert first.status_int == second.status_int == 202
    assert first.json["server"]["adminPass"]
    assert second.body == first.body
    assert second.headers["Location"] == first.headers["Location"]
    assert second.content_type == first.content_type
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert count(door, Server) == count(door, Operation) == 1
    assert door.wakes.seen == [("scheduler", None)]


def test_a_server_that_is_gone_is_not_made_again(door):
    first = post(door)
    door.ask("DELETE", f"/compute/v2.1/servers/{first.json['server']['id']}", token=DEMO)
    assert post(door).body == first.body
    assert count(door, Server) == 1


def test_white_space_and_order_are_the_same_request(door):
    first = post(door)
    spaced = f'{{ "server" : {{"flavorRef": "1",  "imageRef": "{IMAGE}", "name": "vm"}} }}'
    headers = {"Idempotency-Key": KEY, "Content-Type": "application/json"}
    assert door.ask("POST", "/compute/v2.1/servers", spaced.encode(), **headers).body == first.body


def test_a_refusal_keeps_nothing_so_the_request_may_be_mended(door):
    assert post(door, version="2.96").status_int == 400
    assert post(door, {"server": {**BODY["server"], "flavorRef": "none"}}).status_int == 400
    assert count(door, IdempotencyKey) == 0
    assert post(door).status_int == 202


def test_another_body_is_refused_and_makes_nothing(door):
    post(door)
    reply = post(door, {"server": {**BODY["server"], "name": "other"}})
    assert reply.status_int == 422
    assert reply.json["computeFault"]["code"] == 422
    assert "Idempotency-Key" in reply.json["computeFault"]["message"]
    assert post(door, version="2.8").status_int == 422
    assert count(door, Server) == 1


@pytest.mark.parametrize("key", ["", "a" * 256, "tab\there", "ümlaut"])
def test_a_key_that_is_none_is_refused(door, key):
    assert post(door, key=key).status_int == 400
    assert count(door, Server) == count(door, IdempotencyKey) == 0


def test_two_at_once_make_one_server(door):
    together = threading.Barrier(8)

    def one(_index):
        together.wait()
        return post(door)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(one, range(8)))
    done = [reply for reply in replies if reply.status_int == 202]
    refused = [reply for reply in replies if reply.status_int == 409]
    assert len(done) + len(refused) == 8
    assert len({reply.body for reply in done}) == 1
    assert all(int(reply.headers["Retry-After"]) > 0 for reply in refused)
    assert count(door, Server) == count(door, Operation) == 1


def test_a_request_under_way_is_a_conflict(door, monkeypatch):
    inside, go_on = threading.Event(), threading.Event()

    def gate():
        inside.set()
        assert go_on.wait(60)

    # Before the transaction: SQLite has one writer, and the second request must look at the key.
    monkeypatch.setattr(door.store, "together", lambda work, last: _late(door.store, gate, work, last))

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, door)
        assert inside.wait(60)
        second = post(door)
        differs = post(door, {"server": {**BODY["server"], "name": "other"}})
        go_on.set()
        assert first.result(60).status_int == 202
    assert second.status_int == 409
    assert second.headers["Retry-After"] == "2"
    assert second.json["conflictingRequest"]["code"] == 409
    assert differs.status_int == 422
    assert post(door).body == first.result().body


def _late(store, gate, work, last):
    gate()
    return type(store).together(store, work, last)


@pytest.mark.parametrize("where", ["view", "end"])
def test_a_death_before_the_commit_leaves_nothing_and_the_retry_makes_one(door, monkeypatch, where):
    def dies(*_arguments, **_named):
        raise Killed

    with monkeypatch.context() as patch:
        if where == "view":
            patch.setattr(servers.paging, "links", dies)
        else:
            patch.setattr(idempotency, "end", dies)
        with pytest.raises(Killed):
            post(door)
    assert count(door, Server) == count(door, Operation) == 0
    assert door.wakes.seen == []
    assert post(door).status_int == 409
    age(door, lease_until=epoch() - 1)
    assert post(door).status_int == 202
    assert count(door, Server) == 1


def test_a_death_between_the_commit_and_the_answer_gives_the_same_server(door, monkeypatch):
    def dies(*_arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(door.wakes, "wake", dies)
        with pytest.raises(Killed):
            post(door)
    with door.store.read() as session:
        made = session.scalar(select(Server.id))
    reply = post(door)
    assert reply.status_int == 202
    assert reply.json["server"]["id"] == made
    assert count(door, Server) == 1


def test_an_error_in_the_view_takes_the_work_back_and_lets_the_key_go(door, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(servers.paging, "links", lambda *_arguments: 1 / 0)
        assert post(door).status_int == 500
    assert count(door, Server) == count(door, IdempotencyKey) == 0
    assert post(door).status_int == 202
    assert count(door, Server) == 1


def test_a_holder_that_came_too_late_changes_nothing(door, monkeypatch):
    real = servers.paging.links

    def overtaken(call, *arguments):
        call.store.transact(lambda session: session.execute(update(IdempotencyKey).values(owner="another")))
        return real(call, *arguments)

    monkeypatch.setattr(servers.paging, "links", overtaken)
    assert post(door).status_int == 409
    assert count(door, Server) == 0


def test_users_projects_and_paths_have_keys_of_their_own(door):
    first = post(door)
    others = [post(door, token=token) for token in (OTHER, "demo:other:member", "eve:demo:member")]
    assert [reply.status_int for reply in others] == [202] * 3
    assert len({reply.json["server"]["id"] for reply in [first, *others]}) == 4
    assert post(door, {"keypair": {"name": "k"}}, path="/os-keypairs").status_int == 200


def test_a_key_expires(door):
    first = post(door)
    age(door, expires_at=epoch() - 1)
    second = post(door)
    assert second.status_int == 202
    assert second.json["server"]["id"] != first.json["server"]["id"]
    post(door, key="another")
    with door.store.read() as session:
        kept = session.scalars(select(IdempotencyKey.expires_at)).all()
    assert all(abs(moment - epoch() - 86_400) < 60 for moment in kept)
    age(door, expires_at=epoch() - 1)
    assert idempotency.purge(door.store) == 2
    assert count(door, IdempotencyKey) == 0


def test_old_keys_are_purged_now_and_then(door, monkeypatch):
    post(door)
    age(door, expires_at=epoch() - 1)
    monkeypatch.setattr(front, "_PURGE_EVERY_S", 0.0)
    post(door, key="another")
    assert count(door, IdempotencyKey) == 1


def test_nothing_secret_is_in_the_database(door):
    password = "Correct-Horse-7"
    made = post(door, {"server": {**BODY["server"], "adminPass": password}})
    assert made.json["server"]["adminPass"] == password
    pair = post(door, {"keypair": {"name": "k"}}, path="/os-keypairs")
    assert (
        pair.json["keypair"]["private_key"]
        == post(door, {"keypair": {"name": "k"}}, path="/os-keypairs").json["keypair"]["private_key"]
    )
    assert count(door, Keypair) == 1
    with door.store.read() as session:
        kept = str(session.execute(text("SELECT * FROM idempotency_keys")).all())
    for secret in (password, KEY, "PRIVATE KEY", made.json["server"]["id"]):
        assert secret not in kept
    on_disk = b"".join(path.read_bytes() for path in Path(door.store.engine.url.database).parent.glob("test.db*"))
    assert password.encode() not in on_disk
    assert b"PRIVATE KEY" not in on_disk


def test_an_answer_that_can_not_be_opened_is_never_done_again(door):
    post(door)
    age(door, answer="gAAAAA")
    reply = post(door)
    assert reply.status_int == 409
    assert "was done" in reply.json["conflictingRequest"]["message"]
    assert count(door, Server) == 1


def test_an_action_is_done_once(door):
    server_id = post(door).json["server"]["id"]
    build(door, server_id)
    before = count(door, Operation)
    replies = [post(door, {"os-stop": None}, path=f"/servers/{server_id}/action") for _ in range(2)]
    assert [reply.status_int for reply in replies] == [202, 202]
    assert replies[0].body == replies[1].body == b""
    assert count(door, Operation) == before + 1
    without = door.ask("POST", f"/compute/v2.1/servers/{server_id}/action", {"os-stop": None}, token=DEMO)
    assert without.status_int == 409


def test_an_action_that_asks_a_host_holds_no_transaction(door):
    server_id = post(door).json["server"]["id"]
    build(door, server_id)
    asked = []

    def console(**_arguments):
        # Would wait for ever if the request held SQLite's one writer.
        door.store.transact(lambda session: asked.append(session.scalar(select(Server.id))))
        return "login:"

    door.agents.answers["console_output"] = console
    body = {"os-getConsoleOutput": {}}
    replies = [post(door, body, path=f"/servers/{server_id}/action") for _ in range(2)]
    assert [reply.status_int for reply in replies] == [200, 200]
    assert replies[0].body == replies[1].body
    assert asked == [server_id]


def test_what_is_no_post_of_json_ignores_the_header(door):
    made = post(door).json["server"]["id"]
    for _ in range(2):
        reply = door.ask("GET", f"/compute/v2.1/servers/{made}", token=ADMIN, Idempotency_Key="ü" * 300)
        assert reply.status_int == 200
    assert count(door, IdempotencyKey) == 1
