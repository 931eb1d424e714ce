"""The dnsmasq processes of this host: one for each network's DHCP and DNS, one for each router that announces IPv6."""

from __future__ import annotations

import grp
import ipaddress
import pwd
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg

from nova_lite.host.networks import checks, dhcp, dnsmasq, files, leases
from nova_lite.host.networks.dnsmasq import Dnsmasq
from nova_lite.host.networks.place import Place
from nova_lite.host.networks.rooms import METADATA_V4
from nova_lite.host.ports import HostError

_V6 = re.compile(r"\[([0-9a-f:]+)\]", re.ASCII)
RESOLV_CONF = Path("/etc/resolv.conf")


@dataclass(frozen=True)
class Process:
    """A dnsmasq as it shall be. ``directory``: the name of its directory, ``files`` None: it reads none but its arguments.

    ``leases``: (MAC, address) that may have one. ``servers``: our addresses by cidr, ``device``: on which leases are given back.
    """

    directory: str
    argv: tuple[str, ...]
    files: dhcp.Files | None = None
    leases: frozenset[tuple[str, str]] = frozenset()
    servers: tuple[tuple[str, str], ...] = ()
    device: str = ""


class Service:
    """Starts, tells and ends them. Each call is by a thread that is in the process's namespace, or needs none."""

    def __init__(self, conf: cfg.ConfigOpts, root: Path) -> None:
        self.root = root
        account = _account()
        self._gid = account.pw_gid
        self.settings = dhcp.Settings(
            domain=checks.domain(conf.network.dns_domain),
            lease_time=conf.network.dhcp_lease_time,
            user=account.pw_name,
            group=grp.getgrgid(account.pw_gid).gr_name,
            resolvers=tuple(map(checks.address, conf.network.dns_servers)) or resolvers(RESOLV_CONF),
        )

    def prepare(self) -> None:
        """Have the directory of all.

        :raises HostError: dnsmasq could not come to its files, since a directory above is closed to other users.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        for parent in self.root.parents:
            if not parent.stat().st_mode & 0o001:
                raise HostError(
                    f"dnsmasq (user {self.settings.user}) can't come to its files: chmod o+x {parent}",
                    code="host.state_path_closed",
                )

    def apply(self, place: Place, process: Process, *, restart: bool = False) -> bool:
        """Have it answer for exactly what *process* says; True: something was changed.

        :param restart: the leg is a new one, so a dnsmasq that was bound to the old one is deaf.
        :raises HostError: it does not start.
        """
        directory = self.root / process.directory
        files.make_directory(directory, self._gid)
        daemon = Dnsmasq(directory)
        self._take_back_v6(daemon, directory, process)
        changed = False
        for name, content in _content(process):
            changed |= files.replace(directory / name, content, 0o644)
        if daemon.ensure(place, process.argv, process.leases, restart=restart):
            return True
        self._release(place, daemon, process)
        if changed:
            daemon.reload()
        return changed

    def _take_back_v6(self, daemon: Dnsmasq, directory: Path, process: Process) -> None:
        """Drop leases of IPv6 addresses that are nobody's now or another's. dnsmasq must not run meanwhile; it is started again after this.

        Before the files are written: they tell who had an address, also to an agent that takes over.
        """
        leased = leases.leased_v6(directory / "leases")
        if not leased:
            return
        had, has = (_owners_v6(text) for text in (files.read(directory / "hosts"), _hosts(process)))
        moved = {
            address for address in leased if has.get(address) is None or had.get(address, has[address]) != has[address]
        }
        if moved:
            daemon.stop()
            leases.keep(directory / "leases", process.leases, moved)

    def wait(self, place: Place, process: Process) -> None:
        """Wait until it answers by the files that were written last. :raises HostError: it does not, though started anew."""
        if process.files is None:
            return
        daemon = Dnsmasq(self.root / process.directory)
        for _ in range(2):
            if daemon.wait(place, METADATA_V4, process.files.generation, METADATA_V4):
                return
            daemon.ensure(place, process.argv, process.leases, restart=True)
        raise HostError("The DHCP server does not answer on this host")

    def runs(self, process: Process) -> bool:
        """Say whether it runs."""
        return Dnsmasq(self.root / process.directory).runs(process.argv)

    def remove(self, directory: str) -> None:
        """End a process and remove its files; none there is success."""
        Dnsmasq(self.root / directory).stop()
        files.remove(self.root / directory)

    def remove_others(self, kept: Collection[str], *, strays: bool) -> None:
        """End what was started here and is not *kept*. *strays*: also those that have lost their files, which takes a look at all processes."""
        for pid, pid_file in dnsmasq.below(self.root) if strays else ():
            if pid_file.parent.name not in kept:
                dnsmasq.end(pid, pid_file)
        for path in self.root.iterdir() if self.root.is_dir() else ():
            if path.name not in kept and path.is_dir():
                self.remove(path.name)

    def remove_root(self) -> None:
        """Remove the directory of all."""
        files.remove(self.root)

    def _release(self, place: Place, daemon: Dnsmasq, process: Process) -> None:
        for lease in leases.read(self.root / process.directory / "leases"):
            if (lease.mac, lease.address) in process.leases:
                continue
            for server, cidr in process.servers:
                if ipaddress.ip_address(lease.address) in ipaddress.ip_network(cidr):
                    daemon.release(place, [lease], server, process.device)


def _hosts(process: Process) -> str:
    return process.files.hosts if process.files else ""


def _owners_v6(hosts: str) -> dict[str, str]:
    """Return MACs by IPv6 address from a file of dhcp-hosts."""
    return {address: line.partition(",")[0] for line in hosts.splitlines() for address in _V6.findall(line)}


def _content(process: Process) -> list[tuple[str, str]]:
    files = process.files
    return [("hosts", files.hosts), ("options", files.options), ("names", files.names)] if files else []


def resolvers(path: Path) -> tuple[str, ...]:
    """Return the name servers of a resolv.conf that can be asked from a namespace: those on the loopback can't."""
    found = []
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ipaddress.ip_address(words[1])
        except ValueError:
            continue
        if not address.is_loopback and not address.is_link_local:
            found.append(str(address))
    return tuple(found)


def _account() -> pwd.struct_passwd:
    """Return the account that dnsmasq drops its rights to."""
    for name in ("dnsmasq", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise HostError("This host has neither a user dnsmasq nor nobody")
