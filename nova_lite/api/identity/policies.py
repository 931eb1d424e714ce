"""The identity API's rules."""

from __future__ import annotations

from nova_lite.api.policy import ADMIN, ANYBODY, rule

_SELF = "rule:admin or user_id:%(user_id)s"
_OWN_PROJECT = "rule:admin or project_id:%(project_id)s"


def _noun_rules(noun: str) -> tuple[object, ...]:
    path = f"/v3/{noun}s"
    return (
        rule(f"identity:create_{noun}", ADMIN, f"Make a {noun}", ("POST", path)),
        rule(f"identity:update_{noun}", ADMIN, f"Change a {noun}", ("PATCH", path + "/{id}")),
        rule(f"identity:delete_{noun}", ADMIN, f"Delete a {noun}", ("DELETE", path + "/{id}")),
    )


def _grant_rules(name: str, path: str, place: str) -> tuple[object, ...]:
    one = path + "/users/{user_id}/roles/{role_id}"
    return (
        rule(
            f"identity:list_{name}s", ADMIN, f"List a user's roles on {place}", ("GET", path + "/users/{user_id}/roles")
        ),
        rule(f"identity:check_{name}", ADMIN, f"Look for a user's role on {place}", ("GET", one), ("HEAD", one)),
        rule(f"identity:create_{name}", ADMIN, f"Give a user a role on {place}", ("PUT", one)),
        rule(f"identity:revoke_{name}", ADMIN, f"Take a user's role on {place}", ("DELETE", one)),
    )


RULES = (
    rule("identity:validate_token", _SELF, "Show a token", ("GET", "/v3/auth/tokens"), ("HEAD", "/v3/auth/tokens")),
    rule("identity:revoke_token", _SELF, "End a token", ("DELETE", "/v3/auth/tokens")),
    rule("identity:get_auth_catalog", ANYBODY, "Show the catalog", ("GET", "/v3/auth/catalog")),
    rule("identity:get_auth_projects", ANYBODY, "List the projects one may use", ("GET", "/v3/auth/projects")),
    rule("identity:get_auth_domains", ANYBODY, "List the domains one may use", ("GET", "/v3/auth/domains")),
    rule("identity:get_auth_system", ANYBODY, "Say whether one may use the system", ("GET", "/v3/auth/system")),
    rule("identity:list_projects", ADMIN, "List all projects", ("GET", "/v3/projects")),
    rule("identity:get_project", _OWN_PROJECT, "Show a project", ("GET", "/v3/projects/{id}")),
    rule("identity:list_users", ADMIN, "List all users", ("GET", "/v3/users")),
    rule("identity:get_user", _SELF, "Show a user", ("GET", "/v3/users/{id}")),
    rule("identity:list_user_projects", _SELF, "List a user's projects", ("GET", "/v3/users/{id}/projects")),
    rule("identity:list_roles", ADMIN, "List roles", ("GET", "/v3/roles")),
    rule("identity:get_role", ADMIN, "Show a role", ("GET", "/v3/roles/{id}")),
    rule("identity:list_role_assignments", ADMIN, "List who has which role", ("GET", "/v3/role_assignments")),
    rule("identity:list_domains", ADMIN, "List domains", ("GET", "/v3/domains")),
    rule("identity:get_domain", ADMIN, "Show a domain", ("GET", "/v3/domains/{id}")),
    rule("identity:list_services", ADMIN, "List services", ("GET", "/v3/services")),
    rule("identity:get_service", ADMIN, "Show a service", ("GET", "/v3/services/{id}")),
    rule("identity:list_endpoints", ADMIN, "List endpoints", ("GET", "/v3/endpoints")),
    rule("identity:get_endpoint", ADMIN, "Show an endpoint", ("GET", "/v3/endpoints/{id}")),
    rule("identity:list_regions", ANYBODY, "List regions", ("GET", "/v3/regions")),
    rule("identity:get_region", ANYBODY, "Show a region", ("GET", "/v3/regions/{id}")),
    *_noun_rules("project"),
    *_noun_rules("user"),
    *_noun_rules("role"),
    *_noun_rules("domain"),
    *_grant_rules("grant", "/v3/projects/{target_id}", "a project"),
    *_grant_rules("domain_grant", "/v3/domains/{target_id}", "a domain"),
    *_grant_rules("system_grant_for_user", "/v3/system", "the system"),
)
