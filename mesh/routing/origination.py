"""What this agent says of itself, and when: changes at the pace of ``pacing.py``.

A refresh comes each ``advertise_interval_s``. An agent that finds a newer record of its own in the mesh jumps
past it.
"""

import math
from typing import Final, TypeAlias

import msgspec

from mesh.link.bodies import WireRecord
from mesh.routing.epochs import within_a_day
from mesh.routing.overtakers import OVERTAKEN_FREELY, Overtakers
from mesh.routing.pacing import MAX_HOLD_S, Pacing
from mesh.routing.records import (
    MAX_EPOCH,
    MAX_SEQUENCE,
    EndpointEntry,
    Freshness,
    ListenerEntry,
    Neighbour,
    RecordBody,
    sign_record,
)
from mesh.routing.sealed_blocks import SealedBlock
from mesh.routing.service_layout import Layout, fit_body, lay_out
from mesh.routing.software import software_extensions
from mesh.rtt_steps import RTT_UNIT_S, rtt_step
from mesh.trust.identity import AgentId, Identity, Instance

FIRST_RECORD_S: Final = 0.05
"""How long the first record waits for a link: endpoints and listeners say meanwhile what they are."""

QUIET_S: Final = 3.0
"""After so long without a change nobody else speaks in this agent's name any more."""

MAX_OVERTAKEN_HOLD_S: Final = 30.0
"""Two agents with one key overtake each other for ever; this is the rate at which they do."""

JUMP_SEQUENCES: Final = 2**20
"""How far to jump past a record of another run: further than one counts in 12 days, at a record a second. So
what that run said later, and what is still on its way, is older than what follows the jump."""

JUMPED_MS: Final = 1_000
"""By so much an own epoch may be too far ahead: one that jumped past another is believed a moment later."""

RTT_HYSTERESIS: Final = 0.25
"""How far, as a fraction, a round trip must leave its step to change it."""

RTT_DWELL_S: Final = 10.0
"""How long a step stays at least: a queue that comes and goes must not move routes with it."""

_Services: TypeAlias = tuple[tuple[EndpointEntry, ...], tuple[ListenerEntry, ...], tuple[SealedBlock, ...]]

RTT_WEIGHT: Final = 1 / 8
"""Of a new sample in the smoothed round trip, as in RFC 6298."""


class DampedRtt:
    """The step of one link's round trip, which leaves its value late and rarely.

    Args:
        rtt_s: the first measurement, in seconds.
        now: monotonic seconds.
    """

    __slots__ = ("_changed_at", "_smoothed_s", "step")

    def __init__(self, rtt_s: float, now: float) -> None:
        self._smoothed_s = rtt_s
        self._changed_at = now
        self.step = rtt_step(rtt_s)

    def observe(self, rtt_s: float, now: float) -> bool:
        """Take a measurement; whether the step changed."""
        self._smoothed_s += (rtt_s - self._smoothed_s) * RTT_WEIGHT
        if now - self._changed_at < RTT_DWELL_S:
            return False
        upper_s = RTT_UNIT_S * 2.0**self.step
        lower_s = upper_s / 2 if self.step else 0.0
        if lower_s * (1 - RTT_HYSTERESIS) <= self._smoothed_s <= upper_s * (1 + RTT_HYSTERESIS):
            return False
        step = rtt_step(self._smoothed_s)
        if step == self.step:
            return False
        self.step = step
        self._changed_at = now
        return True


class OwnAgent(msgspec.Struct, frozen=True):
    """What an agent's records say at first, whatever it offers."""

    certificate: bytes
    """Wire bytes."""
    session_key: bytes
    """X25519 public key, 32 bytes."""
    instance: Instance
    relays: bool
    software: str = ""
    """Which version of its software runs; empty does not tell."""


