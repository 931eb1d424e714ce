"""What the host keeps of each network between two lives of the agent: ``<state_path>/networks/<number>/network.json``.

It is what unplug() and the rules need before the agent has asked the database; the database is always right.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nova_lite.host.network_state import NetworkSpec, SubnetSpec

FILE = "network.json"


def save(directory: Path, network: NetworkSpec) -> None:
    """Write the network's record, whole or not at all."""
    replace(directory / FILE, json.dumps(asdict(network)), 0o600)


def load_all(root: Path) -> dict[int, NetworkSpec]:
    """Read every record below *root*, by number; one that can't be read is left out (sync() makes it anew)."""
    found = {}
    for path in root.glob(f"*/{FILE}"):
        try:
            network = _network(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if path.parent.name == str(network.number):
            found[network.number] = network
    return found


def _network(data: dict[str, Any]) -> NetworkSpec:
    subnets = tuple(
        SubnetSpec(
            **{
                **subnet,
                "dns": tuple(subnet["dns"]),
                "routes": tuple((destination, hop) for destination, hop in subnet["routes"]),
            }
        )
        for subnet in data["subnets"]
    )
    # What lies on other hosts is read from the database anew.
    return NetworkSpec(**{**data, "subnets": subnets, "dhcp": None, "remote": (), "remote_hosts": ()})


def make_directory(directory: Path, gid: int) -> None:
    """Have a network's directory, which dnsmasq's group may read and only root may write."""
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.chown(directory, 0, gid)
    directory.chmod(0o750)


def replace(path: Path, content: str, mode: int) -> bool:
    """Have *path* hold *content*; False: it did already. A reader sees the old or the new, never a part."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == content:
            return False
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    os.replace(draft, path)
    return True


def remove(directory: Path) -> None:
    """Remove a network's directory; none there is success."""
    shutil.rmtree(directory, ignore_errors=True)
