"""SPICE through the console proxy in a real process: one token, one session, a WebSocket for each of its channels."""

from __future__ import annotations

import http.client
import re
import sqlite3
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cli_cloud import Cloud, cloud
from spice_seat import FILL, INPUTS_INIT, Channel, Ended, Seat, websocket

from nova_lite import conf as configuration
from nova_lite import spice
from nova_lite.api.console import pages
from nova_lite.cli import attach
from nova_lite.cli.faults import CommandError
from nova_lite.spice import Channel as Kind
from nova_lite.spice import Refusal
from nova_lite.virt.fake_spice import COLOUR, SIDE

INSTALLED = Path("/usr/share/spice-html5")
SCRIPTS = {
    "main.js": "export class SpiceMainConn {}\nexport function sendCtrlAltDel() {}\n",
    "thirdparty/rsa.js": "export const key = 1;\n",
    "thirdparty/deeper/loader.js": "not(one, of, those);\n",
    "spice_auto.html": "<p>a page of theirs</p>",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("spice")
    for name, text in SCRIPTS.items():
        file = directory / "spice-html5" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (directory / "spice-html5" / "secret.js").symlink_to("/nonexistent")
    with cloud(directory, persist="true") as made:
        made.do("flavor", "create", "--ram", "64", "--disk", "1", "m1.nano")
        image = ["image", "create", "--public", "--file", "-"]
        made.do(*image, "--property", "hw_video_model=qxl", "screen", stdin=b"\0" * 100_000)
        made.do(*image, "--property", "hw_video_model=none", "blind", stdin=b"\0" * 100_000)
        for name, of in (("one", "screen"), ("two", "screen"), ("dark", "blind")):
            made.do("server", "create", "--image", of, "--flavor", "m1.nano", "--nic", "none", "--wait", name)
        made.stop()
        with (made.directory / "nova-lite.conf").open("a") as config:
            config.write(f"[console]\nconnect_timeout = 5\nspice_html5_path = {directory}/spice-html5\n")
        made.start()
        yield made


def endpoint(running: Cloud) -> str:
    return f"http://127.0.0.1:{running.port}"


def place(running: Cloud, name: str = "one") -> str:
    shown = running.read("console", "url", "show", "--spice", name)
    assert (shown["Protocol"], shown["Type"]) == ("spice", "spice-html5")
    assert shown["URL"].startswith(f"{endpoint(running)}/console/spice?path=")
    return websocket(shown["URL"], endpoint(running))


def refusal(url: str, session: int = 0, kind: int = Kind.MAIN, number: int = 0) -> str:
    """Try to link, and return why that is refused: before the WebSocket, or in it."""
    try:
        channel = Channel(url)
        channel.link(session, kind, number)
    except CommandError as error:
        return str(error)
    except Ended as error:
        return str(error)
    raise AssertionError("nobody refused it")


def tokens(running: Cloud) -> int:
    with closing(sqlite3.connect(running.directory / "cloud.db", timeout=60)) as database:
        return int(database.execute("SELECT count(*) FROM console_auth_tokens").fetchone()[0])


def wait_gone(running: Cloud) -> None:
    deadline = time.monotonic() + 60
    while tokens(running):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def no_tokens(running: Cloud) -> None:
    with closing(sqlite3.connect(running.directory / "cloud.db", timeout=60)) as database:
        database.execute("DELETE FROM console_auth_tokens")
        database.commit()


def test_a_session_has_its_channels_and_ends_with_its_token(running: Cloud) -> None:
    url = place(running)
    seat = Seat(url)
    display, size = seat.look()
    assert size == (SIDE, SIDE)
    assert struct.unpack_from("<I", display.until(FILL), 4 + 16 + 1 + 1)[0] == COLOUR
    inputs = seat.open(Kind.INPUTS)
    inputs.until(INPUTS_INIT)
    seat.type(inputs, 0x1E)
    seat.open(Kind.CURSOR)
    assert tokens(running) == 1, "it lasts as long as its session"
    seat.main.close()
    assert display.ended() == "the console has ended"
    inputs.ended()
    wait_gone(running)
    assert "404" in refusal(url)
    assert "404" in refusal(url, seat.session, Kind.DISPLAY)


def test_channels_may_come_all_at_once(running: Cloud) -> None:
    seat = Seat(place(running))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(seat.open, (Kind.DISPLAY, Kind.INPUTS, Kind.CURSOR)))
    seat.close()


def test_a_second_client_gets_nothing_by_the_token_while_the_first_sits_there(running: Cloud) -> None:
    url = place(running)
    seat = Seat(url)
    display, _ = seat.look()
    assert "Token not found" in refusal(url), "a session is begun once"
    assert "Token not found" in refusal(url, seat.session, Kind.DISPLAY), "and each of its channels opened once"
    guessed = Channel(url)
    assert guessed.link(seat.session ^ 1, Kind.INPUTS) == Refusal.BAD_CONNECTION_ID, "SPICE itself knows its sessions"
    display.until(FILL)
    seat.close()


def test_a_channel_alone_begins_nothing(running: Cloud) -> None:
    url, other = place(running), place(running)
    first = Seat(other)
    for kind in (Kind.DISPLAY, Kind.INPUTS):
        assert "Token not found" in refusal(url, first.session, kind), "another token's session is not this one's"
    Seat(url).close()
    first.close()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"RFB 003.008\n", "this is not the SPICE protocol"),
        (b"REDQ" + struct.pack("<III", 3, 0, 18), "version 2"),
        (b"REDQ" + struct.pack("<III", 2, 2, 1 << 20), "impossible length"),
        (spice.link(7, Kind.MAIN), "the main channel begins a session"),
        (spice.link(0, Kind.DISPLAY), "every other one names it"),
        (spice.link(0, Kind.MAIN, 1), "one main channel"),
        (b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 1 << 30, 0, 18), "capabilities"),
    ],
)
def test_what_is_no_spice_is_told_so_and_spoils_no_token(running: Cloud, said: bytes, why: str) -> None:
    url = place(running)
    channel = Channel(url)
    channel.write(said)
    assert why in channel.ended()
    Seat(url).close()


