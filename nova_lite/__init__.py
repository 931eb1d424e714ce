"""nova_lite: an OpenStack-style IaaS control plane for VMs, unikernels and containers."""

__version__ = "0.1.0"
