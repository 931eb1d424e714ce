"""Making, changing and removing domains, projects, users, roles and grants; and what becomes of tokens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from identity_cloud import Cloud, open_cloud, password_body


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = open_cloud(tmp_path)
    yield made
    made.store.close()


def make(cloud: Cloud, noun: str, token: str, **members: Any) -> dict[str, Any]:
    response = cloud.ask("POST", f"/v3/{noun}s", {noun: members}, token=token)
    assert response.status_int == 201, response.text
    return dict(response.json[noun])


def role_ids(cloud: Cloud, token: str) -> dict[str, str]:
    return {row["name"]: row["id"] for row in cloud.ask("GET", "/v3/roles", token=token).json["roles"]}


def log_in(cloud: Cloud, name: str, password: str, project_id: str) -> Any:
    body = password_body(name, password)
    body["auth"]["scope"] = {"project": {"id": project_id}}
    return cloud.ask("POST", "/v3/auth/tokens", body)


def test_a_tenant_from_creation_to_deletion(cloud: Cloud) -> None:
    """Walk the way of Tempest's dynamic credentials."""
    admin = cloud.token("admin")
    project = make(cloud, "project", admin, name="p1", domain_id="default", description="d")
    user = make(cloud, "user", admin, name="u1", password="s3cret", email="u@x", domain_id="default", enabled=True)
    assert project["domain_id"] == project["parent_id"] == "default" and project["enabled"] is True
    assert user["email"] == "u@x" and "password" not in user and "password_hash" not in user
    assert log_in(cloud, "u1", "s3cret", project["id"]).status_int == 401
    member = role_ids(cloud, admin)["member"]
    path = f"/v3/projects/{project['id']}/users/{user['id']}/roles"
    assert cloud.ask("HEAD", f"{path}/{member}", token=admin).status_int == 404
    assert cloud.ask("PUT", f"{path}/{member}", token=admin).status_int == 204
    assert cloud.ask("PUT", f"{path}/{member}", token=admin).status_int == 204
    assert cloud.ask("HEAD", f"{path}/{member}", token=admin).status_int == 204
    assert [row["name"] for row in cloud.ask("GET", path, token=admin).json["roles"]] == ["member"]
    logged = log_in(cloud, "u1", "s3cret", project["id"])
    assert logged.status_int == 201
    token = logged.headers["X-Subject-Token"]
    assert [row["id"] for row in cloud.ask("GET", "/v3/auth/projects", token=token).json["projects"]] == [project["id"]]
    assert cloud.ask("DELETE", f"/v3/users/{user['id']}", token=admin).status_int == 204
    assert cloud.ask("GET", "/v3/auth/projects", token=token).status_int == 401
    assert cloud.ask("GET", f"/v3/users/{user['id']}", token=admin).status_int == 404
    assert cloud.ask("DELETE", f"/v3/projects/{project['id']}", token=admin).status_int == 204
    assert cloud.ask("DELETE", f"/v3/projects/{project['id']}", token=admin).status_int == 404


