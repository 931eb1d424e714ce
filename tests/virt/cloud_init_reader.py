"""Run by a Python that finds cloud-init: read metadata with cloud-init's own code, and print what it made of it as JSON.

Usage: ``cloud_init_reader.py openstack|ec2 URL`` or ``cloud_init_reader.py drive DIRECTORY``.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def openstack(url: str) -> dict[str, Any]:
    from cloudinit.sources import DataSourceOpenStack as source
    from cloudinit.sources.helpers import openstack

    found = source.read_metadata_service(url, ssl_details={})
    return seen(found, openstack)


def drive(directory: str) -> dict[str, Any]:
    from cloudinit.sources import DataSourceConfigDrive as source
    from cloudinit.sources.helpers import openstack

    found = source.read_config_drive(directory)
    return seen(found, openstack)


def seen(found: dict[str, Any], openstack: Any) -> dict[str, Any]:
    macs = {link["ethernet_mac_address"]: f"eth{i}" for i, link in enumerate(found["networkdata"]["links"])}
    return {
        "version": found["version"],
        "uuid": found["metadata"]["uuid"],
        "hostname": found["metadata"]["local-hostname"],
        "keys": found["metadata"].get("public_keys") or found["metadata"].get("public-keys"),
        "files": {path: content.decode("latin-1") for path, content in found["files"].items()},
        "userdata": (found.get("userdata") or b"").decode("latin-1"),
        "vendordata": found.get("vendordata"),
        "network": openstack.convert_net_json(found["networkdata"], known_macs=macs),
        "devices": (found.get("ec2-metadata") or {}).get("block-device-mapping"),
        "seed": len(found["metadata"].get("random_seed") or b""),
    }


def ec2(url: str) -> dict[str, Any]:
    from cloudinit.sources.helpers import ec2

    found = ec2.get_instance_metadata("2009-04-04", url, timeout=30)
    userdata = ec2.get_instance_userdata("2009-04-04", url, timeout=30)
    return {"metadata": found, "userdata": userdata.decode("latin-1")}


if __name__ == "__main__":
    print(json.dumps({"openstack": openstack, "drive": drive, "ec2": ec2}[sys.argv[1]](sys.argv[2]), default=str))
