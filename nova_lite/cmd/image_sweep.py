"""Remove the files of images that are gone, now and then: beside the front door, which has the image store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from nova_lite.db.store import Store
from nova_lite.image import removal
from nova_lite.image.files import Files

LOG = logging.getLogger(__name__)

EVERY_S = 30.0


class ImageSweep:
    """Sweeps the image store every half minute; any number of processes may do so side by side.

    :param offload: removes a file off the server's hub, where this thread is one of the hub's.
    """

    def __init__(self, store: Store, conf: cfg.ConfigOpts, offload: Callable[..., Any] = removal.inline) -> None:
        self._store = store
        self._conf = conf
        self._offload = offload
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="image-sweep", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            try:
                removal.sweep(self._store, Files(self._conf), offload=self._offload)
            except Exception as error:
                LOG.warning("event=images-not-swept reason=%r (it is tried again)", str(error)[:200])
