import math

import msgspec
import pytest

from mesh.link.bodies import Digest, WireRecord, decode_digest, decode_records
from mesh.link.frames import FrameType
from mesh.routing.early_records import ARRIVAL_HOLD_S
from mesh.routing.effects import Effects
from mesh.routing.flooding import FLOOD_PACE_S
from mesh.routing.notices import MAX_DENIED_SAID, MAX_SAID
from mesh.routing.origination import FIRST_RECORD_S, OwnAgent
from mesh.routing.records import EndpointEntry, ListenerEntry, decode_body
from mesh.routing.route_computation import CERTIFICATE_POLL_S, MIN_COMPUTE_INTERVAL_S
from mesh.routing.router import RouteTableState
from mesh.trust.certificates import TrustStore, read_certificate
from mesh.trust.identity import Identity
from tests.mesh.routing.route_table_company import (
    ALICE,
    AUTHORITY,
    BOB,
    CAROL,
    DAVE,
    IDENTITIES,
    INSTANCE,
    OTHER_INSTANCE,
    OWN,
    OWN_INSTANCE,
    RTT_S,
    STRANGER,
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


# -- offences and refusals -----------------------------------------------------------------------------------


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
    assert notice.startswith("record refused: the certificate of 'agent ")
    assert "does not trust" in notice
    assert effects.closes == effects.sends == []
    assert hear(state, BOB, (foreign,), 1.0, UNIX).notices == []
    assert state.counts().records_refused_certificate_total == 2


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


def test_a_key_that_the_certificate_denies_is_ignored_and_said_once():
    certificate = certificate_of(IDENTITIES[1], may_register=["web-*"])
    state = linked(ALICE)
    entries = (EndpointEntry("db\n", None), EndpointEntry("web-1", None))
    neighbours = state.snapshot.records[OWN.id].body.neighbours
    back = (msgspec.structs.replace(neighbours[0], id=OWN.id),)
    wires = [
        wire_of(IDENTITIES[1], sequence=number, certificate=certificate, endpoints=entries, neighbours=back)
        for number in range(2)
    ]
    effects = hear(state, ALICE, (wires[0],), 0.0, UNIX)
    [notice] = effects.notices
    assert "does not permit it to register 'db\\n'" in notice
    assert effects.snapshot is not None
    assert list(effects.snapshot.candidates) == ["web-1"]
    assert hear(state, ALICE, (wires[1],), 1.0, UNIX).notices == []


def test_an_own_key_that_the_certificate_denies_is_said_too():
    state = table(OWN, certificate=certificate_of(OWN, may_register=["web"]))
    [notice] = state.set_endpoints((EndpointEntry("db", None),), 0.0, UNIX).notices
    assert "register 'db'" in notice


def test_what_has_been_said_is_remembered_within_limits():
    certificate = certificate_of(IDENTITIES[4], may_register=[])
    state = linked(ALICE)

    def notices(sequence, *keys):
        entries = tuple(EndpointEntry(key, None) for key in keys)
        wire = wire_of(IDENTITIES[4], sequence=sequence, certificate=certificate, endpoints=entries)
        return len(hear(state, ALICE, (wire,), float(sequence), UNIX).notices)

    assert notices(0, "first") == 1
    batches = MAX_SAID // MAX_DENIED_SAID
    for batch in range(batches):
        keys = (f"{batch}-{number}" for number in range(MAX_DENIED_SAID))
        assert notices(batch + 1, *keys) == MAX_DENIED_SAID
    assert notices(batches + 1, f"{batches - 1}-0") == 0
    assert notices(batches + 2, "first") == 1
    # Whoever may not register any of its keys does not fill the log with all of them.
    assert notices(batches + 3, *(f"new-{number}" for number in range(300))) == MAX_DENIED_SAID + 1


# -- the own record ------------------------------------------------------------------------------------------


def test_it_jumps_past_a_newer_record_of_its_own_and_everybody_hears():
    state = linked(ALICE, BOB)
    newer = wire_of(OWN, epoch=int(UNIX * 1000) + 5000, sequence=7)
    effects = hear(state, ALICE, (newer,), 0.0, UNIX)
    [(peers, [body])] = records_in(effects)
    assert set(peers) == {ALICE, BOB}
    assert body.freshness[:2] == (int(UNIX * 1000) + 5000, 8)
    assert body.instance == OWN_INSTANCE


def test_another_agent_with_its_key_is_noticed_and_said_once():
    state = linked(ALICE)
    epoch, alarms, now = int(UNIX * 1000), [], 0.0
    for sequence in range(1000, 1200, 10):
        alarms += hear(state, ALICE, (wire_of(OWN, epoch, sequence),), now, UNIX).alarms
        now += 1.5
        state.tick(now, UNIX)
    [alarm] = alarms
    assert "identity key" in alarm
    assert INSTANCE.hex() in alarm


def test_draining_then_withdrawal():
    state = linked(ALICE)
    state.set_endpoints((EndpointEntry("db", None),), 0.0, UNIX)
    [(_, [draining])] = records_in(state.start_draining(0.0, UNIX))
    assert draining.draining
    assert draining.endpoints
    [(_, [gone])] = records_in(state.withdraw(0.001, UNIX))
    assert gone.withdrawn
    state.tick(1.0, UNIX)
    assert state.snapshot.candidates == {}
    assert state.snapshot.next_hops == {}
    assert state.withdraw(2.0, UNIX).sends == []
    assert state.tick(10_000.0, UNIX).sends == []


def test_listeners_are_told_to_people_elsewhere():
    state = linked(ALICE)
    [(_, [body])] = records_in(state.set_listeners((ListenerEntry("db", ":5432"),), 0.0, UNIX))
    assert body.listeners == (ListenerEntry("db", ":5432"),)


# -- routes --------------------------------------------------------------------------------------------------


def pair_wire(state: RouteTableState, sequence: int = 0, **changes) -> WireRecord:
    """A record of the second agent that reports its link to the first."""
    back = (msgspec.structs.replace(state.snapshot.records[OWN.id].body.neighbours[0], id=OWN.id),)
    return wire_of(IDENTITIES[1], sequence=sequence, **({"neighbours": back} | changes))


def test_routes_are_computed_at_once_and_then_at_intervals():
    state = linked(ALICE)
    first = hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    assert first.snapshot is not None
    assert dict(first.snapshot.next_hops) == {ALICE: ALICE}
    for step in range(1, 6):
        change = pair_wire(state, sequence=step, endpoints=(EndpointEntry(f"key-{step}", None),))
        now = step * MIN_COMPUTE_INTERVAL_S / 10
        assert hear(state, ALICE, (change,), now, UNIX).snapshot is None
    assert state.deadline() == pytest.approx(MIN_COMPUTE_INTERVAL_S)
    assert state.tick(0.9 * MIN_COMPUTE_INTERVAL_S, UNIX).snapshot is None
    second = state.tick(MIN_COMPUTE_INTERVAL_S, UNIX).snapshot
    assert second is not None
    assert list(second.candidates) == ["key-5"]
    assert second.version == first.snapshot.version + 1
    assert state.snapshot is second


def test_a_refresh_computes_nothing():
    state = linked(ALICE)
    hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    computed = state.counts().routes_computed_total
    hear(state, ALICE, (pair_wire(state, sequence=1),), 5.0, UNIX)
    state.tick(6.0, UNIX)
    assert state.counts().routes_computed_total == computed


def test_a_lost_link_leaves_the_own_routes_before_its_record_may_go_out():
    state = linked(ALICE)
    hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    state.set_endpoints((EndpointEntry("a", None),), 1.0, UNIX)
    effects = state.link_down(ALICE, 1.02, UNIX)
    assert effects.sends == []
    assert effects.snapshot is not None
    assert effects.snapshot.next_hops == {}


def test_an_expired_record_leaves_the_routes():
    state = linked(ALICE)
    hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    state.tick(120.0, UNIX)
    state.tick(240.0, UNIX)
    assert state.deadline() <= 300.0
    snapshot = state.tick(300.0, UNIX).snapshot
    assert snapshot is not None
    assert set(snapshot.records) == {OWN.id}


def test_an_expired_certificate_leaves_the_routes_even_when_the_clock_is_set():
    state = linked(ALICE, advertise_interval_s=1e6)
    certificate = certificate_of(IDENTITIES[1], until=100.0)
    wire = pair_wire(state, certificate=certificate)
    hear(state, ALICE, (wire,), 0.0, UNIX)
    assert state.deadline() <= CERTIFICATE_POLL_S
    assert state.tick(CERTIFICATE_POLL_S, UNIX + CERTIFICATE_POLL_S).snapshot is None
    assert state.deadline() == 100.0
    # The wall clock was set back by 20 s meanwhile.
    assert state.tick(100.0, UNIX + 80.0).snapshot is None
    assert state.deadline() == pytest.approx(120.0)
    snapshot = state.tick(120.0, UNIX + 100.0).snapshot
    assert snapshot is not None
    assert ALICE not in snapshot.records


def test_a_tick_with_nothing_due_does_nothing():
    state = linked(ALICE)
    assert state.tick(0.0, UNIX) == Effects()


# -- a peer that was restarted -------------------------------------------------------------------------------


def test_the_link_to_a_restarted_peer_is_told_of_once_its_present_record_is_here():
    """Else the mesh would find a way to what the instance before it offered."""
    state = linked(ALICE)
    hear(state, ALICE, (wire_of(IDENTITIES[2]),), 0.0, UNIX)
    effects = state.link_up(BOB, OTHER_INSTANCE, RTT_S, 1.0, UNIX)
    assert records_in(effects) == []
    assert [send.frame_type for send in effects.sends] == [FrameType.DIGEST]
    assert state.link_measured(BOB, 2 * RTT_S, 2.0, UNIX).sends == []
    present = wire_of(IDENTITIES[2], sequence=1, instance=OTHER_INSTANCE)
    effects = hear(state, BOB, (present,), 3.0, UNIX)
    told = dict(records_in(effects))
    assert {body.public_key for body in told[ALICE,]} == {OWN.public_key, IDENTITIES[2].public_key}
    [own] = [body for body in told[ALICE,] if body.public_key == OWN.public_key]
    assert {neighbour.id for neighbour in own.neighbours} == {ALICE, BOB}


def test_the_link_of_a_restarted_peer_that_takes_the_old_ones_place_is_not_taken_for_it():
    state = linked(ALICE, BOB)
    hear(state, BOB, (wire_of(IDENTITIES[2]),), 0.0, UNIX)
    effects = state.link_up(BOB, OTHER_INSTANCE, RTT_S, 1.0, UNIX)
    [(_, [own])] = records_in(effects)
    assert {neighbour.id for neighbour in own.neighbours} == {ALICE}


def test_the_link_to_a_peer_that_is_gone_before_its_record_came_is_forgotten():
    state = linked(ALICE)
    hear(state, ALICE, (wire_of(IDENTITIES[2]),), 0.0, UNIX)
    state.link_up(BOB, OTHER_INSTANCE, RTT_S, 1.0, UNIX)
    state.link_down(BOB, 2.0, UNIX)
    present = wire_of(IDENTITIES[2], sequence=1, instance=OTHER_INSTANCE)
    effects = hear(state, ALICE, (present,), 3.0, UNIX)
    assert OWN.public_key not in {body.public_key for _, bodies in records_in(effects) for body in bodies}


def test_the_first_record_waits_for_endpoints_or_a_link():
    certificate = certificate_of(OWN)
    own = OwnAgent(certificate, session_key=b"s" * 32, instance=OWN_INSTANCE, relays=True)
    for has_link in (False, True):
        state = RouteTableState(
            OWN,
            own,
            read_certificate(certificate),
            TrustStore([AUTHORITY.public_key]),
            unix_now=UNIX,
            began_at=0.0,
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


def test_routes_of_a_large_mesh_are_computed_between_other_work(monkeypatch):
    monkeypatch.setattr("mesh.routing.routes.STEP_AGENTS", 1)
    state = linked(ALICE)
    while state.deadline() <= -30.0:
        state.tick(-30.0, UNIX)
    first = hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    assert first.snapshot is None
    assert state.deadline() == -math.inf
    # What changes meanwhile waits for the computation after this one.
    state.set_endpoints((EndpointEntry("my-api", None),), 0.0, UNIX)
    snapshots = []
    for turn in range(100):
        if state.deadline() > turn * MIN_COMPUTE_INTERVAL_S:
            break
        snapshots.append(state.tick(turn * MIN_COMPUTE_INTERVAL_S, UNIX).snapshot)
    found = [snapshot for snapshot in snapshots if snapshot is not None]
    assert [list(snapshot.candidates) for snapshot in found] == [[], ["my-api"]]
    assert dict(found[0].next_hops) == {ALICE: ALICE}
    assert state.snapshot is found[-1]
    assert len(snapshots) > len(found)
