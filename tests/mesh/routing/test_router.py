import msgspec
import pytest

from mesh.alarms import THIS_AGENT, AlarmBook, AlarmKind
from mesh.config.schema import RoutingSection
from mesh.link.bodies import Digest, decode_digest, decode_records
from mesh.link.frames import FrameType
from mesh.routing.epochs import EPOCH_AHEAD_S, within_a_day
from mesh.routing.flooding import FLOOD_PACE_S
from mesh.routing.origination import FIRST_RECORD_S, JUMP_SEQUENCES, OwnAgent
from mesh.routing.records import (
    MAX_EPOCH,
    MAX_SEQUENCE,
    EndpointEntry,
    ListenerEntry,
    sign_record,
)
from mesh.routing.router import RouteTableState
from mesh.trust.certificates import TrustStore, read_certificate
from mesh.trust.identity import Identity, short_id
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from tests.mesh.routing.route_table_company import (
    ALICE,
    AUTHORITY,
    BOB,
    CAROL,
    DAVE,
    IDENTITIES,
    INSTANCE,
    OWN,
    OWN_INSTANCE,
    RTT_S,
    UNIX,
    certificate_of,
    hear,
    linked,
    records_in,
    table,
    wire_of,
)

# -- flooding ------------------------------------------------------------------------------------------------


