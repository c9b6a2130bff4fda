"""Targets of routing: records, pages, and a route table that is told anything."""

import contextlib
from math import inf
from typing import Final

import msgspec

from mesh.alarms import AlarmBook
from mesh.config.schema import RoutingSection
from mesh.errors import RemoteProtocolError
from mesh.link.bodies import Digest, DigestEntry, WantedPages, WirePage, WireRecord
from mesh.routing.granted_offers import GrantedEndpoint, GrantedListener
from mesh.routing.granted_reader import MAX_SHOWN, GrantedReader
from mesh.routing.graph import finish
from mesh.routing.origination import OwnAgent
from mesh.routing.pages import page_digest, read_page
from mesh.routing.record_reader import RecordReader, verify_record
from mesh.routing.records import (
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    PageName,
    RecordBody,
    decode_body,
    trusted_record,
)
from mesh.routing.router import RouteTableState
from mesh.routing.sealed_blocks import MAX_CONTENT_BYTES, SealedBlock, seal
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import AgentId, Instance
from mesh.trust.noise.primitives import SharedSecrets
from scripts.fuzzing.choices import EDGES, Choices
from scripts.fuzzing.people import (
    ME,
    MY_CERTIFICATE,
    MY_SESSION,
    THEIR_CERTIFICATE,
    THEM,
    UNIX_NOW,
    YOU,
    YOUR_CERTIFICATE,
    YOUR_SESSION,
    believe,
    gullible,
)

_CERTIFICATE: Final = read_certificate(YOUR_CERTIFICATE)
_WHO: Final = ((ME, MY_CERTIFICATE), (YOU, YOUR_CERTIFICATE), (THEM, THEIR_CERTIFICATE))
_SHARED: Final = SharedSecrets(MY_SESSION).with_owner_of(YOUR_SESSION.public)
_SHOWING: Final = RecordBody(
    public_key=YOU.public_key,
    epoch=1,
    sequence=1,
    instance=Instance(bytes(16)),
    session_key=YOUR_SESSION.public,
    certificate=YOUR_CERTIFICATE,
    relays=True,
    draining=False,
    withdrawn=False,
)
_MOST_STEPS: Final = 40
_MOST_TICKS: Final = 200
"""Until an agent of three has done all that is due at one time, step by step."""
_MOST_SENDS: Final = 400
"""What one step may make an agent of three send: far more than its peers need."""


def record(data: bytes) -> None:
    """What somebody has signed."""
    try:
        body = decode_body(data)
        found = verify_record(WireRecord(data, bytes(64), 0), body, gullible(), believe, UNIX_NOW)
    except RemoteProtocolError:
        return
    assert found.says_the_same_as(found)  # noqa: S101


def page(data: bytes) -> None:
    """A page of an agent's services."""
    with contextlib.suppress(RemoteProtocolError):
        read_page(data, _CERTIFICATE)


def sealed(data: bytes) -> None:
    """What an agent shows to this one only: the content of a block, or a block."""
    if data[:1] == b"\0":
        block = seal(data[1 : MAX_CONTENT_BYTES + 1], YOU.id, bytes(32), [_SHARED])
    else:
        try:
            block = msgspec.msgpack.decode(data[1:], type=SealedBlock)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
    body = msgspec.structs.replace(_SHOWING, sealed=(block,))
    records = {YOU.id: trusted_record(body, _CERTIFICATE)}
    reader = GrantedReader(SharedSecrets(MY_SESSION))
    finish(reader.opening(records, ME.id))
    is_told = bool(list(reader.unreadable()))
    assert not (is_told and records[YOU.id].shown)  # noqa: S101
    assert len(records[YOU.id].shown) <= MAX_SHOWN  # noqa: S101


def route_table(data: bytes) -> None:
    """Records, digests and pages of a few agents, in any order, and time that passes."""
    choices = Choices(data)
    state = RouteTableState(
        ME,
        OwnAgent(MY_CERTIFICATE, MY_SESSION.public, Instance(bytes(16)), True),
        read_certificate(MY_CERTIFICATE),
        gullible(),
        shared=SharedSecrets(MY_SESSION),
        unix_now=UNIX_NOW,
        reader=RecordReader(believe),
        settings=RoutingSection(),
        alarms=AlarmBook(),
    )
    now = 0.0
    granted = GrantedEndpoint(EndpointEntry("k9", None), frozenset())
    listening = GrantedListener(ListenerEntry("k8", "a"), frozenset())
    state.set_granted((granted,), (listening,), now, UNIX_NOW)
    for identity, _ in _WHO[1:]:
        state.link_up(identity.id, Instance(bytes(16)), 0.001, now, UNIX_NOW)
    for _ in range(_MOST_STEPS):
        if not choices.left:
            break
        sends = _step(state, choices, now)
        assert sends <= _MOST_SENDS  # noqa: S101
        assert state.counts().agents <= len(_WHO)  # noqa: S101
        deadline = state.deadline()
        now = max(now, deadline) if choices.yes() and deadline < inf else now + choices.below(4000) / 1000


