"""What the API may ask this host's agent over the bus."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from nova_lite.agent.console_relay import ConsoleRelay
from nova_lite.agent.job import Tools
from nova_lite.errors import Conflict, Invalid, NotFound, Unavailable
from nova_lite.virt import abilities
from nova_lite.virt.abilities import ConsoleTarget
from nova_lite.virt.driver import DriverError, DriverTimeout, DriverUnavailable, GuestNotFound

MOST_STRANGERS = 100
"""Guests that are described in one answer."""


class Questions:
    """Answers calls; each is quick and changes nothing of the host."""

    def __init__(self, tools: Tools, relay: ConsoleRelay) -> None:
        self._tools = tools
        self._relay = relay

    def answers(self) -> Mapping[str, Callable[..., Any]]:
        """Return the functions by message name (``nova_lite.bus.catalogue``)."""
        return {
            "check_console": self.check_console,
            "console_output": self.console_output,
            "describe_guest": self.describe_guest,
            "diagnostics": self.diagnostics,
            "host_uptime": self.host_uptime,
            "open_console": self.open_console,
            "set_password": self.set_password,
            "strangers": self.strangers,
        }

    def console_output(self, server_id: str, length: int | None = None) -> str:
        """Return the last *length* lines of a guest's console log without the last one's end, or all that is kept of it.

        What a guest wrote is hostile text: bytes that are no UTF-8 become U+FFFD.

        :raises NotFound: the host has no such guest.
        :raises Unavailable: the hypervisor did not answer.
        """
        try:
            log = self._tools.driver.console(server_id, self._tools.conf.compute.console_log_bytes)
        except GuestNotFound as error:
            raise NotFound(f"Instance {server_id} has no console log on its host.", "console.not_found") from error
        except DriverError as error:
            raise Unavailable(error.message, error.code) from error
        text = log.decode("utf-8", "replace")
        if length is None or length < 0:
            return text
        # As many as were asked for, also when a client counts them by their line feeds.
        return "\n".join(text.removesuffix("\n").split("\n")[-length:]) if length else ""

    def check_console(self, server_id: str, kind: str) -> None:
        """Do nothing where the guest has a console of *kind* now; raises as :meth:`open_console` does."""
        self._console_target(server_id, kind)

    def open_console(self, server_id: str, kind: str) -> dict[str, Any]:
        """Let one connection through to the guest's console; return where it goes and what it has to show there.

        :raises Invalid: guests like this have no console of *kind*, and which have.
        :raises Conflict: the guest does not run, or is not here.
        :raises Unavailable: hypervisor or relay can't be had now.
        """
        relayed = self._relay.grant(server_id, kind, self._console_target(server_id, kind))
        return {"host": relayed.host, "port": relayed.port, "secret": relayed.secret}

    def _console_target(self, server_id: str, kind: str) -> ConsoleTarget:
        driver = self._tools.driver
        if not isinstance(driver, abilities.Consoles):
            raise Invalid(f"Unavailable console type {kind}.", "console.unavailable")
        try:
            return driver.console_target(server_id, kind)
        except GuestNotFound as error:
            raise Conflict(f"Instance {server_id} is not ready", "server.not_ready") from error
        except (DriverTimeout, DriverUnavailable) as error:
            raise Unavailable(error.message, error.code) from error
        except DriverError as error:
            if error.code == "driver.unsupported":
                raise Invalid(f"Unavailable console type {kind}. {_sentence(error)}", "console.unavailable") from error
            raise Conflict(f"Instance {server_id} is not ready: {error.message}", "server.not_ready") from error

    def host_uptime(self) -> str:
        """Return how long the host has been up, in the form of uptime(1), which clients take apart."""
        seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
        clock = time.strftime("%H:%M:%S")
        load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
        return f" {clock} up {days} days, {hours:2d}:{minutes:02d},  0 users,  load average: {load}"

    def diagnostics(self, server_id: str) -> dict[str, Any]:
        """Return what a guest uses: CPU ns, memory MiB, uptime in seconds, bytes (in, out) of each interface and disk.

        :raises Conflict: the guest does not run, or the host has none of that id.
        """
        driver = self._tools.driver
        try:
            stats = driver.stats(server_id)
            hypervisor = driver.capabilities().hypervisor_type
        except GuestNotFound as error:
            raise Conflict(f"Instance {server_id} has no guest on its host.", "server.no_guest") from error
        except DriverError as error:
            raise Conflict(f"Instance {server_id} can not be measured: {error.message}", error.code) from error
        return {
            "cpu_time_ns": stats.cpu_time_ns,
            "memory_mb": stats.memory_mb,
            "uptime_s": stats.uptime_s,
            "nics": {name: list(pair) for name, pair in stats.nics.items()},
            "disks": {name: list(pair) for name, pair in stats.disks.items()},
            "hypervisor": hypervisor.lower(),
        }

    def describe_guest(self, name: str) -> dict[str, Any]:
        """Return what a guest of that name has, as ``abilities.Adopts.describe`` says.

        :raises NotFound: there is none. :raises Unavailable: the hypervisor does not answer.
        """
        try:
            return dict(self._adopts().describe(name))
        except GuestNotFound as error:
            raise NotFound(f"Host {self._tools.host} has no guest named {name}.", "adoption.no_guest") from error
        except DriverError as error:
            raise Unavailable(error.message, error.code) from error

    def strangers(self) -> list[dict[str, Any]]:
        """Return what each guest has that is none of ours; one that goes meanwhile is left out.

        :raises Unavailable: the hypervisor does not answer.
        """
        driver = self._adopts()
        try:
            names = [guest.name for guest in self._tools.driver.observe() if guest.server_id is None]
        except DriverError as error:
            raise Unavailable(error.message, error.code) from error
        found = []
        for name in sorted(names)[:MOST_STRANGERS]:
            try:
                found.append(dict(driver.describe(name)))
            except GuestNotFound:
                continue
            except DriverError as error:
                raise Unavailable(error.message, error.code) from error
        return found

    def _adopts(self) -> abilities.Adopts:
        driver = self._tools.driver
        if not isinstance(driver, abilities.Adopts):
            raise Conflict("This host's driver can't adopt guests.", "adoption.not_possible")
        return driver

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Set a user's password inside a running guest. The password is never logged nor kept.

        :raises Conflict: the guest can't, and why.
        """
        driver = self._tools.driver
        if not isinstance(driver, abilities.SetsPasswords):
            raise Conflict("This host's driver can't set passwords inside guests.", "server.password_not_set")
        try:
            driver.set_password(server_id, user, password)
        except DriverError as error:
            raise Conflict(error.message, error.code) from error


def _sentence(error: DriverError) -> str:
    return f"{error.message[:1].upper()}{error.message[1:]}."
