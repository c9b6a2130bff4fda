"""A database, the records that it is offered, and what digests say of them."""

import msgspec

from mesh.link.bodies import Digest, DigestEntry, WireRecord
from mesh.routing.database import LinkState
from mesh.routing.record_reader import RecordReader
from mesh.routing.records import RecordBody, decode_body, sign_record, trusted_record
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.identity import AgentId, Identity, Instance, agent_id_of, verify_signature

UNIX = 1_700_000_000
AUTHORITY = Identity(bytes(32))
STRANGER = Identity(b"\xff" * 32)
OWN, ALICE, BOB, CAROL = (Identity(bytes((number,)) * 32) for number in range(1, 5))
TTL_S = 300.0

INSTANCE = Instance(b"i" * 16)


def certificate_of(identity: Identity, authority: Identity = AUTHORITY) -> bytes:
    return issue_certificate(
        authority,
        subject=identity.public_key,
        name=f"agent {identity.public_key[0]}",
        not_before=UNIX,
        not_after=UNIX + 100_000,
        may_register=["*"],
    )


CERTIFICATES = {identity.id: certificate_of(identity) for identity in (OWN, ALICE, BOB, CAROL)}


def wire_of(identity: Identity, epoch: int = 1, sequence: int = 0, age_ms: int = 0, **changes) -> WireRecord:
    body = RecordBody(
        public_key=identity.public_key,
        epoch=epoch,
        sequence=sequence,
        instance=INSTANCE,
        session_key=b"s" * 32,
        certificate=CERTIFICATES.get(identity.id) or certificate_of(identity),
        relays=True,
        draining=False,
        withdrawn=False,
    )
    wire = sign_record(identity, msgspec.structs.replace(body, **changes))
    return msgspec.structs.replace(wire, age_ms=age_ms)


class CountingCheck:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *arguments: bytes) -> None:
        self.calls += 1
        verify_signature(*arguments)


def graph(check=verify_signature, **limits) -> LinkState:
    state = LinkState(OWN.id, TrustStore([AUTHORITY.public_key]), RecordReader(check), ttl_s=TTL_S, **limits)
    wire = wire_of(OWN, epoch=5)
    own = trusted_record(decode_body(wire.signed), read_certificate(CERTIFICATES[OWN.id]))
    state.put_own(own, wire, 0.0)
    return state


def digest_of(*held: tuple[AgentId, int, int]) -> Digest:
    return Digest(tuple(DigestEntry(*entry, INSTANCE) for entry in held))


def names(wires: list[WireRecord]) -> set[tuple[AgentId, int, int]]:
    bodies = [decode_body(wire.signed) for wire in wires]
    return {(agent_id_of(body.public_key), *body.freshness[:2]) for body in bodies}


def lacking(state: LinkState, digest: Digest, now: float) -> list[WireRecord]:
    """The records that the sender of ``digest`` lacks, as ``state`` passes them on."""
    wires = [state.wire(agent_id, now) for agent_id in state.newer_than(digest)]
    return [wire for wire in wires if wire is not None]
