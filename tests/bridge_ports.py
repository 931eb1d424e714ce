"""When a bridge passes what a new device sends.

``ip link set … up`` returns before it does: the kernel tells the bridge that the device has a carrier by a work of its own, which waits
for the lock that each change of any namespace's devices takes. Until then, frames are lost for ever: some ms on a quiet machine.
"""

from __future__ import annotations

import json
import subprocess
import time

PATIENCE_S = 30.0


def wait_until_it_passes(namespace: str, device: str) -> None:
    """Wait until the bridge that *device* of *namespace* is in takes its frames. :raises AssertionError: it does not, for 30 s."""
    end = time.monotonic() + PATIENCE_S
    while (state := _state(namespace, device)) != "forwarding":
        assert time.monotonic() < end, f"The bridge's port {device} in {namespace} is {state}"
        time.sleep(0.005)


def _state(namespace: str, device: str) -> str:
    argv = ["ip", "-n", namespace, "-j", "-d", "link", "show", "dev", device]
    shown = json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout)
    found: str = shown[0]["linkinfo"]["info_slave_data"]["state"]
    return found
