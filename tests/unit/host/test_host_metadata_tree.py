"""What metadata answers for which path, and the requests that it takes."""

from __future__ import annotations

import http
import json
from dataclasses import replace

import pytest
from test_host_metadata import GUEST, NETWORK, NIC

from nova_lite.host import metadata_http, metadata_tree
from nova_lite.host.metadata import GuestNic
from nova_lite.host.metadata_http import Refused, Request
from nova_lite.host.metadata_tree import Answer

TREE = metadata_tree.tree(GUEST, [GuestNic(NIC, NETWORK, "uplink")])


def got(path: str, password: str = "") -> str:
    answer = metadata_tree.answer(TREE, path, password)
    return answer.body.decode(errors="replace") if answer.status == 200 else str(int(answer.status))


def test_the_openstack_layout() -> None:
    assert got("/openstack").splitlines()[-1] == "latest"
    assert got("/openstack/").splitlines()[0] == "2012-08-10"
    names = ["meta_data.json", "network_data.json", "password", "user_data", "vendor_data.json", "vendor_data2.json"]
    assert got("/openstack/latest/").splitlines() == names
    for version in metadata_tree.OPENSTACK_VERSIONS:
        assert json.loads(got(f"/openstack/{version}/meta_data.json"))["uuid"] == GUEST.server_id
    assert json.loads(got("/openstack/latest/meta_data.json?x=1"))["devices"] == [
        {"type": "nic", "bus": "none", "mac": NIC.mac, "address": "none", "tags": ["uplink"]}
    ]
    assert "admin_pass" not in got("/openstack/latest/meta_data.json")
    assert metadata_tree.answer(TREE, "/openstack/latest/user_data", "").body == GUEST.user_data
    assert got("/openstack/latest/password", "abc") == "abc"
    assert got("//openstack//latest//password/", "abc") == "abc"
    for bad in (
        "/openstack/1999-01-01/",
        "/openstack/latest/x",
        "/openstack/latest/user_data/x",
        "/etc/passwd",
        "/..",
        "/openstack/latest/../..",
    ):
        assert got(bad) == "404", bad


def test_the_ec2_layout() -> None:
    assert got("/").splitlines()[-2:] == ["2009-04-04", "latest"]
    assert got("/latest").splitlines() == ["meta-data/", "user-data"]
    listing = got("/2009-04-04/meta-data/").splitlines()
    assert {"instance-id", "hostname", "local-ipv4", "placement/", "public-keys/"} <= set(listing)
    assert got("/latest/meta-data/instance-id").startswith("i-")
    assert got("/latest/meta-data/local-ipv4") == "10.0.0.5"
    assert got("/latest/meta-data/placement/availability-zone") == "nova"
    assert got("/latest/meta-data/public-keys/") == "0=mine"
    assert got("/latest/meta-data/public-keys/0/") == "openssh-key"
    assert got("/latest/meta-data/public-keys/0/openssh-key") == "ssh-ed25519 AAAA me"
    assert metadata_tree.answer(TREE, "/latest/user-data", "").body == GUEST.user_data
    assert "block-device-mapping/" not in listing
    disks = metadata_tree.tree(replace(GUEST, devices={"root": "vda", "ephemeral0": "vdb"}), [])
    for name, device in {"ami": "vda", "root": "/dev/vda", "ephemeral0": "/dev/vdb"}.items():
        path = f"/latest/meta-data/block-device-mapping/{name}"
        assert metadata_tree.answer(disks, path, "").body.decode() == device
    bare = metadata_tree.tree(replace(GUEST, user_data=None, keys={}), [])
    assert metadata_tree.answer(bare, "/latest/user-data", "").status == 404
    assert metadata_tree.answer(bare, "/latest/meta-data/public-keys/", "").status == 404


def test_where_the_password_is_left() -> None:
    assert metadata_tree.is_password("/openstack/latest/password")
    assert metadata_tree.is_password("/openstack/2013-04-04/password?")
    assert not metadata_tree.is_password("/openstack/latest/passwords")
    assert not metadata_tree.is_password("/latest/password")


def test_requests() -> None:
    whole = b"GET /openstack HTTP/1.1\r\nHost: 169.254.169.254\r\nX-Forwarded-For: 10.0.0.9\r\n\r\n"
    for end in range(len(whole)):
        assert metadata_http.parse(whole[:end]) is None
    assert metadata_http.parse(whole) == Request("GET", "/openstack")
    posted = b"POST /p HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"
    assert metadata_http.parse(posted[:-1]) is None
    assert metadata_http.parse(posted) == Request("POST", "/p", b"abc")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"GET /" + b"a" * 9000, 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 9000 + b"\r\n\r\n", 431),
    ],
)
def test_requests_that_are_none(sent: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        metadata_http.parse(sent)
    assert refused.value.answer.status == status


def test_answers() -> None:
    sent = metadata_http.rendered(Answer(http.HTTPStatus.OK, b"{}", metadata_tree.JSON))
    assert (
        sent == b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    assert metadata_http.rendered(metadata_tree.NOT_FOUND, is_head=True).endswith(b"\r\n\r\n")
