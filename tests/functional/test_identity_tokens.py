"""``/v3/auth/tokens`` as clients see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_cloud import DEMO_PASSWORD, Cloud, open_cloud, password_body
from sqlalchemy import event

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = open_cloud(tmp_path)
    yield made
    made.store.close()


def test_a_project_token_has_keystones_members(cloud: Cloud) -> None:
    response = cloud.log_in("demo")
    assert response.status_int == 201
    assert response.headers["Vary"] == "X-Auth-Token"
    assert response.headers["X-OpenStack-Request-ID"].startswith("req-")
    token = response.json["token"]
    assert set(token) == {
        "methods", "user", "audit_ids", "expires_at", "issued_at", "project", "is_domain", "roles", "catalog",
    }  # fmt: skip
    assert token["methods"] == ["password"]
    assert token["user"] == {
        "id": cloud.user_id("demo"),
        "name": "demo",
        "domain": {"id": "default", "name": "Default"},
        "password_expires_at": None,
    }
    assert token["project"]["name"] == "demo"
    assert token["project"]["domain"] == {"id": "default", "name": "Default"}
    assert token["is_domain"] is False
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    assert all(re.fullmatch(r"[0-9a-f]{32}", role["id"]) for role in token["roles"])
    assert MOMENT.fullmatch(token["issued_at"])
    assert token["expires_at"].endswith(".000000Z")
    assert len(token["audit_ids"]) == 1
    assert len(token["audit_ids"][0]) == 22
    assert len(response.headers["X-Subject-Token"]) < 700


def test_the_catalog_leads_to_every_service(cloud: Cloud) -> None:
    catalog = cloud.log_in("demo").json["token"]["catalog"]
    urls = {}
    for service in catalog:
        assert [endpoint["interface"] for endpoint in service["endpoints"]] == ["public", "internal", "admin"]
        assert {endpoint["region"] for endpoint in service["endpoints"]} == {"RegionOne"}
        urls[service["type"], service["name"]] = {endpoint["url"] for endpoint in service["endpoints"]}
    base = "http://127.0.0.1:8774"
    assert urls == {
        ("identity", "keystone"): {f"{base}/identity/v3"},
        ("compute", "nova"): {f"{base}/compute/v2.1"},
        ("image", "glance"): {f"{base}/image"},
        ("network", "neutron"): {f"{base}/network"},
    }
    assert "catalog" not in cloud.log_in("demo", query="?nocatalog").json["token"]
    again = cloud.second_door().log_in("admin").json["token"]["catalog"]
    assert again == catalog


@pytest.mark.parametrize(
    "scope",
    [
        {"project": {"name": "demo", "domain": {"name": "Default"}}},
        {"project": {"name": "demo", "domain": {"id": "default"}}},
    ],
)
def test_a_project_by_name(cloud: Cloud, scope: object) -> None:
    assert cloud.log_in("demo", scope=scope).json["token"]["project"]["name"] == "demo"


def test_a_project_by_id_and_a_user_by_id(cloud: Cloud) -> None:
    project = cloud.log_in("demo").json["token"]["project"]["id"]
    user = {"id": cloud.user_id("demo"), "password": DEMO_PASSWORD}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": project}}}}
    assert cloud.ask("POST", "/v3/auth/tokens", body).json["token"]["project"]["id"] == project


@pytest.mark.parametrize("scope", [None, {"unscoped": {}}, "unscoped", {}])
def test_unscoped(cloud: Cloud, scope: object) -> None:
    token = cloud.log_in("demo", scope=scope).json["token"]
    assert set(token) == {"methods", "user", "audit_ids", "expires_at", "issued_at"}


def test_the_default_project_is_taken_when_nothing_is_said(cloud: Cloud) -> None:
    from nova_lite.db.models import User

    project = cloud.log_in("demo").json["token"]["project"]["id"]
    cloud.store.transact(
        lambda session: setattr(session.get_one(User, cloud.user_id("demo")), "default_project_id", project)
    )
    assert cloud.log_in("demo", scope=None).json["token"]["project"]["id"] == project
    assert "project" not in cloud.log_in("demo", scope={"unscoped": {}}).json["token"]


def test_system_and_domain_scope(cloud: Cloud) -> None:
    system = cloud.log_in("admin", scope={"system": {"all": True}}).json["token"]
    assert system["system"] == {"all": True}
    assert [role["name"] for role in system["roles"]] == ["admin", "manager", "member", "reader"]
    domain = cloud.log_in("admin", scope={"domain": {"name": "Default"}}).json["token"]
    assert domain["domain"] == {"id": "default", "name": "Default"}
    assert "project" not in domain
    assert cloud.log_in("demo", scope={"system": {"all": True}}).status_int == 401
    assert cloud.log_in("demo", scope={"domain": {"id": "default"}}).status_int == 401


def test_rescoping_keeps_the_chain_and_the_end(cloud: Cloud) -> None:
    first = cloud.log_in("admin", scope={"unscoped": {}})
    token = first.headers["X-Subject-Token"]
    second = cloud.rescope(token, {"project": {"name": "demo", "domain": {"id": "default"}}})
    assert second.status_int == 201
    body = second.json["token"]
    assert body["methods"] == ["password", "token"]
    assert body["audit_ids"][1:] == first.json["token"]["audit_ids"]
    assert body["expires_at"] == first.json["token"]["expires_at"]
    assert body["project"]["name"] == "demo"


def test_showing_a_token(cloud: Cloud) -> None:
    created = cloud.log_in("demo")
    demo = created.headers["X-Subject-Token"]
    for asker in (demo, cloud.token("admin")):
        shown = cloud.ask("GET", "/v3/auth/tokens", token=asker, X_Subject_Token=demo)
        assert shown.status_int == 200
        assert shown.json == created.json
        assert shown.headers["X-Subject-Token"] == demo
        head = cloud.ask("HEAD", "/v3/auth/tokens", token=asker, X_Subject_Token=demo)
        assert (head.status_int, head.body) == (200, b"")
    assert cloud.ask("GET", "/v3/auth/tokens", token=demo, X_Subject_Token=cloud.token("admin")).status_int == 403
    assert cloud.ask("GET", "/v3/auth/tokens", token=demo, X_Subject_Token="gAAAAA").status_int == 404
    assert cloud.ask("GET", "/v3/auth/tokens", token=demo).status_int == 404
    assert cloud.ask("GET", "/v3/auth/tokens", X_Subject_Token=demo).status_int == 401


def test_ending_a_token(cloud: Cloud) -> None:
    demo, other = cloud.token("demo"), cloud.token("demo")
    assert cloud.ask("DELETE", "/v3/auth/tokens", token=demo, X_Subject_Token=cloud.token("admin")).status_int == 403
    gone = cloud.ask("DELETE", "/v3/auth/tokens", token=demo, X_Subject_Token=demo)
    assert (gone.status_int, gone.body) == (204, b"")
    assert cloud.ask("GET", "/v3/auth/tokens", token=demo, X_Subject_Token=demo).status_int == 401
    assert cloud.ask("GET", "/v3/auth/tokens", token=other, X_Subject_Token=demo).status_int == 404
    assert cloud.ask("GET", "/v3/auth/projects", token=other).status_int == 200


def test_checking_a_token_costs_no_query(cloud: Cloud) -> None:
    token = cloud.token("demo")
    validate = cloud.second_door().services.authenticator.validate
    validate(token)
    seen: list[str] = []
    event.listen(cloud.store.engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    fresh = cloud.token("admin")
    seen.clear()
    assert validate(token).user_name == "demo"
    assert validate(fresh).user_name == "admin"
    assert seen == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "valid JSON"),
        (b"[]", 400, "object"),
        ({}, 400, "auth"),
        ({"auth": {}}, 400, "identity"),
        ({"auth": {"identity": {"methods": []}}}, 400, "methods"),
        ({"auth": {"identity": {"methods": ["password"]}}}, 400, "password"),
        ({"auth": {"identity": {"methods": ["token"]}}}, 400, "token"),
        ({"auth": {"identity": {"methods": ["totp"], "totp": {}}}}, 401, "method"),
        ({"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": "x"}}}}}, 400, "name"),
        (
            {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "a", "password": "x"}}}}},
            400,
            "domain",
        ),
        ({"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "a" * 300}}}}}, 400, "long"),
        ({"auth": {"identity": {"methods": ["password"]}, "surprise": 1}}, 400, "surprise"),
    ],
)
def test_bad_bodies(cloud: Cloud, body: object, status: int, words: str) -> None:
    response = cloud.ask("POST", "/v3/auth/tokens", body)
    assert response.status_int == status, response.text
    error = response.json["error"]
    assert error["code"] == status
    assert error["title"] == {400: "Bad Request", 401: "Unauthorized"}[status]
    assert words in error["message"]


def test_two_scopes_at_once(cloud: Cloud) -> None:
    scope = {"project": {"id": "a"}, "domain": {"id": "b"}}
    assert cloud.log_in("demo", scope=scope).status_int == 400
    body = password_body("demo", DEMO_PASSWORD)
    body["auth"]["scope"] = {"project": {"name": "demo"}}
    assert "domain" in cloud.ask("POST", "/v3/auth/tokens", body).json["error"]["message"]
