"""The extra specs of flavors that Nova knows, and ours: which values they take, and what comes of them here.

Nova checks them from microversion 2.86 on: a spec of a namespace that it knows must be one that it knows, with a value that can be meant.
What other namespaces say is free. Most specs tune what a guest is like and change nothing here; one that asks for what no host of ours has
(memory that is encrypted, a CPU of its own) is never passed over in silence: the scheduler refuses it and says which it was. Images ask for
the same things by properties (``hw_mem_encryption`` as ``hw:mem_encryption``).

Source: https://docs.openstack.org/nova/latest/configuration/extra-specs.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nova_lite.compute import traits
from nova_lite.errors import Invalid

Needs = Callable[[str], bool]


def _never(_value: str) -> bool:
    return False


def _always(_value: str) -> bool:
    return True


def _is(*values: str) -> Needs:
    return lambda value: value.strip().lower() in values


def _more_than(most: int) -> Needs:
    return lambda value: _whole(value) is None or int(value) > most


@dataclass(frozen=True)
class Kind:
    """What values a spec takes: ``says`` in words, ``takes`` by looking."""

    says: str
    takes: Callable[[str], bool]


@dataclass(frozen=True)
class Spec:
    """A spec that is known. ``name`` is a regular expression; ``needs`` tells for a value whether no host here can give it, and ``lacks`` what that is.

    ``works``: it has an effect here.
    """

    name: str
    kind: Kind
    needs: Needs = _never
    lacks: str = ""
    works: bool = False


def _whole(value: str) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None


def _integer(least: int | None = None, most: int | None = None) -> Kind:
    def takes(value: str) -> bool:
        number = _whole(value)
        if number is None or (least is not None and number < least):
            return False
        return most is None or number <= most

    bounds = f" of at least {least}" if least is not None else ""
    return Kind(f"a whole number{bounds}" + (f" and at most {most}" if most is not None else ""), takes)


def _one_of(*values: str) -> Kind:
    return Kind(f"one of {', '.join(values)}", lambda value: value in values)


def _shaped(pattern: str, says: str) -> Kind:
    return Kind(says, lambda value: re.fullmatch(pattern, value) is not None)


_TRUE = ("1", "t", "true", "on", "y", "yes")
_FALSE = ("0", "f", "false", "off", "n", "no")
_TRUTH = Kind("true or false", lambda value: value.strip().lower() in _TRUE + _FALSE)
_TEXT = Kind("any text", _always)
_COUNT = _integer(1)
_NUMBER = _integer(0)
_DIGITS = _shaped("[1-9][0-9]{0,8}", "a whole number of at least 1")
_CPUS = _shaped(r"\^?\d+(-\d+)?(,\^?\d+(-\d+)?)*,?", "a list of CPUs as 0-3,^2")
_GROUP = "[a-zA-Z0-9_-]{0,64}"
_OWN_CPUS = "guests with CPUs of their own"
_NUMA = "guests with a NUMA topology"
_TPM = "a TPM for guests"
_REQUIRED = _one_of("required", "forbidden")

_OURS = (
    Spec("nova_lite:live", _TRUTH, works=True),
    Spec("nova_lite:restart", _one_of("never", "on-failure", "always"), works=True),
    Spec("nova_lite:isolation", _one_of("process", "vm"), works=True),
    Spec("nova_lite:max_vcpus", _DIGITS, works=True),
    Spec("nova_lite:max_memory_mb", _DIGITS, works=True),
)

_CPUS_AND_MEMORY = (
    Spec("hw:cpu_policy", _one_of("dedicated", "shared", "mixed"), _is("dedicated", "mixed"), _OWN_CPUS),
    Spec("hw:cpu_dedicated_mask", _CPUS, _always, _OWN_CPUS),
    Spec("hw:cpu_thread_policy", _one_of("prefer", "isolate", "require"), _is("isolate", "require"), _OWN_CPUS),
    Spec("hw:emulator_threads_policy", _one_of("isolate", "share")),
    Spec("hw:cpu_realtime", _TRUTH, _is(*_TRUE), "guests that run in real time"),
    Spec("hw:cpu_realtime_mask", _CPUS),
    *(Spec(f"hw:cpu_{most}{part}", _COUNT) for most in ("", "max_") for part in ("sockets", "cores", "threads")),
    Spec("hw:hide_hypervisor_id", _TRUTH),
    Spec("hide_hypervisor_id", _TRUTH),
    Spec(
        "hw:mem_page_size",
        _shaped(r"large|small|any|\d+([kKMGT]i?)?(b|bit|B)?", "small, large, any, or a size as 2MB"),
        lambda value: value not in ("small", "any"),
        "huge pages for guests",
    ),
    Spec("hw:locked_memory", _TRUTH, _is(*_TRUE), "guests whose memory is locked"),
    Spec("hw:mem_encryption", _TRUTH, _is(*_TRUE), "guests whose memory is encrypted"),
    Spec("hw:mem_encryption_model", _one_of("amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx")),
    Spec("hw:numa_nodes", _COUNT, _more_than(1), _NUMA),
    Spec(r"hw:numa_cpus\.\d+", _CPUS, _always, _NUMA),
    Spec(r"hw:numa_mem\.\d+", _COUNT, _always, _NUMA),
    Spec(
        "hw:pmem",
        _shaped(r"[a-zA-Z0-9_]+(,[a-zA-Z0-9_]+)*,?", "names of kinds of memory"),
        _always,
        "persistent memory",
    ),
)

_DEVICES = (
    Spec("hw:pci_numa_affinity_policy", _one_of("required", "preferred", "legacy", "socket")),
    Spec("hw:boot_menu", _TRUTH),
    Spec("hw:vif_multiqueue_enabled", _TRUTH),
    Spec("hw:pmu", _TRUTH),
    Spec("hw:serial_port_count", _NUMBER),
    Spec("hw:tpm_model", _one_of("tpm-tis", "tpm-crb"), _always, _TPM),
    Spec("hw:tpm_version", _one_of("1.2", "2.0"), _always, _TPM),
    Spec("hw:tpm_secret_security", _one_of("user", "host", "deployment")),
    Spec("hw:watchdog_action", _one_of("none", "pause", "poweroff", "reset", "disabled")),
    Spec("hw:viommu_model", _one_of("intel", "smmuv3", "virtio", "auto"), _always, "an IOMMU for guests"),
    Spec("hw:virtio_packed_ring", _TRUTH),
    Spec("hw:sound_model", _one_of("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio")),
    Spec("hw:usb_model", _one_of("qemu-xhci", "nec-xhci", "none")),
    Spec("hw:redirected_usb_ports", _integer(0, 15)),
    Spec("hw:ephemeral_encryption", _TRUTH, _is(*_TRUE), "disks that are encrypted"),
    Spec("hw:ephemeral_encryption_format", _one_of("luks", "luksv2", "plain")),
    Spec("hw_rng:allowed", _TRUTH),
    Spec("hw_rng:rate_(bytes|period)", _NUMBER),
    Spec("hw_video:ram_max_mb", _NUMBER),
    Spec("os:secure_boot", _one_of("disabled", "required"), works=True),
    Spec(
        "pci_passthrough:alias",
        _shaped(r"[^:]+:\d+(\s*,\s*[^:,]+:\d+)*", "names with counts, as gpu:1"),
        _always,
        "PCI devices for guests",
    ),
    Spec("accel:device_profile", _TEXT, _always, "accelerators"),
)

_LIMITS = (
    *(
        spec
        for part in ("cpu", "memory", "disk_io", "vif")
        for spec in (
            Spec(f"quota:{part}_limit", _NUMBER),
            Spec(f"quota:{part}_reservation", _integer()),
            Spec(f"quota:{part}_shares_level", _one_of("custom", "high", "normal", "low")),
            Spec(f"quota:{part}_shares_share", _NUMBER),
        )
    ),
    Spec("quota:cpu_(shares|period)", _NUMBER),
    Spec("quota:cpu_quota", _integer()),
    Spec("quota:disk_(read|write|total)_(bytes|iops)_sec", _NUMBER),
    Spec("quota:vif_(inbound|outbound)_(average|peak|burst)", _NUMBER),
)

_HELD_CLASSES = "VCPU|MEMORY_MB|DISK_GB"
_OTHER_CLASSES = (
    "PCPU|PCI_DEVICE|SRIOV_NET_VF|NUMA_SOCKET|NUMA_CORE|NUMA_THREAD|NUMA_MEMORY_MB|IPV4_ADDRESS|VGPU|VGPU_DISPLAY_HEAD|"
    "NET_BW_EGR_KILOBIT_PER_SEC|NET_BW_IGR_KILOBIT_PER_SEC|MEM_ENCRYPTION_CONTEXT|FPGA|PGPU|NET_PACKET_RATE_KILOPACKET_PER_SEC|"
    "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC|NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC|CUSTOM_[A-Z0-9_]+"
)
_CAPABILITIES = (
    "id|uuid|service_id|host|vcpus|memory_mb|local_gb|vcpus_used|memory_mb_used|local_gb_used|hypervisor_type|hypervisor_version|"
    "hypervisor_hostname|free_ram_mb|free_disk_gb|current_workload|running_vms|disk_available_least|host_ip|mapped|"
    "cpu_allocation_ratio|ram_allocation_ratio|disk_allocation_ratio|total_usable_ram_mb|total_usable_disk_gb|disk_mb_used|"
    "free_disk_mb|vcpus_total|num_instances|num_io_ops|failed_builds|aggregates|cell_uuid|updated"
)
_DEEP_CAPABILITIES = "cpu_info|metrics|stats|numa_topology|supported_hv_specs|pci_device_pools|nodename|pci_stats|supported_instances|limits|instances"

_PLACEMENT = (
    Spec("aggregate_instance_extra_specs:.+", _TEXT, works=True),
    Spec(f"capabilities:({_CAPABILITIES})", _TEXT),
    Spec(rf"capabilities:({_DEEP_CAPABILITIES})(:\w+)*", _TEXT),
    Spec(f"resources{_GROUP}:({_HELD_CLASSES})", _integer()),
    Spec(f"resources{_GROUP}:({_OTHER_CLASSES})", _integer(), _more_than(0), "that resource"),
    Spec(f"trait{_GROUP}:({'|'.join(traits.WORDS)})", _REQUIRED, works=True),
    # Upstream lists the standard ones, a few hundred; here their form is enough, since no host has any other.
    Spec(
        f"trait{_GROUP}:(COMPUTE|CUSTOM|HW|MISC|OWNER|STORAGE|VIRT)_[A-Z0-9_]+",
        _REQUIRED,
        _is("required"),
        "that trait",
    ),
    Spec("group_policy", _one_of("isolate", "none")),
    Spec("vmware:(hw_version|storage_policy)", _TEXT),
)

SPECS = (*_OURS, *_CPUS_AND_MEMORY, *_DEVICES, *_LIMITS, *_PLACEMENT)
"""Every spec that is known."""

_NAMESPACES = re.compile(
    "accel|aggregate_instance_extra_specs|capabilities|hw|hw_rng|hw_video|nova_lite|os|pci_passthrough|quota|vmware|"
    f"(resources|trait){_GROUP}"
)
_PROPERTY = re.compile("(hw|os)_(.+)")


@functools.lru_cache(maxsize=1024)
def find(name: str) -> Spec | None:
    """Return the spec of that name; None: none that is known."""
    return next((spec for spec in SPECS if re.fullmatch(spec.name, name)), None)


def is_true(value: object) -> bool:
    """Tell whether a spec of truth says yes, in any of the words that :func:`check` takes."""
    return str(value).strip().lower() in _TRUE


def check(specs: Mapping[str, str]) -> None:
    """Check names and values as Nova does since 2.86.

    :raises Invalid: a known spec has a value that can't be meant, or its namespace is known and has no such spec.
    """
    for name, value in specs.items():
        spec = find(name)
        if spec is None:
            if ":" in name and _NAMESPACES.fullmatch(name.partition(":")[0]):
                raise Invalid(
                    f"Validation failed; extra spec '{name}' does not appear to be a valid extra spec.",
                    "flavor.unknown_spec",
                )
        elif not spec.kind.takes(value):
            raise Invalid(
                f"Validation failed; '{value}' is not a valid value of extra spec '{name}': it is {spec.kind.says}.",
                "flavor.spec_value",
            )


def unmet(specs: Mapping[str, object], properties: Mapping[str, object]) -> str:
    """Say what a flavor's *specs* or an image's *properties* ask for that no host has, and which of them; nothing: all is well."""
    return next(_unmet(specs, properties), "")


def _unmet(specs: Mapping[str, object], properties: Mapping[str, object]) -> Iterator[str]:
    for name, value in specs.items():
        spec = find(name)
        if spec is not None and spec.needs(str(value)):
            yield f"{spec.lacks} (extra spec {name}={value})"
    for name, value in properties.items():
        matched = _PROPERTY.fullmatch(name)
        spec = find(f"{matched[1]}:{matched[2]}" if matched else name)
        if spec is not None and spec.needs(str(value)):
            yield f"{spec.lacks} (image property {name}={value})"
