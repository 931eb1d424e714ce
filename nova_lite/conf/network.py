"""[network]: addresses and the host's side of networks."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "network"
OPTIONS = [
    cfg.StrOpt(
        "mac_prefix", default="fa:16:3e", regex=r"^[0-9a-f]{2}(:[0-9a-f]{2}){2}$", help="How MAC addresses begin."
    ),
    cfg.ListOpt(
        "physical_networks",
        default=[],
        help="NAME:INTERFACE of each physical network that flat and vlan networks may be on, public:eth1 for example. "
        "Without an interface, as in public:, the host itself is the outside and masquerades what leaves.",
    ),
    cfg.IntOpt(
        "mtu",
        default=1500,
        min=576,
        max=65_535,
        help="The MTU of the physical networks; a vxlan network has 50 bytes less.",
    ),
    cfg.BoolOpt(
        "nat",
        default=True,
        help="Where the host itself is the outside of a network, let what leaves it out behind the host's own address; off: nothing leaves.",
    ),
    cfg.IntOpt("dhcp_lease_time", default=86_400, min=120, help="Seconds that a DHCP lease holds."),
    cfg.StrOpt(
        "dns_domain",
        default="openstacklocal",
        help="The domain of guests' names on networks that have no dns_domain of their own.",
    ),
    cfg.ListOpt(
        "uplinks",
        default=[],
        sample_default="<the interfaces of the default routes>",
        help="Interfaces by which what leaves a network goes on where the host is its outside; IPv4 forwarding is turned on for these.",
    ),
    cfg.StrOpt(
        "local_ip",
        sample_default="<the source address of the default route>",
        help="This host's end of the tunnels to other hosts: an IPv4 address of its own.",
    ),
    cfg.PortOpt("vxlan_port", default=4789, help="The UDP port of VXLAN, the same on every host."),
    cfg.ListOpt(
        "dns_servers",
        default=[],
        sample_default="<the servers in /etc/resolv.conf that are not on the loopback>",
        help="Resolvers that DNS on guests' networks asks for names that are not ours.",
    ),
]
