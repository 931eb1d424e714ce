"""What guests of a firewall test say to each other: TCP that echoes, UDP, pings."""

from __future__ import annotations

import secrets
import socket
import threading
import time

from firewall_station import PATIENCE_S, Guest, ethernet, ipv4, rule, run, udp

from nova_lite.host.network_state import PortSpec

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
OUT = [rule("egress", version) for version in (4, 6)]


class Server:
    """A TCP echo server in a guest."""

    def __init__(self, guest: Guest, port: int, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._listener = guest.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        self._listener.settimeout(None)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65_536):
                connection.sendall(data)


def address(guest: Guest, version: int = 4) -> str:
    return guest.port.addresses[0 if version == 4 else 1][1]


def connects(guest: Guest, to: str, port: int, wait_s: float = PATIENCE_S) -> bool:
    """Say whether a connection is made and answered; on a loaded machine that may take a while."""
    made = guest.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(wait_s)
    with made:
        try:
            made.connect((to, port))
            return echoes(made)
        except OSError:
            return False


def is_kept_out(guest: Guest, to: str, port: int) -> bool:
    """Say that no connection is made, for as long as one that is let in takes many times over."""
    return not connects(guest, to, port, 0.4)


def echoes(connection: socket.socket) -> bool:
    token = secrets.token_bytes(20)
    try:
        connection.sendall(token)
        return connection.recv(100) == token
    except OSError:
        return False


def pings(guest: Guest, to: str, size: int = 56) -> bool:
    """Say whether a ping is answered, of those that are sent for as long as what must come is waited for."""
    end = time.monotonic() + PATIENCE_S
    while not _is_answered(guest, to, size):
        if time.monotonic() > end:
            return False
    return True


def is_unanswered(guest: Guest, to: str) -> bool:
    """Say that a ping is not answered within a second."""
    return not _is_answered(guest, to, 56)


def _is_answered(guest: Guest, to: str, size: int) -> bool:
    argv = ["ping", "-c1", "-W1", "-s", str(size), to]
    return "1 received" in run("ip", "netns", "exec", guest.namespace, *argv, check=False)


def hears_udp(sender: Guest, receiver: Guest, port: int, source_port: int = 1000, wait_s: float = 0.3) -> bool:
    """Say whether a datagram comes within *wait_s*: ``PATIENCE_S`` where it must."""
    token = secrets.token_bytes(12)
    packet = ipv4(address(sender), address(receiver), UDP, udp(source_port, port, token))
    sender.send(ethernet(receiver.mac, sender.mac, 0x0800, packet))
    return receiver.hears(token, wait_s)


def members(*ports: PortSpec) -> tuple[str, ...]:
    return tuple(text for port in ports for _, text in port.addresses)


class Talk:
    """An open TCP connection with both of its ends in hand. It must not be used for anything else."""

    def __init__(self, client: Guest, server: Guest, port: int, version: int = 4) -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        listener = server.socket(family, socket.SOCK_STREAM)
        with listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address(server, version), port))
            listener.listen()
            self.client = client.socket(family, socket.SOCK_STREAM)
            self.client.connect((address(server, version), port))
            self.server, _ = listener.accept()

    def up(self, wait_s: float = PATIENCE_S) -> bool:
        """Say whether the server gets what the client sends now."""
        return self._passes(self.client, self.server, wait_s)

    def down(self, wait_s: float = PATIENCE_S) -> bool:
        """Say whether the client gets what the server sends now."""
        return self._passes(self.server, self.client, wait_s)

    def is_dead(self) -> bool:
        """Say that nothing passes either way; TCP sends again after some 0.2, 0.6 and 1.4 s."""
        return not self.down(0.5) and not self.up(0.5)

    @staticmethod
    def _passes(sender: socket.socket, receiver: socket.socket, wait_s: float) -> bool:
        token = secrets.token_bytes(20)
        sender.sendall(token)
        receiver.settimeout(wait_s)
        got = b""
        try:
            while token not in got:
                got += receiver.recv(1000)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.client.close()
        self.server.close()
