"""The handshake of one SOCKS5 client, at the server's end: RFC 1928 and, for a password, RFC 1929.

It says how many bytes it wants next and is given no more. So what a client sends behind its request, before
it has been answered, is never touched here: it stays where it was, for whoever serves the client.
"""

import enum
import hmac
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from mesh.errors import LocalProtocolError
from mesh.socks.numbers import CONNECT, PASSWORD_VERSION, VERSION, AddressKind, Method, Reply, reply


class State(enum.Enum):
    """What the handshake waits for."""

    GREETING = "the greeting"
    METHODS = "the methods"
    PASSWORD_HEAD = "the user's length"  # noqa: S105 - no password
    USER = "the user"
    PASSWORD = "the password"  # noqa: S105 - no password
    REQUEST = "the request"
    NAME_LENGTH = "the name's length"
    NAME = "the name"
    ADDRESS = "an address of a kind that is not served"
    ASKED = "nothing: the client waits for its reply"
    REFUSED = "nothing: the client has been refused"


TRANSITIONS: Final = MappingProxyType(
    {
        State.GREETING: frozenset({State.METHODS, State.REFUSED}),
        State.METHODS: frozenset({State.PASSWORD_HEAD, State.REQUEST, State.REFUSED}),
        State.PASSWORD_HEAD: frozenset({State.USER, State.REFUSED}),
        State.USER: frozenset({State.PASSWORD}),
        State.PASSWORD: frozenset({State.REQUEST, State.REFUSED}),
        State.REQUEST: frozenset({State.NAME_LENGTH, State.ADDRESS, State.REFUSED}),
        State.NAME_LENGTH: frozenset({State.NAME, State.REFUSED}),
        State.NAME: frozenset({State.ASKED, State.REFUSED}),
        State.ADDRESS: frozenset({State.REFUSED}),
        State.ASKED: frozenset[State](),
        State.REFUSED: frozenset[State](),
    }
)


class Credentials(msgspec.Struct, frozen=True):
    """What a client must know; bytes as they come."""

    user: bytes
    password: bytes

    def __repr__(self) -> str:
        """Hide them from logs."""
        return "Credentials(...)"

    def matches(self, user: bytes, password: bytes) -> bool:
        """Whether these are the same; it takes as long whether or not they are."""
        is_user = hmac.compare_digest(user, self.user)
        return hmac.compare_digest(password, self.password) and is_user


class Say(msgspec.Struct, frozen=True):
    """Send these bytes to the client."""

    data: bytes


class SayWithWitness(msgspec.Struct, frozen=True):
    """Send ``data`` with a witness of the stream's end; ``otherwise`` alone if there can be none."""

    data: bytes
    otherwise: bytes


class Asked(msgspec.Struct, frozen=True):
    """The client wants to be connected to ``host``, and waits for :func:`reply`."""

    host: str


class Refused(msgspec.Struct, frozen=True):
    """Close the client's socket, after what was said; ``why`` is for people and needs no escaping."""

    why: str


Effect: TypeAlias = Say | SayWithWitness | Asked | Refused
Effects: TypeAlias = tuple[Effect, ...]

_ADDRESS_BYTES: Final = MappingProxyType({AddressKind.IPV4: 4, AddressKind.IPV6: 16})
_PORT_BYTES: Final = 2
_GREETING_HEAD_BYTES: Final = 2
_PASSWORD_HEAD_BYTES: Final = 2
_REQUEST_HEAD_BYTES: Final = 4

_NO_METHOD: Final = bytes((VERSION, Method.UNACCEPTABLE))
_WRONG_PASSWORD: Final = bytes((PASSWORD_VERSION, 1))


def advanced(before: State, after: State) -> State:
    """``after``, if that may follow ``before``.

    Raises:
        LocalProtocolError: it may not: a bug of this agent's own.
    """
    if after not in TRANSITIONS[before]:
        raise LocalProtocolError(f"a SOCKS handshake that waits for {before.value}, and then {after.value}")
    return after


