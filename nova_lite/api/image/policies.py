"""The image API's rules."""

from __future__ import annotations

from nova_lite.api.policy import ANYBODY, MEMBER, rule

RULES = (
    rule("image:list", ANYBODY, "List the images that one may see", ("GET", "/v2/images")),
    rule("image:show", ANYBODY, "Show an image that one may see", ("GET", "/v2/images/{id}")),
    rule("image:create", MEMBER, "Add an image", ("POST", "/v2/images")),
    rule("image:update", MEMBER, "Change an image", ("PATCH", "/v2/images/{id}")),
    rule("image:delete", MEMBER, "Delete an image", ("DELETE", "/v2/images/{id}")),
    rule("image:upload", MEMBER, "Upload an image's data", ("PUT", "/v2/images/{id}/file")),
    rule("image:download", ANYBODY, "Download the data of an image that one may see", ("GET", "/v2/images/{id}/file")),
    rule("image:publicize", "rule:admin", "Make an image public", ("POST", "/v2/images"), ("PATCH", "/v2/images/{id}")),
    rule(
        "image:deactivate",
        "rule:admin",
        "Stop an image's data from being read",
        ("POST", "/v2/images/{id}/actions/deactivate"),
    ),
    rule("image:schemas", ANYBODY, "Read the API's JSON schemas", ("GET", "/v2/schemas/{name}")),
)
