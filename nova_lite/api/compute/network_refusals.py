"""What the network's rules refuse, worded with the statuses that the Compute API has for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from nova_lite.errors import Conflict, Invalid, OverLimit


@contextlib.contextmanager
def as_compute() -> Iterator[None]:
    """Turn a conflict that is raised within into what Nova answers: 403 for a quota, 400 for all else."""
    try:
        yield
    except Conflict as error:
        if error.code == "network.over_quota":
            raise OverLimit(error.message, error.code) from error
        raise Invalid(error.message, error.code) from error
