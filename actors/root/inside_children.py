"""The children of the supervisor that are there whatever the configuration says: they ask other agents."""

from collections.abc import Callable, Iterator
from typing import Final

from actors.diagnostics.desk import Desk
from actors.diagnostics.probe import Probe
from actors.messages import connection as connection_messages
from actors.messages import control_call as call_messages
from actors.messages import desk as desk_messages
from actors.messages import probe as probe_messages
from actors.messages import steward as steward_messages
from actors.messages.listener import FromIngress
from actors.remote.control_call import ControlCall
from actors.remote.steward import Steward
from actors.root.build import Build
from actors.runtime.children import AnyChildSpec, ChildSpec
from actors.runtime.reference import ActorRef, tell_if_alive
from actors.runtime.seam import Ref
from mesh.connection.offer import Offer
from mesh.diagnostics.tasks import Task

DESK: Final = "diagnostics"
STEWARD: Final = "management"
"""The children's names; no service of a configuration has one of them."""


class InsideChildren:
    """Those of one build.

    Args:
        build: of the agent.
        start_ingress: starts a connection to another agent.
        close_inside: ends what this agent serves other agents with.
    """

    def __init__(
        self,
        build: Build,
        start_ingress: Callable[[str, Ref[FromIngress]], Ref[connection_messages.IngressInbound]],
        *,
        close_inside: Callable[[], None],
    ) -> None:
        self._build = build
        self._start_ingress = start_ingress
        self._close_inside = close_inside
        self._is_open = True
        """Whether the agent begins diagnoses, or is leaving."""
        self.desk: ActorRef[desk_messages.Inbound] | None = None
        """Of diagnostics, the newest; none before the supervisor has started it."""
        self.steward: ActorRef[steward_messages.Inbound] | None = None
        """Of calls to other agents, likewise."""

    def close(self) -> None:
        """The agent leaves: end diagnoses, others' too, and begin none. Calls to others end by themselves."""
        self._is_open = False
        self._close_inside()
        if self.desk is not None:  # else it is born closed
            tell_if_alive(self.desk, desk_messages.EndDiagnostics())

    def specs(self) -> Iterator[AnyChildSpec]:
        """All of them."""
        yield self._desk()
        yield self._steward()

    def _desk(self) -> ChildSpec[desk_messages.Inbound]:
        around = self._build.around

        def start_probe(
            job: int, number: int, task: Task, offer: Offer, desk: Ref[desk_messages.ProbeFound]
        ) -> Ref[probe_messages.Inbound]:
            return Probe.start(
                around.dispatcher,
                job=job,
                number=number,
                task=task,
                offer=offer,
                start_ingress=self._start_ingress,
                desk=desk,
            )

        def start() -> ActorRef[desk_messages.Inbound]:
            self.desk = Desk.start(around.dispatcher, start_probe=start_probe, is_open=self._is_open)
            return self.desk

        return ChildSpec(DESK, start)

    def _steward(self) -> ChildSpec[steward_messages.Inbound]:
        around = self._build.around

        def start_call(
            number: int, wanted: steward_messages.StartCall, steward: Ref[steward_messages.CallEnded]
        ) -> Ref[call_messages.Inbound]:
            return ControlCall.start(
                around.dispatcher,
                number=number,
                wanted=wanted,
                start_ingress=self._start_ingress,
                steward=steward,
            )

        def start() -> ActorRef[steward_messages.Inbound]:
            self.steward = Steward.start(around.dispatcher, start_call=start_call)
            return self.steward

        return ChildSpec(STEWARD, start)
