"""Images that were asked for before any guest needs them (``POST /os-aggregates/{id}/images``)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence

from nova_lite.agent import rows, spec
from nova_lite.agent.job import Tools
from nova_lite.errors import NovaLiteError

LOG = logging.getLogger(__name__)

KEPT_S = 86_400.0
"""How long an image stays in the cache without a guest; upstream's image cache keeps unused ones as long."""


class Precache:
    """Fetches one image after the other, in a thread that lives while there are any.

    Nothing is kept of what was asked for: an agent that dies forgets it, and a guest's image is fetched when it is needed.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._wanted: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._fetching = False
        self._until: dict[str, float] = {}

    def cache_images(self, image_ids: Sequence[str]) -> None:
        """Have *image_ids* fetched; returns at once."""
        for image_id in image_ids:
            self._wanted.put(image_id)
        with self._guard:
            if not self._fetching:
                self._fetching = True
                threading.Thread(target=self._fetch_all, name="agent-precache", daemon=True).start()

    def kept(self) -> set[str]:
        """Return the ids of images that the cache is to keep though no guest stands on them."""
        moment = time.monotonic()
        with self._guard:
            self._until = {image_id: until for image_id, until in self._until.items() if until > moment}
            return set(self._until)

    def _fetch_all(self) -> None:
        while True:
            with self._guard:
                if self._wanted.empty():
                    self._fetching = False
                    return
            image_id = self._wanted.get()
            try:
                self._fetch(image_id)
                LOG.info("image=%s event=cached host=%s", image_id, self._tools.host)
            except NovaLiteError as error:
                LOG.warning("image=%s event=not-cached host=%s reason=%r", image_id, self._tools.host, error.message)
            except Exception:
                LOG.exception("image=%s event=not-cached host=%s", image_id, self._tools.host)

    def _fetch(self, image_id: str) -> None:
        with self._tools.store.read() as session:
            found = rows.read_images(session, [image_id])
        wanted = spec.whole_image(image_id, found)
        parts = [wanted, *(part for part in (wanted.kernel, wanted.ramdisk) if part is not None)]
        with self._guard:
            self._until |= dict.fromkeys((part.image_id for part in parts), time.monotonic() + KEPT_S)
        self._tools.images.fetch(wanted)
