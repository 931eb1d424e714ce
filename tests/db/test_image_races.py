"""Images on each database, with everybody asking at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from nova_lite.db.models import Image
from nova_lite.db.store import Store
from nova_lite.db.types import new_id
from nova_lite.errors import Conflict
from nova_lite.image import images
from nova_lite.image.images import Viewer

VIEWER = Viewer("project")


def test_tags_and_properties_that_come_at_once_are_all_kept(store: Store) -> None:
    made = images.create(store, VIEWER, {"name": "image"})

    def add(number: int) -> None:
        def apply(image: Image) -> None:
            image.tags = sorted({*image.tags, f"tag {number}"})
            image.properties = {**image.properties, f"property {number}": "kept"}

        images.change(store, VIEWER, made.id, apply)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    with store.read() as session:
        found = images.get(session, VIEWER, made.id)
    assert len(found.tags) == len(found.properties) == 24


def test_an_id_that_many_ask_for_at_once_is_given_once(store: Store) -> None:
    for _ in range(4):
        image_id = new_id()

        def make(_: int, wanted: str = image_id) -> bool:
            try:
                images.create(store, VIEWER, {"name": "image"}, wanted)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(make, range(8))) == 1
