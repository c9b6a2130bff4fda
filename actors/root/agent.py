"""The root actor of an agent: starts all others, starts them anew when a vital one dies, and leaves in order.

Endpoints, listeners, acceptors and dialers are restarted one by one by a supervisor. The route table, the
connection table and the peer directory know things that nothing else knows: when one of them dies everything
starts again, as a new instance, as if the process had been restarted.
"""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias, assert_never

from msgspec import structs

from actors.messages import agent as messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.root.build import Core, Surroundings
from actors.root.composition import Composition
from actors.root.phases import EVENTS, TRANSITIONS, Event, Phase
from actors.root.reconfiguration import BUSY, LEAVING, STARTED_ANEW, Reconfiguration, Stage
from actors.root.setup import AgentSetup
from actors.runtime import supervisor_messages
from actors.runtime.actor import Actor
from actors.runtime.reference import ActorRef, Future
from actors.runtime.seam import AnyRef, Dispatcher
from actors.runtime.supervisor import Supervisor
from mesh.backoff import retry_delay_s
from mesh.config.difference import NOTHING, Difference, applied, difference
from mesh.config.schema import Config
from mesh.config.services import services
from mesh.connection.stream import StreamBudget
from mesh.journal import EventKind
from mesh.link.bodies import HAS_LEFT
from mesh.link.relay_budget import RelayBudget
from mesh.telling import event
from mesh.trust.credentials import Credentials
from mesh.trust.revocations import Revocations

log = logging.getLogger("mesh.agent")

PREFERENCE_S: Final = 0.3
"""From "prefer others" to the end of an exit that nobody uses: the mesh has heard of it."""

GRACE_S: Final = 0.3
"""From "not through me" to the end of a relay that carries nothing of its own: the mesh routes around it."""

LAST_CALL_S: Final = 1.0
"""So long before the end of the drain nobody is let in any more: what is short is not cut off. Of a drain
that is shorter than twice this, half of it."""

CLOSING_TIMEOUT_S: Final = 2.0
"""For all links to send what they hold; each has its own, shorter, limit."""

RESET_TIMEOUT_S: Final = 0.5
"""For connections that are reset at the end of the drain to hand their links what they have to say."""

FIRST_REBUILD_S: Final = 0.25
"""As the first redial of a peer: what dies once is back before its peers are."""

MAX_REBUILD_S: Final = 5.0
"""An agent that can run again does so well within the time that connections wait for a path
(``connections.reroute_timeout``)."""

RIGHTS_KNOWN_S: Final = 1.0
"""How long an agent waits before it makes use of the right to relay that a new certificate gives it."""

STABLE_S: Final = 60.0
"""A build that lived this long starts the backoff anew."""

_Parts: TypeAlias = tuple[messages.PartReported, ...]


class _Change(NamedTuple):
    """A change of the configuration that is being carried out."""

    steps: Reconfiguration
    answer: Future[messages.Configured]


