"""The seam: all that actors may use of the outside world, as interfaces.

Actors reach sockets, the resolver, timers, the clocks and randomness only through a :class:`Dispatcher`.
``real/loop.py`` implements it over epoll and real sockets, ``virtual/dispatcher.py`` over a virtual clock
and an in-memory network. Every call is made on the dispatcher's own thread unless it says otherwise.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Final, Never, Protocol, TypeAlias, TypeVar

import msgspec

from mesh.addresses import SocketAddress
from mesh.black_hole import PathFigures

READ_BUFFER_BYTES: Final = 8 * 65_624
"""Size of a dispatcher's shared read buffer: eight full frames of a link. A read of many cuts none of them,
whose first part would be copied once more."""

BytesLike: TypeAlias = bytes | bytearray | memoryview

M = TypeVar("M")
N = TypeVar("N")
M_contra = TypeVar("M_contra", contravariant=True)


class Ref(Protocol[M_contra]):
    """A reference to an actor that takes messages of type ``M``; any thread may use it."""

    @property
    def actor_urn(self) -> str:
        """The actor's unique name."""
        ...

    def is_alive(self) -> bool:
        """Whether the actor has not stopped yet."""
        ...

    def tell(self, message: M_contra) -> None:
        """Queue ``message``.

        Raises:
            pykka.ActorDeadError: the actor has stopped.
        """
        ...


AnyRef: TypeAlias = Ref[Never]
"""A reference to an actor of any kind: it can be watched and named, but nothing can be told through it."""


class Timer(Protocol):
    """A message that will be sent later."""

    def cancel(self) -> None:
        """Do not send it; nothing happens if it has been sent or cancelled already."""
        ...


class HangUp(enum.Enum):
    """What a socket that is not being read shows of its other end."""

    NO = "no"
    HALF_CLOSED = "half-closed"
    """The other end has finished sending (FIN seen); what it sent may still be unread."""
    GONE = "gone"
    """The stream is broken: reset by the other end, or by the kernel for it."""
    LEFT = "left"
    """Of a unix socket: the other end has finished sending and takes nothing any more, or both have finished.
    By TCP the former shows when something is sent there."""


class KeepAlive(msgspec.Struct, frozen=True):
    """When a stream whose other end does not answer is broken off: ``ETIMEDOUT``. See tcp(7)."""

    idle_s: int
    """Silence before the first probe."""
    interval_s: int
    """Between two probes."""
    probes: int
    """Unanswered ones that are enough."""


class ClientTurnedAwayError(OSError):
    """The next client of a listening socket has been reset, for too few descriptors are left (``EMFILE``)."""


class SocketOptions(msgspec.Struct, frozen=True):
    """How a stream socket is set up; ``None`` leaves the kernel's own choice."""

    no_delay: bool = True
    not_sent_low_water_bytes: int | None = None
    """TCP_NOTSENT_LOWAT: not writable while more than this waits unsent in the kernel."""
    send_buffer_bytes: int | None = None
    receive_buffer_bytes: int | None = None
    max_segment_bytes: int | None = None
    """TCP_MAXSEG: the largest segment in either direction; before the connection stands."""
    reset_if_abandoned: bool = False
    """Reset the stream if this process dies: else that would look like an orderly end to the other side."""
    urgent_in_line: bool = False
    """SO_OOBINLINE: an urgent byte stays where it was sent; else reading leaves it out."""
    keep_alive: KeepAlive | None = None
    """Probe a silent other end, also one that has finished sending, and one that is not read."""
    local_host: str = ""
    """The IPv4 address to connect from; else the kernel chooses."""
    leaves_spare: bool = False
    """Do without the last descriptors (``EMFILE``): they are for what is more than one connection."""


PLAIN_OPTIONS: Final = SocketOptions()


