"""A supervisor: starts its children in order, restarts those that end, stops them in reverse."""

import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, assert_never

import pykka
from pykka import ActorDeadError

from actors.runtime import children
from actors.runtime import supervisor_messages as messages
from actors.runtime.actor import Actor
from actors.runtime.children import AnyChildSpec, Backoff, Child
from actors.runtime.reference import ActorRef
from actors.runtime.seam import Dispatcher, Ref, Timer

logger = logging.getLogger(__name__)

Answer: TypeAlias = pykka.Future[messages.ChildSettled] | pykka.Future[messages.ChildrenStopped]


class State(enum.Enum):
    """Where a supervisor stands."""

    RUNNING = "running"
    RETIRED = "letting nobody in any more"
    SHUTTING_DOWN = "shutting down"
    STOPPED = "stopped"


class Event(enum.Enum):
    """What moves a supervisor on."""

    RETIRE = "children are to let nobody in any more"
    SHUT_DOWN = "all children are to stop"
    NO_CHILD_LEFT = "the last child has gone"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.RUNNING, Event.RETIRE): State.RETIRED,
        (State.RUNNING, Event.SHUT_DOWN): State.SHUTTING_DOWN,
        (State.RETIRED, Event.SHUT_DOWN): State.SHUTTING_DOWN,
        (State.SHUTTING_DOWN, Event.NO_CHILD_LEFT): State.STOPPED,
    }
)
"""An absent pair changes nothing: the command comes a second time, or too late."""

ENDING: Final = (State.SHUTTING_DOWN, State.STOPPED)
"""States in which nothing is started any more."""


class _Asker:
    """Whoever wants to hear how a change of one child went."""

    __slots__ = ("answer", "name", "reply_to")

    def __init__(
        self,
        name: str,
        reply_to: Ref[messages.ChildSettled] | None,
        answer: pykka.Future[messages.ChildSettled],
    ) -> None:
        self.name = name
        self.reply_to = reply_to
        self.answer = answer


class _Departure:
    """What happens once a child that is on its way out has gone."""

    __slots__ = ("askers", "successor")

    def __init__(self) -> None:
        self.askers: list[_Asker] = []
        """Who hears that it has been removed."""
        self.successor: tuple[AnyChildSpec, _Asker] | None = None
        """Who takes its name and place, and who hears of that."""


