"""An actor's inbox on a dispatcher: it hands the thread back instead of waiting for mail.

What was told stands in it as it is; what wants an answer, and what Pykka puts there itself, in an envelope.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from actors.runtime.seam import Handover, Ref
from actors.runtime.stop_flag import StopFlag

logger = logging.getLogger(__name__)

M = TypeVar("M")
N = TypeVar("N")

PYKKA_MESSAGES: Final = (_ActorStop, ProxyCall, ProxyGetAttr, ProxySetAttr)
_FOR_PYKKA: Final = frozenset({Envelope, *PYKKA_MESSAGES})
"""What Pykka's own loop handles; everything else was told, and goes to the actor without a detour."""


class TurnOver(Exception):  # noqa: N818 - not an error: how Pykka's loop is left
    """Raised by :meth:`Mailbox.get`: there is no envelope for Pykka's loop."""


class Resident(Protocol):
    """The actor behind a mailbox, as its mailbox sees it."""

    def on_receive(self, message: Any) -> object:
        """Handle a message that was told."""
        ...

    def on_turn_over(self) -> None:
        """Do what waits for the end of a turn; called only if :attr:`_ends_turns` says that there is such."""
        ...

    @property
    def _flag(self) -> StopFlag:
        """Whether the actor has stopped."""
        ...

    @property
    def _ends_turns(self) -> bool: ...

    def _set_up(self) -> None:
        """Do what comes before the first turn."""
        ...

    def _let_pykka_handle(self, message: object) -> None:
        """Handle what is for Pykka."""
        ...

    def _crash(self) -> None:
        """Do what is due after the error that is being handled."""
        ...

    def _fatal(self, error: BaseException) -> None:
        """Stop for an error that no actor may survive."""
        ...

    def _end_life(self) -> None:
        """Tidy up, once the flag is raised."""
        ...


class Watch(Generic[M]):
    """One actor's wish to hear of another's end."""

    __slots__ = ("_mailbox", "_message", "_pending", "_watcher")

    def __init__(
        self, mailbox: "Mailbox", watcher: Ref[M], message: M, pending: "dict[Watch[M], None]"
    ) -> None:
        self._mailbox = mailbox
        self._watcher = watcher
        self._message = message
        self._pending = pending

    def cancel(self) -> None:
        """Hear nothing; nothing happens if the message has been sent already. Any thread may call it."""
        self._mailbox._watches.pop(self, None)
        self._pending.pop(self, None)

    def _fire(self) -> None:
        self._pending.pop(self, None)
        try:
            self._watcher.tell(self._message)
        except ActorDeadError:
            return


