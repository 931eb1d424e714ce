"""[network_quota]: what of networks each project may have where nothing else was set for it. -1: unlimited."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "network_quota"
OPTIONS = [
    cfg.IntOpt("network", default=100, min=-1, help="Networks of a project."),
    cfg.IntOpt("subnet", default=100, min=-1, help="Subnets of a project."),
    cfg.IntOpt("subnetpool", default=-1, min=-1, help="Subnet pools of a project."),
    cfg.IntOpt("port", default=500, min=-1, help="Ports of a project."),
    cfg.IntOpt("router", default=10, min=-1, help="Routers of a project."),
    cfg.IntOpt("floatingip", default=50, min=-1, help="Floating IPs of a project."),
    cfg.IntOpt("security_group", default=10, min=-1, help="Security groups of a project, its default one among them."),
    cfg.IntOpt("security_group_rule", default=100, min=-1, help="Security group rules of a project."),
    cfg.IntOpt("rbac_policy", default=10, min=-1, help="RBAC policies of a project."),
]