class Supervisor(Actor[messages.Inbound]):
    """Keeps children running, each on its own: one child's end does not touch the others.

    It begins with ``specs``; messages add, replace and remove children by name. An agent lives on without a
    child that cannot start; the log says so at each attempt.

    Raises:
        ValueError: two of ``specs`` have one name.
    """

    def __init__(
        self, dispatcher: Dispatcher, specs: Sequence[AnyChildSpec], backoff: Backoff | None = None
    ) -> None:
        super().__init__(dispatcher)
        self._children: dict[str, Child] = {}
        """By name, in the order of their first start; one that takes another's name has its place."""
        for spec in specs:
            if spec.name in self._children:
                raise ValueError(f"expected children with names of their own, found {spec.name!r} twice")
            self._children[spec.name] = Child(spec)
        self._refs: dict[str, ActorRef[Any]] = {}
        """Of the children that run."""
        self._due: dict[str, Timer] = {}
        """What comes next for a child if nothing else does: its next start, or the end of our patience."""
        self._departures: dict[str, _Departure] = {}
        """Of children that are being replaced or removed."""
        self._runs = 0
        self._backoff = backoff or Backoff()
        self._state = State.RUNNING
        self._given_up: list[str] = []
        self._replies: list[Ref[messages.ChildrenStopped]] = []
        self._stopped: pykka.Future[messages.ChildrenStopped] = self._create_future()

    def on_start(self) -> None:
        """Start the children, in order."""
        for child in self._children.values():
            self._start(child)

    def on_receive(self, message: messages.Inbound) -> Answer | None:
        """Handle one message; a command that takes time answers with the future of its completion."""
        match message:
            case messages.AddChild(spec=spec, reply_to=reply_to):
                return self._add(spec, self._asker(spec.name, reply_to))
            case messages.ReplaceChild(spec=spec, reply_to=reply_to):
                return self._replace(spec, self._asker(spec.name, reply_to))
            case messages.ChangeChild(spec=spec, command=command, reply_to=reply_to):
                return self._change(spec, command, self._asker(spec.name, reply_to))
            case messages.RemoveChild(name=name, reply_to=reply_to, farewell=farewell):
                return self._remove(name, farewell, self._asker(name, reply_to))
            case messages.RetireChildren():
                self._retire()
            case messages.ShutDown(reply_to=reply_to):
                return self._shut_down(reply_to)
            case messages.ChildEnded(name=name, run=run):
                if (child := self._child(name, run)) is not None:
                    self._ended(child)
            case messages.RestartDue(name=name, run=run):
                child = self._child(name, run)
                if child is not None and child.state is children.State.WAITING:
                    self._start(child)
            case messages.StopOverdue(name=name, run=run):
                if (child := self._child(name, run)) is not None:
                    self._overdue(child)
            case _:
                assert_never(message)
        return None

    def release(self) -> None:
        """Leave no child behind: stop what still runs, in reverse, without waiting. Leave no asker behind."""
        for name in reversed(self._children):
            if name in self._refs:
                self._refs[name].stop(block=False)
        error = ActorDeadError(f"{self} ended before it was done")
        futures: list[pykka.Future[Any]] = [] if self._state is State.STOPPED else [self._stopped]
        for departure in self._departures.values():
            futures += [asker.answer for asker in departure.askers]
            futures += [] if departure.successor is None else [departure.successor[1].answer]
        for future in futures:
            future.set_exception((ActorDeadError, error, None))

    def _child(self, name: str, run: int) -> Child | None:
        """The child whose newest run this is, if there is one: else the message is stale."""
        child = self._children.get(name)
        return child if child is not None and child.run == run else None

    def _advance(self, event: Event) -> bool:
        """Move on; whether that changed anything."""
        before, self._state = self._state, TRANSITIONS.get((self._state, event), self._state)
        return self._state is not before

    # -- running ---------------------------------------------------------------------------------------------

    def _start(self, child: Child) -> None:
        name = child.spec.name
        self._due.pop(name, None)
        self._runs += 1
        child.run = self._runs
        child.started_at_s = self.now()
        try:
            ref = child.spec.start()
        except Exception as error:
            logger.exception("%s cannot start", name, exc_info=error)
            child.take(children.Event.CANNOT_START)
            self._restart_later(child)
            return
        child.take(children.Event.STARTED)
        self._refs[name] = ref
        self.watch(ref, messages.ChildEnded(name, child.run))
        if self._state is State.RETIRED:
            self._retire_one(child)

    def _ended(self, child: Child) -> None:
        self._refs.pop(child.spec.name, None)
        match child.take(children.Event.ENDED):
            case children.State.GONE:
                self._gone(child)
            case _:
                self._restart_later(child)

    def _restart_later(self, child: Child) -> None:
        delay_s = child.restart_delay_s(self.now(), self.dispatcher.uniform(), self._backoff)
        logger.warning("%s has ended; starting it again in %.2f s", child.spec.name, delay_s)
        due = messages.RestartDue(child.spec.name, child.run)
        self._due[child.spec.name] = self.schedule(delay_s, due)

    def _retire(self) -> None:
        if self._advance(Event.RETIRE):
            for child in self._children.values():
                self._retire_one(child)

    def _retire_one(self, child: Child) -> None:
        if child.spec.retire is not None and child.spec.name in self._refs:
            self.tell(self._refs[child.spec.name], child.spec.retire)

    # -- changing --------------------------------------------------------------------------------------------

    def _asker(self, name: str, reply_to: Ref[messages.ChildSettled] | None) -> _Asker:
        return _Asker(name, reply_to, self._create_future())

    def _settle(self, asker: _Asker, problem: str | None = None) -> pykka.Future[messages.ChildSettled]:
        if problem is not None:
            logger.error("%s: %s", asker.name, problem)
        settled = messages.ChildSettled(asker.name, problem)
        asker.answer.set(settled)
        if asker.reply_to is not None:
            self.tell(asker.reply_to, settled)
        return asker.answer

    def _refusal(self, name: str, *, wanted: bool) -> str | None:
        """Why a command is refused that needs this name to belong to a child that stays, or not to."""
        if self._state in ENDING:
            return "all children are being stopped"
        departure = self._departures.get(name)
        stays = name in self._children if departure is None else departure.successor is not None
        if stays is wanted:
            return None
        return "no child has this name" if wanted else "another child has this name"

    def _add(self, spec: AnyChildSpec, asker: _Asker) -> pykka.Future[messages.ChildSettled]:
        refusal = self._refusal(spec.name, wanted=False)
        if refusal is not None:
            return self._settle(asker, refusal)
        departure = self._departures.get(spec.name)
        if departure is not None:
            departure.successor = (spec, asker)
            return asker.answer
        child = self._children[spec.name] = Child(spec)
        self._start(child)
        return self._settle(asker)

    def _replace(self, spec: AnyChildSpec, asker: _Asker) -> pykka.Future[messages.ChildSettled]:
        refusal = self._refusal(spec.name, wanted=True)
        if refusal is not None:
            return self._settle(asker, refusal)
        departure = self._departure(spec.name, "replaced again before it was started")
        departure.successor = (spec, asker)
        self._call_off(self._children[spec.name])
        return asker.answer

    def _change(
        self, spec: AnyChildSpec, command: object, asker: _Asker
    ) -> pykka.Future[messages.ChildSettled]:
        refusal = self._refusal(spec.name, wanted=True)
        if refusal is not None:
            return self._settle(asker, refusal)
        departure = self._departures.get(spec.name)
        if departure is not None and departure.successor is not None:
            departure.successor = (spec, departure.successor[1])
        else:
            self._children[spec.name].spec = spec
            if spec.name in self._refs:
                self.tell(self._refs[spec.name], command)
        return self._settle(asker)

    def _remove(self, name: str, farewell: object, asker: _Asker) -> pykka.Future[messages.ChildSettled]:
        refusal = self._refusal(name, wanted=True)
        if refusal is not None:
            return self._settle(asker, refusal)
        self._departure(name, "removed before it was started").askers.append(asker)
        if farewell is not None and name in self._refs:
            self.tell(self._refs[name], farewell)
        self._call_off(self._children[name])
        return asker.answer

    def _departure(self, name: str, why_no_successor: str) -> _Departure:
        """Of the child of this name, without a successor: one that waited is not started any more."""
        departure = self._departures.setdefault(name, _Departure())
        if departure.successor is not None:
            self._settle(departure.successor[1], why_no_successor)
            departure.successor = None
        return departure

    # -- stopping --------------------------------------------------------------------------------------------

    def _shut_down(
        self, reply_to: Ref[messages.ChildrenStopped] | None
    ) -> pykka.Future[messages.ChildrenStopped]:
        if reply_to is not None:
            if self._state is State.STOPPED:
                self.tell(reply_to, messages.ChildrenStopped(tuple(self._given_up)))
            else:
                self._replies.append(reply_to)
        if self._advance(Event.SHUT_DOWN):
            for name in self._departures:
                self._departure(name, "all children are being stopped")
            called_off = [(child, child.take(children.Event.CALLED_OFF)) for child in self._children.values()]
            for child, state in called_off:
                if state is children.State.GONE:
                    self._gone(child)
            self._stop_next()
        return self._stopped

    def _stop_next(self) -> None:
        """Stop the last child that is left, unless that is under way; without any, be done."""
        for child in reversed(self._children.values()):
            if child.state is children.State.LAST_RUN:
                self._stop_child(child)
            return
        if self._advance(Event.NO_CHILD_LEFT):
            reply = messages.ChildrenStopped(tuple(self._given_up))
            for reply_to in self._replies:
                self.tell(reply_to, reply)
            self._stopped.set(reply)
            self.stop()

    def _call_off(self, child: Child) -> None:
        """Stop a child that is replaced or removed, unless that is under way."""
        match child.take(children.Event.CALLED_OFF):
            case children.State.GONE:
                self._gone(child)
            case children.State.LAST_RUN:
                self._stop_child(child)
            case _:
                pass

    def _stop_child(self, child: Child) -> None:
        ask_to_stop = child.spec.ask_to_stop
        if ask_to_stop is not None and self._asked_to_stop(child, ask_to_stop):
            child.take(children.Event.ASKED)
            self._allow_time(child)
        else:
            child.take(children.Event.FORCE)
            self._force(child)

    def _asked_to_stop(self, child: Child, ask_to_stop: Callable[[pykka.ActorRef[Any]], None]) -> bool:
        try:
            ask_to_stop(self._refs[child.spec.name])
        except ActorDeadError:
            return True  # its end is on the way here
        except Exception:
            logger.exception("%s cannot be asked to stop", child.spec.name)
            return False
        return True

    def _force(self, child: Child) -> None:
        self._refs[child.spec.name].stop(block=False)
        self._allow_time(child)

    def _allow_time(self, child: Child) -> None:
        overdue = messages.StopOverdue(child.spec.name, child.run)
        self._due[child.spec.name] = self.schedule(child.spec.stop_timeout_s, overdue)

    def _overdue(self, child: Child) -> None:
        match child.take(children.Event.OVERDUE):
            case children.State.FORCED:
                timeout_s = child.spec.stop_timeout_s
                logger.warning("%s has not finished in %.1f s", child.spec.name, timeout_s)
                self._force(child)
            case _:
                logger.error("%s does not stop; going on without it", child.spec.name)
                if self._state in ENDING:
                    self._given_up.append(child.spec.name)
                self._gone(child)

    def _gone(self, child: Child) -> None:
        """Go on after the end of a child that is not started again: its successor starts in its place."""
        name = child.spec.name
        self._refs.pop(name, None)
        if child.spec.when_gone is not None:
            child.spec.when_gone()
        if name in self._due:
            self._due.pop(name).cancel()
        departure = self._departures.pop(name, None) or _Departure()
        for asker in departure.askers:
            self._settle(asker)
        if departure.successor is not None:
            spec, asker = departure.successor
            successor = self._children[name] = Child(spec)
            self._start(successor)
            self._settle(asker)
        else:
            del self._children[name]
        if self._state in ENDING:
            self._stop_next()
