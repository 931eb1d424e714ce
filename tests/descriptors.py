"""What a process with many descriptors meets, or one that has no more."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest


@contextmanager
def descriptors_up_to(number: int) -> Iterator[None]:
    """Have no free descriptor below *number*."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number + 100:
        pytest.skip(f"cannot run on this machine: it allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number + 100), hard))
    with ExitStack() as undo:
        undo.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while (made := os.dup(2)) < number:
            undo.callback(os.close, made)
        os.close(made)
        yield


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Have each attempt to open another fail, whatever other threads close meanwhile: 0, 1 and 2 are always open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
