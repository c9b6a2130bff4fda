"""Connections that come back: clients that are an exit's own sockets.

An endpoint whose target is a listener of the mesh sends what comes to it round in a circle, or through the
mesh once more. Each agent sees two things: the sockets with which its own exits reached their targets, and
what other exits say of theirs in ACCEPT. That is a tag of the socket's two addresses, keyed with the instance
that it is for, so that no address of a site is sent in clear; an agent that has a client with these addresses
makes the same tag. What an exit says counts only for clients that are led to that exit, and only keeps them
from it: a lie harms nobody whom another exit serves.

Behind NAT, or a proxy, the two ends of a socket have other addresses, and tags do not match. Neither do
they if each exit leads to a listener of a third agent. Such circles end when descriptors run out.
"""

from hashlib import blake2b
from typing import Final, Generic, NamedTuple, TypeVar

from mesh.trust.identity import AgentId, Instance

TAG_BYTES: Final = 8
"""Enough that two of a million sockets have one tag once in 37 million times."""

_OTHER_SPELLINGS: Final = ("[", "0.0.0.0:")
"""How names begin of which there may be another spelling: hardly any do, and each socket has two."""

R = TypeVar("R")


class _Said(NamedTuple):
    exit_id: AgentId
    connection: int


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


def socket_tag(instance: Instance, near: str, far: str) -> bytes:
    """The tag of an exit's socket: ``near`` is its own address, ``far`` that of its target.

    Of a client ``near`` is the client's address and ``far`` the listener's.
    """
    addresses = f"{plain(near)} {plain(far)}".encode()
    return blake2b(addresses, digest_size=TAG_BYTES, key=instance, person=b"mesh socket").digest()


class LoopWatch(Generic[R]):
    """What one agent knows of its clients and of exits' sockets; ``R`` stands for a connection.

    It holds an entry for each open socket and each connection, and no more.
    """

    __slots__ = ("_clients", "_exits", "_said")

    def __init__(self) -> None:
        self._exits: set[tuple[str, str]] = set()
        self._clients: dict[bytes, R] = {}
        self._said: dict[bytes, tuple[_Said, ...]] = {}
        """By tag, for each exit that has said it the latest connection: all but one of them lie."""

    @property
    def has_exits(self) -> bool:
        """Whether any exit of this agent has a socket."""
        return bool(self._exits)

    def exit_opened(self, near: str, far: str) -> None:
        """An exit of this agent has reached its target at ``far``."""
        self._exits.add((plain(near), plain(far)))

    def exit_closed(self, near: str, far: str) -> None:
        """That socket is closed."""
        self._exits.discard((plain(near), plain(far)))

    def is_own_exit(self, near: str, far: str) -> bool:
        """Whether a client from ``near`` at the listener ``far`` is an exit of this agent."""
        return (plain(near), plain(far)) in self._exits

    def client_came(self, tag: bytes, connection: R) -> tuple[AgentId, ...]:
        """Remember a client; the exits that have said that this is their socket."""
        self._clients[tag] = connection
        return tuple(said.exit_id for said in self._said.get(tag, ()))

    def client_left(self, tag: bytes, connection: R) -> None:
        """Its socket is closed."""
        if self._clients.get(tag) is connection:
            del self._clients[tag]

    def exit_said(self, tag: bytes, exit_id: AgentId, connection: int) -> R | None:
        """Remember what an exit said of its socket; return the client with that socket, if there is one."""
        if not tag:
            return None
        others = (said for said in self._said.get(tag, ()) if said.exit_id != exit_id)
        self._said[tag] = (*others, _Said(exit_id, connection))
        return self._clients.get(tag)

    def connection_ended(self, tag: bytes, exit_id: AgentId, connection: int) -> None:
        """The connection of which an exit said that is over."""
        left = tuple(said for said in self._said.get(tag, ()) if said != (exit_id, connection))
        if left:
            self._said[tag] = left
        else:
            self._said.pop(tag, None)