class Agent(Actor[messages.Inbound]):
    """The root. It ends when the agent has left; watch it, or its ``on_left``, to know."""

    _core: Core
    _composition: Composition
    _services: ActorRef[supervisor_messages.Inbound]
    """Of the newest build; there is one in every phase but the first ``WAITING``."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        setup: AgentSetup,
        meters: Meters,
        budget: StreamBudget,
        relay_budget: RelayBudget,
        on_left: Callable[[], None],
    ) -> None:
        super().__init__(dispatcher)
        self._surroundings = Surroundings(dispatcher, setup, meters, budget, relay_budget, self.ref)
        self._on_left = on_left
        self._phase = Phase.WAITING
        self._started_s = self._phase_since_s = self.now()
        self._generation = 0
        self._built_at_s = 0.0
        self._drained_at_s = 0.0
        """When those that are connected have had their time, once it leaves."""
        self._failures = 0
        self._change: _Change | None = None
        """The one that is being carried out."""
        self._services_wanted = frozenset(services(setup.config))
        """By name."""
        self._parts: dict[str, messages.PartState] = {}
        self._draining_since_s = 0.0
        self._draining = False
        """Whether it has been told to drain; a build takes that over from the one before."""

    def on_start(self) -> None:
        """Start all actors."""
        self._build()

    def on_receive(
        self, message: messages.Inbound
    ) -> messages.AgentRefs | messages.AgentState | _Parts | Future[messages.Configured] | bool | None:
        """Handle one message."""
        match message:
            case messages.CoreEnded(name=name, generation=generation):
                if generation == self._generation:
                    self._core_ended(name)
            case messages.RebuildDue():
                if self._phase is Phase.WAITING:
                    self._build()
            case messages.GetRefs():
                return self._refs()
            case messages.PartReported(name=name, trouble=trouble):
                if name in self._services_wanted:  # else it has been removed, and reports its end
                    self._part_reported(name, trouble)
            case messages.GetParts():
                return tuple(messages.PartReported(part.name, part.trouble) for part in self._parts.values())
            case messages.GetState():
                return self._state()
            case messages.Configure(config=config, resets=resets):
                return self._configure(config, resets)
            case messages.ChangeCredentials(credentials=credentials):
                self._certify(credentials)
            case messages.RelayingDue():
                if self._phase is not Phase.WAITING:
                    self._composition.use_rights()
            case route_messages.CredentialsChanged(trust=trust):
                if trust is self._surroundings.setup.trust:  # else it has changed again, and that comes
                    self._composition.judge_by(trust)
            case route_messages.RevocationsChanged(revocations=revocations):
                self._revoke(revocations)
            case supervisor_messages.ChildSettled():
                if self._change is not None:
                    self._change.steps.settled(message)
                    self._go_on(self._change)
            case messages.Drain(draining=draining):
                return self._drain(draining)
            case messages.Leave(drain_timeout_s=drain_timeout_s):
                self._leave(drain_timeout_s)
            case (
                messages.PreferenceOver()
                | messages.LastCall()
                | messages.GraceOver()
                | table_messages.ConnectionsGone()
                | messages.DrainTimedOut()
                | messages.ResetTimedOut()
                | route_messages.Withdrawn()
                | directory_messages.LinksClosed()
                | messages.ClosingTimedOut()
                | supervisor_messages.ChildrenStopped()
            ):
                self._advance(EVENTS[type(message)])
            case _:
                assert_never(message)
        return None

    def release(self) -> None:
        """Stop what still runs, and say that it is over, however it ended."""
        if self._phase is not Phase.WAITING:
            self._tear_down()
        self._break_off(LEAVING)
        self._on_left()

    def _advance(self, event: Event) -> bool:
        """Move on and do what the new phase begins with; whether there is a new one."""
        before, self._phase = self._phase, TRANSITIONS.get((self._phase, event), self._phase)
        if self._phase is before:
            return False
        self._phase_since_s = self.now()
        match self._phase:
            case Phase.WAITING:
                self._tear_down()
                self._break_off(STARTED_ANEW)
            case Phase.RUNNING | Phase.YIELDING | Phase.ROUTED_AROUND | Phase.EMPTY:
                pass
            case Phase.LINGERING:
                self.tell(self._core.connection_table, table_messages.ReportEmpty(self.ref))
            case Phase.DRAINING:
                self.tell(self._core.route_table, route_messages.StopRelaying())
                self.tell(self._services, supervisor_messages.RetireChildren())
                self.tell(self._core.connection_table, table_messages.ReportEmpty(self.ref))
                self.schedule(min(GRACE_S, self._left_s()), messages.GraceOver())
            case Phase.RESETTING:
                log.warning("connections are left after the drain timeout; resetting them")
                reset = table_messages.CloseConnections("the agent is leaving")
                self.tell(self._core.connection_table, reset)
                self.schedule(RESET_TIMEOUT_S, messages.ResetTimedOut())
            case Phase.WITHDRAWING:
                self.schedule(CLOSING_TIMEOUT_S, messages.ClosingTimedOut())
                self.tell(self._core.route_table, route_messages.Withdraw(self.ref))
            case Phase.CLOSING:
                closing = directory_messages.CloseAllLinks(HAS_LEFT, self.ref)
                self.tell(self._core.directory, closing)
            case Phase.STOPPING:
                if not self.tell(self._services, supervisor_messages.ShutDown(self.ref)):
                    self._advance(Event.SERVICES_STOPPED)
            case Phase.LEFT:
                self.stop_now()
            case _:
                assert_never(self._phase)
        return True

    def _refs(self) -> messages.AgentRefs | None:
        if self._phase in (Phase.WAITING, Phase.LEFT):
            return None
        return messages.AgentRefs(
            self._core.route_table,
            self._core.connection_table,
            self._core.directory,
            self._composition.services.inside.desk,
            self._composition.services.inside.steward,
        )

    def _part_reported(self, name: str, trouble: str | None) -> None:
        before = self._parts.get(name)
        if before is not None and (before.trouble is None) == (trouble is None):
            self._parts[name] = structs.replace(before, trouble=trouble)
        else:
            self._parts[name] = messages.PartState(name, trouble, self.now())

    def _state(self) -> messages.AgentState:
        return messages.AgentState(
            now_s=self.now(),
            started_s=self._started_s,
            phase=self._phase.value,
            phase_since_s=self._phase_since_s,
            draining_since_s=self._draining_since_s,
            parts=tuple(self._parts.values()),
        )

    # -- building --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._generation += 1
        self._built_at_s = self.now()
        self._composition = composition = Composition(self._surroundings)
        self._core = core = composition.core
        self._watch_vital("route table", core.route_table)
        self._watch_vital("connection table", core.connection_table)
        self._watch_vital("loopback", core.loopback)
        self._watch_vital("peer directory", core.directory)
        self._services = Supervisor.start(self.dispatcher, tuple(composition.services.specs()))
        self._watch_vital("supervisor", self._services)
        if self._draining:
            self.tell(core.route_table, route_messages.SetDraining(draining=True))
        self._advance(Event.BUILT)

    def _watch_vital(self, name: str, ref: AnyRef) -> None:
        self.watch(ref, messages.CoreEnded(name, self._generation))

    def _core_ended(self, name: str) -> None:
        if self._advance(Event.CORE_ENDED) and self._phase is Phase.WAITING:
            self._failures = 0 if self.now() - self._built_at_s >= STABLE_S else self._failures
            delay_s = retry_delay_s(
                self._failures, self.dispatcher.uniform(), first_s=FIRST_REBUILD_S, cap_s=MAX_REBUILD_S
            )
            self._failures += 1
            log.error("the %s has died; starting everything anew in %.2f s", name, delay_s)
            self.schedule(delay_s, messages.RebuildDue())

    def _tear_down(self) -> None:
        """Stop what the newest build started; connections and links end with the core."""
        self._services.stop(block=False)
        self._core.directory.stop(block=False)
        self._core.connection_table.stop(block=False)
        self._core.route_table.stop(block=False)
        self._core.loopback.stop(block=False)

    # -- changing --------------------------------------------------------------------------------------------

    def _configure(self, config: Config, resets: frozenset[str]) -> Future[messages.Configured]:
        """Take over what is different, and nothing else."""
        answer: Future[messages.Configured] = self._create_future()
        before = self._surroundings.setup.config
        made = difference(before, config)
        if self._change is not None:
            answer.set(messages.Configured(NOTHING, (BUSY,)))
            return answer
        if self._phase not in (Phase.RUNNING, Phase.WAITING):
            answer.set(messages.Configured(NOTHING, (LEAVING,)))
            return answer
        config = applied(before, config)
        setup = structs.replace(self._surroundings.setup, config=config)
        self._surroundings = structs.replace(self._surroundings, setup=setup)
        self._surroundings.budget.resize(config.limits.stream_buffer_bytes)
        self._surroundings.relay_budget.resize(config.limits.relay_buffer_bytes)
        self._services_wanted = frozenset(services(config))
        self._parts = {name: part for name, part in self._parts.items() if name in self._services_wanted}
        if self._phase is Phase.WAITING:
            answer.set(messages.Configured(made, ()))
            return answer
        self._composition.configure(config)
        self._change = _Change(self._steps(made, resets), answer)
        self._go_on(self._change)
        return answer

    def _certify(self, credentials: Credentials) -> None:
        """Show others these, and judge them by these."""
        credentials = self._surroundings.setup.joined(credentials)
        setup = self._surroundings.setup.with_credentials(credentials)
        self._surroundings = structs.replace(self._surroundings, setup=setup)
        if self._phase is Phase.WAITING:
            return
        self._composition.certify(credentials, self.ref)
        # A neighbour that has not heard of the right to relay would take what is passed on for forged.
        self.schedule(RIGHTS_KNOWN_S if setup.relays else 0.0, messages.RelayingDue())

    def _revoke(self, revocations: Revocations) -> None:
        """Judge others by these, which the route table has heard of, and whatever was known before."""
        setup = self._surroundings.setup.revoking(revocations)
        self._surroundings = structs.replace(self._surroundings, setup=setup)
        setup.keep_revocations(setup.trust.revocations)
        if self._phase is not Phase.WAITING:
            self._composition.revoke(setup.trust)

    def _steps(self, made: Difference, resets: frozenset[str]) -> Reconfiguration:
        of, me = self._composition.services, self.ref
        removals = [
            of.removal(name, section, me, resets=name in resets) for name, section in made.removed.items()
        ]
        changes = [of.change(name, section, me) for name, section in made.changed.items()]
        additions = [
            supervisor_messages.AddChild(of.spec(name, section), me) for name, section in made.added.items()
        ]
        return Reconfiguration(made, removals, [*changes, *of.new_places(made, me), *additions])

    def _go_on(self, change: "_Change") -> None:
        for command in change.steps.go_on():
            self.tell(self._services, command)
        if change.steps.stage is Stage.DONE:
            self._change = None
            change.answer.set(change.steps.result())

    def _break_off(self, why: str) -> None:
        """The children are going: nothing will be settled any more."""
        change, self._change = self._change, None
        if change is not None:
            change.answer.set(messages.Configured(change.steps.made, (why,)))

    # -- draining --------------------------------------------------------------------------------------------

    def _drain(self, draining: bool) -> bool:
        """Idempotent; whether it is so, for an agent that leaves drains whatever it is told."""
        if self._phase not in (Phase.RUNNING, Phase.WAITING):
            return draining
        if draining is self._draining:
            return True
        self._draining, self._draining_since_s = draining, self.now()
        log.info("draining: the mesh prefers others" if draining else "not draining any more")
        if self._phase is Phase.RUNNING:
            self.tell(self._core.route_table, route_messages.SetDraining(draining=draining))
        return True

    # -- leaving ---------------------------------------------------------------------------------------------

    def _leave(self, drain_timeout_s: float) -> None:
        if self._advance(Event.LEAVE) and self._phase is Phase.YIELDING:
            line, mark = "leaving: connections have %(seconds)g s to finish", event(EventKind.AGENT)
            log.info(line, {"seconds": drain_timeout_s}, extra=mark)
            self._drained_at_s = self.now() + drain_timeout_s
            self.tell(self._core.route_table, route_messages.SetDraining(draining=True))
            self._composition.services.inside.close()  # nobody is to wait for a ping
            self.schedule(min(PREFERENCE_S, drain_timeout_s / 2), messages.PreferenceOver())
            self.schedule(drain_timeout_s - min(LAST_CALL_S, drain_timeout_s / 2), messages.LastCall())
            self.schedule(drain_timeout_s, messages.DrainTimedOut())

    def _left_s(self) -> float:
        """How long connections may take to finish, from now on."""
        return max(0.0, self._drained_at_s - self.now())