def test_who_says_nothing_is_let_go_and_spoils_no_token(running: Cloud) -> None:
    url = place(running)
    channel = Channel(url)
    channel.write(spice.link(0, Kind.MAIN)[:-1])
    assert channel.ended() == "nobody has said what this is for"
    Seat(url).close()


def test_an_expired_token_opens_neither_a_session_nor_a_channel(running: Cloud) -> None:
    late, begun = place(running), place(running)
    seat = Seat(begun)
    with closing(sqlite3.connect(running.directory / "cloud.db", timeout=60)) as database:
        database.execute("UPDATE console_auth_tokens SET expires_at = expires_at - 601")
        database.commit()
    assert "404" in refusal(late)
    assert "404" in refusal(begun, seat.session, Kind.DISPLAY)
    seat.main.send(104)
    seat.main.until(104)
    seat.close()


def test_a_token_is_bound_to_its_server(running: Cloud) -> None:
    url = place(running, "two")
    running.do("server", "stop", "--wait", "two")
    assert "is not ready" in refusal(url)
    assert "404" in refusal(url), "that was its use"
    running.do("server", "start", "--wait", "two")
    url = place(running, "two")
    seat = Seat(url)
    running.do("server", "delete", "--wait", "two")
    assert "404" in refusal(url, seat.session, Kind.DISPLAY)


def test_other_consoles_tokens_are_good_for_one_connection_as_before(running: Cloud) -> None:
    url = running.read("console", "url", "show", "--novnc", "one")["URL"]
    line = attach.Line(websocket(url, endpoint(running)))
    assert "404" in refusal(websocket(url, endpoint(running)))
    line.close()


def test_a_vm_without_a_screen_has_none_by_spice(running: Cloud) -> None:
    refused = running.run("console", "url", "show", "--spice", "dark")
    assert refused.code == 1
    assert (
        "Unavailable console type spice-html5. The VM has no screen: its image has hw_video_model=none" in refused.err
    )


def get(running: Cloud, path: str) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer, answer.read().decode()


def test_the_page_runs_spice_html5_and_nothing_else(running: Cloud) -> None:
    answer, page = get(running, "/console/spice?path=x")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    (rule,) = re.findall(r"script-src ([^;]*);", policy)
    assert re.fullmatch(rf"'sha256-[^']+' {endpoint(running)}/console/spice-html5/", rule)
    assert "default-src 'none'" in policy and "unsafe" not in policy and "img-src data:;" in policy
    assert '"./spice-html5/main.js"' in page
    for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")):
        assert answer.headers[name] == value
    for sink in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert sink not in page


def test_the_scripts_are_served(running: Cloud) -> None:
    for name in ("main.js", "thirdparty/rsa.js"):
        answer, text = get(running, f"/console/spice-html5/{name}")
        assert (answer.status, text) == (200, SCRIPTS[name])
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "spice_auto.html",
        "secret.js",
        "thirdparty/deeper/loader.js",
        "../nova-lite.conf",
        "%2e%2e/nova-lite.conf",
        "thirdparty/../../cloud.db",
        "/etc/passwd",
        "main.js/",
        "main.js%00.html",
    ],
)
def test_no_other_file_is(running: Cloud, path: str) -> None:
    answer, text = get(running, f"/console/spice-html5/{path}")
    assert (answer.status, text) == (404, "")


def test_the_log_has_no_token(running: Cloud) -> None:
    url = place(running)
    Seat(url).close()
    refusal(url)
    log = running.log.read_text()
    assert "console=spice-html5/1.0 event=opened" in log
    assert url.split("token=")[1] not in log


def load(path: str, endpoint: str = "http://127.0.0.1:8774") -> dict[str, pages.Page]:
    return pages.load(configuration.load([], {"console.spice_html5_path": path}), endpoint)


def test_without_spice_html5_the_page_says_so(tmp_path: Path) -> None:
    missing = load(str(tmp_path))
    assert missing["/console/spice"].status.startswith("503")
    assert b"spice-html5, which is not installed" in missing["/console/spice"].body
    assert "script-src 'none'" in missing["/console/spice"].headers["Content-Security-Policy"]
    assert set(missing) == {"/console/serial", "/console/vnc", "/console/spice"}


def test_an_address_that_a_policy_can_not_name_is_the_pages_own(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()  # where upstream has it
    (tmp_path / "src" / "main.js").touch()
    found = load(str(tmp_path), "http://[::1]:8774")
    assert "/console/spice-html5/main.js" in found
    assert re.search(r"script-src 'sha256-[^ ]+' 'self';", found["/console/spice"].headers["Content-Security-Policy"])


def test_what_is_installed_is_served_whole() -> None:
    if not INSTALLED.exists():
        pytest.skip("spice-html5 is not installed; devstack/stack.sh installs it")
    found = load(str(INSTALLED))
    assert found["/console/spice"].status == "200 OK"
    names = {path for path in found if path.startswith("/console/spice-html5/")}
    for name in names:
        for wanted in re.findall(rb"""from ['"]\./([^'"]+)['"]""", found[name].body):
            assert name.rpartition("/")[0] + "/" + wanted.decode() in names, (name, wanted)
