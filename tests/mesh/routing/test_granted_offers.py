"""To whom this agent shows what is for some only, and when it says so anew."""

import functools
import math
from types import MappingProxyType

import msgspec

from mesh.routing.granted_offers import (
    CHANGE_BURST,
    CHANGE_RATE,
    GrantedEndpoint,
    GrantedListener,
    GrantedOffers,
)
from mesh.routing.granted_reader import MAX_SHOWN, GrantedReader
from mesh.routing.graph import finish
from mesh.routing.records import (
    MAX_LISTENERS_OF_A_KEY,
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    trusted_record,
)
from mesh.routing.routes import compute_routes
from mesh.routing.sealed_blocks import MAX_BLOCKS, MAX_CONTENT_BYTES, MAX_READERS
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import Identity
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from mesh.trust.policy import at_exit
from tests.mesh.routing.route_table_company import (
    IDENTITIES,
    certificate_of,
    decode_body,
    wire_of,
)

OWN, *OTHERS = IDENTITIES
NOTHING_ELSE = MappingProxyType({})


def session_of(identity, run=0):
    return key_pair(bytes([8 * run]) + identity.public_key[1:])  # its three lowest bits do not count


def record_of(identity, *, run=0, body=NOTHING_ELSE, **grants):
    certificate = certificate_of(identity, **grants)
    wire = wire_of(identity, certificate=certificate, session_key=session_of(identity, run).public, **body)
    return trusted_record(decode_body(wire.signed), read_certificate(certificate))


def routes_with(*records):
    known = {record.agent_id: record for record in (record_of(OWN), *records)}
    return compute_routes(OWN.id, known, max_hops=16, version=1)


@functools.cache
def with_session(identity):
    """A record that was not signed, as a thousand take long."""
    plain = record_of(ALICE)
    body = msgspec.structs.replace(plain.body, session_key=session_of(identity).public)
    return msgspec.structs.replace(plain, agent_id=identity.id, body=body)


def routes_of(*records):
    """Routes that know these, without a path to any."""
    return msgspec.structs.replace(routes_with(), records={record.agent_id: record for record in records})


def endpoint(key, *allowed, target=None):
    return GrantedEndpoint(EndpointEntry(key, target), frozenset(allowed))


def offers_of(*endpoints, listeners=(), believed=()):
    session = session_of(OWN)
    offers = GrantedOffers(OWN.id, session.public, SharedSecrets(session))
    offers.set_endpoints(endpoints)
    offers.set_listeners(tuple(GrantedListener(entry, frozenset(believed)) for entry in listeners))
    return offers


def sealed(offers, now=0.0):
    """The blocks that are made now, after as many steps as it takes."""
    assert offers.deadline() <= now
    while True:
        blocks = offers.step(now)
        if blocks is not None:
            return blocks


def seen_by(identity, blocks, run=0):
    """Keys of endpoints and listeners in ``blocks`` that an agent reads."""
    offering = record_of(OWN)
    body = msgspec.structs.replace(offering.body, sealed=blocks)
    records = {OWN.id: trusted_record(body, offering.certificate)}
    finish(GrantedReader(SharedSecrets(session_of(identity, run))).opening(records, identity.id))
    found = records[OWN.id]
    return {entry.key for entry in found.endpoints}, {entry.key for entry in found.listeners}


ALICE, BOB, CAROL = OTHERS[:3]


def test_an_endpoint_is_shown_to_those_that_may_use_it_and_that_it_allows():
    offers = offers_of(endpoint("db-1"), endpoint("db-2", "group:ops"), endpoint("web"))
    offers.look(
        routes_with(
            record_of(ALICE, may_use=["db-*"]),
            record_of(BOB, may_use=["db-*"], groups=["ops"]),
            record_of(CAROL, may_use=["web"], groups=["ops"]),
        ),
        0.0,
    )
    blocks = sealed(offers)
    assert seen_by(ALICE, blocks) == ({"db-1"}, set())
    assert seen_by(BOB, blocks) == ({"db-1", "db-2"}, set())
    assert seen_by(CAROL, blocks) == ({"web"}, set())
    assert seen_by(OTHERS[3], blocks) == (set(), set())