def test_news_goes_to_everybody_but_its_source_at_once():
    state = linked(ALICE, BOB, CAROL)
    effects = hear(state, ALICE, (wire_of(IDENTITIES[4]),), 0.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert set(peers) == {BOB, CAROL}
    assert body.public_key == IDENTITIES[4].public_key
    [send] = effects.sends
    assert decode_records(send.body)[0].age_ms == 1
    assert hear(state, BOB, (wire_of(IDENTITIES[4]),), 0.1, UNIX).sends == []


def test_an_older_record_is_answered_with_the_newer_one():
    state = linked(ALICE, BOB)
    hear(state, ALICE, (wire_of(IDENTITIES[4], sequence=5),), 0.0, UNIX)
    effects = hear(state, BOB, (wire_of(IDENTITIES[4], sequence=4),), 1.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert peers == (BOB,)
    assert body.sequence == 5


def test_a_change_of_its_own_goes_to_everybody_at_once():
    state = linked(ALICE, BOB)
    effects = state.set_endpoints((EndpointEntry("my-api", "localhost:3000"),), 0.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert set(peers) == {ALICE, BOB}
    assert body.endpoints == (EndpointEntry("my-api", "localhost:3000"),)
    assert effects.snapshot is not None
    assert [candidate.agent_id for candidate in effects.snapshot.candidates["my-api"]] == [OWN.id]


def test_a_new_link_gets_the_own_record_and_a_digest_of_all():
    state = linked(ALICE)
    hear(state, ALICE, (wire_of(IDENTITIES[4], epoch=3),), 0.0, UNIX)
    effects = state.link_up(BOB, INSTANCE, RTT_S, 10.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert set(peers) == {ALICE, BOB}
    assert {neighbour.id for neighbour in body.neighbours} == {ALICE, BOB}
    last = effects.sends[-1]
    assert (last.peers, last.frame_type) == ((BOB,), FrameType.DIGEST)
    digest = decode_digest(last.body)
    assert {entry.agent_id: (entry.epoch, entry.sequence) for entry in digest.entries} == {
        OWN.id: (int(UNIX * 1000), body.sequence),
        DAVE: (3, 0),
    }


def test_a_digest_is_answered_to_its_sender_with_what_it_lacks():
    state = linked(ALICE, BOB)
    effects = state.digest_arrived(BOB, Digest(()), 0.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert peers == (BOB,)
    assert body.public_key == OWN.public_key
    assert state.digest_arrived(CAROL, Digest(()), 0.0, UNIX).sends == []


def test_many_records_go_in_as_few_frames_as_fit():
    many = [Identity(number.to_bytes(32, "big")) for number in range(1000, 1200)]
    state = linked(ALICE, BOB)
    effects = hear(state, ALICE, tuple(wire_of(identity) for identity in many), 0.0, UNIX)
    assert 1 < len(effects.sends) < 10
    assert sum(len(bodies) for _, bodies in records_in(effects)) == 200


def test_a_record_that_is_too_old_to_be_kept_is_not_told_to_anybody():
    state = linked(ALICE, BOB)
    hear(state, ALICE, (wire_of(IDENTITIES[1]),), 0.0, UNIX)
    newer = msgspec.structs.replace(wire_of(IDENTITIES[1], sequence=1), age_ms=2**32)
    assert hear(state, ALICE, (newer,), 0.001, UNIX).sends == []
    assert state.tick(FLOOD_PACE_S, UNIX).sends == []
    assert state.counts().agents == 2


def test_a_record_that_made_room_while_it_waited_is_not_told_to_anybody():
    state = linked(ALICE, BOB, max_records=3)
    hear(state, ALICE, (wire_of(IDENTITIES[3]), wire_of(IDENTITIES[4])), 0.0, UNIX)
    expired = msgspec.structs.replace(wire_of(IDENTITIES[3], sequence=1), age_ms=10**6)
    hear(state, ALICE, (expired, wire_of(IDENTITIES[5])), 0.001, UNIX)
    [(peers, [body])] = records_in(state.tick(FLOOD_PACE_S, UNIX))
    assert peers == (BOB,)
    assert body.public_key == IDENTITIES[5].public_key


# -- the own record ------------------------------------------------------------------------------------------


def test_it_jumps_past_a_newer_record_of_its_own_and_everybody_hears():
    state = linked(ALICE, BOB)
    newer = wire_of(OWN, epoch=int(UNIX * 1000) + 5000, sequence=7)
    effects = hear(state, ALICE, (newer,), 0.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert set(peers) == {ALICE, BOB}
    assert body.freshness[:2] == (int(UNIX * 1000) + 5000, 7 + JUMP_SEQUENCES)
    assert body.instance == OWN_INSTANCE


def test_another_agent_with_its_key_is_noticed_and_said_once():
    state = linked(ALICE)
    epoch, alarms, now = int(UNIX * 1000), [], 0.0
    for sequence in range(0, 40 * JUMP_SEQUENCES, 2 * JUMP_SEQUENCES):
        alarms += hear(state, ALICE, (wire_of(OWN, epoch, sequence),), now, UNIX).notices
        now += 1.5
        state.tick(now, UNIX)
    [first, alarm] = alarms
    assert {first.kind, alarm.kind} == {AlarmKind.IDENTITY}
    assert "its clock was set back, or" in first.line
    assert "another running agent has this agent's identity key" in alarm.line
    assert INSTANCE.hex() in alarm.line


def test_one_stolen_signature_buries_an_agent_for_a_moment_only():
    """An epoch far ahead is refused by all; the furthest one that is believed is jumped past."""
    state = linked(ALICE, BOB)
    limit = int((UNIX + EPOCH_AHEAD_S) * 1000)
    for epoch in (MAX_EPOCH, limit + 1):
        for identity in (OWN, IDENTITIES[4]):
            effects = hear(state, ALICE, (wire_of(identity, epoch, MAX_SEQUENCE),), 0.0, UNIX)
            assert effects.sends == effects.closes == []
    assert state.counts().records_refused_clock_total == 4
    assert IDENTITIES[4].id not in state.snapshot.records
    effects = hear(state, ALICE, (wire_of(OWN, limit, MAX_SEQUENCE),), 1.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert set(peers) == {ALICE, BOB}
    assert body.freshness[:2] == (limit + 1, 0)
    assert [notice.kind for notice in effects.notices] == [AlarmKind.IDENTITY]
    # Others, whose clocks are a millisecond further by then, believe it.
    other = table(IDENTITIES[1])
    assert within_a_day(body.epoch, UNIX + 0.001)
    other.link_up(OWN.id, OWN_INSTANCE, RTT_S, 0.0, UNIX)
    assert hear(other, OWN.id, (sign_record(OWN, body),), 1.0, UNIX + 1.0).notices == []


def test_an_own_record_beyond_belief_is_an_alarm_about_this_agent_itself():
    state = linked(ALICE)
    [notice] = hear(state, ALICE, (wire_of(OWN, MAX_EPOCH),), 0.0, UNIX).notices
    assert (notice.kind, notice.member) == (AlarmKind.IDENTITY, THIS_AGENT)
    [other] = hear(state, ALICE, (wire_of(IDENTITIES[4], MAX_EPOCH),), 0.0, UNIX).notices
    assert (other.kind, other.member) == (AlarmKind.CLOCK, short_id(ALICE))


def test_an_agent_that_started_with_its_clock_ahead_begins_anew_once_it_is_right():
    state = table(OWN)
    state.link_up(ALICE, INSTANCE, RTT_S, -1.0, UNIX)
    days_back = UNIX - 3 * EPOCH_AHEAD_S
    [(_, [body])] = records_in(state.tick(0.0, days_back))
    assert body.freshness[:2] == (int(days_back * 1000), 0)


def test_draining_then_withdrawal():
    state = linked(ALICE)
    state.set_endpoints((EndpointEntry("db", None),), 0.0, UNIX)
    [(_, [draining])] = records_in(state.set_draining(0.0, UNIX, draining=True))
    assert (draining.draining, draining.relays) == (True, True)
    assert draining.endpoints
    [(_, [ending])] = records_in(state.stop_relaying(0.0, UNIX))
    assert (ending.draining, ending.relays) == (True, False)
    assert ending.endpoints
    [(_, [gone])] = records_in(state.withdraw(0.001, UNIX))
    assert gone.withdrawn
    state.tick(1.0, UNIX)
    assert state.snapshot.candidates == {}
    assert state.snapshot.next_hops == {}
    assert state.withdraw(2.0, UNIX).sends == []
    assert state.tick(10_000.0, UNIX).sends == []


def test_who_has_said_not_through_me_does_not_take_that_back():
    state = linked(ALICE)
    state.stop_relaying(0.0, UNIX)
    assert not records_in(
        state.change_settings(RoutingSection(), True, 1.0, UNIX)
    )  # a certificate permits it
    assert not records_in(state.tick(2.0, UNIX))


def test_listeners_are_told_to_people_elsewhere():
    state = linked(ALICE)
    [(_, [body])] = records_in(state.set_listeners((ListenerEntry("db", ":5432"),), 0.0, UNIX))
    assert body.listeners == (ListenerEntry("db", ":5432"),)


def test_the_first_record_waits_for_endpoints_or_a_link():
    certificate = certificate_of(OWN)
    own = OwnAgent(certificate, session_key=b"s" * 32, instance=OWN_INSTANCE, relays=True)
    for has_link in (False, True):
        state = RouteTableState(
            OWN,
            own,
            read_certificate(certificate),
            TrustStore([AUTHORITY.public_key]),
            shared=SharedSecrets(key_pair(b"s" * 32)),
            unix_now=UNIX,
            began_at=0.0,
            settings=RoutingSection(),
            alarms=AlarmBook(),
        )
        state.tick(0.0, UNIX)
        assert state.deadline() == pytest.approx(FIRST_RECORD_S)
        state.set_endpoints((EndpointEntry("db", None),), 0.001, UNIX)
        assert state.counts().records_originated_total == 0
        if has_link:
            [(_, [body])] = records_in(state.link_up(ALICE, INSTANCE, RTT_S, 0.002, UNIX))
            assert len(body.neighbours) == len(body.endpoints) == 1
        else:
            state.tick(FIRST_RECORD_S, UNIX)
        assert state.counts().records_originated_total == 1
