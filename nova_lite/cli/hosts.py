"""Hypervisors, hosts, availability zones."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

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
WITH_RESOURCES = "2.87"
"""The last microversion that shows what a hypervisor has and what of it is used."""
WITH_HOSTS = "2.42"
"""The last one that knows hosts beside hypervisors."""


class ListHypervisors(Lister):
    """List the hosts that run servers, with what they have and what is used (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.at(WITH_RESOURCES).pages("os-hypervisors/detail", "hypervisors")
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
        compute = self.connection.compute.at(WITH_RESOURCES)
        listed = compute.pages("os-hypervisors", "hypervisors")
        found = names.the_one("hypervisor", parsed_args.hypervisor, listed, key="hypervisor_hostname")
        whole = compute.get(f"os-hypervisors/{found['id']}")["hypervisor"]
        return fields(whole, first=("id", "hypervisor_hostname", "hypervisor_type", "state", "status"))


class ShowStatistics(ShowOne):
    """Show the sums over all hypervisors that are enabled (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.at(WITH_RESOURCES).get("os-hypervisors/statistics")["hypervisor_statistics"]
        return fields(found, first=("count", "running_vms", "vcpus", "vcpus_used", "memory_mb", "memory_mb_used"))


class ListHosts(Lister):
    """List what runs on which host (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take a filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--zone", metavar="ZONE", help="in this availability zone")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.at(WITH_HOSTS).get("os-hosts", zone=parsed_args.zone)["hosts"]
        return ("Host Name", "Service", "Zone"), [(item["host_name"], item["service"], item["zone"]) for item in found]


class ShowHost(Lister):
    """Show what a host has and what each project uses of it (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the host."""
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="HOST", help="its name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        path = f"os-hosts/{quote(parsed_args.host, safe='')}"
        found = [row["resource"] for row in self.connection.compute.at(WITH_HOSTS).get(path)["host"]]
        members = ("host", "project", "cpu", "memory_mb", "disk_gb")
        return ("Host", "Project", "CPU", "Memory MB", "Disk GB"), [
            tuple(row[name] for name in members) for row in found
        ]


class ListZones(Lister):
    """List the availability zones."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.get("os-availability-zone")["availabilityZoneInfo"]
        return ("Zone Name", "Zone Status"), [
            (zone["zoneName"], "available" if zone["zoneState"]["available"] else "not available") for zone in found
        ]
