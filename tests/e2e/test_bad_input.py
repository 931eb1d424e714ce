"""Bad input through HTTP against the real stack: status and body as upstream gives them, and nothing half-made."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from private_host import wait_for
from real_cloud import PORT, Answer, Cloud, login

SERVERS = "/compute/v2.1/servers"
IMAGES = "/image/v2/images"
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(autouse=True)
def nothing_is_made(cloud: Cloud) -> Iterator[None]:
    """Hold that no server and no port is there afterwards that was not there before, and no file of an image."""

    def there() -> tuple[Any, ...]:
        servers = {server["id"] for server in cloud.read(SERVERS)["servers"]}
        ports = {port["id"] for port in cloud.read("/network/v2.0/ports", "admin")["ports"]}
        return servers, ports

    before = there()
    yield
    assert there() == before
    wanted = {image["id"] for image in cloud.read(IMAGES, "admin")["images"] if image["status"] == "active"}

    def stored() -> list[str]:
        return [name for _, _, names in os.walk(cloud.host.state / "images") for name in names]

    # What was cut off is removed by who received it, a moment after its end.
    wait_for(f"no file but those of {wanted}", lambda: len(stored()) == len(wanted), 30)


def refused(answer: Answer, status: int, name: str) -> str:
    """Hold that the answer is Nova's body of an error; return its message."""
    assert answer.status == status, answer
    assert list(answer.body) == [name]
    assert answer.body[name]["code"] == status
    assert answer.headers["X-Openstack-Request-Id"].startswith("req-")
    return str(answer.body[name]["message"])


def test_a_wrong_password(cloud: Cloud) -> None:
    answer = cloud.ask("POST", "/identity/v3/auth/tokens", login("demo", "not it"))
    unknown = cloud.ask("POST", "/identity/v3/auth/tokens", login("nobody", "not it"))
    error = {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}
    assert (answer.status, answer.body) == (401, {"error": error})
    assert (unknown.status, unknown.body) == (401, {"error": error})
    assert "X-Subject-Token" not in answer.headers
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_no_token_and_a_forged_one(cloud: Cloud) -> None:
    assert cloud.ask("GET", SERVERS).status == 401
    assert cloud.ask("GET", SERVERS, headers={"X-Auth-Token": "gAAAAA" + "x" * 200}).status == 401
    roles = {"X-Roles": "admin", "X-Project-Id": "1", "X-User-Id": "1", "X-Identity-Status": "Confirmed"}
    assert cloud.ask("GET", SERVERS, headers=roles).status == 401


def test_an_unknown_flavor(cloud: Cloud) -> None:
    body = cloud.request_for("bad", "unikernel", flavorRef="no-such-flavor")
    said = refused(cloud.ask("POST", SERVERS, body, user="demo"), 400, "badRequest")
    assert said == "Flavor no-such-flavor could not be found."


def test_an_unknown_image(cloud: Cloud) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    body = cloud.request_for("bad", "unikernel", imageRef=unknown)
    said = refused(cloud.ask("POST", SERVERS, body, user="demo"), 400, "badRequest")
    assert said == "Can not find requested image"


def test_a_name_of_300_characters(cloud: Cloud) -> None:
    body = cloud.request_for("n" * 300, "unikernel")
    said = refused(cloud.ask("POST", SERVERS, body, user="demo"), 400, "badRequest")
    name = "n" * 300
    assert said == f"Invalid input for field/attribute name. Value: {name}. '{name}' is too long"


@pytest.mark.parametrize("content", [b'{"server": ', b"", b"\xff\xfe", b"[1, 2]", b"null", b'{"server": {}} x'])
def test_json_that_is_none(cloud: Cloud, content: bytes) -> None:
    refused(cloud.ask("POST", SERVERS, content, user="demo"), 400, "badRequest")


def test_json_nested_without_end(cloud: Cloud) -> None:
    refused(cloud.ask("POST", SERVERS, b"[" * 100_000, user="demo"), 400, "badRequest")


def test_an_unknown_member(cloud: Cloud) -> None:
    body = cloud.request_for("bad", "unikernel", host_claim=1)
    said = refused(cloud.ask("POST", SERVERS, body, user="demo"), 400, "badRequest")
    assert "Additional properties are not allowed ('host_claim' was unexpected)" in said


def test_an_unknown_server(cloud: Cloud) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    said = refused(cloud.ask("GET", f"{SERVERS}/{unknown}", user="demo"), 404, "itemNotFound")
    assert said == f"Instance {unknown} could not be found."


@pytest.fixture
def image_id(cloud: Cloud) -> Iterator[str]:
    """An image that is qcow2 by its record, without data."""
    body = {"name": "bad", "disk_format": "qcow2", "container_format": "bare"}
    answer = cloud.ask("POST", IMAGES, body, user="demo")
    assert answer.status == 201, answer
    yield str(answer.body["id"])
    assert cloud.ask("DELETE", f"{IMAGES}/{answer.body['id']}", user="demo").status == 204


def status_of(cloud: Cloud, image_id: str) -> str:
    return str(cloud.read(f"{IMAGES}/{image_id}")["status"])


@pytest.mark.parametrize("content", [b"\0" * 100_000, b"QFI\xfb\0\0\0\x03" + b"\0" * 500, b"KDMV" + b"\1" * 70_000])
def test_an_image_that_claims_another_format(cloud: Cloud, image_id: str, content: bytes) -> None:
    answer = cloud.ask("PUT", f"{IMAGES}/{image_id}/file", content, user="demo", headers=OCTETS)
    assert answer.status == 400, answer
    assert status_of(cloud, image_id) == "queued"
    assert cloud.ask("GET", f"{IMAGES}/{image_id}/file", user="demo").status == 204
    body = cloud.request_for("bad", "vm", imageRef=image_id)
    refused(cloud.ask("POST", SERVERS, body, user="demo"), 400, "badRequest")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_image_cut_short(cloud: Cloud, image_id: str, chunked: bool) -> None:
    """The connection ends in the middle of the upload; the image can be uploaded again."""
    lines = [f"PUT {IMAGES}/{image_id}/file HTTP/1.1", "Host: x", f"X-Auth-Token: {cloud.token('demo')}"]
    lines += ["Content-Type: application/octet-stream"]
    lines += ["Transfer-Encoding: chunked" if chunked else "Content-Length: 1000000"]
    head = b"QFI\xfb\0\0\0\x03" + b"\0" * 65_528
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.sendall(b"10000\r\n" + head[:30_000] if chunked else head)
        wait_for("saving", lambda: status_of(cloud, image_id) == "saving", 10, 0.02)
    wait_for("queued", lambda: status_of(cloud, image_id) == "queued", 10)
    assert cloud.read(f"{IMAGES}/{image_id}")["size"] is None


def test_a_body_too_large(cloud: Cloud) -> None:
    answer = cloud.ask("POST", SERVERS, b" " * 200_000 + b"{}", user="demo")
    assert answer.status == 413, answer
