"""The consoles' pages, their scripts really run (by node, where there is one)."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

SCRIPTS = Path(__file__).parent / "console_pages"


def run(script: str, page: str, *arguments: str) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("cannot run on this machine: there is no node to run a page's script")
    file = resources.files("nova_lite.api.console") / page
    done = subprocess.run(
        [node, str(SCRIPTS / script), str(file), *arguments], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_the_terminal_shows_text_and_sends_keys() -> None:
    seen = run("terminal.mjs", "serial.html")
    assert seen["url"] == "wss://h/console/websocket?token=abc-_1"
    assert seen["address"] == "/console/serial", "the token is taken out of the address"
    assert seen["shown"] == "login: red\nabcYX   Z\n<\nok<img src=x>\u2588"
    assert seen["sent"] == ["a", "\r", "\x1b[A", "ä", "\x03", "\x1bx", "p\rq\r"]
    assert seen["state"].startswith("closed: the console has ended")
    assert (seen["lines"], seen["longest"]) == (5000, 1001), "what a guest writes is bounded; the cursor is beside it"


def test_the_screen_speaks_rfb() -> None:
    seen = run("screen.mjs", "screen.html", "?path=" + quote("/console/websocket?token=abc-_1", safe=""))
    assert seen["url"] == "wss://h/console/websocket?token=abc-_1"
    assert seen["address"] == "/console/vnc"
    assert (seen["size"], seen["resized"]) == ([4, 2], [8, 8])
    assert seen["drawn"] == [[4, 2, 0, 0, 64, 128, 192, 255]]
    assert bytes(seen["asked"][0]) == b"RFB 003.008\n"
    assert seen["asked"][1:3] == [[1], [1]]
    assert seen["asked"][-1] == [3, 1, 0, 0, 0, 0, 0, 8, 0, 8]
    assert seen["typed"] == [[4, 1, 0, 0, 0, 0, 0, 65], [4, 0, 0, 0, 0, 0, 255, 13], [5, 1, 0, 3, 0, 4]]
    assert seen["state"] == "closed: the screen says what is not understood"
    assert seen["closed"]


def test_the_spice_page_gives_its_work_to_spice_html5() -> None:
    seen = run("spice.mjs", "spice.html", "?path=" + quote("/console/websocket?token=abc-_1", safe=""))
    assert seen["from"] == "./spice-html5/main.js"
    assert (seen["url"], seen["password"]) == ("wss://h/console/websocket?token=abc-_1", "")
    assert seen["address"] == "/console/spice", "the token is taken out of the address"
    assert seen["connected"].startswith("connected")
    assert seen["sizes"] == [[1000, 688], [640, 688]], "the guest's agent is told the window's size, once it rests"
    assert seen["sent"] == 1
    assert seen["state"] == "closed: the console has ended; a new token opens it again"
    assert seen["stopped"] == 1


@pytest.mark.parametrize(
    "path", ["//evil.example/?token=a", "https://evil.example/console/websocket?token=a", "a/../b?token=a"]
)
def test_a_screen_connects_to_where_it_came_from_only(path: str) -> None:
    for script, page in (("screen.mjs", "screen.html"), ("spice.mjs", "spice.html")):
        seen = run(script, page, "?path=" + quote(path, safe=""))
        assert seen["url"] == "wss://h/console/websocket?token="
