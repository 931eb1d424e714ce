"""eventlet, set up before it is first imported: whoever uses it here takes it from this module."""

from __future__ import annotations

import os
import warnings

# eventlet's own resolver takes 8 MiB and 0.1 s, and nothing here resolves names on the hub.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its note that it is in maintenance, which the design knows
    import eventlet
    import eventlet.green.socket
    import eventlet.hubs
    import eventlet.patcher
    import eventlet.semaphore
    import eventlet.tpool
    import eventlet.wsgi

__all__ = ["eventlet"]
