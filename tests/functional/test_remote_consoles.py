"""Remote consoles: what the API answers, on the fake driver and the real bus, relay and store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from compute_cloud import ADMIN, DEMO, IMAGE, OTHER, READER, ask
from sqlalchemy import select, update
from whole_cloud import WholeCloud

from nova_lite.api.console import urls
from nova_lite.compute import console_tokens
from nova_lite.db.models import ConsoleAuthToken, Image
from nova_lite.errors import NotFound

SERIAL = {"remote_console": {"protocol": "serial", "type": "serial"}}
NOVNC = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
SPICE = {"remote_console": {"protocol": "spice", "type": "spice-html5"}}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path)
    made.agent()
    made.scheduler()
    yield made
    made.close()


def open_console(cloud: WholeCloud, server_id: str, body: Any = SERIAL, **options: Any) -> Any:
    return ask(cloud, "POST", f"/servers/{server_id}/remote-consoles", body, **{"version": "2.6"} | options)


def token_of(url: str) -> str:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return query["token"][0] if "token" in query else parse_qs(urlsplit(query["path"][0]).query)["token"][0]


def take_screens(cloud: WholeCloud) -> None:
    def work(session: Any) -> None:
        image = session.get(Image, IMAGE)
        image.properties = {**image.properties, "hw_video_model": "none"}

    cloud.store.transact(work)


def rows(cloud: WholeCloud) -> list[ConsoleAuthToken]:
    with cloud.store.read() as session:
        return list(session.scalars(select(ConsoleAuthToken)))


def test_a_serial_console_is_a_websocket(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    answer = open_console(cloud, server_id)
    assert answer.status_int == 200
    shown = answer.json["remote_console"]
    assert (shown["protocol"], shown["type"]) == ("serial", "serial")
    assert shown["url"].startswith("ws://127.0.0.1:8774/console/websocket?token=")
    old = ask(cloud, "POST", f"/servers/{server_id}/action", {"os-getSerialConsole": {"type": "serial"}}, version="2.5")
    assert old.status_int == 200
    assert old.json["console"]["type"] == "serial"
    assert old.json["console"]["url"].startswith("ws://")
    tokens = [token_of(shown["url"]), token_of(old.json["console"]["url"])]
    assert len(set(tokens)) == 2
    assert all(token not in str(vars(row)) for token in tokens for row in rows(cloud)), "only hashes are kept"


def test_a_screen_is_a_page_that_is_told_where_to_connect(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    answer = open_console(cloud, server_id, NOVNC)
    assert answer.status_int == 200
    url = urlsplit(answer.json["remote_console"]["url"])
    assert (url.scheme, url.path) == ("http", "/console/vnc")
    assert parse_qs(url.query)["path"][0].startswith("/console/websocket?token=")
    old = ask(cloud, "POST", f"/servers/{server_id}/action", {"os-getVNCConsole": {"type": "novnc"}}, version="2.1")
    assert old.json["console"]["type"] == "novnc"
    cloud.conf.set_override("novnc_base_url", "https://screens.example/vnc_lite.html", group="console")
    outside = open_console(cloud, server_id, NOVNC).json["remote_console"]["url"]
    assert outside.startswith(
        "https://screens.example/vnc_lite.html?host=127.0.0.1&port=8774&path=console%2Fwebsocket%3F"
    )


def test_a_screen_is_to_be_had_by_spice_too(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    shown = open_console(cloud, server_id, SPICE).json["remote_console"]
    assert (shown["protocol"], shown["type"]) == ("spice", "spice-html5")
    url = urlsplit(shown["url"])
    assert (url.scheme, url.path) == ("http", "/console/spice")
    assert parse_qs(url.query)["path"][0].startswith("/console/websocket?token=")
    old = ask(
        cloud, "POST", f"/servers/{server_id}/action", {"os-getSPICEConsole": {"type": "spice-html5"}}, version="2.5"
    )
    assert (old.status_int, old.json["console"]["type"]) == (200, "spice-html5")
    assert urlsplit(old.json["console"]["url"]).path == "/console/spice"
    token = token_of(shown["url"])
    told = ask(cloud, "GET", f"/os-console-auth-tokens/{token}", token=ADMIN, version="2.31").json["console"]
    assert (told["instance_uuid"], told["host"]) == (server_id, "127.0.0.1")
    assert told["port"] > 0
    assert console_tokens.begin(cloud.store, token, "1.0").server_id == server_id, "to look at it does not use it up"
    cloud.conf.set_override("spice_html5_base_url", "https://screens.example/spice_auto.html", group="console")
    outside = open_console(cloud, server_id, SPICE).json["remote_console"]["url"]
    assert outside.startswith(
        "https://screens.example/spice_auto.html?host=127.0.0.1&port=8774&path=console%2Fwebsocket%3F"
    )
    origins = urls.allowed_origins(cloud.conf, "http://127.0.0.1:8774")
    assert origins == {"http://127.0.0.1:8774", "https://screens.example:443"}


@pytest.mark.parametrize(
    ("kind", "what"), [("unikernel", "a unikernel has no screen"), ("container", "a container has no screen")]
)
def test_who_has_no_screen_is_told_who_has(cloud: WholeCloud, kind: str, what: str) -> None:
    def work(session: Any) -> None:
        image = session.get(Image, IMAGE)
        image.properties = {**image.properties, "hw_video_model": "virtio", "nova_lite_kind": kind}
        if kind == "container":
            image.container_format = "docker"

    cloud.store.transact(work)
    answer = open_console(cloud, cloud.boot(), SPICE)
    assert answer.status_int == 400
    assert f"{what}; its serial console works, and a VM has a screen" in answer.text


@pytest.mark.parametrize(
    ("protocol", "kind", "version"),
    [
        ("vnc", "novnc", "2.6"),  # this image gives its VMs no screen
        ("vnc", "xvpvnc", "2.6"),
        ("spice", "spice-html5", "2.6"),  # nor this one
        ("rdp", "rdp-html5", "2.6"),
        ("mks", "webmks", "2.8"),
        ("vnc", "serial", "2.6"),
    ],
)
def test_what_a_guest_has_not_is_unavailable(cloud: WholeCloud, protocol: str, kind: str, version: str) -> None:
    take_screens(cloud)
    server_id = cloud.boot()
    answer = open_console(cloud, server_id, {"remote_console": {"protocol": protocol, "type": kind}}, version=version)
    assert answer.status_int == 400
    assert answer.json["badRequest"]["message"].startswith(f"Unavailable console type {kind}.")
    assert rows(cloud) == []


def test_the_microversions(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    assert open_console(cloud, server_id, version="2.5").status_int == 404
    webmks = {"remote_console": {"protocol": "mks", "type": "webmks"}}
    assert open_console(cloud, server_id, webmks, version="2.7").status_int == 400
    for name in ("os-getVNCConsole", "os-getSerialConsole", "os-getSPICEConsole", "os-getRDPConsole"):
        answer = ask(cloud, "POST", f"/servers/{server_id}/action", {name: {"type": "serial"}}, version="2.6")
        assert answer.status_int == 404 and "API version 2.6 is not supported" in answer.text


def test_who_may(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    assert open_console(cloud, server_id, token=READER).status_int == 403
    assert open_console(cloud, server_id, token=OTHER).status_int == 404
    assert open_console(cloud, server_id, token=ADMIN).status_int == 200


def test_a_guest_that_does_not_run_is_not_ready(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    cloud.do(server_id, {"os-stop": None})
    answer = open_console(cloud, server_id)
    assert answer.status_int == 409
    assert f"Instance {server_id} is not ready" in answer.text


def test_a_token_is_used_once_and_goes_with_its_server(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    first, second, third, moved = (
        token_of(open_console(cloud, server_id).json["remote_console"]["url"]) for _ in range(4)
    )
    assert console_tokens.use(cloud.store, first) == console_tokens.Ticket(server_id, "host1", "serial")
    for token in (first, "", "x", first + "x", "\udcff", "x" * 100_000):
        with pytest.raises(NotFound):
            console_tokens.use(cloud.store, token)
    row = rows(cloud)[0]
    cloud.store.transact(
        lambda session: session.execute(
            update(ConsoleAuthToken).where(ConsoleAuthToken.id == row.id).values(expires_at=row.expires_at - 601)
        )
    )
    with pytest.raises(NotFound):
        console_tokens.use(cloud.store, second)
    cloud.store.transact(
        lambda session: session.execute(
            update(ConsoleAuthToken).where(ConsoleAuthToken.id == rows(cloud)[-1].id).values(host="another")
        )
    )
    with pytest.raises(NotFound):
        console_tokens.use(cloud.store, moved)
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    cloud.quiet()
    assert rows(cloud) == []
    with pytest.raises(NotFound):
        console_tokens.use(cloud.store, third)


def test_tokens_do_not_pile_up(cloud: WholeCloud) -> None:
    server_id, other = cloud.boot(), cloud.boot()
    cloud.conf.set_override("token_ttl", 1, group="console")
    open_console(cloud, other)
    cloud.store.transact(lambda session: session.execute(update(ConsoleAuthToken).values(expires_at=1.0)))
    cloud.conf.set_override("token_ttl", 600, group="console")
    for _ in range(console_tokens.MOST_OF_A_SERVER + 3):
        url = open_console(cloud, server_id).json["remote_console"]["url"]
    kept = rows(cloud)
    assert {row.server_id for row in kept} == {server_id}, "what has expired is removed"
    assert len(kept) == console_tokens.MOST_OF_A_SERVER
    assert console_tokens.use(cloud.store, token_of(url)).server_id == server_id


def test_an_admin_is_told_where_a_token_leads(cloud: WholeCloud) -> None:
    server_id = cloud.boot()
    token = token_of(open_console(cloud, server_id).json["remote_console"]["url"])
    path = f"/os-console-auth-tokens/{token}"
    answer = ask(cloud, "GET", path, token=ADMIN, version="2.31")
    assert answer.status_int == 200
    shown = answer.json["console"]
    assert shown["instance_uuid"] == server_id
    assert shown["host"] == "127.0.0.1"
    assert shown["port"] > 0
    assert len(shown["internal_access_path"]) == 64
    assert ask(cloud, "GET", path, token=ADMIN, version="2.30").status_int == 400
    assert ask(cloud, "GET", path, token=DEMO, version="2.31").status_int == 403
    assert ask(cloud, "GET", f"{path}x", token=ADMIN, version="2.31").status_int == 404
    assert console_tokens.use(cloud.store, token).server_id == server_id, "to look at it does not use it up"
    assert ask(cloud, "GET", path, token=ADMIN, version="2.31").status_int == 404