class SocketOwner(Protocol):
    """What a socket tells its owner: an actor, on its own dispatcher, in a turn of its own.

    Reports are level-triggered, errors and ends included: while the owner watches and could read (or write)
    without waiting, it is told again and again, however little it took in the turn before. So a turn may stop
    early, and watching may pause and go on; nothing that arrived with an error or behind it gets lost. A
    stream that is broken can be read and written without waiting for ever: reading gives first what arrived
    before, then the error once, then the end of the stream; sending gives the error, if reading has not.
    """

    def on_readable(self, socket: "StreamSocket | ListeningSocket") -> None:
        """Bytes, an end of stream, an error, or (listening) a client can be taken without waiting."""
        ...

    def on_writable(self, socket: "StreamSocket | ListeningSocket") -> None:
        """There is room to send."""
        ...

    @property
    def socket_turn(self) -> Callable[[Callable[[N], None], N], None]:
        """Runs the former, which is one of the above or calls it, with the latter as a turn.

        It raises ``ActorDeadError`` if the actor has ended, and nothing else.
        """
        ...


class StreamSocket(Protocol):
    """A connected, non-blocking byte stream that exactly one actor owns."""

    @property
    def local_name(self) -> str:
        """This end, for people: ``127.0.0.1:5432``, ``[::1]:5432`` or ``unix:/path``."""
        ...

    @property
    def peer_name(self) -> str:
        """The other end, for people."""
        ...

    def attach(self, owner: SocketOwner) -> None:
        """Make ``owner`` (an actor of this dispatcher) hear of readiness; nothing is watched yet."""
        ...

    def recv_into(self, buffer: memoryview, /) -> int:
        """Take up to ``len(buffer)`` bytes; 0 is the end of the stream.

        Raises:
            BlockingIOError: nothing has arrived yet.
            OSError: the stream is broken (``ConnectionResetError`` for a reset).
        """
        ...

    def send(self, buffers: Sequence[BytesLike]) -> int:
        """Send from ``buffers`` in order, gathered; return the bytes taken, at least 1.

        Raises:
            BlockingIOError: no room.
            OSError: the stream is broken.
        """
        ...

    def watch_read(self, enabled: bool) -> None:
        """Report readability (level-triggered) to the owner, or stop; nothing once it is closed."""
        ...

    def watch_write(self, enabled: bool) -> None:
        """Report writability (level-triggered) to the owner, or stop; nothing once it is closed."""
        ...

    def hung_up(self) -> HangUp:
        """What can be seen of the other end without reading."""
        ...

    def keep_unsent(self, byte_count: int) -> None:
        """Be writable only while less than this waits unsent in the kernel, from now on."""
        ...

    def control_congestion(self, algorithm: str) -> bool:
        """Send by the kernel's ``algorithm`` from now on; whether the kernel has it and allows it."""
        ...

    def path_figures(self) -> PathFigures | None:
        """What the kernel knows of the path; ``None`` if it knows nothing."""
        ...

    def say_with_witness(self, words: bytes) -> bool:
        """Send ``words`` with what shows the other end, later, whether this one has finished sending.

        Whether that could be done; if not, nothing is sent. Only a unix socket can, and needs it: its reset
        looks like its end. The witness is the read end of a pipe: one byte comes by it, or none.
        """
        ...

    def shutdown_write(self) -> None:
        """Finish sending (FIN); reading goes on. An already broken stream is no error."""
        ...

    def finish(self) -> None:
        """Close in order, both ends having finished, and tell the witness so if there is one."""
        ...

    def close(self) -> None:
        """Close in order; idempotent."""
        ...

    def abort(self) -> None:
        """Close with a reset (RST) and drop what is queued; idempotent."""
        ...


