"""Client connections of the HTTP server: how many there are, how long each may take, and how fast they ask.

Waitress knows neither a time limit for a request nor a pace. All here happens in its loop, on one thread.
"""

import contextlib
import resource
import socket
import struct
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.server import BaseWSGIServer  # type: ignore[import-untyped]
from waitress.wasyncore import read  # type: ignore[import-untyped]

from mesh.agent.dashboard.arrivals import Arrivals, Arrived, soonest_s
from mesh.agent.dashboard.kept_answers import AnswerTask, KeptAnswer, KeptAnswers
from mesh.agent.dashboard.refusals import RefusalTask
from mesh.agent.dashboard.requests import LaterRequests, RequestParser
from mesh.agent.dashboard.tls import TlsClient
from mesh.link.places import bucket_of
from mesh.token_bucket import TokenBucket

MAX_CONNECTIONS: Final = 100
"""What Waitress polls at one time, its listening sockets included; at that number it accepts nobody."""

SPARE_CONNECTIONS: Final = 8
"""Room that is made ahead of that: at the limit itself a client would wait until another one goes."""

REQUEST_TIMEOUT_S: Final = 10.0
"""From the first byte of a request, or the arrival of whoever has sent none, to the request's end."""

UNREAD_TIMEOUT_S: Final = 20.0
"""A client that has taken nothing of an answer for so long is gone, or holds a thread on purpose."""

REQUESTS_PER_S: Final = 100.0
"""Requests on connections that have had one, of all clients together. Each costs some 0.4 ms of the time that
the data path shares; who asks faster waits in the kernel, in turn."""

BURST: Final = 100.0
"""At once."""

DRAINED_BYTES: Final = 64 * 1024
"""What has arrived unasked by the end of a connection, and is thrown away: left in the kernel, it would make
the close a reset, which may overtake the answer."""


_PEER_CREDENTIALS: Final = struct.Struct("iII")
"""Process, user and group: ``struct ucred`` of unix(7)."""


