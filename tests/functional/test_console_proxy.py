"""The console proxy in a real process: bytes to a fake guest and back, who is refused, the pages, and the client at a terminal."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cli_cloud import Cloud, cloud
from spice_seat import Seat
from spice_seat import websocket as websocket_of

from nova_lite import websocket
from nova_lite.cli import attach
from nova_lite.cli.faults import CommandError
from nova_lite.virt.fake_consoles import GREETING, VERSION
from nova_lite.websocket import Decoder, Opcode


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("consoles")) as made:
        made.do("flavor", "create", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("network", "create", "--share", "private")
        made.do("subnet", "create", "--network", "private", "--cidr", "10.9.0.0/24", "private-v4")
        image = ["image", "create", "--public", "--file", "-"]
        made.do(*image, "screen", stdin=b"\0" * 100_000)
        boot(made, "one")
        yield made


def boot(cloud: Cloud, name: str) -> None:
    cloud.do("server", "create", "--image", "screen", "--flavor", "m1.nano", "--wait", name)


def url_of(cloud: Cloud, kind: str = "serial", name: str = "one") -> str:
    return str(cloud.read("console", "url", "show", f"--{kind}", name)["URL"])


def read(line: attach.Line, count: int) -> bytes:
    taken = b""
    while len(taken) < count:
        piece = line.read()
        assert piece is not None, (taken, line.reason)
        taken += piece
    return taken


def refusal(url: str) -> str:
    with pytest.raises(CommandError) as caught:
        attach.Line(url)
    return str(caught.value)


def test_bytes_reach_the_guest_and_come_back(running: Cloud) -> None:
    line = attach.Line(url_of(running))
    assert read(line, len(GREETING)) == GREETING
    line.write(b"ls -l\r")
    assert read(line, 6) == b"ls -l\r"
    data = os.urandom(1_000_000)
    sender = threading.Thread(target=line.write, args=(data,))
    sender.start()
    assert read(line, len(data)) == data
    sender.join()
    line.close()


def test_several_sit_at_consoles_at_once_and_the_api_answers(running: Cloud) -> None:
    lines = [attach.Line(url_of(running)) for _ in range(5)]
    for line in lines:
        assert read(line, len(GREETING)) == GREETING
    assert running.read("server", "list")
    for number, line in enumerate(lines):
        line.write(b"%d" % number)
        assert read(line, 1) == b"%d" % number
        line.close()


def test_a_token_is_good_once(running: Cloud) -> None:
    url = url_of(running)
    attach.Line(url).close()
    assert "404" in refusal(url)
    assert "404" in refusal(url.replace("token=", "token=bad"))
    assert "404" in refusal(url.partition("?")[0] + "?")
    assert "404" in refusal(url.partition("?")[0] + "?" + "&".join("a=b" for _ in range(100)))


def test_an_expired_token_is_refused(running: Cloud) -> None:
    url = url_of(running)
    with closing(sqlite3.connect(running.directory / "cloud.db", timeout=60)) as database:
        database.execute("UPDATE console_auth_tokens SET expires_at = expires_at - 601")
        database.commit()
    assert "404" in refusal(url)


def test_a_deleted_or_stopped_servers_token_is_refused(running: Cloud) -> None:
    boot(running, "two")
    stopped = url_of(running, name="two")
    running.do("server", "stop", "--wait", "two")
    assert "409" in refusal(stopped)
    running.do("server", "start", "--wait", "two")
    url = url_of(running, name="two")
    running.do("server", "delete", "--wait", "two")
    assert "404" in refusal(url)


@pytest.mark.parametrize("kind", ["serial", "novnc", "spice"])
@pytest.mark.parametrize("how", ["stop", "delete"])
def test_an_open_console_ends_with_its_guest(running: Cloud, kind: str, how: str) -> None:
    name = f"{kind}-{how}"
    boot(running, name)
    url = url_of(running, kind, name)
    if kind != "serial":
        url = websocket_of(url, f"http://127.0.0.1:{running.port}")
    if kind == "spice":
        seat = Seat(url)
        channels = [*seat.channels, seat.look()[0]]
        lines = [channel.line for channel in channels]
    else:
        lines = [attach.Line(url)]
        assert lines[0].read() is not None
    running.do("server", how, "--wait", name)
    for line in lines:
        line._socket.settimeout(60)
        while line.read() is not None:
            pass
        assert line.reason == "the console has ended"


def test_an_open_console_outlives_the_token_of_its_user(running: Cloud) -> None:
    """As Nova's do: who may open a console is looked at when it is opened."""
    names = running.environment()
    owner = {"name": names["OS_USERNAME"], "password": names["OS_PASSWORD"], "domain": {"id": "default"}}
    project = {"name": names["OS_PROJECT_NAME"], "domain": {"id": "default"}}
    identity = {"methods": ["password"], "password": {"user": owner}}
    wanted = {"auth": {"identity": identity, "scope": {"project": project}}}
    token = send(running, "POST", "/identity/v3/auth/tokens", wanted).headers["X-Subject-Token"]
    assert token
    (server,) = [row for row in running.read("server", "list") if row["Name"] == "one"]
    path = f"/compute/v2.1/servers/{server['ID']}/remote-consoles"
    asked = {"remote_console": {"protocol": "serial", "type": "serial"}}
    made = send(running, "POST", path, asked, X_Auth_Token=token, OpenStack_API_Version="compute 2.6")
    line = attach.Line(json.loads(made.read())["remote_console"]["url"])
    assert read(line, len(GREETING)) == GREETING
    gone = send(running, "DELETE", "/identity/v3/auth/tokens", X_Auth_Token=token, X_Subject_Token=token)
    assert gone.status == 204
    assert send(running, "POST", path, asked, X_Auth_Token=token, OpenStack_API_Version="compute 2.6").status == 401
    line.write(b"x")
    assert read(line, 1) == b"x"
    line.close()


