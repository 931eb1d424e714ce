"""The Image API v2: https://docs.openstack.org/api-ref/image/v2/"""

from __future__ import annotations

from nova_lite.api.image import data, images, schemas, versions
from nova_lite.api.routes import Mount, Route

ROUTES = (
    Route("GET", "/", versions.choices, open=True),
    Route("GET", "/versions", versions.index, open=True),
    Route("GET", "/v2", versions.choices, open=True),
    Route("GET", "/v2/images", images.index, "image:list"),
    Route("POST", "/v2/images", images.create, "image:create", status=201, body=schemas.CREATE),
    Route("GET", "/v2/images/{id}", images.show, "image:show"),
    Route("GET", "/v2/images/{id}/tasks", images.tasks, "image:show"),
    Route("PATCH", "/v2/images/{id}", images.update, "image:update", late=True, body=schemas.PATCH),
    Route("DELETE", "/v2/images/{id}", images.delete, "image:delete", status=204, late=True),
    Route("PUT", "/v2/images/{id}/file", data.upload, "image:upload", status=204, late=True, raw=True),
    Route("GET", "/v2/images/{id}/file", data.download, "image:download"),
    Route("PUT", "/v2/images/{id}/tags/{tag}", images.add_tag, "image:update", status=204, late=True),
    Route("DELETE", "/v2/images/{id}/tags/{tag}", images.remove_tag, "image:update", status=204, late=True),
    Route("POST", "/v2/images/{id}/actions/deactivate", images.deactivate, "image:deactivate", status=204),
    Route("POST", "/v2/images/{id}/actions/reactivate", images.reactivate, "image:deactivate", status=204),
    Route("GET", "/v2/schemas/{name}", schemas.show, "image:schemas"),
)

MOUNT = Mount("/image", "image", ROUTES)