class Pace:
    """How fast clients are heard; those that ask too fast are left waiting in the kernel's queues.

    Newcomers have turns of their own, and the first request of one is always read: nobody who asks once waits
    for those who ask without pause on connections that they have. A read takes one request, so no more are
    owed at a time than there are connections, whatever clients have sent ahead: those who ask at a human pace
    on a connection of theirs, as Prometheus does, have their turn within a second.
    """

    def __init__(self) -> None:
        self.arrivals = Arrivals(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.requests = TokenBucket(REQUESTS_PER_S, BURST)

    def wait_s(self, now: float) -> float:
        """Seconds until somebody has a turn who is left waiting; 0 if nobody is."""
        return soonest_s(self.arrivals.wait_s(now), self.requests.wait_s(now))

    def heard(self, polled: Mapping[int, object], now: float) -> dict[int, object]:
        """What of ``polled`` is to be listened to now."""
        arrivals, requests = self.arrivals.are_heard(now), self.requests.has(now)
        if arrivals and requests:
            return dict(polled)
        return {
            descriptor: one
            for descriptor, one in polled.items()
            if (arrivals or not isinstance(one, BaseWSGIServer))
            and (requests or not isinstance(one, ClientChannel) or not one.may_be_kept_waiting())
        }


class ClientChannel(HTTPChannel):  # type: ignore[misc]
    """A client's connection. If it is one too many, others that are idle make room for it.

    Otherwise anyone who opens 100 connections and says nothing would keep ``/ready`` from answering, and an
    orchestrator would restart an agent that is well. A client whose request is under way is never closed.
    """

    parser_class = LaterRequests
    """Waitress asks for it where more has come than a request."""
    task_class = AnswerTask
    error_task_class = RefusalTask
    request: RequestParser | None
    """That which has begun and is not complete."""

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: dict[int, Any]) -> None:  # noqa: A002 -- Waitress's name
        if sock.family == socket.AF_UNIX:
            addr = (user_of(sock), None)
        sock = server.secured(sock)
        self._pace: Pace = server.pace
        self._kept: KeptAnswers = server.kept
        self._requests_begun = 0
        self._since = time.monotonic()
        super().__init__(server, sock, addr, adj, map=map)
        make_room(map, newcomer=self)

    def handle_read(self) -> None:
        """Read one request at the most: what was sent behind it waits in the kernel for its own turn."""
        client = self.socket  # Waitress forgets it when it finds that the client is gone
        try:
            ahead = client.recv(self.adj.recv_bytes, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            ahead = b""
        if not ahead:
            self.handle_close()
            return
        self.last_activity = time.time()
        if self.request is None:
            self._count_request()
            if (kept := self._kept.find(ahead)) is not None:
                self._answer_again(client, kept, len(ahead))
                return
            self.request = RequestParser(self.adj)
        request, taken_before = self.request, self.request.taken
        self.received(ahead)
        with contextlib.suppress(OSError):
            client.recv(request.taken - taken_before)

    def _answer_again(self, client: socket.socket, kept: KeptAnswer, request_bytes: int) -> None:
        """Answer without a thread: that takes the processor's time of a few system calls."""
        with contextlib.suppress(OSError):
            client.recv(request_bytes)
        sent = self.send(kept.data, do_close=False)
        if sent < len(kept.data):
            self.write_soon(kept.data[sent:])
            self.current_outbuf_count = (
                self.adj.outbuf_high_watermark
            )  # the next answer has a buffer of its own
        if kept.closes:
            self.close_when_flushed = True
            self.handle_write()

    def _count_request(self) -> None:
        self._since = time.monotonic()
        if self._requests_begun:  # the first one is paid for by the arrival
            self._pace.requests.spend(self._since)
        self._requests_begun += 1

    def handle_close(self) -> None:
        """Close, with nothing left unread."""
        if self.socket is not None:  # else it is closed
            with contextlib.suppress(OSError):
                self.socket.recv(DRAINED_BYTES)
        super().handle_close()

    def handle_expt(self) -> None:
        """Close: no HTTP client sends urgent data (MSG_OOB), of which every poll tells until it is read."""
        self.handle_close()

    def has_unread(self) -> bool:
        """Whether there may be more to read though nothing comes, as behind TLS."""
        client = self.socket
        return isinstance(client, TlsClient) and client.has_unread() and bool(self.readable())

    def may_be_kept_waiting(self) -> bool:
        """Whether it has asked before, is in the middle of nothing, and has nothing to be sent."""
        if self.total_outbufs_len or self.will_close:
            return False
        return self._requests_begun > 0 and self.request is None

    def is_timed(self) -> bool:
        """Whether it owes the rest of a request, or has yet to take an answer."""
        is_asking = self.request is not None or not self._requests_begun
        return bool(self.total_outbufs_len) or (is_asking and is_idle(self))

    def is_overdue(self, now: float, unix_now: float) -> bool:
        """Whether it is late with that. Unix time (s) too, as Waitress keeps it."""
        if self.total_outbufs_len:
            return unix_now - last_activity(self) > UNREAD_TIMEOUT_S
        return self.is_timed() and now - self._since > REQUEST_TIMEOUT_S


def accept(server: BaseWSGIServer) -> Arrived | None:
    """The next client of a listening socket, if there is any.

    What has come with it is read as it is served: else the loop would wake for that anew.
    """
    try:
        accepted = server.accept()
        if accepted is None:
            return None
        client, peer = accepted
        server.set_socket_options(client)
        address = user_of(client) if client.family == socket.AF_UNIX else bucket_of(str(peer[0]))
    except OSError:  # it has left again, or there is no descriptor left
        return None

    def serve() -> None:
        try:
            read(ClientChannel(server, client, server.fix_addr(peer), server.adj, map=server._map))
        except OSError:  # it has left meanwhile
            client.close()

    return Arrived(address, client, serve)


def close_overdue(polled: Mapping[int, object], now: float, unix_now: float) -> bool:
    """Close the connections whose time is over; whether there are others whose time runs.

    To be called in Waitress's loop, between two polls.
    """
    timed = [one for one in polled.values() if isinstance(one, ClientChannel) and one.is_timed()]
    overdue = [one for one in timed if one.is_overdue(now, unix_now)]
    for channel in overdue:
        channel.handle_close()
    return len(timed) > len(overdue)


def make_room_at_limit(polled: Mapping[int, object]) -> None:
    """Make room where nobody is accepted any more: all were busy when the last ones came.

    To be called in Waitress's loop, between two polls.
    """
    if len(polled) >= MAX_CONNECTIONS:
        make_room(polled)


def make_room(polled: Mapping[int, object], newcomer: HTTPChannel | None = None) -> None:
    """Mark idle connections to be closed, so many that there is room for the next client.

    The client that has most of them loses first, the one that has been idle for longest: each has its share.
    To be called in Waitress's loop.

    Args:
        polled: everything that the loop polls, by descriptor.
        newcomer: the connection that has just come, if one has; it stays.
    """
    if len(polled) <= MAX_CONNECTIONS - SPARE_CONNECTIONS:
        return
    channels = [one for one in polled.values() if isinstance(one, HTTPChannel) and not one.will_close]
    others = sum(1 for one in polled.values() if not isinstance(one, HTTPChannel))
    held = Counter(client_of(one) for one in channels)
    idle = sorted((one for one in channels if is_idle(one) and one is not newcomer), key=last_activity)
    for _ in range(min(len(idle), others + len(channels) - (MAX_CONNECTIONS - SPARE_CONNECTIONS))):
        channel = max(idle, key=lambda one: held[client_of(one)])  # of equals the first: idle for longest
        idle.remove(channel)
        held[client_of(channel)] -= 1
        channel.will_close = True  # the loop closes it: here it may yet hold an event for its descriptor


def user_of(sock: socket.socket) -> str:
    """Whose program is at the other end of a unix socket, by the kernel's word."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    _, user, _ = _PEER_CREDENTIALS.unpack(credentials)
    return f"uid {user}"


def client_of(channel: HTTPChannel) -> str:
    """Who is at the other end: the address, of IPv6 the network of a host; of a unix socket the user."""
    return bucket_of(str(channel.addr[0]))


def is_idle(channel: HTTPChannel) -> bool:
    """Whether no complete request of it is under way and it is not closing already."""
    return not (channel.requests or channel.will_close)


def last_activity(channel: HTTPChannel) -> float:
    """When it was last read or written, as Waitress keeps it: seconds of the wall clock."""
    return float(channel.last_activity)