class ListeningSocket(Protocol):
    """A bound socket that one actor owns; parked (refusing clients, holding its port) or listening."""

    @property
    def local_name(self) -> str:
        """The bound address with its chosen port, for people."""
        ...

    @property
    def port(self) -> int:
        """The bound port (never 0 for TCP); 0 for a unix socket."""
        ...

    def attach(self, owner: SocketOwner) -> None:
        """Make ``owner`` the actor that hears of clients."""
        ...

    def listen(self) -> None:
        """Let clients in; ``on_readable`` reports them. Idempotent.

        Raises:
            OSError: another socket listens there; ``EBADF``, it is closed.
        """
        ...

    def park(self) -> None:
        """Refuse clients (ECONNREFUSED) without giving up the port. Idempotent.

        Raises:
            OSError: the port was lost to another process on the way.
        """
        ...

    @property
    def may_have_more(self) -> bool:
        """Whether it is worth while to accept again in this turn; else a report tells of whoever waits."""
        ...

    def accept(self) -> StreamSocket:
        """Take the next client, set up as ``bind`` was told.

        Raises:
            BlockingIOError: none waits.
            ClientTurnedAwayError: no descriptor is left for this one: it has been reset; the next may wait.
            OSError: ``EMFILE`` and the like, and the client waits on; the caller pauses.
        """
        ...

    def watch_read(self, enabled: bool) -> None:
        """Report waiting clients from now on, or pause (clients then queue in the kernel)."""
        ...

    def close(self) -> None:
        """Give up the port; idempotent."""
        ...


class Handover(msgspec.Struct, frozen=True):
    """A message with something in it that its receiver owns from then on, and that must not get lost."""

    def let_go(self) -> None:
        """Nobody will receive it: tidy up what is in it."""
        raise NotImplementedError


class Connected(Handover, frozen=True):
    """Fact: a connect attempt succeeded; the receiver owns ``socket`` now and attaches itself."""

    token: int
    socket: StreamSocket

    def let_go(self) -> None:
        """Close the socket."""
        self.socket.close()


class ConnectFailed(msgspec.Struct, frozen=True):
    """Fact: a connect attempt failed."""

    token: int
    error_number: int
    """``errno``, as the kernel said."""
    reason: str


class NamesResolved(msgspec.Struct, frozen=True):
    """Fact: a host name was looked up; no address means that it failed, and ``reason`` says why."""

    token: int
    addresses: tuple[SocketAddress, ...]
    reason: str = ""


class Attempt(Protocol):
    """A connect or a look-up that is under way."""

    def cancel(self) -> None:
        """Give it up; no message follows. Nothing happens if it has ended already."""
        ...


class Dispatcher(Protocol):
    """Where actors run and what they reach the outside world by."""

    @property
    def read_buffer(self) -> memoryview:
        """The shared buffer to ``recv_into``, valid until the turn ends. Copy out what stays."""
        ...

    def now(self) -> float:
        """Monotonic seconds, since an arbitrary start."""
        ...

    def unix_time(self) -> float:
        """Wall-clock seconds since 1970, for certificates, records and logs only."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """Fresh bytes fit for keys."""
        ...

    def uniform(self) -> float:
        """A draw in [0, 1) for jitter; not for keys."""
        ...

    def schedule(self, ref: Ref[M], delay_s: float, message: M) -> Timer:
        """Send ``message`` to ``ref`` in ``delay_s`` seconds, not before; a dead actor is no error."""
        ...

    def bind(self, address: SocketAddress, options: SocketOptions = PLAIN_OPTIONS) -> ListeningSocket:
        """Bind a socket, parked; :mod:`mesh.addresses` says which places a TCP address means.

        Its clients are set up as ``options`` say before they can be heard of.

        Raises:
            OSError: the address is taken or not ours.
        """
        ...

    def pair(self) -> tuple[StreamSocket, StreamSocket]:
        """Two ends of a stream inside of this process; each is its owner's as soon as that attaches itself.

        Their names are those of no other socket, and begin with ``unix:``.

        Raises:
            OSError: no descriptor is left for a connection (``EMFILE``).
        """
        ...

    def connect(
        self, ref: Ref[Connected | ConnectFailed], address: SocketAddress, token: int, options: SocketOptions
    ) -> Attempt:
        """Connect to a resolved address; ``ref`` hears :class:`Connected` or :class:`ConnectFailed`.

        An attempt whose actor died meanwhile closes its socket. There is no time-out but the caller's own.
        """
        ...

    def resolve(self, ref: Ref[NamesResolved], host: str, port: int, token: int) -> Attempt:
        """Look up ``host`` off this thread; ``ref`` hears :class:`NamesResolved` with ``token``."""
        ...
