"""Versions, projects, users, roles, domains, the catalog's parts: what clients read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_cloud import DEMO_PASSWORD, Cloud, open_cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = open_cloud(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize("path", ["", "/"])
def test_the_root_lists_versions(cloud: Cloud, path: str) -> None:
    response = cloud.ask("GET", path)
    assert response.status_int == 300
    (version,) = response.json["versions"]["values"]
    assert version["id"] == "v3.14"
    assert version["status"] == "stable"
    assert version["links"] == [{"rel": "self", "href": "http://127.0.0.1:8774/identity/v3/"}]


@pytest.mark.parametrize("path", ["/v3", "/v3/"])
def test_v3_describes_itself(cloud: Cloud, path: str) -> None:
    response = cloud.ask("GET", path)
    assert response.status_int == 200
    assert response.json["version"]["id"] == "v3.14"


def test_the_rest_is_404_or_405(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    nothing = cloud.ask("GET", "/v3/nothing", token=admin)
    assert nothing.status_int == 404
    assert nothing.json["error"]["title"] == "Not Found"
    assert cloud.ask("GET", "/v2.0/tokens", token=admin).status_int == 404
    refused = cloud.ask("POST", "/v3/services", {}, token=admin)
    assert refused.status_int == 405
    assert refused.json["error"]["title"] == "Method Not Allowed"


def test_what_the_caller_may_use(cloud: Cloud) -> None:
    admin, demo = cloud.token("admin"), cloud.token("demo")
    assert [row["name"] for row in cloud.ask("GET", "/v3/auth/projects", token=admin).json["projects"]] == [
        "admin",
        "demo",
    ]
    assert [row["name"] for row in cloud.ask("GET", "/v3/auth/projects", token=demo).json["projects"]] == ["demo"]
    assert [row["id"] for row in cloud.ask("GET", "/v3/auth/domains", token=admin).json["domains"]] == ["default"]
    assert cloud.ask("GET", "/v3/auth/domains", token=demo).json["domains"] == []
    assert cloud.ask("GET", "/v3/auth/system", token=admin).json["system"] == [{"all": True}]
    assert cloud.ask("GET", "/v3/auth/system", token=demo).json["system"] == []
    catalog = cloud.ask("GET", "/v3/auth/catalog", token=demo).json["catalog"]
    assert {service["type"] for service in catalog} == {"identity", "compute", "image", "network"}


def test_projects(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    listed = cloud.ask("GET", "/v3/projects", token=admin).json
    assert [row["name"] for row in listed["projects"]] == ["admin", "demo", "service"]
    assert listed["links"] == {
        "self": "http://127.0.0.1:8774/identity/v3/projects",
        "previous": None,
        "next": None,
    }
    (demo,) = cloud.ask("GET", "/v3/projects?name=demo&domain_id=default", token=admin).json["projects"]
    assert demo["parent_id"] == demo["domain_id"] == "default"
    assert demo["is_domain"] is False
    assert demo["links"]["self"].endswith(f"/identity/v3/projects/{demo['id']}")
    assert cloud.ask("GET", f"/v3/projects/{demo['id']}", token=admin).json == {"project": demo}
    assert cloud.ask("GET", "/v3/projects?enabled=false", token=admin).json["projects"] == []
    assert len(cloud.ask("GET", "/v3/projects?enabled", token=admin).json["projects"]) == 3
    assert cloud.ask("GET", "/v3/projects?is_domain=true", token=admin).json["projects"] == []
    assert cloud.ask("GET", "/v3/projects/nothing", token=admin).status_int == 404


def test_a_member_sees_what_is_theirs_and_not_whether_the_rest_is_there(cloud: Cloud) -> None:
    admin, demo = cloud.token("admin"), cloud.token("demo")
    by_name = {row["name"]: row["id"] for row in cloud.ask("GET", "/v3/projects", token=admin).json["projects"]}
    assert cloud.ask("GET", f"/v3/projects/{by_name['demo']}", token=demo).status_int == 200
    unscoped = cloud.token("demo", scope={"unscoped": {}})
    for token in (demo, unscoped):
        for path in ("projects", f"projects/{by_name['admin']}", "projects/nothing", "users", "users/nothing", "roles"):
            assert cloud.ask("GET", f"/v3/{path}", token=token).status_int == 403, path
    mine, other = cloud.user_id("demo"), cloud.user_id("admin")
    assert cloud.ask("GET", f"/v3/users/{mine}", token=demo).json["user"]["name"] == "demo"
    assert cloud.ask("GET", f"/v3/users/{other}", token=demo).status_int == 403
    assert [row["name"] for row in cloud.ask("GET", f"/v3/users/{mine}/projects", token=demo).json["projects"]] == [
        "demo"
    ]
    assert cloud.ask("GET", f"/v3/users/{other}/projects", token=demo).status_int == 403


def test_users_never_show_a_hash(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    response = cloud.ask("GET", "/v3/users", token=admin)
    assert [row["name"] for row in response.json["users"]] == ["admin", "demo"]
    assert "bcrypt" not in response.text
    (demo,) = cloud.ask("GET", "/v3/users?name=demo", token=admin).json["users"]
    assert set(demo) == {"id", "name", "domain_id", "enabled", "password_expires_at", "options", "links"}


def test_roles_and_assignments(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    roles = {row["name"]: row["id"] for row in cloud.ask("GET", "/v3/roles", token=admin).json["roles"]}
    assert set(roles) == {"admin", "manager", "member", "reader", "service"}
    assert cloud.ask("GET", f"/v3/roles/{roles['member']}", token=admin).json["role"]["name"] == "member"
    assert cloud.ask("GET", "/v3/roles/nothing", token=admin).status_int == 404
    path = f"/v3/role_assignments?user.id={cloud.user_id('demo')}"
    (one,) = cloud.ask("GET", path, token=admin).json["role_assignments"]
    assert one["role"] == {"id": roles["member"]}
    effective = cloud.ask("GET", f"{path}&effective&include_names=True", token=admin).json["role_assignments"]
    assert sorted(row["role"]["name"] for row in effective) == ["member", "reader"]
    assert effective[0]["scope"]["project"]["domain"] == {"id": "default", "name": "Default"}
    system = cloud.ask("GET", "/v3/role_assignments?scope.system=all", token=admin).json["role_assignments"]
    assert [row["scope"] for row in system] == [{"system": {"all": True}}]


def test_domains_services_endpoints_regions(cloud: Cloud) -> None:
    admin = cloud.token("admin")
    assert cloud.ask("GET", "/v3/domains/default", token=admin).json["domain"]["name"] == "Default"
    assert len(cloud.ask("GET", "/v3/domains?name=Default", token=admin).json["domains"]) == 1
    assert cloud.ask("GET", "/v3/domains?name=Other", token=admin).json["domains"] == []
    (compute,) = cloud.ask("GET", "/v3/services?type=compute", token=admin).json["services"]
    endpoints = cloud.ask("GET", f"/v3/endpoints?service_id={compute['id']}", token=admin).json["endpoints"]
    assert [row["interface"] for row in endpoints] == ["public", "internal", "admin"]
    one = cloud.ask("GET", f"/v3/endpoints/{endpoints[0]['id']}", token=admin).json["endpoint"]
    assert one == endpoints[0]
    assert cloud.ask("GET", f"/v3/services/{compute['id']}", token=admin).json["service"] == compute
    assert cloud.ask("GET", "/v3/services/nothing", token=admin).status_int == 404
    assert cloud.ask("GET", "/v3/regions/RegionOne", token=cloud.token("demo")).json["region"]["id"] == "RegionOne"
    assert cloud.ask("GET", "/v3/regions/Elsewhere", token=admin).status_int == 404


def test_changing_ones_own_password(cloud: Cloud) -> None:
    token, user = cloud.token("demo"), cloud.user_id("demo")

    def change(original: str, new: str) -> int:
        body = {"user": {"original_password": original, "password": new}}
        return int(cloud.ask("POST", f"/v3/users/{user}/password", body).status_int)

    assert change("wrong", "new-one") == 401
    assert change(DEMO_PASSWORD, "") == 400
    assert change(DEMO_PASSWORD, "new-one") == 204
    assert cloud.ask("GET", "/v3/auth/projects", token=token).status_int == 401
    assert cloud.log_in("demo", DEMO_PASSWORD).status_int == 401
    assert cloud.log_in("demo", "new-one").status_int == 201
    assert (
        cloud.ask(
            "POST", "/v3/users/nothing/password", {"user": {"original_password": "a", "password": "b"}}
        ).status_int
        == 401
    )
