"""What is shown to this agent only: read once, bounded, and told of if it cannot be read."""

import msgspec
import pytest

from mesh.routing.granted_reader import MAX_SHOWN, GrantedReader
from mesh.routing.graph import finish
from mesh.routing.pages import read_page, with_pages
from mesh.routing.records import (
    MAX_LISTENERS_OF_A_KEY,
    EndpointEntry,
    ListenerEntry,
    PageBody,
    Shown,
    trusted_record,
)
from mesh.routing.sealed_blocks import MAX_BLOCKS, open_block, seal
from mesh.trust.certificates import read_certificate
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from tests.mesh.routing.route_table_company import IDENTITIES, certificate_of, decode_body, wire_of

READER, OFFERING = IDENTITIES[:2]
OURS, THEIRS = key_pair(b"\1" * 32), key_pair(b"\2" * 32)
SHARED = SharedSecrets(THEIRS).with_owner_of(OURS.public)


def block_of(content, shared=SHARED):
    if isinstance(content, Shown):
        content = msgspec.msgpack.encode(content)
    return seal(content, OFFERING.id, b"s" * 32, [shared])


def record_of(*blocks, session_key=THEIRS.public, **grants):
    certificate = certificate_of(OFFERING, **grants)
    wire = wire_of(OFFERING, certificate=certificate, session_key=session_key, sealed=blocks)
    return trusted_record(decode_body(wire.signed), read_certificate(certificate))


def read(reader, record):
    records = {OFFERING.id: record}
    finish(reader.opening(records, READER.id))
    return records[OFFERING.id]


@pytest.fixture
def reader():
    return GrantedReader(SharedSecrets(OURS))


def test_it_counts_as_if_it_stood_in_the_record(reader):
    shown = Shown((EndpointEntry("db-a", None), EndpointEntry("web", None)), (ListenerEntry("db-b", ":1"),))
    seen = read(reader, record_of(block_of(shown), may_register=["db-*"]))
    assert [entry.key for entry in seen.endpoints] == ["db-a", "web"]
    assert [entry.key for entry in seen.listeners] == ["db-b"]
    assert (seen.offered_keys, seen.denied_keys) == (("db-a",), ("web",))
    assert list(reader.unreadable()) == []


def test_what_is_not_for_this_agent_changes_nothing(reader):
    record = record_of(block_of(b"anything", shared=b"x" * 32))
    assert read(reader, record) is record
    assert list(reader.unreadable()) == []


def test_it_is_read_once(reader, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "mesh.routing.granted_reader.open_block", lambda *args: opened.append(args) or open_block(*args)
    )
    blocks = [block_of(Shown((EndpointEntry(key, None),))) for key in ("a", "b", "c")]
    first = record_of(*blocks[:2])
    assert read(reader, first) is read(reader, first)
    assert read(reader, record_of(*blocks)).offered_keys == ("a", "b", "c")
    assert len(opened) == len(blocks)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xc1", "malformed"),
        (b"", "truncated"),
        (msgspec.msgpack.encode([[["k" * 256, None]], []]), "<= 255"),
        (Shown((EndpointEntry("k", None), EndpointEntry("k", "t:1"))), "offered twice"),
        (Shown((), (ListenerEntry("k", "a"),) * (MAX_LISTENERS_OF_A_KEY + 1)), "9 listeners"),
    ],
)
def test_what_cannot_be_read_is_told_once_and_the_rest_is_read(reader, content, why):
    record = record_of(block_of(content), block_of(Shown((EndpointEntry("good", None),))))
    for _ in range(2):
        assert read(reader, record).offered_keys == ("good",)
    ((whose, reason),) = reader.unreadable()
    assert whose is record
    assert why in reason
    assert list(reader.unreadable()) == []


def test_what_one_agent_shows_is_bounded_and_told_once(reader):
    blocks = [
        block_of(Shown(tuple(EndpointEntry(f"{letter}{number}", None) for number in range(MAX_SHOWN // 2))))
        for letter in "abc"
    ]
    seen = read(reader, record_of(*blocks))
    assert len(seen.endpoints) == MAX_SHOWN
    ((_, reason),) = reader.unreadable()
    assert reason == "more than 1,024 endpoints and listeners in sealed blocks"


def test_blocks_beyond_the_limit_cost_not_even_a_look(reader, monkeypatch):
    """Each page could have as many as a record, which names many pages."""
    opened = []
    monkeypatch.setattr(
        "mesh.routing.granted_reader.open_block", lambda *args: opened.append(args) or open_block(*args)
    )
    strange = [block_of(bytes([number]), shared=b"x" * 32) for number in range(MAX_BLOCKS)]
    late = block_of(Shown((EndpointEntry("late", None),)))
    pages = [read_page(msgspec.msgpack.encode(PageBody(sealed=(late,))), record_of().certificate)]
    record = with_pages(record_of(*strange), pages)
    for _ in range(2):
        assert read(reader, record).offered_keys == ()
    assert len(opened) == MAX_BLOCKS
    assert list(reader.unreadable()) == [(record, f"more than {MAX_BLOCKS} sealed blocks")]


def test_an_agent_without_a_proper_session_key_shows_nothing(reader):
    record = record_of(block_of(b"anything"), session_key=bytes(32))
    assert read(reader, record) is record
    assert list(reader.unreadable()) == []


def test_what_is_known_of_agents_that_are_gone_is_forgotten(reader):
    read(reader, record_of(block_of(Shown((EndpointEntry("a", None),)))))
    finish(reader.opening({}, READER.id))
    assert reader._seen == {}
