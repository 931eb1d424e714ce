"""The image API end to end: records, data, and what is refused."""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import webob
from sqlalchemy import update
from sqlalchemy.orm import Session

from nova_lite.db.models import Image
from nova_lite.db.types import now
from nova_lite.image import files, images, removal, uploads

MEBIBYTE = 1024 * 1024


def make(door: Any, **members: Any) -> dict[str, Any]:
    body = {"name": "an image", "disk_format": "raw", "container_format": "bare", **members}
    reply = door.ask("POST", "/image/v2/images", body)
    assert reply.status_int == 201, reply.text
    return reply.json


def qcow2(directory: Path, *options: str, size: str = "8M") -> bytes:
    path = directory / "made.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), size], check=True)
    return path.read_bytes()


def test_an_image_goes_in_and_comes_out_again(image_door):
    image = make(image_door, properties_of_mine="yes", tags=["b", "a", "b"])
    assert image["status"] == "queued" and image["tags"] == ["a", "b"] and image["properties_of_mine"] == "yes"
    data = os.urandom(3 * MEBIBYTE + 17)
    assert image_door.ask("PUT", image["file"].replace("/v2", "/image/v2"), data).status_int == 204
    shown = image_door.ask("GET", f"/image/v2/images/{image['id']}").json
    assert shown["status"] == "active" and shown["size"] == len(data) == shown["virtual_size"]
    assert shown["checksum"] == hashlib.md5(data).hexdigest()
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    whole = image_door.ask("GET", f"/image/v2/images/{image['id']}/file")
    assert whole.body == data and whole.headers["Content-MD5"] == shown["checksum"]
    part = image_door.ask("GET", f"/image/v2/images/{image['id']}/file", Range="bytes=10-19")
    assert (
        part.status_int == 206
        and part.body == data[10:20]
        and part.headers["Content-Range"] == f"bytes 10-19/{len(data)}"
    )


def test_a_query_that_is_no_text_is_refused(image_door):
    for text in ("%00", "%ff%fe"):
        assert image_door.ask("GET", f"/image/v2/images?name={text}").status_int == 400


def test_only_the_service_may_read_the_bytes(image_door, tmp_path):
    image = make(image_door)
    image_door.ask("PUT", f"/image/v2/images/{image['id']}/file", b"a tenant's own")
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "images" / image["id"]).stat().st_mode & 0o777 == 0o600


def test_a_real_qcow2_is_taken_with_its_virtual_size(image_door, tmp_path):
    image = make(image_door, disk_format="qcow2")
    assert image_door.ask("PUT", f"/image/v2/images/{image['id']}/file", qcow2(tmp_path)).status_int == 204
    assert image_door.ask("GET", f"/image/v2/images/{image['id']}").json["virtual_size"] == 8 * MEBIBYTE


def _hollow(tmp_path):
    return {"disk_format": "qcow2"}, b"not a qcow2 at all" * 100


def _disguised(tmp_path):
    return {"disk_format": "raw"}, qcow2(tmp_path)


def _backed(tmp_path):
    (tmp_path / "base").write_bytes(bytes(MEBIBYTE))
    return {"disk_format": "qcow2"}, qcow2(tmp_path, "-b", str(tmp_path / "base"), "-F", "raw", size="1M")


def _outside(tmp_path):
    return {"disk_format": "qcow2"}, qcow2(tmp_path, "-o", f"data_file={tmp_path / 'data.raw'}")


def _cut(tmp_path):
    path = tmp_path / "full.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 4M", str(path)], check=True, stdout=subprocess.DEVNULL
    )
    return {"disk_format": "qcow2"}, path.read_bytes()[: 2 * MEBIBYTE]


def _no_archive(tmp_path):
    return {"container_format": "docker"}, b"\x7fELF" + bytes(4000)


