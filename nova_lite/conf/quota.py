"""[quota]: what each project may have where nothing else was set for it; the defaults are Nova's. -1: unlimited."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "quota"
OPTIONS = [
    cfg.IntOpt("instances", default=10, min=-1, help="Servers of a project; the hosts' room is a limit too."),
    cfg.IntOpt("cores", default=20, min=-1, help="vCPUs of a project's servers."),
    cfg.IntOpt("ram", default=51_200, min=-1, help="Memory (MiB) of a project's servers."),
    cfg.IntOpt("metadata_items", default=128, min=-1, help="Items of metadata of one server."),
    cfg.IntOpt("key_pairs", default=100, min=-1, help="Keypairs of one user."),
    cfg.IntOpt("server_groups", default=10, min=-1, help="Server groups of a project."),
    cfg.IntOpt("server_group_members", default=10, min=-1, help="Servers in one server group."),
]
