"""DHCP and DNS of one network: the files, the process, and the leases, brought to what is wanted."""

from __future__ import annotations

import grp
import ipaddress
import pwd
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from nova_lite.host.network_state import NetworkSpec, PortSpec
from nova_lite.host.networks import checks, devices, dhcp, leases, record
from nova_lite.host.networks.dnsmasq import Dnsmasq
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError


class Service:
    """The dnsmasq of every network. The caller holds the network's lock."""

    def __init__(self, conf: cfg.ConfigOpts, namespace: Namespace, root: Path) -> None:
        self._namespace = namespace
        self._root = root
        account = _account()
        self._gid = account.pw_gid
        self._settings = dhcp.Settings(
            domain=checks.domain(conf.network.dns_domain),
            lease_time=conf.network.dhcp_lease_time,
            user=account.pw_name,
            group=grp.getgrgid(account.pw_gid).gr_name,
        )

    def directory(self, number: int) -> Path:
        """Return the directory of a network's files."""
        return self._root / str(number)

    def prepare(self, network: NetworkSpec) -> None:
        """Have the network's directory and record.

        :raises HostError: dnsmasq could not come to its files, since a directory above is closed to other users.
        """
        if not self._root.is_dir():
            self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o711)
        for parent in self._root.parents:
            if not parent.stat().st_mode & 0o001:
                raise HostError(
                    f"dnsmasq (user {self._settings.user}) can't come to its files: chmod o+x {parent}",
                    code="host.state_path_closed",
                )
        record.make_directory(self.directory(network.number), self._gid)
        record.save(self.directory(network.number), network)

    def apply(
        self, network: NetworkSpec, ports: Sequence[PortSpec], *, restart: bool = False, new: PortSpec | None = None
    ) -> None:
        """Have DHCP and DNS answer for exactly *ports*.

        :param restart: the bridge is a new one, so a dnsmasq that was bound to the old one is deaf.
        :param new: wait until this one is answered: its guest is going to boot now.
        :raises HostError: dnsmasq does not start, or does not answer although it was started anew.
        """
        if not dhcp.is_served(network):
            return
        directory = self.directory(network.number)
        changed = record.replace(directory / "hosts", dhcp.hosts(network, ports), 0o644)
        changed |= record.replace(directory / "names", dhcp.names(network, ports), 0o644)
        process = Dnsmasq(self._namespace, directory)
        argv = dhcp.arguments(network, directory, self._settings)
        allowed = dhcp.leases(network, ports)
        if not process.ensure(argv, allowed, restart=restart):
            self._release(process, network, allowed)
            if changed or new is None:
                process.reload()
        if new is not None and not self._wait(process, network, new):
            process.ensure(argv, allowed, restart=True)
            if not self._wait(process, network, new):
                raise HostError(f"The DHCP server of network {network.network_id} does not answer on this host")

    def tend(self, network: NetworkSpec, ports: Sequence[PortSpec]) -> bool:
        """Start the network's dnsmasq if it has died; True: it had."""
        if not dhcp.is_served(network):
            return False
        directory = self.directory(network.number)
        argv = dhcp.arguments(network, directory, self._settings)
        return Dnsmasq(self._namespace, directory).ensure(argv, dhcp.leases(network, ports))

    def stop(self, number: int) -> None:
        """End a network's dnsmasq."""
        Dnsmasq(self._namespace, self.directory(number)).stop()

    def _release(self, process: Dnsmasq, network: NetworkSpec, allowed: set[tuple[str, str]]) -> None:
        bridge = devices.bridge_name(network.number)
        for lease in leases.read(self.directory(network.number) / "leases"):
            if (lease.mac, lease.address) in allowed:
                continue
            for subnet in network.subnets:
                if subnet.gateway and ipaddress.ip_address(lease.address) in ipaddress.ip_network(subnet.cidr):
                    process.release([lease], subnet.gateway, bridge)

    def _wait(self, process: Dnsmasq, network: NetworkSpec, port: PortSpec) -> bool:
        address = dhcp.served_address(network, port)
        name = checks.label(port.hostname)
        if address is None or name == "localhost":
            return True
        subnet = next(s for s in network.subnets if (s.subnet_id, address) in port.addresses)
        return process.wait(str(subnet.gateway), f"{name}.{self._settings.domain}", address)


def _account() -> pwd.struct_passwd:
    """Return the account that dnsmasq drops its rights to."""
    for name in ("dnsmasq", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise HostError("This host has neither a user dnsmasq nor nobody")