@pytest.mark.parametrize("case", [_hollow, _disguised, _backed, _outside, _cut, _no_archive])
def test_bytes_that_are_not_what_they_claim_are_refused_and_nothing_stays(image_door, tmp_path, case):
    members, data = case(tmp_path)
    image = make(image_door, **members)
    reply = image_door.ask("PUT", f"/image/v2/images/{image['id']}/file", data)
    assert reply.status_int == 400 and "Image content" in reply.text, reply.text
    shown = image_door.ask("GET", f"/image/v2/images/{image['id']}").json
    assert shown["status"] == "queued" and shown["size"] is None and shown["checksum"] is None
    assert list((tmp_path / "images").iterdir()) == []


def test_data_that_breaks_off_leaves_the_image_queued(image_door, tmp_path):
    image = make(image_door)
    request = webob.Request.blank(f"/image/v2/images/{image['id']}/file", method="PUT")
    request.headers["X-Auth-Token"] = "demo:demo:member"
    request.content_type = "application/octet-stream"
    request.environ["wsgi.input"] = io.BytesIO(b"half")
    request.environ["CONTENT_LENGTH"] = "8"
    reply = request.get_response(image_door.app)
    assert reply.status_int == 400 and "4 of the 8 bytes" in reply.text
    assert image_door.ask("GET", f"/image/v2/images/{image['id']}").json["status"] == "queued"
    assert list((tmp_path / "images").iterdir()) == []


def test_a_second_upload_is_refused_unless_the_first_one_died(image_door):
    image = make(image_door)
    path = f"/image/v2/images/{image['id']}/file"

    def leave_it_saving(age_s: float) -> None:
        def work(session):
            row = session.get(Image, image["id"])
            row.status, row.upload_owner = "saving", "somebody"
            row.updated_at = now() - datetime.timedelta(seconds=age_s)

        image_door.store.transact(work)

    leave_it_saving(1)
    assert image_door.ask("PUT", path, b"data").status_int == 409
    leave_it_saving(3600)
    assert image_door.ask("PUT", path, b"data").status_int == 204
    assert image_door.ask("PUT", path, b"again").status_int == 409


def test_the_disk_is_waited_for_off_the_hub(image_door, monkeypatch):
    """One upload must not hold every other request while the kernel writes gigabytes."""
    inside, synced = [], []

    def offload(function: Any, *arguments: Any) -> Any:
        inside.append(function)
        try:
            return function(*arguments)
        finally:
            inside.pop()

    image = make(image_door)
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(bool(inside)))
    store = files.Files(image_door.services.conf)
    uploads.upload(image_door.store, store, images.Viewer("demo"), image["id"], [b"data"], offload)
    assert synced == [True, True], "the file, then its directory"


@pytest.mark.parametrize("moment", ["settle", "keep"])
def test_an_upload_that_was_taken_over_leaves_the_other_ones_file(image_door, monkeypatch, moment):
    image = make(image_door)
    path = f"/image/v2/images/{image['id']}/file"
    real, stalled = getattr(files.Files, moment), []

    def stall(*arguments: Any) -> None:
        """Take so long, the first time, that another upload takes over and comes to its end."""
        real(*arguments)
        if not stalled:
            stalled.append(arguments)
            long_ago = now() - datetime.timedelta(seconds=2 * uploads.STALE_S)

            def leave_it(session: Session) -> None:
                session.get_one(Image, image["id"]).updated_at = long_ago

            image_door.store.transact(leave_it)
            assert image_door.ask("PUT", path, b"the second's").status_int == 204

    monkeypatch.setattr(files.Files, moment, stall)
    assert image_door.ask("PUT", path, b"the first's").status_int == 409
    assert image_door.ask("GET", path).body == b"the second's"
    assert [each.name for each in (files.Files(image_door.services.conf).root).iterdir()] == [image["id"]]