def test_a_listener_is_shown_to_those_that_may_use_its_key():
    offers = offers_of(listeners=[ListenerEntry("db-1", ":1")])
    offers.look(routes_with(record_of(ALICE, may_use=["db-*"]), record_of(BOB, may_use=["web"])), 0.0)
    blocks = sealed(offers)
    assert seen_by(ALICE, blocks) == (set(), {"db-1"})
    assert seen_by(BOB, blocks) == (set(), set())


def test_a_listener_is_shown_to_those_that_offer_its_key_if_it_believes_them():
    offering = {"endpoints": (EndpointEntry("db-1", None),)}
    linked = [Neighbour(each.id, 0) for each in (OWN, ALICE, BOB)]
    records = [record_of(each, body=offering | {"neighbours": linked}, may_use=[]) for each in (ALICE, BOB)]
    own = record_of(OWN, body={"neighbours": linked})
    routes = compute_routes(
        OWN.id, {record.agent_id: record for record in (own, *records)}, max_hops=16, version=1
    )
    for believed, seen in (((), ({"db-1"}, {"db-1"})), ((records[0].name,), ({"db-1"}, set()))):
        offers = offers_of(listeners=[ListenerEntry("db-1", ":1")], believed=believed)
        offers.look(routes, 0.0)
        blocks = sealed(offers)
        assert (seen_by(ALICE, blocks)[1], seen_by(BOB, blocks)[1]) == seen


def test_rights_are_looked_up_once(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "mesh.routing.granted_offers.at_exit", lambda *args: asked.append(args) or at_exit(*args)
    )
    offers = offers_of(endpoint("db-1"), endpoint("db-2"))
    offers.look(routes_with(record_of(ALICE)), 0.0)
    sealed(offers)
    offers.look(routes_with(record_of(ALICE, run=1), record_of(BOB)), 0.0)
    sealed(offers, 60.0)
    assert len(asked) == 4
    offers.set_endpoints((endpoint("web"),))
    sealed(offers, 120.0)
    assert len(asked) == 6


def test_what_nobody_may_see_makes_no_block():
    offers = offers_of(endpoint("db-1"))
    offers.look(routes_with(record_of(ALICE, may_use=["web"])), 0.0)
    assert sealed(offers) == ()


def test_endpoints_for_the_same_agents_share_a_block():
    offers = offers_of(*(endpoint(f"db-{number}") for number in range(20)))
    offers.look(routes_with(record_of(ALICE), record_of(BOB)), 0.0)
    (block,) = sealed(offers)
    assert block.readers == 2


def test_nothing_is_made_anew_unless_something_has_changed():
    offers = offers_of(endpoint("db-1"))
    offers.look(routes_with(record_of(ALICE)), 0.0)
    sealed(offers)
    offers.look(routes_with(record_of(ALICE)), 0.0)
    assert not offers.set_endpoints((endpoint("db-1"),))
    assert offers.deadline() == math.inf
    assert offers.step(100.0) is None


def test_who_comes_leaves_starts_anew_or_is_certified_anew_changes_it():
    offers = offers_of(endpoint("db-1"))
    now = 0.0
    for records, readers in (
        ([record_of(ALICE)], [(ALICE, 0)]),
        ([record_of(ALICE), record_of(BOB)], [(ALICE, 0), (BOB, 0)]),
        ([record_of(ALICE, run=1), record_of(BOB)], [(ALICE, 1), (BOB, 0)]),
        ([record_of(ALICE, run=1), record_of(BOB, may_use=["web"])], [(ALICE, 1)]),
        ([record_of(ALICE, run=1)], [(ALICE, 1)]),
    ):
        offers.look(routes_with(*records), 0.0)
        now += 60.0
        blocks = sealed(offers, now)
        assert all(seen_by(each, blocks, run) == ({"db-1"}, set()) for each, run in readers)
        assert sum(block.readers for block in blocks) == len(readers)


