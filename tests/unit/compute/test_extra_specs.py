"""Which extra specs are known, which values they take, and what is refused rather than passed over."""

from __future__ import annotations

import pytest

from nova_lite.compute import extra_specs
from nova_lite.errors import Invalid


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hw:cpu_policy", "dedicated"),
        ("hw:mem_page_size", "2MB"),
        ("hw:numa_cpus.1", "0-3,^2"),
        ("hw:numa_mem.0", "512"),
        ("hw:boot_menu", "Yes"),
        ("hw:redirected_usb_ports", "15"),
        ("quota:cpu_quota", "-1"),
        ("quota:disk_read_iops_sec", "100"),
        ("trait:HW_CPU_X86_VMX", "required"),
        ("trait_a-1:CUSTOM_GOLD", "forbidden"),
        ("resources:CUSTOM_GOLD", "1"),
        ("resources1:VCPU", "2"),
        ("capabilities:cpu_info:features", "<in> aes"),
        ("aggregate_instance_extra_specs:disk", "ssd"),
        ("os:secure_boot", "required"),
        ("pci_passthrough:alias", "gpu:1, nic:2"),
        ("nova_lite:restart", "always"),
        ("somebody:else", "anything"),
        ("without_namespace", "anything"),
    ],
)
def test_what_nova_takes_is_taken(name: str, value: str) -> None:
    extra_specs.check({name: value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("hw:no_such", "1", "extra spec 'hw:no_such' does not appear to be a valid extra spec"),
        ("os:no_such", "1", "os:no_such"),
        ("quota:no_such", "1", "quota:no_such"),
        ("trait:hw_lower", "required", "trait:hw_lower"),
        ("resources:NOTHING", "1", "resources:NOTHING"),
        ("capabilities:no_such", "1", "capabilities:no_such"),
        ("accel:other", "x", "accel:other"),
        ("hw_rng:no_such", "1", "hw_rng:no_such"),
        ("nova_lite:max_vcpus", "+4", "nova_lite:max_vcpus"),
        ("nova_lite:max_memory_mb", "1_000", "nova_lite:max_memory_mb"),
        ("nova_lite:no_such", "1", "nova_lite:no_such"),
        ("trait:CUSTOM_GOLD", "maybe", "one of required, forbidden"),
        ("hw:cpu_policy", "mine", "'mine' is not a valid value of extra spec 'hw:cpu_policy'"),
        ("hw:cpu_cores", "0", "a whole number of at least 1"),
        ("hw:cpu_cores", "two", "hw:cpu_cores"),
        ("hw:redirected_usb_ports", "16", "at most 15"),
        ("hw:numa_cpus.x", "1", "hw:numa_cpus.x"),
        ("hw:mem_encryption", "perhaps", "true or false"),
        ("os:secure_boot", "optional", "os:secure_boot"),
        ("quota:cpu_shares", "-1", "quota:cpu_shares"),
        ("group_policy", "all", "group_policy"),
        ("resources:VCPU", "many", "resources:VCPU"),
    ],
)
def test_what_nova_refuses_is_refused_by_name(name: str, value: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        extra_specs.check({name: value})
    assert words in caught.value.message and name in caught.value.message


@pytest.mark.parametrize(
    ("specs", "properties", "words"),
    [
        ({"hw:mem_encryption": "true"}, {}, "extra spec hw:mem_encryption=true"),
        ({"trait:CUSTOM_GOLD": "required"}, {}, "trait:CUSTOM_GOLD=required"),
        ({"resources:VGPU": "1"}, {}, "resources:VGPU=1"),
        ({"hw:cpu_policy": "dedicated"}, {}, "CPUs of their own"),
        ({"hw:numa_nodes": "2"}, {}, "NUMA"),
        ({}, {"hw_tpm_version": "2.0"}, "image property hw_tpm_version=2.0"),
        ({}, {"trait:HW_GPU_API_VULKAN": "required"}, "image property trait:HW_GPU_API_VULKAN"),
    ],
)
def test_what_no_host_has_is_told(specs: dict[str, str], properties: dict[str, str], words: str) -> None:
    assert words in extra_specs.unmet(specs, properties)


def test_what_changes_nothing_is_let_be() -> None:
    specs = {
        "hw:mem_encryption": "false",
        "hw:cpu_policy": "shared",
        "hw:cpu_sockets": "2",
        "hw:numa_nodes": "1",
        "quota:disk_read_iops_sec": "100",
        "trait:CUSTOM_GOLD": "forbidden",
        "resources:CUSTOM_GOLD": "0",
        "os:secure_boot": "disabled",
        "a:b": "c",
    }
    assert extra_specs.unmet(specs, {"hw_disk_bus": "ide", "hw_firmware_type": "bios", "os_distro": "debian"}) == ""