def send(running: Cloud, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), named)
    return connection.getresponse()


def ask(running: Cloud, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def upgrade(running: Cloud, url: str, **more: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    return ask(running, f"{parts.path}?{parts.query}", **(headers | more))


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://127.0.0.1", "null", "http://localhost:{port}", "https://127.0.0.1:{port}"],
)
def test_another_origins_page_is_refused_and_spoils_no_token(running: Cloud, origin: str) -> None:
    url = url_of(running)
    # What a request says of its own host counts for nothing.
    host = urlsplit(origin).netloc.format(port=running.port) or "x"
    refused = upgrade(running, url, Origin=origin.format(port=running.port), Host=host)
    assert (refused.status, refused.read()) == (403, b"")
    allowed = upgrade(running, url, Origin=f"http://127.0.0.1:{running.port}")
    assert allowed.status == 101
    assert allowed.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert allowed.headers["Sec-WebSocket-Extensions"] is None


@pytest.mark.parametrize(
    "change", [{"Sec_WebSocket_Version": "8"}, {"Upgrade": "h2c"}, {"Connection": "close"}, {"Sec_WebSocket_Key": ""}]
)
def test_what_is_no_websocket_is_refused_and_spoils_no_token(running: Cloud, change: dict[str, str]) -> None:
    url = url_of(running)
    assert upgrade(running, url, **{name.replace("_", "-"): value for name, value in change.items()}).status == 400
    attach.Line(url).close()


@pytest.mark.parametrize("sent", [b"\x82\x05Hello", b"\xc2\x80....", b"\x82\xff" + b"\x7f" * 8 + b"mask"])
def test_broken_frames_end_the_connection(running: Cloud, sent: bytes) -> None:
    line = attach.Line(url_of(running))
    read(line, len(GREETING))
    line._socket.sendall(sent)
    assert line.read() is None
    assert "frame" in line.reason


def test_pings_are_answered_and_a_close_is(running: Cloud) -> None:
    line = attach.Line(url_of(running))
    read(line, len(GREETING))
    decoder = Decoder(masked=False)
    line._socket.sendall(websocket.encode(Opcode.PING, b"hello", b"mask") + websocket.close(1000, "", b"mask"))
    frames = []
    while piece := line._socket.recv(1000):
        frames += decoder.feed(piece)
    assert [frame.opcode for frame in frames] == [Opcode.PONG, Opcode.CLOSE]
    assert frames[0].payload == b"hello"


@pytest.mark.parametrize(("path", "word"), [("/console/serial", "Serial"), ("/console/vnc", "noVNC")])
def test_the_pages(running: Cloud, path: str, word: str) -> None:
    answer = ask(running, f"{path}?token=x")
    page = answer.read().decode()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
    ):
        assert answer.headers[name] == value
    assert word in page and "</html>" in page
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert f"connect-src 'self' ws://127.0.0.1:{running.port};" in policy
    for sink in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert sink not in page, "what a guest writes must never be more than text"


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/serial.html",
        "/console/../etc/passwd",
        "/console/%2e%2e/pages.py",
        "/console/__init__.py",
        "/console//etc/passwd",
        "/console/vnc/",
        "/console",
    ],
)
def test_no_file_is_served(running: Cloud, path: str) -> None:
    answer = ask(running, path)
    assert answer.status == 404
    assert b"import" not in answer.read()


def test_a_screen_by_rfb(running: Cloud) -> None:
    path = parse_qs(urlsplit(url_of(running, "novnc")).query)["path"][0]
    line = attach.Line(f"ws://127.0.0.1:{running.port}{path}")
    assert read(line, 12) == VERSION
    line.write(VERSION)
    assert read(line, 2) == b"\1\1"
    line.write(b"\1")
    assert read(line, 4) == bytes(4)
    line.write(b"\1")
    assert read(line, 35)[24:] == b"fake screen"
    line.write(bytes((3, 0, 0, 0, 0, 0, 0, 16, 0, 16)))
    assert len(read(line, 16 + 16 * 16 * 4)) == 16 + 16 * 16 * 4
    line.close()