class Handshake:
    """One client's handshake.

    Args:
        credentials: what it must know; with none anybody may come.
        witnesses: whether who comes without a password may have a witness of the stream's end.
    """

    __slots__ = ("_credentials", "_received", "_user", "_wanted", "_witnesses", "state")

    def __init__(self, credentials: Credentials | None = None, *, witnesses: bool = False) -> None:
        self.state = State.GREETING
        self._credentials = credentials
        self._witnesses = witnesses
        self._received = bytearray()
        self._wanted = _GREETING_HEAD_BYTES
        self._user = b""

    @property
    def wanted_bytes(self) -> int:
        """How many bytes to give at most; 0 once it is over."""
        return self._wanted - len(self._received)

    def receive(self, data: bytes | memoryview) -> Effects:
        """Take what has come.

        Args:
            data: at most :attr:`wanted_bytes`, at least one.

        Raises:
            ValueError: it is more: that belongs to somebody else.
        """
        if len(data) > self.wanted_bytes:
            raise ValueError(f"{len(data)} bytes where {self.wanted_bytes} are wanted")
        self._received += data
        if self.wanted_bytes:
            return ()
        whole = bytes(self._received)
        self._received.clear()
        self._wanted = 0
        return _STEPS[self.state](self, whole)

    def _on_greeting(self, data: bytes) -> Effects:
        if data[0] != VERSION:
            return self._refuse("it does not speak SOCKS5")
        if not data[1]:
            return self._refuse("it offers no method", _NO_METHOD)
        return self._want(data[1], State.METHODS)

    def _on_methods(self, data: bytes) -> Effects:
        if self._witnesses and self._credentials is None and Method.WITNESSED in data:
            with_witness, without = (bytes((VERSION, each)) for each in (Method.WITNESSED, Method.NONE))
            return self._want(_REQUEST_HEAD_BYTES, State.REQUEST, SayWithWitness(with_witness, without))
        method, after = Method.NONE, State.REQUEST
        if self._credentials is not None:
            method, after = Method.PASSWORD, State.PASSWORD_HEAD
        if method not in data:
            what = "without a password" if method is Method.NONE else "with a user and password"
            return self._refuse(f"it does not offer to come {what}", _NO_METHOD)
        byte_count = _REQUEST_HEAD_BYTES if after is State.REQUEST else _PASSWORD_HEAD_BYTES
        return self._want(byte_count, after, Say(bytes((VERSION, method))))

    def _on_password_head(self, data: bytes) -> Effects:
        if data[0] != PASSWORD_VERSION:
            return self._refuse("its password is in an unknown form", _WRONG_PASSWORD)
        return self._want(data[1] + 1, State.USER)

    def _on_user(self, data: bytes) -> Effects:
        self._user = data[:-1]
        self._want(data[-1], State.PASSWORD)
        return () if data[-1] else self._on_password(b"")

    def _on_password(self, data: bytes) -> Effects:
        if self._credentials is None or not self._credentials.matches(self._user, data):
            return self._refuse("its user or password is wrong", _WRONG_PASSWORD)
        return self._want(_REQUEST_HEAD_BYTES, State.REQUEST, Say(bytes((PASSWORD_VERSION, 0))))

    def _on_request(self, data: bytes) -> Effects:
        version, command, _, kind = data
        if version != VERSION:
            return self._refuse("its request is not of SOCKS5")
        if command != CONNECT:
            return self._refuse("it wants what is not served", reply(Reply.COMMAND_UNKNOWN))
        if kind == AddressKind.NAME:
            return self._want(1, State.NAME_LENGTH)
        if kind in (AddressKind.IPV4, AddressKind.IPV6):
            return self._want(_ADDRESS_BYTES[AddressKind(kind)] + _PORT_BYTES, State.ADDRESS)
        return self._refuse("its address is of an unknown kind", reply(Reply.ADDRESS_KIND_UNKNOWN))

    def _on_name_length(self, data: bytes) -> Effects:
        if not data[0]:
            return self._refuse("it names nothing", reply(Reply.HOST_UNREACHABLE))
        return self._want(data[0] + _PORT_BYTES, State.NAME)

    def _on_name(self, data: bytes) -> Effects:
        try:
            host = data[:-_PORT_BYTES].decode()
        except UnicodeDecodeError:
            return self._refuse("its name is no UTF-8", reply(Reply.HOST_UNREACHABLE))
        return self._want(0, State.ASKED, Asked(host))

    def _on_address(self, data: bytes) -> Effects:
        del data
        why = "it asks for an address, not for a key: it looks names up itself (socks5h:// leaves that to us)"
        return self._refuse(why, reply(Reply.ADDRESS_KIND_UNKNOWN))

    def _want(self, byte_count: int, state: State, *effects: Effect) -> Effects:
        self._wanted, self.state = byte_count, advanced(self.state, state)
        return effects

    def _refuse(self, why: str, last_words: bytes = b"") -> Effects:
        self.state = advanced(self.state, State.REFUSED)
        return (Say(last_words), Refused(why)) if last_words else (Refused(why),)


_STEPS: Final[MappingProxyType[State, Callable[[Handshake, bytes], Effects]]] = MappingProxyType(
    {
        State.GREETING: Handshake._on_greeting,
        State.METHODS: Handshake._on_methods,
        State.PASSWORD_HEAD: Handshake._on_password_head,
        State.USER: Handshake._on_user,
        State.PASSWORD: Handshake._on_password,
        State.REQUEST: Handshake._on_request,
        State.NAME_LENGTH: Handshake._on_name_length,
        State.NAME: Handshake._on_name,
        State.ADDRESS: Handshake._on_address,
    }
)
"""What to do with what was wanted in each state; in the others nothing is."""
