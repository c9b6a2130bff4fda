"""The in-memory network of a simulated world: hosts, ports, names, links, and their faults."""

import errno
import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from actors.runtime.seam import SocketOptions
from actors.runtime.virtual.clock import Trace, VirtualClock
from actors.runtime.virtual.connect import ConnectAttempt
from actors.runtime.virtual.host import LOOPBACK, VirtualHost, is_literal, is_loopback
from actors.runtime.virtual.links import Link
from actors.runtime.virtual.os_error import os_error
from actors.runtime.virtual.pipe import Pipe
from actors.runtime.virtual.streams import VirtualStreamSocket
from mesh.addresses import SocketAddress, UnixAddress

DEFAULT_LATENCY_S: Final = 0.001
"""One way between two hosts, unless a scenario says otherwise: one data centre."""

LOCAL_LATENCY_S: Final = 20e-6
"""One way within a host: a loopback round trip takes some 40 us."""

BUFFER_BYTES: Final = 512 * 1024
"""Send and receive buffers that nobody has set: between where Linux starts and where its autotuning ends."""


class VirtualNetwork:
    """All hosts, and what lies between them. Hosts are named, and also have an address like ``10.0.0.1``."""

    def __init__(self, clock: VirtualClock, trace: Trace) -> None:
        self._clock = clock
        self._trace = trace
        self._hosts: dict[str, VirtualHost] = {}
        self._by_address: dict[str, VirtualHost] = {}
        self._names: dict[str, list[VirtualHost]] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self.default_latency_s = DEFAULT_LATENCY_S
        """Latency one way between hosts of which nothing else has been said."""
        self.default_bytes_per_s: float | None = None
        """Bandwidth between such hosts; ``None`` is unlimited."""
        self.attempts: dict[ConnectAttempt, None] = {}
        """Connects under way."""

    def host(self, name: str) -> VirtualHost:
        """The host called ``name``, made on first mention.

        Raises:
            ValueError: the name is an address literal or means the local host.
        """
        host = self._hosts.get(name)
        if host is None:
            if not name or is_loopback(name) or is_literal(name):
                raise ValueError(f"expected a host's name, found {name!r}")
            number = len(self._hosts) + 1
            literal = str(ipaddress.IPv4Address("10.0.0.0") + number)
            host = VirtualHost(self._clock, self._trace, name, literal)
            self._hosts[name] = self._by_address[name] = self._by_address[literal] = host
            self.add_name(name, name)
        return host

    def add_name(self, name: str, host: str) -> None:
        """Let ``name`` resolve to ``host`` too, behind those it resolves to already."""
        self._names.setdefault(name, []).append(self.host(host))

    def remove_name(self, name: str) -> None:
        """Let ``name`` resolve no more."""
        self._names.pop(name, None)

    def look_up(self, name: str) -> tuple[str, ...]:
        """The addresses that ``name`` resolves to; none where it is unknown."""
        if name == "localhost":
            return (LOOPBACK,)
        if is_literal(name):
            return (name,)
        return tuple(host.literal for host in self._names.get(name, ()))

    def target_of(self, source: VirtualHost, address: SocketAddress) -> VirtualHost:
        """The host that ``address`` leads to from ``source``.

        Raises:
            OSError: ``EHOSTUNREACH``, there is none.
        """
        if isinstance(address, UnixAddress) or is_loopback(address.host):
            return source
        host = self._by_address.get(address.host)
        if host is None:
            raise os_error(errno.EHOSTUNREACH)
        return host

    def link(self, source: VirtualHost, target: VirtualHost) -> Link:
        """The link from ``source`` to ``target``."""
        key = (source.name, target.name)
        link = self._links.get(key)
        if link is None:
            local = source is target
            link = self._links[key] = Link(
                self._clock,
                self._trace,
                f"{source.name}>{target.name}",
                LOCAL_LATENCY_S if local else self.default_latency_s,
                None if local else self.default_bytes_per_s,
            )
        return link

    def shape(
        self, one: str, other: str, *, latency_s: float | None = None, bytes_per_s: float | None = None
    ) -> None:
        """Set latency (one way) and bandwidth between two hosts, both ways; ``None`` leaves it as it is."""
        for link in self._both_ways(one, other):
            if latency_s is not None:
                link.latency_s = latency_s
            if bytes_per_s is not None:
                link.bytes_per_s = bytes_per_s

    def cut(self, one: str, other: str, *, reset: bool = False, one_way: bool = False) -> None:
        """Cut two hosts off from each other until :meth:`heal`.

        Silently, everything is lost and nobody is told; connections go on after healing. There is no limit to
        how long: the kernel's own time-out (15 minutes, ``tcp_retries2``) is not modelled. With ``reset`` all
        connections between the two break at once and new ones are refused, as a firewall may. With
        ``one_way``, silently, only what goes from ``one`` to ``other`` is lost.
        """
        self._trace.note("cut", f"{one}-{other}", f"{reset} {one_way}")
        links = self._both_ways(one, other)
        if not reset:
            for link in links[:1] if one_way else links:
                link.cut()
            return
        for link in links:
            link.refusing = True
        first, second = self.host(one), self.host(other)
        for attempt in [attempt for attempt in self.attempts if attempt.crosses(first, second)]:
            attempt.fail(errno.ECONNRESET)
        for socket in list(first.streams):
            if socket.peer_host == other:
                socket.break_off(errno.ECONNRESET)
        for socket in list(second.streams):
            if socket.peer_host == one:
                socket.break_off(errno.ECONNRESET)

    def heal(self, one: str, other: str) -> None:
        """Undo every cut between two hosts."""
        self._trace.note("healed", f"{one}-{other}")
        for link in self._both_ways(one, other):
            link.heal()

    def partition(self, *groups: Sequence[str]) -> None:
        """Silently cut all hosts of each group off from those of every other group."""
        self._across(groups, self.cut)

    def heal_partition(self, *groups: Sequence[str]) -> None:
        """Undo the cuts between the hosts of different groups."""
        self._across(groups, self.heal)

    def join(
        self,
        client: VirtualStreamSocket,
        source: VirtualHost,
        server: VirtualStreamSocket,
        target: VirtualHost,
        options: SocketOptions,
    ) -> None:
        """Connect two sockets; ``options`` are the client's."""
        there, back = self.link(source, target), self.link(target, source)
        to_server = Pipe(
            self._clock,
            self._trace,
            f"{source.name}[{client.local_name}]>{target.name}[{server.local_name}]",
            path=there,
            back=back,
            sender=client,
            receiver=server,
            send_bytes=options.send_buffer_bytes or BUFFER_BYTES,
            receive_bytes=BUFFER_BYTES,
            low_water_bytes=options.not_sent_low_water_bytes,
        )
        to_client = Pipe(
            self._clock,
            self._trace,
            f"{target.name}[{server.local_name}]>{source.name}[{client.local_name}]",
            path=back,
            back=there,
            sender=server,
            receiver=client,
            send_bytes=BUFFER_BYTES,
            receive_bytes=options.receive_buffer_bytes or BUFFER_BYTES,
            low_water_bytes=None,
        )
        client.join(server, target.name, incoming=to_client, outgoing=to_server, path=there)
        server.join(client, source.name, incoming=to_server, outgoing=to_client, path=back)
        source.streams[client] = target.streams[server] = None

    def pair(self, host: VirtualHost) -> tuple[VirtualStreamSocket, VirtualStreamSocket]:
        """Two ends of a stream inside of a process of ``host``.

        Raises:
            OSError: ``EMFILE``, the process has too many sockets.
        """
        options = SocketOptions(leaves_spare=True)
        name = f"unix:inside/{host.ephemeral_port()}"
        near = VirtualStreamSocket(host, f"{name}a", f"{name}b")
        far = VirtualStreamSocket(host, f"{name}b", f"{name}a")
        self.join(near, host, far, host, options)
        try:
            for end in (near, far):
                host.require_room(options)
                end.open_descriptor()
        except OSError:
            near.abort()
            far.abort()
            raise
        return near, far

    def kill(self, host: VirtualHost) -> None:
        """End ``host``'s process: its connections are reset, its ports are free again."""
        for attempt in [attempt for attempt in self.attempts if attempt.is_from(host)]:
            attempt.cancel()
        for listener in list(host.listeners.values()):
            listener.close()
        for socket in list(host.streams):
            socket.abort()

    def _both_ways(self, one: str, other: str) -> tuple[Link, Link]:
        first, second = self.host(one), self.host(other)
        return self.link(first, second), self.link(second, first)

    def _across(self, groups: Sequence[Sequence[str]], action: Callable[[str, str], None]) -> None:
        for index, group in enumerate(groups):
            for other in groups[index + 1 :]:
                for one in group:
                    for another in other:
                        action(one, another)