def test_the_log_has_no_token(running: Cloud) -> None:
    url = url_of(running)
    token = parse_qs(urlsplit(url).query)["token"][0]
    ended = "console=serial event=closed"
    before = running.log.read_text().count(ended)
    attach.Line(url).close()
    ask(running, f"/console/serial?token={token}").read()
    deadline = time.monotonic() + 60
    while (log := running.log.read_text()).count(ended) == before:
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    assert "console=serial event=opened" in log
    assert token not in log


def test_the_client_shows_where_a_console_is(running: Cloud) -> None:
    shown = running.read("console", "url", "show", "--serial", "one")
    assert shown["Page"].startswith(f"http://127.0.0.1:{running.port}/console/serial?token=")
    assert shown["URL"].split("token=")[1] == shown["Page"].split("token=")[1]
    screen = running.read("console", "url", "show", "--spice", "one")
    assert screen["URL"].startswith(f"http://127.0.0.1:{running.port}/console/spice?path=")


@pytest.mark.parametrize("kind", ["serial", "novnc", "spice"])
def test_openstackclient_is_shown_the_same(running: Cloud, kind: str) -> None:
    line = [
        str(Path(sys.executable).with_name("openstack")),
        "console",
        "url",
        "show",
        f"--{kind}",
        "one",
        "-f",
        "json",
    ]
    environment = running.environment(
        OS_USER_DOMAIN_ID="default", OS_PROJECT_DOMAIN_ID="default", OS_IDENTITY_API_VERSION="3"
    )
    done = subprocess.run(line, capture_output=True, timeout=180, env=environment, check=True)
    shown = json.loads(done.stdout)
    assert shown["type"] == {"spice": "spice-html5"}.get(kind, kind)
    if kind == "spice":
        Seat(websocket_of(shown["url"], f"http://127.0.0.1:{running.port}")).close()
    if kind == "serial":
        line_open = attach.Line(shown["url"])
        assert read(line_open, len(GREETING)) == GREETING
        line_open.close()


def test_the_client_attached_to_a_pipe_makes_lines_harmless(running: Cloud) -> None:
    answer = running.run("server", "console", "--attach", "one", stdin=b"hello \x1b[31mred\x1b]0;title\x07\nlast")
    assert answer.code == 0, answer
    assert answer.out == "fake console\nhello red\nlast"
    assert "the guest is quiet" in answer.err


def test_the_client_attached_to_a_terminal(running: Cloud) -> None:
    main, other = pty.openpty()
    process = subprocess.Popen(
        running.command("server", "console", "--attach", "one"),
        stdin=other,
        stdout=other,
        stderr=subprocess.PIPE,
        env=running.environment(),
    )
    os.close(other)
    _until(main, b"fake console")
    os.write(main, b"a\x03b\x1b[1m\x1b]52;c;aGFjaw==\x07c")
    seen = _until(main, b"c")
    assert b"a\x03b\x1b[1m" in seen, "the terminal is raw: what is typed goes to the guest, ctrl-C too"
    assert b"52;" not in seen, "the guest can't reach the clipboard"
    os.write(main, b"xyz\x1dnot sent")
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert b"detached" in process.stderr.read()
    os.close(main)


def _until(descriptor: int, wanted: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + 60
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([descriptor], [], [], 0.5)[0]:
            seen += os.read(descriptor, 1000)
    return seen


def test_the_cloud_stops_though_a_console_is_open(tmp_path: Any) -> None:
    with cloud(tmp_path) as made:
        made.do("flavor", "create", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("image", "create", "--public", "--file", "-", "screen", stdin=b"\0" * 100_000)
        made.do("server", "create", "--image", "screen", "--flavor", "m1.nano", "--nic", "none", "--wait", "one")
        line = attach.Line(url_of(made))
        assert read(line, len(GREETING)) == GREETING
        made.stop()
        assert made.process is not None and made.process.returncode == 0, "it had to be killed"
        line._socket.settimeout(60)
        assert line.read() is None


def test_no_more_consoles_than_are_allowed(tmp_path: Any) -> None:
    with cloud(tmp_path, persist="true") as made:
        made.do("flavor", "create", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("image", "create", "--public", "--file", "-", "screen", stdin=b"\0" * 100_000)
        made.do("server", "create", "--image", "screen", "--flavor", "m1.nano", "--nic", "none", "--wait", "one")
        made.stop()
        with (made.directory / "nova-lite.conf").open("a") as config:
            config.write("[console]\nmax_connections = 1\n")
        made.start()
        first = attach.Line(url_of(made))
        second = url_of(made)
        assert "503" in refusal(second)
        first.close()
        deadline = time.monotonic() + 60
        while True:
            try:
                attach.Line(second).close()
                break
            except CommandError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
