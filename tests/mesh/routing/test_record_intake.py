import msgspec

from mesh.link.frames import FrameType
from mesh.routing.early_records import ARRIVAL_HOLD_S
from mesh.routing.effects import Effects
from mesh.routing.records import PageName, decode_body
from mesh.trust.identity import short_id
from tests.mesh.routing.route_table_company import (
    ALICE,
    BOB,
    DAVE,
    IDENTITIES,
    OWN,
    STRANGER,
    UNIX,
    certificate_of,
    hear,
    linked,
    records_in,
    wire_of,
)


def test_what_an_agent_says_too_often_is_held_back_and_the_last_of_it_goes_on():
    state = linked(ALICE, BOB)
    for sequence in range(100):
        hear(state, ALICE, [wire_of(IDENTITIES[3], sequence=sequence)], 1.0, UNIX)
    before = state.counts()
    assert before.records_stored_total < 50
    assert state.deadline() <= 1.0 + ARRIVAL_HOLD_S
    effects = state.tick(1.0 + ARRIVAL_HOLD_S, UNIX)
    [(peers, [body])] = records_in(effects)
    assert peers == (BOB,)
    assert body.sequence == 99
    assert state.counts().records_stored_total == before.records_stored_total + 1


def test_a_bad_signature_costs_the_link_that_brought_it_and_no_more():
    state = linked(ALICE, BOB)
    good, bad, unread = wire_of(IDENTITIES[4]), wire_of(IDENTITIES[5]), wire_of(IDENTITIES[6])
    forged = msgspec.structs.replace(bad, signature=bytes(64))
    effects = hear(state, ALICE, (good, forged, unread), 0.0, UNIX)
    [close] = effects.closes
    assert close.peer_id == ALICE
    assert "does not verify" in close.reason
    flooded = [(peers, body) for peers, bodies in records_in(effects) for body in bodies]
    assert (((BOB,), decode_body(good.signed))) in flooded
    # The link to ALICE is not advertised any more.
    assert any(
        body.public_key == OWN.public_key and [neighbour.id for neighbour in body.neighbours] == [BOB]
        for _, body in flooded
    )
    assert IDENTITIES[6].id not in state.snapshot.records
    assert hear(state, ALICE, (unread,), 0.1, UNIX) == Effects()
    assert state.link_down(ALICE, 0.2, UNIX).closes == []
    assert state.counts().records_refused_offence_total == 1


def test_another_agents_bad_certificate_is_said_once_and_costs_nothing():
    state = linked(ALICE, BOB)
    foreign = wire_of(IDENTITIES[4], certificate=certificate_of(IDENTITIES[4], authority=STRANGER))
    effects = hear(state, ALICE, (foreign,), 0.0, UNIX)
    [notice] = effects.notices
    assert notice.line.startswith("record refused: the certificate of 'agent ")
    assert "does not trust" in notice.line
    assert effects.closes == effects.sends == []
    assert hear(state, ALICE, (foreign,), 1.0, UNIX).notices == []
    assert [notice.member for notice in hear(state, BOB, (foreign,), 1.0, UNIX).notices] == [short_id(BOB)]
    assert state.counts().records_refused_certificate_total == 3


def test_a_direct_neighbours_own_bad_certificate_costs_its_link():
    state = linked(DAVE)
    foreign = wire_of(IDENTITIES[4], certificate=certificate_of(IDENTITIES[4], authority=STRANGER))
    [close] = hear(state, DAVE, (foreign,), 0.0, UNIX).closes
    assert close.peer_id == DAVE


def test_a_full_table_is_nobodys_offence():
    state = linked(ALICE, max_records=2)
    effects = hear(state, ALICE, (wire_of(IDENTITIES[4]), wire_of(IDENTITIES[5])), 0.0, UNIX)
    assert effects.closes == []
    assert len(effects.notices) == 1
    assert state.counts().agents == 2


def test_pages_of_an_agent_whose_newest_record_has_expired_are_not_asked_for():
    state = linked(ALICE, BOB)
    named = (PageName(b"d" * 16, 10_000, 100),)
    hear(state, ALICE, (wire_of(IDENTITIES[4], pages=named),), 0.0, UNIX)
    assert state.counts().pages_missing == 1
    expired = msgspec.structs.replace(wire_of(IDENTITIES[4], sequence=1, pages=named), age_ms=10**6)
    hear(state, ALICE, (expired,), 1.0, UNIX)
    assert state.counts().pages_missing == 0
    sent = [send.frame_type for now in range(2, 60) for send in state.tick(float(now), UNIX).sends]
    assert FrameType.WANT_PAGES not in sent
    # Once an honest copy says that it is not that old, they are.
    honest = msgspec.structs.replace(expired, age_ms=60_000)
    effects = hear(state, BOB, (honest,), 61.0, UNIX)
    assert state.counts().pages_missing == 1
    assert FrameType.WANT_PAGES in [send.frame_type for send in effects.sends]
