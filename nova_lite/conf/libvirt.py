"""[libvirt]: how guests are run."""

from __future__ import annotations

from oslo_config import cfg, types

GROUP = "libvirt"
OPTIONS = [
    cfg.StrOpt("qemu_uri", default="qemu:///system", help="libvirt's address for VMs and unikernels."),
    cfg.StrOpt("lxc_uri", default="lxc:///system", help="libvirt's address for containers."),
    cfg.StrOpt(
        "virt_type",
        default="auto",
        choices=["auto", "kvm", "qemu"],
        help="auto: found out by really booting something tiny under KVM once, and remembered below state_path.",
    ),
    cfg.FloatOpt("call_timeout", default=60.0, min=1, help="Seconds after which a call to libvirt is given up."),
    cfg.IntOpt(
        "container_uid_base",
        default=1_000_000,
        min=65_536,
        help="The first host uid and gid of containers' user namespaces.",
    ),
    cfg.IntOpt(
        "container_pids", default=1024, min=16, help="The most processes and threads that one container may have."
    ),
    cfg.IntOpt(
        "container_disk_gb",
        default=10,
        min=1,
        help="The most (GiB) that a container may write where its flavor's disk is 0; taken as it is written.",
    ),
    cfg.StrOpt(
        "container_emulator",
        default="/usr/lib/libvirt/libvirt_lxc",
        help="libvirt's own program for LXC domains, which our launcher becomes.",
    ),
    cfg.StrOpt(
        "cpu_mode",
        default="auto",
        choices=["auto", "host-model", "host-passthrough", "maximum", "none"],
        help="The guests' CPU model; auto: host-model under KVM, QEMU's default under emulation.",
    ),
    cfg.ListOpt(
        "screens",
        default=["vnc", "spice"],
        item_type=types.String(choices=["vnc", "spice"]),
        help="By which protocols the screen of a VM can be looked at, of those that the host's QEMU has. It is taken when a VM starts.",
    ),
]
