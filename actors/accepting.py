"""What listeners and acceptors share: taking a port, and accepting without ever spinning.

A port that is taken is tried again with backoff. A client for whom no descriptor is left is reset. If even
that cannot be done, accepting pauses: else the loop would report the same client again and again.
"""

import errno
import logging
from abc import abstractmethod
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from actors.messages import agent as agent_messages
from actors.messages import listener as messages
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.seam import (
    ClientTurnedAwayError,
    Dispatcher,
    ListeningSocket,
    Ref,
    SocketOptions,
    StreamSocket,
)
from mesh.addresses import SocketAddress, UnixAddress
from mesh.backoff import retry_delay_s
from mesh.journal import EventKind
from mesh.reaching import OWN_LIMITS
from mesh.telling import event

ACCEPTS_PER_TURN: Final = 16
"""Clients taken before other actors have their turn. Each makes work for several of them, half a millisecond
in all: with 64, clients beside a crowd at another listener waited two to four times as long."""

PAUSE_S: Final = 0.5
"""How long accepting pauses when descriptors or memory run out."""

FIRST_BIND_RETRY_S: Final = 1.0
MAX_BIND_RETRY_S: Final = 30.0

_ANOTHER_HAS_IT: Final = "another program has it (`ss -ltnp` tells which): end that, or choose another port"

PORT_TAKEN: Final = f"port taken: {_ANOTHER_HAS_IT}"

_ANOTHER_HAS_PATH: Final = "another program has it, or it is no socket: choose another path"

PATH_TAKEN: Final = f"path taken: {_ANOTHER_HAS_PATH}"

_REMEDIES: Final = MappingProxyType(
    {
        errno.EADDRINUSE: _ANOTHER_HAS_IT,
        errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another port",
        errno.EADDRNOTAVAIL: "that is no address of this machine (`ip address` tells which are)",
    }
)
"""What to do about a port that cannot be had, by errno."""

_PATH_REMEDIES: Final = MappingProxyType(
    {
        errno.EADDRINUSE: _ANOTHER_HAS_PATH,
        errno.EACCES: "this agent's user may not write in that directory",
        errno.ENOENT: "there is no such directory: make it first",
    }
)
"""As much for a unix socket."""

NO_LISTENER: Final = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSOCK})
"""What ``accept`` reports of a socket that does not listen any more: somebody has ended it from outside."""

CLOSED: Final = "closed"

M = TypeVar("M")


