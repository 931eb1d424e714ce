"""What a project may use and what it does use."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli.command import Lister

_USES = {
    "Instances": ("totalInstancesUsed", "maxTotalInstances"),
    "VCPUs": ("totalCoresUsed", "maxTotalCores"),
    "RAM (MiB)": ("totalRAMUsed", "maxTotalRAMSize"),
    "Server Groups": ("totalServerGroupsUsed", "maxServerGroups"),
}


class ShowLimits(Lister):
    """Show the project's limits; -1 is none."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        absolute = self.connection.compute.get("limits")["limits"]["absolute"]
        return ("Name", "Value"), sorted(absolute.items())


class ShowUsage(Lister):
    """Show what the project uses of what it may."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        absolute = self.connection.compute.get("limits")["limits"]["absolute"]
        return ("Resource", "Used", "Limit"), [
            (name, absolute.get(used), absolute.get(limit)) for name, (used, limit) in _USES.items() if used in absolute
        ]