def test_patch_is_all_or_nothing(image_door):
    image = make(image_door, colour="red")
    path = f"/image/v2/images/{image['id']}"
    good = [
        {"op": "replace", "path": "/name", "value": "renamed"},
        {"op": "add", "path": "/shape", "value": "round"},
        {"op": "remove", "path": "/colour"},
    ]
    reply = image_door.ask("PATCH", path, good, Content_Type="application/openstack-images-v2.1-json-patch")
    assert reply.status_int == 200 and reply.json["name"] == "renamed" and "colour" not in reply.json
    bad = [{"op": "replace", "path": "/name", "value": "again"}, {"op": "remove", "path": "/colour"}]
    assert image_door.ask("PATCH", path, bad).status_int == 409
    assert image_door.ask("GET", path).json["name"] == "renamed"
    assert image_door.ask("PATCH", path, [{"op": "add", "path": "/status", "value": "active"}]).status_int == 403
    assert image_door.ask("PATCH", path, [{"op": "replace", "path": "/min_ram", "value": -1}]).status_int == 400


def test_others_see_only_what_is_public_and_change_nothing(image_door):
    other = "eve:other:member"
    image = make(image_door)
    path = f"/image/v2/images/{image['id']}"
    assert image_door.ask("GET", path, token=other).status_int == 404
    assert (
        image_door.ask("PATCH", path, [{"op": "replace", "path": "/visibility", "value": "public"}]).status_int == 403
    )
    made_public = [{"op": "replace", "path": "/visibility", "value": "public"}]
    assert image_door.ask("PATCH", path, made_public, token="root:admin:admin").status_int == 200
    assert image_door.ask("GET", path, token=other).status_int == 200
    assert image_door.ask("DELETE", path, token=other).status_int == 403
    assert image_door.ask("PUT", f"{path}/file", b"x", token=other).status_int == 403
    assert image_door.ask("GET", path, token=None).status_int == 401


def test_pages_hold_every_image_once_in_order(image_door):
    made = {make(image_door, name=f"image {number % 3}")["id"] for number in range(11)}
    seen: list[str] = []
    path = "/image/v2/images?limit=3&sort=name:asc,created_at:desc"
    while path:
        page = image_door.ask("GET", path).json
        seen += [image["id"] for image in page["images"]]
        path = "/image" + page["next"] if "next" in page else ""
    assert len(seen) == 11 and set(seen) == made


@pytest.mark.parametrize("sort", ["name:asc", "name:desc", "size:asc", "size:desc", "disk_format:asc,size:desc"])
def test_pages_hold_what_has_nothing_to_sort_by_too(image_door, sort):
    made = set()
    for number in range(6):
        image = make(image_door, name=None if number % 2 else f"image {number}")
        made.add(image["id"])
        if number % 3:
            assert image_door.ask("PUT", f"/image/v2/images/{image['id']}/file", b"x" * number).status_int == 204
    seen: list[str] = []
    path = f"/image/v2/images?limit=2&sort={sort}"
    while path:
        page = image_door.ask("GET", path).json
        seen += [image["id"] for image in page["images"]]
        path = "/image" + page["next"] if "next" in page else ""
    assert len(seen) == 6 and set(seen) == made


@pytest.mark.parametrize("name", ["min_ram", "min_disk", "size_min", "limit"])
@pytest.mark.parametrize("number", [str(2**31), str(2**63 - 1), str(2**63), "9" * 5000])
def test_numbers_that_no_image_has_find_nothing(image_door, name, number):
    make(image_door)
    found = image_door.ask("GET", f"/image/v2/images?{name}={number}")
    assert found.status_int == 200 and len(found.json["images"]) == (name == "limit"), found.text


def test_all_that_may_be_seen_is_listed_where_that_is_asked_for(image_door):
    other, made = "eve:other:member", {}
    for visibility in ("private", "community", "public"):
        token = "root:demo:admin"
        body = {"name": visibility, "visibility": visibility}
        made[visibility] = image_door.ask("POST", "/image/v2/images", body, token=token).json["id"]

    def seen(query: str) -> set[str]:
        shown = image_door.ask("GET", f"/image/v2/images{query}", token=other).json["images"]
        return {image["visibility"] for image in shown}

    assert seen("") == {"public"}
    assert seen("?visibility=all") == {"public", "community"}
    assert seen("?visibility=community") == {"community"}