class AcceptingActor(Actor[M | messages.BindDue | messages.AcceptAgain], Generic[M]):
    """Owns a listening socket.

    ``name`` is what the agent calls it, ``what`` what logs do.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        name: str,
        address: SocketAddress,
        what: str,
        options: SocketOptions,
        log: logging.Logger,
        meters: Meters,
        root: Ref[agent_messages.PartReported],
    ) -> None:
        super().__init__(dispatcher)
        self._name = name
        self._address = address
        self._what = what
        self._options = options
        self._log = log
        self._meters = meters
        self._root = root
        """Hears whether there is a port."""
        self._listening: ListeningSocket | None = None
        self._bind_failures = 0
        self._paused = False
        self._shortage_reported = False
        self._stopping = False

    # -- for the subclass ------------------------------------------------------------------------------------

    @abstractmethod
    def _bound(self, socket: ListeningSocket) -> None:
        """The port is taken; the socket is parked."""

    @abstractmethod
    def _accepted(self, socket: StreamSocket) -> None:
        """A client is there."""

    def _spoke(self, client: StreamSocket | ListeningSocket) -> None:
        """A client can be read that this actor has kept."""

    def _listen(self, socket: ListeningSocket) -> bool:
        """Let clients in from now on; whether that can be."""
        try:
            socket.listen()
        except OSError as error:
            self._lost_port(error)
            return False
        socket.watch_read(True)
        return True

    # -- the port --------------------------------------------------------------------------------------------

    def _bind(self) -> None:
        if self._listening is not None or self._stopping:
            return
        try:
            socket = self.dispatcher.bind(self._address, self._options)
        except OSError as error:
            self._bind_failed(error)
            return
        self._listening = socket
        self.own(socket)
        self._bound(socket)
        if self._listening is not None:
            self._bind_failures = 0
            self._report_port(None)

    def _bind_failed(self, error: OSError) -> None:
        is_path = isinstance(self._address, UnixAddress)
        remedies = _PATH_REMEDIES if is_path else _REMEDIES
        remedy = remedies.get(error.errno or 0, "")
        why = f"{error.strerror or error}{remedy and f': {remedy}'}"
        if self._bind_failures == 0:
            self._complain("%(what)s cannot use %(address)s: %(reason)s; trying again", why)
        self._report_port(_trouble(error, why, is_path=is_path))
        delay_s = retry_delay_s(
            self._bind_failures,
            self.dispatcher.uniform(),
            first_s=FIRST_BIND_RETRY_S,
            cap_s=MAX_BIND_RETRY_S,
        )
        self._bind_failures += 1
        self._try_binding_in(delay_s)

    def _try_binding_in(self, delay_s: float) -> None:
        self.schedule(delay_s, messages.BindDue())

    def _lost_port(self, error: OSError) -> None:
        """Another process took the port between parking and listening, or somebody ended it: begin anew."""
        self._give_up_port()
        self._bind_failed(error)

    def _close_port(self) -> None:
        self._stopping = True
        self._give_up_port()
        self._report_port(CLOSED)

    def _report_port(self, trouble: str | None) -> None:
        self.tell(self._root, agent_messages.PartReported(self._name, trouble))

    def release(self) -> None:
        """Say that the port is gone."""
        self._report_port(CLOSED)

    def _give_up_port(self) -> None:
        socket, self._listening = self._listening, None
        if socket is not None:
            socket.close()
            self.disown(socket)

    # -- clients ---------------------------------------------------------------------------------------------

    def on_readable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Accept the clients that wait, or hear one that has been accepted."""
        if socket is self._listening:
            self._accept_waiting()
        else:
            self._spoke(socket)

    def _accept_waiting(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._listening is None:
                return
            try:
                client = self._listening.accept()
            except BlockingIOError:
                return
            except ClientTurnedAwayError as error:
                self._turned_away(error)
                continue
            except OSError as error:
                if error.errno in OWN_LIMITS:
                    self._pause(error)
                    return
                if error.errno in NO_LISTENER:
                    self._lost_port(error)
                    return
                continue  # that client is gone already: accept(2) reports its error
            self._shortage_reported = False
            self._accepted(client)
            if self._listening is None or not self._listening.may_have_more:
                return

    def _turned_away(self, error: OSError) -> None:
        self._meters.clients_turned_away += 1
        if not self._shortage_reported:
            self._shortage_reported = True
            self._complain("%(what)s resets clients at %(address)s: %(reason)s", error.strerror)

    def _complain(self, line: str, why: str | None) -> None:
        facts = {"what": self._what, "address": str(self._address), "reason": why}
        self._log.error(line, facts, extra=event(EventKind.LISTENER))

    def _pause(self, error: OSError) -> None:
        if self._listening is None:
            return
        self._meters.accepts_paused += 1
        if not self._shortage_reported:
            self._shortage_reported = True
            self._complain("%(what)s pauses accepting on %(address)s: %(reason)s", error.strerror)
        self._paused = True
        self._listening.watch_read(False)
        self.schedule(PAUSE_S, messages.AcceptAgain())

    def _resume(self) -> None:
        self._paused = False
        if self._listening is not None:
            self._listening.watch_read(True)


def _trouble(error: OSError, why: str, *, is_path: bool) -> str:
    """What the root is told of a port or path that cannot be had."""
    if error.errno == errno.EADDRINUSE:
        return PATH_TAKEN if is_path else PORT_TAKEN
    return f"no {'path' if is_path else 'port'}: {why}"
