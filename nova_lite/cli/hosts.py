"""Hypervisors, services, availability zones."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Lister, ShowOne, fields

_HYPERVISORS = {
    "ID": "id",
    "Hypervisor Hostname": "hypervisor_hostname",
    "Hypervisor Type": "hypervisor_type",
    "Host IP": "host_ip",
    "State": "state",
    "Status": "status",
    "VCPUs Used": "vcpus_used",
    "VCPUs": "vcpus",
    "Memory MB Used": "memory_mb_used",
    "Memory MB": "memory_mb",
    "Running VMs": "running_vms",
}
_SERVICES = {
    "ID": "id",
    "Binary": "binary",
    "Host": "host",
    "Zone": "zone",
    "Status": "status",
    "State": "state",
    "Updated At": "updated_at",
    "Disabled Reason": "disabled_reason",
}


class ListHypervisors(Lister):
    """List the hosts that run servers, with what they have and what is used (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.pages("os-hypervisors/detail", "hypervisors")
        return tuple(_HYPERVISORS), [tuple(item.get(name) for name in _HYPERVISORS.values()) for item in found]


class ShowHypervisor(ShowOne):
    """Show a hypervisor (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the hypervisor."""
        parser = super().get_parser(prog_name)
        parser.add_argument("hypervisor", metavar="HYPERVISOR", help="host name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        listed = self.connection.compute.pages("os-hypervisors", "hypervisors")
        found = names.the_one("hypervisor", parsed_args.hypervisor, listed, key="hypervisor_hostname")
        whole = self.connection.compute.get(f"os-hypervisors/{found['id']}")["hypervisor"]
        return fields(whole, first=("id", "hypervisor_hostname", "hypervisor_type", "state", "status"))


class ListServices(Lister):
    """List the services, and whether they are up (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--host", metavar="HOST", help="on this host")
        parser.add_argument("--service", "--binary", metavar="BINARY", help="of this kind: nova-compute, …")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {"host": parsed_args.host, "binary": parsed_args.service}
        found = self.connection.compute.get("os-services", **query)["services"]
        return tuple(_SERVICES), [tuple(item.get(name) for name in _SERVICES.values()) for item in found]


class ListZones(Lister):
    """List the availability zones."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.get("os-availability-zone")["availabilityZoneInfo"]
        return ("Zone Name", "Zone Status"), [
            (zone["zoneName"], "available" if zone["zoneState"]["available"] else "not available") for zone in found
        ]