def test_filters_find_what_they_name(image_door):
    tagged = make(image_door, name="x", tags=["one", "two"], nova_lite_kind="unikernel")["id"]
    make(image_door, name="y", tags=["one"])

    def found(query: str) -> list[str]:
        return [image["id"] for image in image_door.ask("GET", f"/image/v2/images?{query}").json["images"]]

    assert found("name=x") == found("tag=one&tag=two") == found("nova_lite_kind=unikernel") == [tagged]
    assert len(found("status=queued")) == 2 and found("status=active") == [] and len(found("name=in:x,y")) == 2
    for bad in ("limit=-1", "sort_key=colour", "visibility=odd", "created_at=gt:yesterday", "protected=maybe"):
        assert image_door.ask("GET", f"/image/v2/images?{bad}").status_int == 400, bad
    assert image_door.ask("GET", "/image/v2/images?marker=unknown").status_int == 400


def test_a_protected_image_stays_and_a_deleted_one_leaves_no_bytes(image_door, tmp_path):
    image = make(image_door, protected=True)
    path = f"/image/v2/images/{image['id']}"
    image_door.ask("PUT", f"{path}/file", b"bytes")
    assert image_door.ask("DELETE", path).status_int == 403
    image_door.ask("PATCH", path, [{"op": "replace", "path": "/protected", "value": False}])
    assert image_door.ask("DELETE", path).status_int == 204
    assert image_door.ask("GET", path).status_int == 404 and list((tmp_path / "images").iterdir()) == []
    assert make(image_door, id=image["id"])["id"] == image["id"]


def test_a_time_that_utc_does_not_have_is_refused(image_door):
    for moment in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"):
        assert image_door.ask("GET", f"/image/v2/images?created_at=gt:{moment}").status_int == 400


def test_the_second_that_an_image_shows_is_the_one_it_is_found_by(image_door):
    image = make(image_door)
    changed = datetime.datetime(2026, 1, 31, 12, 0, 0, 654_321)
    image_door.store.transact(
        lambda session: session.execute(update(Image).where(Image.id == image["id"]).values(updated_at=changed))
    )
    assert image_door.ask("GET", f"/image/v2/images/{image['id']}").json["updated_at"] == "2026-01-31T12:00:00Z"
    for compare, is_found in (
        *(("eq:", True), ("", True), ("gte:", True), ("lte:", True)),
        *(("neq:", False), ("gt:", False), ("lt:", False)),
    ):
        reply = image_door.ask("GET", f"/image/v2/images?updated_at={compare}2026-01-31T12:00:00Z")
        assert [each["id"] for each in reply.json["images"]] == [image["id"]] * is_found, compare


def test_an_id_whose_file_is_still_to_go_is_not_given_again(image_door):
    image = make(image_door)
    image_door.ask("PUT", f"/image/v2/images/{image['id']}/file", b"bytes")
    image_door.store.transact(lambda session: removal.discard(session, Image.id == image["id"]))
    body = {"id": image["id"], "name": "again", "disk_format": "raw", "container_format": "bare"}
    assert image_door.ask("POST", "/image/v2/images", body).status_int == 409
    removal.sweep(image_door.store, files.Files(image_door.services.conf), older_than_s=0)
    assert image_door.ask("POST", "/image/v2/images", body).status_int == 201
    assert image_door.ask("GET", f"/image/v2/images/{image['id']}/file").status_int == 204


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{no json", "Malformed"),
        ({"name": "n" * 300}, "name"),
        ({"disk_format": "vmdk"}, "disk_format"),
        ({"visibility": "odd"}, "visibility"),
        ({"id": "../../etc/passwd"}, "id"),
        ({"a_property": {"not": "text"}}, "a_property"),
    ],
)
def test_bad_bodies_are_told_what_is_wrong(image_door, body, named):
    reply = image_door.ask("POST", "/image/v2/images", body, Content_Type="application/json")
    assert reply.status_int == 400 and named in reply.text and reply.content_type == "text/html"
