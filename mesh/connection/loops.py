"""Connections that come back: clients that are an exit's own sockets.

An endpoint whose target is a listener of the mesh sends what comes to it round in a circle, or through the
mesh once more. Each agent sees two things: the sockets with which its own exits reached their targets, and
what other exits say of theirs in ACCEPT. That is a tag of the socket's two addresses, keyed with the instance
that it is for, so that no address of a site is sent in clear; an agent that has a client with these addresses
makes the same tag. What an exit says counts only for clients that are led to that exit, and only keeps them
from it: a lie harms nobody whom another exit serves.

Loopback addresses are the same on every machine, and the port of a listener is often that of the target, as
with a database: there the tag has the network stack as well. Without it a client would be taken for one of
the exit's sockets as soon as two kernels choose the same of some 14,000 ports.

Behind NAT, or a proxy, the two ends of a socket have other addresses, and tags do not match. Neither do
they if each exit leads to a listener of a third agent, and unix sockets have no tags. Such circles end when
descriptors run out.
"""

from hashlib import blake2b
from typing import Final, Generic, NamedTuple, TypeVar

from mesh.trust.identity import AgentId, Instance

TAG_BYTES: Final = 8
"""Enough that two of a million sockets have one tag once in 37 million times."""

_OTHER_SPELLINGS: Final = ("[", "0.0.0.0:")
"""How names begin of which there may be another spelling: hardly any do, and each socket has two."""

_UNIX: Final = "unix:"

_LOOPBACK: Final = ("127.", "[::1]:")

R = TypeVar("R")


def plain(name: str) -> str:
    """One spelling of a socket's address: that of IPv4 in IPv6 is IPv4, without a zone; never "all"."""
    if not name.startswith(_OTHER_SPELLINGS):
        return name
    if name.startswith("["):
        if name.startswith("[::ffff:") and "." in name:
            name = name[8:].replace("]", "", 1)
        elif name.startswith("[::]:"):
            return f"[::1]:{name[5:]}"
        elif "%" in name:
            host, bracket, port = name.partition("]")
            return host.partition("%")[0] + bracket + port
    return f"127.0.0.1:{name[8:]}" if name.startswith("0.0.0.0:") else name


class Ends(NamedTuple):
    """The two addresses of a socket between an exit and its target, each in its one spelling."""

    near: str
    """Of the exit's own end, which is the client's if the target is a listener."""
    far: str
    """Of the target, or of the listener."""


NO_ENDS: Final = Ends("", "")
"""Of no socket."""


def ends_of(near: str, far: str) -> Ends:
    """The two ends of a socket, however they are spelled."""
    if near.startswith(_OTHER_SPELLINGS) or far.startswith(_OTHER_SPELLINGS):
        return Ends(plain(near), plain(far))
    return Ends(near, far)


def socket_tag(instance: Instance, ends: Ends, network: bytes) -> bytes:
    """The tag of an exit's socket, or of a client's; nothing for a unix socket.

    All clients of one are called the same, and a path is another file on another machine.

    Args:
        instance: of the ingress.
        ends: of the socket.
        network: names the network stack that it is in; empty if that is not known.
    """
    if ends.far.startswith(_UNIX):
        return b""
    addresses = f"{ends.near} {ends.far}".encode()
    if network and ends.near.startswith(_LOOPBACK):
        addresses += b" " + network
    return blake2b(addresses, digest_size=TAG_BYTES, key=instance, person=b"mesh socket").digest()


class LoopWatch(Generic[R]):
    """What one agent knows of its clients and of exits' sockets; ``R`` stands for a connection.

    It holds an entry for each open socket and each connection, and no more; what comes or goes costs the same
    however many exits say the same.
    """

    __slots__ = ("_clients", "_exits", "_said")

    def __init__(self) -> None:
        self._exits: set[Ends] = set()
        self._clients: dict[bytes, R] = {}
        self._said: dict[bytes, dict[AgentId, int]] = {}
        """By tag, for each exit that has said it the latest connection: all but one of them lie."""

    @property
    def has_exits(self) -> bool:
        """Whether any exit of this agent has a socket."""
        return bool(self._exits)

    def exit_opened(self, ends: Ends) -> None:
        """An exit of this agent has reached its target."""
        self._exits.add(ends)

    def exit_closed(self, ends: Ends) -> None:
        """That socket is closed."""
        self._exits.discard(ends)

    def is_own_exit(self, ends: Ends) -> bool:
        """Whether a client is an exit of this agent."""
        return ends in self._exits

    def client_came(self, tag: bytes, connection: R) -> tuple[AgentId, ...]:
        """Remember a client; the exits that have said that this is their socket."""
        if not tag:
            return ()
        self._clients[tag] = connection
        said = self._said.get(tag)
        return () if said is None else tuple(said)

    def client_left(self, tag: bytes, connection: R) -> None:
        """Its socket is closed."""
        if self._clients.get(tag) is connection:
            del self._clients[tag]

    def exit_said(self, tag: bytes, exit_id: AgentId, connection: int) -> R | None:
        """Remember what an exit said of its socket; return the client with that socket, if there is one."""
        if not tag:
            return None
        said = self._said.get(tag)
        if said is None:
            self._said[tag] = {exit_id: connection}
        else:
            said[exit_id] = connection
        return self._clients.get(tag)

    def connection_ended(self, tag: bytes, exit_id: AgentId, connection: int) -> None:
        """The connection of which an exit said that is over."""
        said = self._said.get(tag)
        if said is not None and said.get(exit_id) == connection:
            del said[exit_id]
            if not said:
                del self._said[tag]