def _step(state: RouteTableState, choices: Choices, now: float) -> int:
    unix_now = UNIX_NOW + now
    peer = _WHO[1 + choices.below(2)][0].id
    instance = Instance(bytes([choices.below(3)]) * 16)
    match choices.below(9):
        case 0 | 1 | 2:
            wires = [_wire(choices) for _ in range(1 + choices.below(3))]
            first = sends = 0
            while True:
                effects = state.take_records(peer, wires, 8, now, unix_now, first=first)
                sends += len(effects.sends)
                if not effects.rest:
                    return sends
                first = len(wires) - effects.rest
        case 3:
            entries = tuple(
                DigestEntry(_agent(choices), choices.number(), choices.number(), instance)
                for _ in range(choices.below(4))
            )
            effects = state.digest_arrived(peer, Digest(entries), now, unix_now)
        case 4:
            effects = state.link_down(peer, now, unix_now)
        case 5:
            effects = state.link_up(peer, instance, choices.below(1000) / 1000, now, unix_now)
        case 6:
            wanted = tuple(
                WantedPages(_agent(choices), (choices.blob(16).ljust(16, b"\0"),))
                for _ in range(choices.below(4))
            )
            effects = state.pages_wanted(peer, wanted, now, unix_now)
        case 7:
            pages = tuple(WirePage(_agent(choices), _page(choices)) for _ in range(1 + choices.below(2)))
            effects = state.pages_arrived(peer, pages, now, unix_now)
        case _:
            effects = state.tick(now, unix_now)
            for _ in range(_MOST_TICKS):
                if state.deadline() > now:
                    break
                state.tick(now, unix_now)
            assert state.deadline() > now  # noqa: S101 - else its actor would spin
    return len(effects.sends)


def _agent(choices: Choices) -> AgentId:
    kind = choices.below(5)
    return _WHO[kind][0].id if kind < len(_WHO) else AgentId(choices.blob(16).ljust(16, b"\0"))


def _page(choices: Choices) -> bytes:
    entries = [[f"k{choices.below(4)}", None] for _ in range(choices.below(3))]
    return msgspec.msgpack.encode([entries]) if choices.yes() else choices.blob(60)


def _block(choices: Choices, owner: AgentId) -> SealedBlock:
    """One for the table, with anything in it, or none at all."""
    if choices.below(4) == 0:
        return SealedBlock(choices.blob(16).ljust(16, b"\0"), choices.blob(60), choices.blob(60))
    return seal(_page(choices), owner, bytes(32), [_SHARED])


def _wire(choices: Choices) -> WireRecord:
    identity, certificate = choices.one_of(_WHO)
    if choices.below(8) == 0:
        certificate = choices.one_of(_WHO)[1]
    pages = [_page(choices) for _ in range(choices.below(3))]
    body = RecordBody(
        public_key=identity.public_key,
        epoch=choices.one_of(EDGES[:13]),
        sequence=choices.below(6),
        instance=Instance(bytes([choices.below(3)]) * 16),
        session_key=YOUR_SESSION.public if choices.yes() else bytes(32),
        certificate=certificate,
        relays=choices.yes(),
        draining=choices.below(8) == 0,
        withdrawn=choices.below(8) == 0,
        neighbours=tuple(Neighbour(_agent(choices), choices.below(20)) for _ in range(choices.below(4))),
        endpoints=tuple(EndpointEntry(f"k{choices.below(4)}", None) for _ in range(choices.below(3))),
        listeners=tuple(ListenerEntry(f"k{choices.below(4)}", "a") for _ in range(choices.below(3))),
        pages=tuple(
            PageName(page_digest(identity.id, each), max(1, len(each)), 1 + choices.below(3))
            for each in pages
        ),
        sealed=tuple(_block(choices, identity.id) for _ in range(choices.below(3))),
    )
    age_ms = choices.number() if choices.yes() else choices.below(4000) * 100
    return WireRecord(msgspec.msgpack.encode(body), bytes(64), age_ms)