def test_taking_a_role_ends_the_tokens_that_carry_it(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    project, user = make(cloud, "project", admin, name="p"), make(cloud, "user", admin, name="u", password="pw")
    path = f"/v3/projects/{project['id']}/users/{user['id']}/roles/{role_ids(cloud, admin)['reader']}"
    cloud.ask("PUT", path, token=admin)
    token = log_in(cloud, "u", "pw", project["id"]).headers["X-Subject-Token"]
    assert cloud.ask("GET", f"/v3/projects/{project['id']}", token=token).status_int == 200
    assert cloud.ask("DELETE", path, token=admin).status_int == 204
    assert cloud.ask("GET", f"/v3/projects/{project['id']}", token=token).status_int == 401
    again = cloud.ask("DELETE", path, token=admin)
    assert again.status_int == 404 and "Could not find role assignment" in again.json["error"]["message"]


@pytest.mark.parametrize("change", [{"enabled": False}, {"password": "another"}])
def test_a_change_of_a_user_ends_their_tokens(cloud: Cloud, change: dict[str, Any]) -> None:
    admin, demo = cloud.token("admin"), cloud.token("demo")
    changed = cloud.ask("PATCH", f"/v3/users/{cloud.user_id('demo')}", {"user": change}, token=admin)
    assert changed.status_int == 200
    assert cloud.ask("GET", "/v3/auth/projects", token=demo).status_int == 401


def test_a_disabled_project_is_of_no_use(cloud: Cloud) -> None:
    admin, demo = cloud.token("admin"), cloud.token("demo")
    (row,) = cloud.ask("GET", "/v3/projects?name=demo", token=admin).json["projects"]
    path = f"/v3/projects/{row['id']}"
    assert cloud.ask("PATCH", path, {"project": {"enabled": False}}, token=admin).json["project"]["enabled"] is False
    assert cloud.ask("GET", "/v3/auth/projects", token=demo).status_int == 401


def test_names_are_unique_and_members_of_ones_own_are_kept(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    made = make(cloud, "project", admin, name="p", tags=["a"], colour="red", id="chosen", enabled=False)
    assert made["colour"] == "red" and made["tags"] == ["a"] and made["id"] != "chosen"
    taken = cloud.ask("POST", "/v3/projects", {"project": {"name": "p"}}, token=admin)
    assert taken.status_int == 409
    assert taken.json["error"]["message"] == (
        "Conflict occurred attempting to store project - Duplicate entry found with name p at domain ID default."
    )
    path = f"/v3/projects/{made['id']}"
    renamed = cloud.ask("PATCH", path, {"project": {"name": "q", "description": "x", "colour": None}}, token=admin)
    assert renamed.json["project"]["name"] == "q" and "colour" not in renamed.json["project"]
    assert cloud.ask("PATCH", path, {"project": {"name": "demo"}}, token=admin).status_int == 409
    assert cloud.ask("POST", "/v3/users", {"user": {"name": "demo"}}, token=admin).status_int == 409


@pytest.mark.parametrize(
    ("noun", "members", "status"),
    [
        ("project", {}, 400),
        ("project", {"name": ""}, 400),
        ("project", {"name": "x" * 65}, 400),
        ("project", {"name": "x", "is_domain": True}, 400),
        ("project", {"name": "x", "domain_id": "nowhere"}, 404),
        ("project", {"name": "x", "parent_id": "other"}, 400),
        ("project", {"name": "x", "enabled": "yes"}, 400),
        ("project", {"name": "x", "deep": {"a": 1}}, 400),
        ("user", {"name": "x", "password": ""}, 400),
        ("user", {"name": "x", "domain_id": "nowhere"}, 404),
        ("user", {"name": 5}, 400),
        ("role", {"name": ""}, 400),
        ("role", {"name": "x", "unknown": 1}, 400),
        ("role", {"name": "member"}, 409),
        ("domain", {"name": "Default"}, 409),
        ("domain", {}, 400),
    ],
)
def test_what_can_not_be_made(cloud: Cloud, noun: str, members: dict[str, Any], status: int) -> None:
    response = cloud.ask("POST", f"/v3/{noun}s", {noun: members}, token=cloud.token("admin"))
    assert response.status_int == status, response.text


def test_roles_are_made_changed_and_deleted_but_not_the_built_in_ones(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    made = make(cloud, "role", admin, name="auditor", description="looks")
    path = f"/v3/roles/{made['id']}"
    assert cloud.ask("PATCH", path, {"role": {"name": "seer"}}, token=admin).json["role"]["name"] == "seer"
    (project,) = cloud.ask("GET", "/v3/projects?name=demo", token=admin).json["projects"]
    grant = f"/v3/projects/{project['id']}/users/{cloud.user_id('demo')}/roles/{made['id']}"
    assert cloud.ask("PUT", grant, token=admin).status_int == 204
    demo = cloud.token("demo")
    assert cloud.ask("DELETE", path, token=admin).status_int == 204
    assert cloud.ask("GET", "/v3/auth/projects", token=demo).status_int == 401
    assert cloud.ask("GET", grant, token=admin).status_int == 404
    for name in ("admin", "reader"):
        own = f"/v3/roles/{role_ids(cloud, admin)[name]}"
        assert cloud.ask("DELETE", own, token=admin).status_int == 403
        assert cloud.ask("PATCH", own, {"role": {"name": "x"}}, token=admin).status_int == 403
        assert cloud.ask("PATCH", own, {"role": {"description": "x"}}, token=admin).status_int == 200


def test_a_domain_goes_with_all_that_is_in_it_once_it_is_disabled(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    domain = make(cloud, "domain", admin, name="d1")
    project = make(cloud, "project", admin, name="p", domain_id=domain["id"])
    user = make(cloud, "user", admin, name="u", password="pw", domain_id=domain["id"])
    reader = role_ids(cloud, admin)["reader"]
    for target in (f"projects/{project['id']}", f"domains/{domain['id']}", "system"):
        assert cloud.ask("PUT", f"/v3/{target}/users/{user['id']}/roles/{reader}", token=admin).status_int == 204
    assert cloud.ask("GET", f"/v3/system/users/{user['id']}/roles", token=admin).json["roles"][0]["id"] == reader
    body = password_body("u", "pw")
    body["auth"]["identity"]["password"]["user"]["domain"] = {"id": domain["id"]}
    body["auth"]["scope"] = {"project": {"id": project["id"]}}
    token = cloud.ask("POST", "/v3/auth/tokens", body).headers["X-Subject-Token"]
    path = f"/v3/domains/{domain['id']}"
    assert cloud.ask("DELETE", path, token=admin).status_int == 403
    assert cloud.ask("PATCH", path, {"domain": {"enabled": False}}, token=admin).status_int == 200
    assert cloud.ask("GET", "/v3/auth/projects", token=token).status_int == 401
    assert cloud.ask("POST", "/v3/auth/tokens", body).status_int == 401
    assert cloud.ask("DELETE", path, token=admin).status_int == 204
    for gone in (path, f"/v3/projects/{project['id']}", f"/v3/users/{user['id']}"):
        assert cloud.ask("GET", gone, token=admin).status_int == 404
    assert cloud.ask("DELETE", "/v3/domains/default", token=admin).status_int == 403


def test_only_admins_write(cloud: Cloud) -> None:
    demo, user = cloud.token("demo"), cloud.user_id("demo")
    admin_role = role_ids(cloud, cloud.token("admin"))["admin"]
    for method, path, body in (
        ("POST", "/v3/projects", {"project": {"name": "x"}}),
        ("POST", "/v3/users", {"user": {"name": "x"}}),
        ("PATCH", f"/v3/users/{user}", {"user": {"password": "x"}}),
        ("DELETE", f"/v3/users/{user}", None),
        ("PUT", f"/v3/system/users/{user}/roles/{admin_role}", None),
        ("PUT", f"/v3/domains/default/users/{user}/roles/{admin_role}", None),
        ("POST", "/v3/domains", {"domain": {"name": "x"}}),
        ("POST", "/v3/roles", {"role": {"name": "x"}}),
    ):
        assert cloud.ask(method, path, body, token=demo).status_int == 403, path
