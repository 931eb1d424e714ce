"""[compute]: what an agent runs guests with."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "compute"
OPTIONS = [
    cfg.StrOpt("driver", default="libvirt", choices=["libvirt", "fake"], help="What runs the guests."),
    cfg.IntOpt("workers", default=8, min=1, help="Operations that one agent works on at once."),
    cfg.FloatOpt(
        "poll_interval", default=2.0, min=0.05, help="Seconds between looks at the queue when no message comes."
    ),
    cfg.FloatOpt("report_interval", default=5.0, min=0.1, help="Seconds between an agent's signs of life."),
    cfg.FloatOpt("down_after", default=30.0, min=0.5, help="Seconds of silence after which a host counts as down."),
    cfg.FloatOpt(
        "reconcile_interval", default=60.0, min=1, help="Seconds between comparisons of libvirt and database."
    ),
    cfg.FloatOpt("shutdown_timeout", default=10.0, min=0, help="Seconds that a guest is given to shut down by itself."),
    cfg.FloatOpt("vcpus_ratio", default=16.0, min=0.1, help="vCPUs per physical CPU."),
    cfg.FloatOpt("memory_ratio", default=1.0, min=0.1, help="Guest memory per physical memory."),
    cfg.FloatOpt("disk_ratio", default=1.0, min=0.1, help="Guest disk per physical disk."),
    cfg.IntOpt("reserved_memory_mb", default=512, min=0, help="Memory (MiB) kept for the host."),
    cfg.StrOpt("availability_zone", default="nova", help="The availability zone of this host."),
    cfg.BoolOpt(
        "force_config_drive",
        default=False,
        help="Give every new VM a config drive, asked for or not; the API reads it. Without it those have one that ask, whose "
        "image has img_config_drive=mandatory, or that have no interface with IPv4 and DHCP to ask for metadata by.",
    ),
    cfg.StrOpt(
        "config_drive_format",
        default="iso9660",
        choices=["iso9660", "vfat"],
        help="How config drives are written: vfat for guests that read no ISO 9660.",
    ),
    cfg.IntOpt(
        "max_local_block_devices",
        default=3,
        min=-1,
        max=20,
        help="The most disks without a volume, the image's among them, that a request's block_device_mapping_v2 may name; -1: 20.",
    ),
    cfg.StrOpt(
        "default_ephemeral_format",
        default="",
        choices=["", "ext2", "ext3", "ext4", "xfs", "vfat"],
        help="The filesystem of ephemeral disks for which none is asked; empty: ext4 for an image whose os_type is linux, vfat for "
        "any other.",
    ),
    cfg.IntOpt("max_count", default=100, min=1, help="The most servers that one request may make."),
    cfg.IntOpt("console_log_bytes", default=1_048_576, min=4096, help="How much of each guest's console log is kept."),
    cfg.StrOpt("address", default="", help="The address that other hosts reach this one by; empty: none is shown."),
    cfg.BoolOpt(
        "resume_guests_state_on_host_boot",
        default=False,
        help="After a boot of the host, start the guests again that ran before; else they are shown as stopped.",
    ),
    cfg.IntOpt(
        "resize_confirm_window",
        default=60,
        min=-1,
        help="Seconds after which a resize is confirmed unless its user has reverted it; 0: at once, -1: never.",
    ),
    cfg.IntOpt(
        "reclaim_instance_interval",
        default=0,
        min=0,
        help="Seconds that a deleted server can still be restored; 0: it is gone at once.",
    ),
    cfg.IntOpt(
        "shelved_offload_time",
        default=0,
        min=-1,
        help="Seconds after which a shelved server gives its host's room back; 0: at once, -1: never.",
    ),
    cfg.StrOpt("rescue_image_id", default="", help="The image that rescues boot; empty: the server's own."),
    cfg.IntOpt(
        "restart_limit",
        default=5,
        min=0,
        help="How often a guest that ends by itself is started again (nova_lite:restart) before it is left stopped.",
    ),
    cfg.FloatOpt(
        "restart_delay",
        default=5.0,
        min=0,
        help="Seconds before the first of these starts; each further one waits twice as long, up to five minutes.",
    ),
    cfg.FloatOpt(
        "restart_reset",
        default=600.0,
        min=1,
        help="Seconds that a guest must have run for its earlier restarts to be forgotten.",
    ),
    cfg.FloatOpt(
        "stop_timeout",
        default=20.0,
        min=0,
        help="Seconds that a stopping agent waits for the operations under way; the rest is handed back.",
    ),
    cfg.IntOpt(
        "max_attempts", default=4, min=1, help="Tries of an operation whose host or hypervisor fails now and then."
    ),
    cfg.FloatOpt("rpc_timeout", default=10.0, min=0.5, help="Seconds that the API waits for an agent's answer."),
]
