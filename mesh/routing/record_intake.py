"""What peers pass on of records: judged in steps, and what follows from each.

A record that is news goes to every peer but the one it came from. An older one is answered with the newer
one. One that comes too early waits. A peer that breaks the protocol loses its link.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, assert_never

from mesh.alarms import THIS_AGENT, AlarmKind
from mesh.link.bodies import WireRecord
from mesh.routing.answers import Answers
from mesh.routing.database import LinkState
from mesh.routing.early_records import EarlyRecords
from mesh.routing.effects import Close, Effects
from mesh.routing.flooding import FloodQueue
from mesh.routing.notices import Notices
from mesh.routing.origination import Originator
from mesh.routing.page_table import PageTable
from mesh.routing.peers import Peers
from mesh.routing.record_outcomes import Early, Newer, OwnIsNewer, Refusal, Refused, Stale, Stored, Twin
from mesh.routing.records import Record
from mesh.routing.route_computation import RouteComputation
from mesh.routing.work_steps import STEP_RECORDS, STEP_VERIFIED
from mesh.trust.identity import AgentId, Instance
from mesh.trust.naming import named

_REFUSED_KINDS: Final = MappingProxyType(
    {
        Refusal.OFFENCE: AlarmKind.TAMPERING,
        Refusal.CERTIFICATE: AlarmKind.CERTIFICATE,
        Refusal.CLOCK: AlarmKind.CLOCK,
        Refusal.FULL: AlarmKind.FULL,
    }
)


def _other(held: Instance, other: Instance) -> str:
    return "one that copies it with another session key" if held == other else f"instance {other.hex()}"


class RecordIntake:
    """Takes records from peers; ``now`` is monotonic seconds, ``unix_now`` is Unix seconds.

    Args:
        link_state: all records.
        peers: those who may pass any on.
        answers: what peers are told of while they speak.
        flood: tells peers of news.
        pages: those that records name.
        originator: what this agent says of itself.
        routes: what follows from all records.
        notices: what has been said to people.
    """

    def __init__(
        self,
        link_state: LinkState,
        *,
        peers: Peers,
        answers: Answers,
        flood: FloodQueue,
        pages: PageTable,
        originator: Originator,
        routes: RouteComputation,
        notices: Notices,
    ) -> None:
        self._link_state = link_state
        self._peers = peers
        self._answers = answers
        self._flood = flood
        self._pages = pages
        self._originator = originator
        self._routes = routes
        self._notices = notices
        self._early = EarlyRecords()

    def take(
        self,
        effects: Effects,
        peer_id: AgentId,
        records: Sequence[WireRecord],
        now: float,
        unix_now: float,
        *,
        limit: int,
        first: int = 0,
    ) -> None:
        """Take some of what ``peer_id`` passes on; ``effects.rest`` says how many of ``records`` are left.

        Args:
            effects: of this step; what follows is added to them.
            peer_id: who passes them on; without a link nothing of it is looked at.
            records: what it has said.
            now: monotonic seconds.
            unix_now: Unix seconds.
            limit: how many may be verified in this step, those before included.
            first: index of the first record that no step before has taken.
        """
        effects.rest = 0
        for number in range(first, len(records)):
            if peer_id not in self._peers:
                break
            if effects.verified >= limit or number >= first + STEP_RECORDS:
                effects.rest = len(records) - number
                break
            wire = records[number]
            outcome = self._link_state.offer(wire, now, unix_now)
            match outcome:
                case Stored(record=record, changed=changed, came_back_after=other):
                    effects.verified += 1
                    if other is not None:
                        self._say_twin(effects, record, record.instance, other)
                    self._flood.spread(record.agent_id, peer_id)
                    self._flood.told(peer_id, record.agent_id)
                    self._routes.is_outdated |= changed
                    self._routes.is_outdated |= self._peers.heard(record, now)
                    if record.agent_id in self._link_state:
                        self._pages.name(record, peer_id)
                    else:  # news of what has expired already
                        self._pages.set_aside(record.agent_id, now)
                    if changed:  # a refresh is no alarm
                        self._notices.say_denied(effects.notices, AlarmKind.GRANT, record, record.denied_keys)
                case Stale(same_as=same_as):
                    if same_as is not None:
                        self._flood.told(peer_id, same_as)
                case Twin(record=record, held=held, wire=evidence):
                    effects.verified += 1
                    self._say_twin(effects, record, held, record.instance)
                    effects.send_records(self._peers.others(peer_id), [evidence])
                case Early(agent_id=agent_id):
                    # Nobody has verified it: its agent may have said nothing, so the peer answers for it.
                    member, whose = self._link_state.named(peer_id), self._link_state.named(agent_id)
                    line = (
                        f"{member} passes on more records of {whose} than that may make others carry; "
                        "the last of them is heard late"
                    )
                    self._notices.say(effects.notices, AlarmKind.EXCESS, member, line)
                    if not self._early.hold(peer_id, agent_id, wire, now):
                        self._link_state.counts.early_dropped += 1
                case Newer(agent_id=agent_id):
                    self._answers.owe(peer_id, (agent_id,))
                case OwnIsNewer():
                    effects.verified += 1
                    self._overtaken(effects, outcome, now)
                case Refused():
                    effects.verified += 1
                    self._refused(effects, peer_id, outcome, now)
                case _:
                    assert_never(outcome)

    def deadline(self) -> float:
        """When to call :meth:`release`; infinite while no record waits."""
        return self._early.deadline()

    def release(self, effects: Effects, now: float, unix_now: float) -> None:
        """Take some of those that came too early and have waited for long enough."""
        for number, (peer_id, wire) in enumerate(self._early.release(now), 1):
            self.take(effects, peer_id, (wire,), now, unix_now, limit=STEP_VERIFIED)
            if effects.verified >= STEP_VERIFIED or number >= STEP_RECORDS:
                break

    def _say_twin(self, effects: Effects, record: Record, held: Instance, other: Instance) -> None:
        member = named(record.name, record.agent_id)
        line = (
            f"two running agents have the identity of {member}: instance {held.hex()}, "
            f"which was here first and is held on to, and {_other(held, other)}"
        )
        self._notices.say(effects.notices, AlarmKind.IDENTITY, member, line)

    def _overtaken(self, effects: Effects, newer: OwnIsNewer, now: float) -> None:
        another_runs = self._originator.overtaken_by(newer.freshness, now, withdrawn=newer.withdrawn)
        instance = newer.freshness[2].hex()
        line = (
            f"another running agent has this agent's identity key: its instance is {instance}"
            if another_runs
            else f"the mesh held a newer record of this agent than its own, of instance {instance}: "
            "its clock was set back, or another agent has its identity key"
        )
        self._notices.say(effects.notices, AlarmKind.IDENTITY, THIS_AGENT, line)

    def _refused(self, effects: Effects, peer_id: AgentId, refused: Refused, now: float) -> None:
        offence = refused.refusal is Refusal.OFFENCE
        # A peer knows whether its own certificate is good; another agent's it may see otherwise than we do.
        if offence or (refused.refusal is Refusal.CERTIFICATE and refused.agent_id == peer_id):
            self._notices.count(_REFUSED_KINDS[refused.refusal], self._link_state.named(peer_id))
            effects.closes.append(Close(peer_id, str(refused.reason)))
            self._routes.is_outdated |= self._peers.link_down(peer_id, now)
            return
        line = f"record refused: {refused.reason}"
        if refused.refusal is Refusal.CLOCK and refused.agent_id == self._link_state.own_id:
            line = f"{line}; another agent has its identity key, or its clock was set back"
            self._notices.say(effects.notices, AlarmKind.IDENTITY, THIS_AGENT, line)
            return
        # Nothing that a refused record says of its agent can be believed, so its peer answers for it.
        member = self._link_state.named(peer_id)
        self._notices.say(effects.notices, _REFUSED_KINDS[refused.refusal], member, line)
