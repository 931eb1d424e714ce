"""The client against a service that means it ill, or is older than it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

EVIL = "\x1b]0;owned\x07\x1b[2Jrm -rf\r\x9b31m\u202edne\x1b[6n"
SERVER = {
    "id": "9a7f4cf6-1fd5-4e5e-8f3d-0c3f1d2b7c11",
    "name": f"web{EVIL}",
    "status": "ERROR",
    "addresses": {f"net{EVIL}": [{"addr": "10.0.0.2", "version": 4}]},
    "OS-EXT-STS:task_state": None,
    "OS-EXT-STS:power_state": 4,
    "image": None,
    "flavor": {"original_name": "f"},
    "fault": {"message": f"no{EVIL}"},
}


class Service(BaseHTTPRequestHandler):
    """Identity, and a Compute API of 2.60 at most whose every text is hostile."""

    seen: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/auth/tokens"):
            port = self.server.server_address[1]
            url = f"http://127.0.0.1:{port}/compute/v2.1"
            endpoints = [{"id": "e", "interface": "public", "region": "R", "region_id": "R", "url": url}]
            token = {
                "methods": ["password"],
                "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
                "issued_at": "2030-01-01T00:00:00.000000Z",
                "expires_at": "2040-01-01T00:00:00.000000Z",
                "audit_ids": ["a"],
                "roles": [],
                "project": {"id": "p", "name": "p", "domain": {"id": "default", "name": "Default"}},
                "catalog": [{"id": "c", "type": "compute", "name": "nova", "endpoints": endpoints}],
            }
            self._answer(201, {"token": token}, {"X-Subject-Token": "gAAAAAsecret"})
        elif "os-getConsoleOutput" in body:
            self._answer(200, {"output": f"login: {EVIL}\r\nlast line\udcff"})
        else:
            self._answer(409, {"conflictingRequest": {"code": 409, "message": f"never{EVIL}\nand again"}})

    def do_GET(self) -> None:
        version = self.headers.get("OpenStack-API-Version", "")
        self.seen.append((self.path, version))
        if version == "compute 2.96":
            text = "Version 2.96 is not supported by the API. Minimum is 2.1 and maximum is 2.60."
            self._answer(406, {"computeFault": {"code": 406, "message": text}})
        elif self.path.startswith("/compute/v2.1/flavors"):
            self._raw(200, b"<html><h1>It works!</h1></html>", {"Content-Type": "text/html"})
        elif self.path.startswith("/compute/v2.1/servers/detail"):
            self._answer(200, {"servers": [SERVER]})
        else:
            self._answer(200, {"server": SERVER})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _raw(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output to the tests."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/identity/v3"
    server.shutdown()
    server.server_close()


def run(url: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return subprocess.run(
        [sys.executable, "-m", "nova_lite.cmd.client", *words],
        capture_output=True,
        timeout=60,
        env={**kept, "OS_AUTH_URL": url, "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "p"},
    )


def assert_harmless(data: bytes) -> None:
    text = data.decode()
    assert not [char for char in text if (not char.isprintable() and char not in "\n\t") or char == "\u202e"], text


def test_a_console_is_stripped_of_its_escapes(service: str) -> None:
    done = run(service, "server", "console", SERVER["id"])
    assert done.returncode == 0, done
    assert_harmless(done.stdout)
    assert done.stdout.decode().splitlines() == ["login: rm -rf", "dne", "last line\\udcff"]


def test_a_raw_console_goes_to_a_file_only(service: str, tmp_path: Path) -> None:
    done = run(service, "server", "console", "--raw", str(tmp_path / "log"), SERVER["id"])
    assert done.returncode == 0, done
    assert EVIL.encode() in (tmp_path / "log").read_bytes()
    assert done.stdout == b""
    assert run(service, "server", "console", "--raw", "/dev/tty", SERVER["id"]).returncode == 1


@pytest.mark.parametrize("form", ["table", "csv", "value", "json", "yaml"])
def test_no_format_lets_an_escape_through(service: str, form: str) -> None:
    for words in (("server", "list"), ("server", "list", "--long"), ("server", "show", SERVER["id"])):
        done = run(service, *words, "-f", form)
        assert done.returncode == 0, done
        assert_harmless(done.stdout)
        assert b"web" in done.stdout


@pytest.mark.parametrize("words", [("start", "x"), ("server", "delete", "--wait", SERVER["id"])])
def test_errors_are_harmless_too(service: str, words: tuple[str, ...]) -> None:
    done = run(service, *words)
    assert done.returncode == 1
    assert_harmless(done.stderr)


def test_a_refusal_is_harmless_and_one_line(service: str) -> None:
    done = run(service, "server", "suspend", SERVER["id"])
    assert done.returncode == 1
    assert_harmless(done.stderr)
    assert done.stderr.count(b"\n") == 1
    assert b"and again (HTTP 409)" in done.stderr


def test_an_older_service_is_asked_for_what_it_has(service: str) -> None:
    Service.seen.clear()
    assert run(service, "server", "list", "-f", "json").returncode == 0
    assert [version for _, version in Service.seen] == ["compute 2.96", "compute 2.60"]


def test_what_is_no_api_is_told(service: str) -> None:
    done = run(service, "flavor", "list")
    assert done.returncode == 1
    assert b"something else than JSON" in done.stderr
    missing = run(service, "image", "list")
    assert missing.returncode == 1
    assert b"image" in missing.stderr
    assert b"Traceback" not in done.stderr + missing.stderr
