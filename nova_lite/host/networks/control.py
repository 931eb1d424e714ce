"""HostNetworks: bridges, devices, DHCP and rules brought together under locks."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from oslo_config import cfg
from pyroute2.netlink.exceptions import NetlinkError

from nova_lite.conf import state_path
from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec
from nova_lite.host.networks import checks, devices, dnsmasq, forwarding, links, nics, record, rules
from nova_lite.host.networks.members import Members
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.service import Service
from nova_lite.host.ports import HostError
from nova_lite.virt.driver import Nic

LOG = logging.getLogger(__name__)


class HostNetworks:
    """The host's networks, for real; implements :class:`nova_lite.host.ports.Networks`.

    Locks: one for each network (its devices, members and dnsmasq), and inside it one for what networks share (bridges'
    address ranges, the rules, forwarding). Two networks' operations run side by side.

    :param namespace: do everything in this network namespace (``ip netns``); None: in that of the process.
    """

    def __init__(self, conf: cfg.ConfigOpts, namespace: str | None = None) -> None:
        self._conf = conf
        self._root: Path = state_path(conf, "networks")
        self._forwarding_record = self._root / "forwarding.json"
        self._namespace = Namespace(namespace)
        self._service = Service(conf, self._namespace, self._root)
        self._shared = threading.Lock()
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._members: defaultdict[int, Members] = defaultdict(Members)
        self._known = record.load_all(self._root)
        self._rules: str | None = None

    def apply(self, state: HostState) -> None:
        """Make the host so, as far as this layout knows it: a bridge, DHCP and the ports of each network."""
        ports: dict[str, list[PortSpec]] = defaultdict(list)
        for port in state.ports.values():
            ports[port.network_id].append(port)
        self.sync([(network, ports[network_id]) for network_id, network in state.networks.items()])

    def nic(self, state: HostState, port_id: str) -> Nic:
        """Return the guest's interface of a port in *state*."""
        return nics.of_state(state, port_id)

    def plug(self, network: NetworkSpec, port: PortSpec, all_ports: Sequence[PortSpec]) -> Nic:
        """Have the bridge, DHCP and the port's device ready, and return the guest's interface.

        A ``veth`` is made by libvirt when the container starts: its name and bridge are returned, nothing is made.

        :raises HostError: a value is not of its type, the address range is on this host already, or the host failed.
        """
        checks.network(network)
        checks.port(port, network)
        checks.ports(all_ports, network)
        nic = nics.nic(network, port)
        with self._locked(network.number), _in_words(f"Port {port.port_id} could not be plugged"):
            members = self._members[network.number]
            ports = members.plug(port, all_ports)
            try:
                fresh = self._ensure_network(network)
                self._ensure_device(network, port)
                self._service.apply(network, ports, restart=fresh, new=port)
            except BaseException:
                # A port that never came to be must not keep the network alive.
                members.withdraw(port.port_id)
                raise
        return nic

    def unplug(self, network_number: int, port_id: str, remaining: Sequence[PortSpec]) -> None:
        """Remove the port's device and lease; with nothing *remaining*, the network's DHCP and bridge too."""
        checks.uuid(port_id, "The port's id")
        with self._locked(network_number), _in_words(f"Port {port_id} could not be unplugged"):
            self._namespace.netlink(links.remove, devices.device_name(port_id))
            ports = self._members[network_number].unplug(port_id, remaining)
            network = self._known.get(network_number)
            if not ports:
                self._remove_network(network_number)
            elif network is not None:
                checks.ports(ports, network)
                self._service.apply(network, ports)

    def sync(self, wanted: Sequence[tuple[NetworkSpec, Sequence[PortSpec]]]) -> None:
        """Make the host have exactly these networks and ports; what is right already is not touched.

        For the agent's start, before its first operation: a port that was plugged after *wanted* was read would
        be taken for a left-over. One network's trouble does not keep the others from being made.

        :raises HostError: with all that failed, after everything else was done.
        """
        failures: list[str] = []
        inhabited = [(network, ports) for network, ports in wanted if ports]
        kept = {network.number for network, _ in inhabited}
        for number in sorted(self._present() - kept):
            with _collected(failures), self._locked(number):
                self._remove_network(number)
        made: dict[int, bool] = {}
        for network, ports in inhabited:
            with _collected(failures), self._locked(network.number):
                checks.network(network)
                checks.ports(ports, network)
                self._members[network.number].reset(ports)
                made[network.number] = self._ensure_network(network, apply_rules=False)
        with _collected(failures), self._shared:
            self._apply_rules(again=True)
        for network, ports in inhabited:
            if network.number in made:
                with _collected(failures), self._locked(network.number):
                    for port in ports:
                        self._ensure_device(network, port)
                    self._service.apply(network, ports, restart=made[network.number])
        with _collected(failures):
            self._remove_strangers(kept)
        if failures:
            raise HostError("; ".join(failures))

    def tend(self) -> int:
        """Start every dnsmasq that has died, and return how many had. Cheap (0.1 ms a network): for now and then."""
        started = 0
        for number in sorted(self._known):
            with self._locked(number), _in_words(f"DHCP of network {number} could not be started"):
                network = self._known.get(number)
                ports = self._members[number].ports()
                if network is not None and ports and self._service.tend(network, ports):
                    LOG.warning("dnsmasq had died and was started again network=%s", network.network_id)
                    started += 1
        return started

    def clean(self) -> None:
        """Remove every bridge, device, process, rule and file of ours from the host.

        :raises HostError: with all that failed, after everything else was done.
        """
        failures: list[str] = []
        for number in sorted(self._present()):
            with _collected(failures), self._locked(number):
                self._remove_network(number)
        with _collected(failures):
            self._remove_strangers(set())
        with _collected(failures), self._shared:
            self._apply_rules(again=True)
            forwarding.restore(self._namespace, self._forwarding_record)
        if failures:
            raise HostError("; ".join(failures))
        record.remove(self._root)

    def close(self) -> None:
        """End the threads; the networks stay."""
        self._namespace.close()

    @contextmanager
    def _locked(self, number: int) -> Iterator[None]:
        with self._shared:
            lock = self._locks[number]
        with lock:
            yield

    def _ensure_network(self, network: NetworkSpec, *, apply_rules: bool = True) -> bool:
        """Have bridge, record and rules; True: the bridge is a new one or has other addresses than before."""
        with self._shared:
            fresh = self._namespace.netlink(links.ensure_bridge, network)
            if self._known.get(network.number) != network or fresh:
                self._service.prepare(network)
                self._known[network.number] = network
            if apply_rules:
                self._apply_rules()
            if fresh and self._conf.network.nat:
                uplinks = self._conf.network.uplinks or self._namespace.netlink(links.default_interfaces)
                names = [devices.bridge_name(network.number), *uplinks]
                forwarding.enable(self._namespace, names, self._forwarding_record)
        return fresh

    def _apply_rules(self, *, again: bool = False) -> None:
        """Bring the table to what is known, if that changed; *again*: whatever it was, since others may have changed it."""
        networks = [self._known[number] for number in sorted(self._known)]
        wanted = rules.text(networks, nat=self._conf.network.nat)
        if wanted == self._rules and not again:
            return
        if self._rules is None and networks and rules.forward_policy_drops(self._namespace):
            LOG.warning("the host's iptables drop forwarded packets: guests will not reach each other or the outside")
        rules.apply(self._namespace, wanted)
        self._rules = wanted

    def _ensure_device(self, network: NetworkSpec, port: PortSpec) -> None:
        if port.kind == "tap":
            bridge = devices.bridge_name(network.number)
            self._namespace.netlink(links.ensure_tap, devices.device_name(port.port_id), bridge, network.mtu)

    def _remove_network(self, number: int) -> None:
        """Remove a network from the host; its record goes last, so that a cut leaves something to go on from."""
        self._service.stop(number)
        with self._shared:
            self._namespace.netlink(links.remove, devices.bridge_name(number))
            self._known.pop(number, None)
            self._members.pop(number, None)
            self._apply_rules()
            if not self._known:
                forwarding.restore(self._namespace, self._forwarding_record)
        record.remove(self._service.directory(number))

    def _present(self) -> set[int]:
        """Return the numbers of all networks of which anything is on this host."""
        bridges = {devices.bridge_number(link.name) for link in self._namespace.netlink(links.ours)}
        recorded = {int(path.name) for path in self._root.glob("[0-9]*") if path.name.isdigit()}
        return {number for number in bridges if number is not None} | recorded | set(self._known)

    def _remove_strangers(self, kept: set[int]) -> None:
        """Remove devices that no port has, and processes that no network has."""
        expected = {devices.bridge_name(number) for number in kept}
        for number in kept:
            expected |= {devices.device_name(port.port_id) for port in self._members[number].ports()}
        for link in self._namespace.netlink(links.ours):
            if link.name not in expected:
                self._namespace.netlink(links.remove, link.name)
                LOG.info("removed a device that no port has device=%s", link.name)
        for pid, pid_file in dnsmasq.below(self._root):
            if pid_file.parent.name not in {str(number) for number in kept}:
                dnsmasq.end(pid, pid_file)


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Say in a sentence what a library says in its own way."""
    try:
        yield
    except NetlinkError as error:
        raise HostError(f"{what}: the kernel refused: {error.args[-1]}") from error
    except OSError as error:
        raise HostError(f"{what}: {error.strerror or error}") from error


@contextmanager
def _collected(failures: list[str]) -> Iterator[None]:
    """Note a failure and go on after it."""
    try:
        with _in_words("The host's networks could not be brought in order"):
            yield
    except HostError as error:
        failures.append(error.message)