def test_agents_that_keep_coming_and_going_change_it_at_a_bounded_rate():
    for crowd, most in ((0, 60), (MAX_READERS - 1, 12)):
        others = [with_session(Identity(number.to_bytes(32, "big"))) for number in range(100, 100 + crowd)]
        offers = offers_of(endpoint("db-1"))
        made, now = 0, 0.0
        for number in range(60):
            newcomer = with_session(Identity((5_000 + number).to_bytes(32, "big")))
            offers.look(routes_of(newcomer, *others), now)
            if offers.deadline() <= now:
                sealed(offers, now)
                made += 1
            now += 0.5
        assert most / 2 <= made <= most


def test_one_agent_that_starts_anew_without_end_changes_it_seldom_and_counts_in_the_end():
    offers = offers_of(endpoint("db-1"))
    made, now = 0, 0.0
    for number in range(120):
        offers.look(routes_with(record_of(ALICE, run=number % 32), record_of(BOB)), now)
        if offers.deadline() <= now:
            blocks = sealed(offers, now)
            assert seen_by(BOB, blocks) == ({"db-1"}, set())
            made += 1
        now += 0.5
    changes = CHANGE_BURST + CHANGE_RATE * now
    assert changes <= made <= 2 * changes, "it comes, and goes"
    blocks = sealed(offers, max(now, offers.deadline()))
    assert seen_by(ALICE, blocks, 119 % 32) == ({"db-1"}, set())
    assert offers.deadline() == math.inf


def test_more_readers_or_content_than_a_block_takes_make_more_blocks():
    crowd = [Identity(number.to_bytes(32, "big")) for number in range(100, 102 + MAX_READERS)]
    offers = offers_of(endpoint("db-1"))
    offers.look(routes_of(*map(with_session, crowd)), 0.0)
    blocks = sealed(offers)
    assert [block.readers for block in blocks] == [MAX_READERS, 2]
    assert all(seen_by(each, blocks) == ({"db-1"}, set()) for each in (crowd[0], crowd[-1]))

    long = [endpoint(f"{number:03}" + "k" * 250, target="t" * 250) for number in range(40)]
    offers = offers_of(*long)
    offers.look(routes_with(record_of(ALICE)), 0.0)
    blocks = sealed(offers)
    assert len(blocks) == 40 * 506 // MAX_CONTENT_BYTES + 1
    assert len(seen_by(ALICE, blocks)[0]) == 40


def test_what_is_beyond_the_limits_is_shown_to_nobody_and_named():
    offers = offers_of(*(endpoint(f"db-{number}") for number in range(MAX_SHOWN + 2)))
    offers.look(routes_with(record_of(ALICE)), 0.0)
    assert len(seen_by(ALICE, sealed(offers))[0]) == MAX_SHOWN
    assert offers.left_out.startswith("shown to nobody, though visibility: granted: 'db-1024' and 1 more (")

    offers = offers_of(listeners=[ListenerEntry("k", f":{n}") for n in range(MAX_LISTENERS_OF_A_KEY + 1)])
    offers.look(routes_with(record_of(ALICE)), 0.0)
    assert seen_by(ALICE, sealed(offers)) == (set(), {"k"})
    assert offers.left_out.startswith("shown to nobody, though visibility: granted: 'k' (")

    # as many sets of readers as six agents make: all of two or more, and one more key for each
    agents = OTHERS[:6]
    names = {each: f"agent {each.public_key.hex()[:4]}" for each in agents}
    sets = [
        [names[each] for bit, each in enumerate(agents) if number >> bit & 1] for number in range(1, 2**6)
    ]
    offers = offers_of(*(endpoint(f"db-{number}", *allowed) for number, allowed in enumerate(sets)))
    offers.look(routes_with(*map(record_of, agents)), 0.0)
    assert len(sealed(offers)) == MAX_BLOCKS
    assert f"and {2**6 - 1 - MAX_BLOCKS - 1} more" in offers.left_out
