"""The Identity API v3: https://docs.openstack.org/api-ref/identity/v3/"""

from __future__ import annotations

from nova_lite.api.identity import catalog, domains, grants, projects, roles, schemas, tokens, users, versions
from nova_lite.api.routes import Mount, Route

_ID = "identity:"


def _grants(path: str, target: grants.Target, prefix: str, noun: str) -> tuple[Route, ...]:
    """Make the routes of one kind of target's roles; the rules' names are Keystone's."""
    one = f"{path}/users/{{user_id}}/roles/{{role_id}}"
    return (
        Route("GET", f"{path}/users/{{user_id}}/roles", target.index, f"{_ID}list_{prefix}{noun}s"),
        Route("GET", one, target.show, f"{_ID}check_{prefix}{noun}", status=204),
        Route("PUT", one, target.give, f"{_ID}create_{prefix}{noun}", status=204),
        Route("DELETE", one, target.take, f"{_ID}revoke_{prefix}{noun}", status=204),
    )


_WRITES = (
    Route("POST", "/v3/projects", projects.create, _ID + "create_project", status=201, body=schemas.CREATE_PROJECT),
    Route("PATCH", "/v3/projects/{id}", projects.update, _ID + "update_project", body=schemas.UPDATE_PROJECT),
    Route("DELETE", "/v3/projects/{id}", projects.delete, _ID + "delete_project", status=204),
    Route("POST", "/v3/users", users.create, _ID + "create_user", status=201, body=schemas.CREATE_USER),
    Route("PATCH", "/v3/users/{id}", users.update, _ID + "update_user", body=schemas.UPDATE_USER),
    Route("DELETE", "/v3/users/{id}", users.delete, _ID + "delete_user", status=204),
    Route("POST", "/v3/roles", roles.create, _ID + "create_role", status=201, body=schemas.CREATE_ROLE),
    Route("PATCH", "/v3/roles/{id}", roles.update, _ID + "update_role", body=schemas.UPDATE_ROLE),
    Route("DELETE", "/v3/roles/{id}", roles.delete, _ID + "delete_role", status=204),
    Route("POST", "/v3/domains", domains.create, _ID + "create_domain", status=201, body=schemas.CREATE_DOMAIN),
    Route("PATCH", "/v3/domains/{id}", domains.update, _ID + "update_domain", body=schemas.UPDATE_DOMAIN),
    Route("DELETE", "/v3/domains/{id}", domains.delete, _ID + "delete_domain", status=204),
    *_grants("/v3/projects/{target_id}", grants.ON_PROJECT, "", "grant"),
    *_grants("/v3/domains/{target_id}", grants.ON_DOMAIN, "domain_", "grant"),
    *_grants("/v3/system", grants.ON_SYSTEM, "system_", "grant_for_user"),
)

ROUTES = (
    Route("GET", "/", versions.index, open=True),
    Route("GET", "/v3", versions.show, open=True),
    Route("POST", "/v3/auth/tokens", tokens.create, status=201, open=True, body=tokens.CREATE),
    Route("GET", "/v3/auth/tokens", tokens.show, "identity:validate_token", late=True),
    Route("DELETE", "/v3/auth/tokens", tokens.revoke, "identity:revoke_token", status=204, late=True),
    Route("GET", "/v3/auth/catalog", catalog.show_catalog, "identity:get_auth_catalog"),
    Route("GET", "/v3/auth/projects", projects.mine, "identity:get_auth_projects"),
    Route("GET", "/v3/auth/domains", domains.mine, "identity:get_auth_domains"),
    Route("GET", "/v3/auth/system", roles.my_system, "identity:get_auth_system"),
    Route("GET", "/v3/projects", projects.index, "identity:list_projects"),
    Route("GET", "/v3/projects/{id}", projects.show, "identity:get_project", late=True),
    Route("GET", "/v3/users", users.index, "identity:list_users"),
    Route("GET", "/v3/users/{id}", users.show, "identity:get_user", late=True),
    Route("GET", "/v3/users/{id}/projects", projects.of_user, "identity:list_user_projects", late=True),
    Route(
        "POST",
        "/v3/users/{id}/password",
        users.change_password,
        status=204,
        open=True,
        body=users.CHANGE_PASSWORD,
    ),
    Route("GET", "/v3/roles", roles.index, "identity:list_roles"),
    Route("GET", "/v3/roles/{id}", roles.show, "identity:get_role"),
    Route("GET", "/v3/role_assignments", roles.assignments, "identity:list_role_assignments"),
    Route("GET", "/v3/domains", domains.index, "identity:list_domains"),
    Route("GET", "/v3/domains/{id}", domains.show, "identity:get_domain"),
    Route("GET", "/v3/services", catalog.list_services, "identity:list_services"),
    Route("GET", "/v3/services/{id}", catalog.show_service, "identity:get_service"),
    Route("GET", "/v3/endpoints", catalog.list_endpoints, "identity:list_endpoints"),
    Route("GET", "/v3/endpoints/{id}", catalog.show_endpoint, "identity:get_endpoint"),
    Route("GET", "/v3/regions", catalog.list_regions, "identity:list_regions"),
    Route("GET", "/v3/regions/{id}", catalog.show_region, "identity:get_region"),
    *_WRITES,
)

MOUNT = Mount("/identity", "identity", ROUTES)
