"""A route table among peers, the records that they pass on, and what it sends."""

from collections.abc import Iterable

import msgspec

from mesh.alarms import AlarmBook
from mesh.config.schema import RoutingSection
from mesh.link.bodies import WireRecord, decode_records
from mesh.link.frames import FrameType
from mesh.routing.effects import Effects
from mesh.routing.origination import OwnAgent
from mesh.routing.record_store import MAX_RECORDS
from mesh.routing.records import RecordBody, decode_body, sign_record
from mesh.routing.router import RouteTableState
from mesh.routing.work_steps import STEP_VERIFIED
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.identity import AgentId, Identity, Instance
from mesh.trust.noise.primitives import SharedSecrets, key_pair

UNIX = 1_700_000_000.0
AUTHORITY = Identity(bytes(32))
STRANGER = Identity(b"\xff" * 32)
IDENTITIES = [Identity(bytes((number,)) * 32) for number in range(1, 8)]
RTT_S = 0.001
OWN_INSTANCE, INSTANCE = Instance(b"i" * 16), Instance(b"j" * 16)
OTHER_INSTANCE = Instance(b"k" * 16)


def certificate_of(
    identity: Identity, *, authority: Identity = AUTHORITY, until: float = 1e6, **grants
) -> bytes:
    return issue_certificate(
        authority,
        subject=identity.public_key,
        name=f"agent {identity.public_key.hex()[:4]}",
        not_before=int(UNIX),
        not_after=int(UNIX + until),
        **({"may_register": ["*"], "may_use": ["*"], "may_relay": True} | grants),
    )


def table(
    identity: Identity,
    *,
    certificate: bytes = b"",
    max_records: int = MAX_RECORDS,
    alarms: AlarmBook | None = None,
    shared: SharedSecrets | None = None,
    **changes,
) -> RouteTableState:
    certificate = certificate or certificate_of(identity)
    return RouteTableState(
        identity,
        OwnAgent(certificate, session_key=b"s" * 32, instance=OWN_INSTANCE, relays=True),
        read_certificate(certificate),
        TrustStore([AUTHORITY.public_key]),
        shared=shared or SharedSecrets(key_pair(b"s" * 32)),
        unix_now=UNIX,
        settings=RoutingSection(**changes),
        max_records=max_records,
        alarms=alarms or AlarmBook(),
    )


def wire_of(identity: Identity, epoch: int = 1, sequence: int = 0, **changes) -> WireRecord:
    body = RecordBody(
        public_key=identity.public_key,
        epoch=epoch,
        sequence=sequence,
        instance=INSTANCE,
        session_key=b"s" * 32,
        certificate=certificate_of(identity),
        relays=True,
        draining=False,
        withdrawn=False,
    )
    return sign_record(identity, msgspec.structs.replace(body, **changes))


def records_in(effects: Effects) -> list[tuple[tuple[AgentId, ...], list[RecordBody]]]:
    return [
        (send.peers, [decode_body(wire.signed) for wire in decode_records(send.body)])
        for send in effects.sends
        if send.frame_type is FrameType.RECORDS
    ]


ALICE, BOB, CAROL, DAVE = (identity.id for identity in IDENTITIES[1:5])
OWN = IDENTITIES[0]


def linked(*peers: AgentId, **changes) -> RouteTableState:
    """A started table with links to ``peers``, settled at time 0."""
    state = table(OWN, **changes)
    state.tick(-100.0, UNIX)
    for peer_id in peers:
        state.link_up(peer_id, INSTANCE, RTT_S, -50.0, UNIX)
        state.tick(-49.0, UNIX)
    state.tick(-40.0, UNIX)
    return state


def hear(
    state: RouteTableState, peer_id: AgentId, records: Iterable[WireRecord], now: float, unix_now: float
) -> Effects:
    """Let the table take all that a peer passes on, step by step; what follows from it, together."""
    total, wires, first = Effects(), tuple(records), 0
    while True:
        step = state.take_records(peer_id, wires, STEP_VERIFIED, now, unix_now, first=first)
        total.sends += step.sends
        total.closes += step.closes
        total.notices += step.notices
        total.snapshot = step.snapshot or total.snapshot
        total.verified += step.verified
        first = len(wires) - step.rest
        if not step.rest:
            return total
