"""Every API that the front door carries."""

from __future__ import annotations

from nova_lite.api.compute import MOUNT as COMPUTE
from nova_lite.api.identity import MOUNT as IDENTITY
from nova_lite.api.image import MOUNT as IMAGE
from nova_lite.api.network import MOUNT as NETWORK

MOUNTS = (IDENTITY, COMPUTE, IMAGE, NETWORK)
