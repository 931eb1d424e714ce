"""The libvirt driver: VMs and unikernels as QEMU domains, containers as LXC domains. ``driver`` puts the parts together."""
