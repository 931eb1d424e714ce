"""The tables of a host's own namespace: what passes between tunnels and gateways, and what goes outside through the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from nova_lite.host.network_state import HostState
from nova_lite.host.networks import forwarding, links, outside, overlay, plan, rules
from nova_lite.host.networks.failures import noted
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.overlay import Tunnel
from nova_lite.host.networks.planner import Plans

OVERLAY = "bridge nova_lite_overlay"


class HostRules:
    """Lays the tables; one that was laid is not looked at again before :meth:`forget`.

    :param remembered: the file that remembers the forwarding settings which the host had before.
    """

    def __init__(self, conf: cfg.ConfigOpts, host: Namespace, remembered: Path) -> None:
        self._conf = conf
        self._host = host
        self._remembered = remembered
        self._laid: dict[str, str] = {}

    def forget(self) -> None:
        """Forget which tables were laid, so that the next pass compares them with the kernel."""
        self._laid = {}

    def lay(self, state: HostState, plans: Plans, end: Tunnel | None, failed: dict[str, str]) -> None:
        """Have the tables for tunnels, and those where the host itself is the outside.

        :param end: the host's end of its tunnels; None: it has none.
        :param failed: takes what could not be laid: ``overlay``, ``outside`` → sentence.
        """
        with noted(failed, "overlay"):
            legs = plan.anycast(state.networks, state.routers, plans.networks)
            self._table(OVERLAY, overlay.text(end, legs))
        with noted(failed, "outside"):
            inside = sorted(
                (each.outside for each in plans.networks.values() if each.outside is not None), key=lambda o: o.bridge
            )
            text = outside.text(inside, nat=self._conf.network.nat)
            if self._table(rules.TABLE, text) and inside:
                self._let_out([each.bridge for each in inside])
            if not inside:
                forwarding.restore(self._host, self._remembered)

    def _table(self, name: str, body: str) -> bool:
        if self._laid.get(name) == body:
            return False
        if name in self._laid:
            rules.apply(self._host, rules.table(body, name))
        else:
            rules.ensure(self._host, rules.table(body, name), name)
        self._laid[name] = body
        return True

    def _let_out(self, bridges: Sequence[str]) -> None:
        if not self._conf.network.nat:
            return
        uplinks = self._conf.network.uplinks or self._host.netlink(links.default_interfaces)
        forwarding.enable(self._host, [*bridges, *uplinks], self._remembered)