class Mailbox:
    """Messages for one actor, in order of arrival, without bound and without a lock.

    Any thread may put. Only the dispatcher's thread takes, through :meth:`run`. That is safe without a lock
    because a ``list`` and a ``dict`` change atomically and both sides first write, then look at what the
    other has written: the sender appends and then reads ``scheduled``; the dispatcher clears ``scheduled``
    and then looks at the queue. At worst a mailbox stands twice in the ready queue, once for nothing.
    """

    __slots__ = (
        "_at_hand",
        "_closed",
        "_ends_turns",
        "_flag",
        "_is_set_up",
        "_owner",
        "_receive",
        "_turn_over",
        "_watches",
        "announce",
        "queue",
        "resident",
        "scheduled",
    )

    _receive: Callable[[Any], object]
    """What a turn needs of the resident, from :meth:`bind` on. It stands here since Python finds an attribute
    in a place where objects of one class come by four times as fast as where those of many do."""
    _turn_over: Callable[[], None]
    _ends_turns: bool
    _flag: StopFlag

    def __init__(self) -> None:
        self.queue: list[Any] = []
        """Messages and envelopes that wait; only the resident takes from it, in its turn.

        What a turn has taken leaves it when the turn is over, and has None in its place until then. It is no
        deque, of which an empty one takes 760 bytes."""
        self._at_hand: Envelope[Any] | None = None
        self._watches: dict[Watch[Any], None] = {}
        self._owner = ""
        self._closed = False
        self.announce: Callable[[Mailbox], None] = _nobody_comes
        """To be called by whoever queues something and sets ``scheduled``."""
        self.scheduled = True
        """Whether a turn is to come; until it is bound there is nobody to call."""
        self.resident: Resident | None = None
        """The actor, until its end."""
        self._is_set_up = False

    def bind(self, resident: Resident, enqueue_ready: Callable[["Mailbox"], None]) -> None:
        """Give the mailbox its actor and put it into the dispatcher's ready queue for the first time.

        ``enqueue_ready`` takes a mailbox that has mail, on any thread; the dispatcher then calls :meth:`run`.
        A mailbox that has been closed stays so.
        """
        self.resident = resident
        self._receive, self._flag = resident.on_receive, resident._flag
        self._ends_turns = resident._ends_turns
        self._turn_over = resident.on_turn_over if resident._ends_turns else _nobody_ends
        self.announce = enqueue_ready
        if self._closed:  # by a dispatcher that stops, on its own thread, while the actor was starting
            self._shut()
        else:
            enqueue_ready(self)

    def put(self, envelope: Envelope[Any], /) -> None:
        """Queue an envelope; one that comes after the end is answered with ``ActorDeadError`` at once."""
        self.post(envelope)

    def post(self, message: object) -> None:
        """Queue a message as it is; ``ActorRef.tell`` does the same."""
        self.queue.append(message)
        if not self.scheduled:
            self.scheduled = True
            self.announce(self)

    def hand_over(self, envelope: Envelope[Any]) -> None:
        """Let ``envelope``, which was taken from the queue, be the one that :meth:`get` gives."""
        self._at_hand = envelope

    def get(self) -> Envelope[Any]:
        """The envelope that was handed over, once; for Pykka's loop.

        Raises:
            TurnOver: there is none.
        """
        envelope, self._at_hand = self._at_hand, None
        if envelope is None:
            raise TurnOver
        return envelope

    def __len__(self) -> int:
        """How many messages wait, with what the turn that is under way has taken."""
        return len(self.queue)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self.queue

    def run(self, limit: int, due: int = 0) -> int:
        """Give the actor a turn of at most ``limit`` messages, and more until it took ``due``; say how many.

        Pykka's loop handles what is for Pykka. What was told goes straight to ``on_receive``, with the same
        consequences: a message is a third cheaper so. A mailbox that still has mail afterwards goes to the
        end of the ready queue.
        """
        resident = self.resident
        if resident is None:  # what still comes is refused by _nobody_comes
            return 0
        queue, flag, receive = self.queue, self._flag, self._receive
        taken = 0
        while True:
            begun = 0
            try:
                if not self._is_set_up:
                    self._is_set_up = True
                    resident._set_up()
                while begun < limit and begun < len(queue) and not flag.raised:
                    message = queue[begun]
                    queue[begun] = None
                    begun += 1
                    if type(message) in _FOR_PYKKA:
                        resident._let_pykka_handle(message)
                    else:
                        receive(message)
                if self._ends_turns and not flag.raised:
                    turn_over = self._turn_over  # found faster so than in the call
                    turn_over()
            except BaseException as error:  # noqa: BLE001
                _end_by(error, resident)
            del queue[:begun]
            taken += begun
            if flag.raised:
                resident._end_life()
                return taken
            if not queue:
                self.scheduled = False
                if not queue:  # nothing has come between the two
                    return taken
            elif taken < due:
                continue
            self.scheduled = True
            self.announce(self)
            return taken

    def socket_turn(self, callback: Callable[[N], None], what: N) -> None:
        """Run ``callback``, which reports a socket's readiness, as a turn of its own.

        Raises:
            ActorDeadError: the actor has ended; what the callback raises ends it, and goes no further.
        """
        resident = self.resident
        if resident is None:
            raise ActorDeadError(f"{self._owner} stopped before it heard of its socket")
        flag = self._flag
        if flag.raised:
            return
        try:
            if not self._is_set_up:
                self._is_set_up = True
                resident._set_up()
            if not flag.raised:
                callback(what)
            if self._ends_turns and not flag.raised:
                turn_over = self._turn_over
                turn_over()
        except BaseException as error:  # noqa: BLE001
            _end_by(error, resident)
        if self._flag.raised:
            resident._end_life()

    def watch(self, watcher: Ref[M], message: M, pending: dict[Watch[M], None]) -> Watch[M]:
        """Tell ``watcher`` the message when this mailbox's actor ends; at once if it has ended.

        Any thread may call it. The watch stands in ``pending``, the watcher's own table, until it fires or is
        cancelled.
        """
        watch = Watch(self, watcher, message, pending)
        pending[watch] = None
        self._watches[watch] = None
        if self._closed:
            self._fire_watches()
        return watch

    def close(self, owner: str) -> None:
        """End: let go of the actor, refuse what waits and what may still come, tell the watchers.

        Args:
            owner: the actor's name, for the text of the refusals.
        """
        self._owner = owner
        self._closed = True
        self._shut()
        if self._watches:
            self._fire_watches()

    def _shut(self) -> None:
        self.resident = None
        self._receive, self._turn_over = _nobody_listens, _nobody_ends
        self.announce = _nobody_comes
        _nobody_comes(self)

    def _refuse_waiting(self) -> None:
        while True:
            try:
                waiting = self.queue.pop()  # the newest first, which no other has to make room for
            except IndexError:  # another thread may have taken the last one
                return
            self._refuse(waiting)

    def _refuse(self, waiting: object) -> None:
        message, reply_to = waiting, None
        if isinstance(waiting, Envelope):
            message, reply_to = waiting.message, waiting.reply_to
        if reply_to is None:
            if isinstance(message, Handover):
                try:
                    message.let_go()
                except Exception:  # the other messages and the watchers still have their turn
                    logger.exception("Unhandled exception in letting go of %r:", message)
        elif isinstance(message, _ActorStop):
            reply_to.set(None)
        else:
            error = ActorDeadError(f"{self._owner} stopped before handling the message")
            reply_to.set_exception((ActorDeadError, error, None))

    def _fire_watches(self) -> None:
        while self._watches:
            for watch in list(self._watches):
                if self._watches.pop(watch, watch) is None:  # else another thread fired or cancelled it
                    watch._fire()


def _end_by(error: BaseException, resident: Resident) -> None:
    """A turn has raised ``error``, which Pykka's handler logs: the actor ends, and perhaps the process."""
    if not isinstance(error, Exception):
        resident._fatal(error)
    resident._crash()


def _nobody_listens(_message: object) -> None:
    """Stands where the actor was."""


def _nobody_ends() -> None:
    """Stands where the actor was, or where one has nothing to do at the end of a turn."""


def _nobody_comes(mailbox: Mailbox) -> None:
    """Stands where the dispatcher is not: before an actor is there, and after its end."""
    mailbox.scheduled = False
    if mailbox.queue:
        mailbox._refuse_waiting()
