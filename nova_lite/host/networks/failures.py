"""What could not be made of a host's networks: noted in words, so that the rest is still made."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.host.ports import HostError

LOG = logging.getLogger(__name__)


@contextmanager
def noted(failed: dict[str, str], key: str) -> Iterator[None]:
    """Note a failure of *key* in *failed*, in words, and go on after it: one network's must keep no other from being made."""
    try:
        yield
    except NetlinkError as error:
        failed[key] = f"The kernel refused: {error.args[-1]}"
    except HostError as error:
        failed[key] = error.message
    except OSError as error:
        failed[key] = str(error.strerror or error)
    if key in failed:
        LOG.error("event=networks-failed of=%s reason=%r", key, failed[key])