class Originator:
    """Decides when to sign a new record, and signs it; ``now`` is monotonic seconds.

    Args:
        identity: whose record it is.
        fixed: what the first record says.
        epoch: Unix milliseconds at the start: this run's records are newer than those of the run before.
        advertise_interval_s: seconds between records when nothing changes.
        began_at: the first record waits ``FIRST_RECORD_S`` from here on for endpoints and listeners to say
            what they are, or until there is a link.
    """

    def __init__(
        self,
        identity: Identity,
        fixed: OwnAgent,
        *,
        epoch: int,
        advertise_interval_s: float,
        began_at: float = -math.inf,
    ) -> None:
        self._identity = identity
        self.advertise_interval_s = advertise_interval_s
        """Seconds between records when nothing changes."""
        self._links: dict[AgentId, DampedRtt] = {}
        self._body = RecordBody(
            public_key=identity.public_key,
            epoch=epoch,
            sequence=0,
            instance=fixed.instance,
            session_key=fixed.session_key,
            certificate=fixed.certificate,
            relays=fixed.relays,
            draining=False,
            withdrawn=False,
            extensions=software_extensions(fixed.software),
        )
        self._next = (epoch, 0)
        """Epoch and sequence of the next record."""
        self._left_behind = (0, 0)
        """All that this run said before its clock was set back has lower numbers than these."""
        self._issued: RecordBody | None = None
        self._issued_at = -math.inf
        self._changed_at = -math.inf
        self._pacing = Pacing()
        self._hold_s = 0.0
        """How long to wait after others with this agent's key, beyond the pace."""
        self._must_jump = False
        self._urgent = False
        self._never_relays_again = False
        self._first_at = began_at + FIRST_RECORD_S
        self._overtaken = 0
        self.overtakers = Overtakers(fixed.instance)
        """Other runs with this agent's key."""
        self._laid_out: _Services = ((), (), ())
        self._layout = Layout()
        """How that was laid out."""

    @property
    def body(self) -> RecordBody:
        """What holds now, issued or not yet; of any length."""
        return self._body

    @property
    def layout(self) -> Layout:
        """How the present endpoints and listeners are laid out."""
        services = self._body.endpoints, self._body.listeners, self._body.sealed
        if any(one is not other for one, other in zip(services, self._laid_out, strict=True)):
            self._laid_out, self._layout = services, lay_out(self._identity.id, *services)
        return self._layout

    @property
    def fitted_body(self) -> RecordBody:
        """:attr:`body` as others accept it, with its endpoints and listeners as in :attr:`layout`."""
        return fit_body(self._body, self.layout)

    @property
    def is_withdrawn(self) -> bool:
        """Whether the last record has been decided on."""
        return self._body.withdrawn

    @property
    def is_urgent(self) -> bool:
        """Whether the next record is said at once, and passed on at once, however much was said before."""
        return self._urgent

    # -- what changes; each says whether the content did -----------------------------------------------------

    def link_up(self, peer_id: AgentId, rtt_s: float, now: float) -> bool:
        """A link to ``peer_id`` is up."""
        self._links[peer_id] = DampedRtt(rtt_s, now)
        if not self._refresh_neighbours():
            return False
        self._pacing.link_up(peer_id, now)
        return True

    def somebody_listens(self) -> None:
        """There is a link: the first record need not wait."""
        self._first_at = -math.inf

    def link_down(self, peer_id: AgentId, now: float) -> bool:
        """The link to ``peer_id`` is gone."""
        self._links.pop(peer_id, None)
        return self._link_changed(peer_id, now)

    def link_measured(self, peer_id: AgentId, rtt_s: float, now: float) -> bool:
        """A round trip to ``peer_id`` took ``rtt_s`` seconds."""
        link = self._links.get(peer_id)
        return link is not None and link.observe(rtt_s, now) and self._link_changed(peer_id, now)

    def set_endpoints(self, endpoints: tuple[EndpointEntry, ...]) -> bool:
        """These are the endpoints from now on."""
        return self._change(msgspec.structs.replace(self._body, endpoints=endpoints))

    def set_listeners(self, listeners: tuple[ListenerEntry, ...]) -> bool:
        """These are the listeners from now on."""
        return self._change(msgspec.structs.replace(self._body, listeners=listeners))

    def set_sealed(self, blocks: tuple[SealedBlock, ...]) -> None:
        """This is what is for some agents only from now on."""
        self._change(msgspec.structs.replace(self._body, sealed=blocks))

    def set_certificate(self, wire: bytes) -> bool:
        """This is the certificate from now on; said at once, as it may take rights away."""
        return self._change_at_once(msgspec.structs.replace(self._body, certificate=wire))

    def set_relaying(self, relays: bool) -> bool:
        """Whether others' connections may pass through from now on; not once it has been said for good."""
        relays = relays and not self._never_relays_again
        return self._change(msgspec.structs.replace(self._body, relays=relays))

    def set_draining(self, *, draining: bool) -> bool:
        """Whether others are to be preferred from now on; said at once."""
        return self._change_at_once(msgspec.structs.replace(self._body, draining=draining))

    def stop_relaying(self) -> bool:
        """Not through me, as this agent is about to leave; said at once, and not taken back."""
        self._never_relays_again = True
        return self._change_at_once(msgspec.structs.replace(self._body, draining=True, relays=False))

    def withdraw(self) -> bool:
        """This agent leaves; said at once, and nothing after it."""
        if self.is_withdrawn:
            return False
        self._urgent = True
        self._body = msgspec.structs.replace(
            self._body, draining=True, withdrawn=True, neighbours=(), endpoints=(), listeners=(), sealed=()
        )
        return True

    def _change_at_once(self, body: RecordBody) -> bool:
        if not self._change(body):
            return False
        self._urgent = True
        return True

    def _change(self, body: RecordBody) -> bool:
        """Say ``body`` from now on, whoever the peers are."""
        if not self._become(body):
            return False
        self._pacing.changed()
        return True

    def _link_changed(self, peer_id: AgentId, now: float) -> bool:
        if not self._refresh_neighbours():
            return False
        self._pacing.link_changed(peer_id, now)
        return True

    def _refresh_neighbours(self) -> bool:
        neighbours = tuple(Neighbour(peer_id, self._links[peer_id].step) for peer_id in sorted(self._links))
        return self._become(msgspec.structs.replace(self._body, neighbours=neighbours))

    def _become(self, body: RecordBody) -> bool:
        if self.is_withdrawn or body == self._body:
            return False
        self._body = body
        return True

    @property
    def _must_issue(self) -> bool:
        # A change that is taken back before it was issued need not be issued.
        return self._must_jump or self._body != self._issued

    # -- when and what to issue ------------------------------------------------------------------------------

    def keep_epoch(self, unix_now: float) -> None:
        """Begin a new epoch if others would refuse the present one: this agent's clock has been set back."""
        if not within_a_day(self._next[0] - JUMPED_MS, unix_now):
            self._left_behind = max(self._left_behind, self._next)
            self._next = (max(0, int(unix_now * 1000)), 0)
            self._must_jump = not self.is_withdrawn
            self._pacing.changed()

    def overtaken_by(self, freshness: Freshness, now: float, *, withdrawn: bool = False) -> bool:
        """A verified own record of ``freshness`` is in the mesh; jump past it.

        Args:
            freshness: of that record.
            now: monotonic seconds.
            withdrawn: it is the last one of its run.

        Returns:
            Whether another agent must be running with the same key.
        """
        theirs = freshness[:2]
        if self.is_withdrawn or theirs < self._body.freshness[:2]:
            return False
        self._must_jump = True
        self._pacing.changed()
        has_left = withdrawn and self.overtakers.left(freshness[2])
        if has_left:
            self._hold_s = 0.0  # until this agent speaks again the mesh takes it for gone
        if theirs < self._next:
            return False  # a copy over another link of what the next record is newer than already
        self._next = _after(theirs, JUMP_SEQUENCES)
        is_own = freshness[2] == self._body.instance and theirs < self._left_behind
        if has_left or is_own:
            return False
        self._overtaken += 1
        comes_again = self.overtakers.met(freshness[2], self._overtaken, now)
        if self._overtaken <= OVERTAKEN_FREELY:
            return comes_again
        doublings = min(self._overtaken - OVERTAKEN_FREELY, 16)
        self._hold_s = min(MAX_HOLD_S * 2.0**doublings, MAX_OVERTAKEN_HOLD_S)
        self._changed_at = now
        return True

    def deadline(self) -> float:
        """When :meth:`issue` is due; infinite after the withdrawal."""
        if not self._must_issue:
            return math.inf if self.is_withdrawn else self._issued_at + self.advertise_interval_s
        if self._urgent:
            return -math.inf
        if self._issued is None:
            return self._first_at
        return max(self._pacing.due_at(), self._changed_at + self._hold_s)

    def issue(self, now: float) -> WireRecord | None:
        """The next record, where one is due at ``now``."""
        if now < self.deadline():
            return None
        if self._must_issue:
            self._note_change(now)
        epoch, sequence = self._next
        self._body = msgspec.structs.replace(self._body, epoch=epoch, sequence=sequence)
        wire = sign_record(self._identity, self.fitted_body)
        self._next = _after(self._next)
        self._issued = self._body
        self._issued_at = now
        self._must_jump = False
        self._urgent = False
        return wire

    def _note_change(self, now: float) -> None:
        if now - self._changed_at > max(QUIET_S, self._hold_s * 2):
            self._overtaken = 0
        if self._overtaken <= OVERTAKEN_FREELY:
            self._hold_s = 0.0
        self._pacing.told(now)
        self._changed_at = now


def _after(numbers: tuple[int, int], distance: int = 1) -> tuple[int, int]:
    epoch, sequence = numbers
    if sequence <= MAX_SEQUENCE - distance:
        return epoch, sequence + distance
    return min(epoch + 1, MAX_EPOCH), 0
