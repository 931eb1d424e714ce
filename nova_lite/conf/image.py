"""[image]: the image store."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "image"
OPTIONS = [
    cfg.StrOpt("store_path", sample_default="<state_path>/images", help="The directory that image data is kept in."),
    cfg.IntOpt("max_size", default=1 << 40, min=1, help="The largest image, in bytes."),
    cfg.IntOpt(
        "keep_free_bytes", default=1 << 30, min=0, help="Uploads stop when less than this is free in the store."
    ),
]
