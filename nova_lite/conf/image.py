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
    cfg.IntOpt(
        "max_unpacked_bytes",
        default=20 << 30,
        min=1 << 20,
        help="What a container image may come to when a host unpacks it, in bytes.",
    ),
    cfg.IntOpt(
        "max_unpacked_files", default=1_000_000, min=1, help="How many files a container image may have in all layers."
    ),
    cfg.IntOpt("unpack_timeout", default=600, min=1, help="Seconds that a host may take to unpack a container image."),
]
