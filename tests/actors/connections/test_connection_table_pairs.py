"""Short OPENs that arrive, and how long pair sessions are kept."""

import pytest

from actors.messages import connection_table as messages
from mesh.connection.pair_session import PairSession
from mesh.connection.pair_sessions import EXIT_GRACE_S, PAIR_AGE_S
from mesh.connection.party import Party
from mesh.connection.short_open import SHORT_OPEN
from mesh.link.frames import FrameType
from mesh.link.unknown import UNKNOWN_BURST
from mesh.trust.certificates import TrustStore
from scripts.lab.frames import changed
from tests.actors.company import IDENTITIES, record_of
from tests.actors.connections.connection_table_company import (
    ALICE,
    ALICE_INSTANCE,
    BOB,
    BOB_INSTANCE,
    OWN_INSTANCE,
    House,
    open_frame,
)

OF_ALICE = Party(ALICE.id, ALICE_INSTANCE, ALICE.public_key)
OF_BOB = Party(BOB.id, BOB_INSTANCE, BOB.public_key)


def session(seed=1):
    return PairSession(bytes((seed,)) * 32, ALICE_INSTANCE, OWN_INSTANCE)


PAIR = session()


def short_open(number=7, pair=PAIR, party=OF_ALICE):
    body = party.instance + OWN_INSTANCE + pair.name + b"sealed"
    return changed(open_frame(number, party.id, body), number=SHORT_OPEN)


@pytest.fixture
def house():
    house = House()
    house.pairs.of_exit.agreed(OF_ALICE, PAIR, house.world.now())
    house.tell(messages.PairAgreed())
    yield house
    house.world.stop()


def unknowns(house):
    sent = house.sent()
    assert {frame.type for frame in sent} <= {FrameType.UNKNOWN}
    return sent


def test_a_short_open_becomes_an_exit_connection_with_the_keys_of_its_number(house):
    house.arrive(short_open(7))
    house.arrive(open_frame(8))
    assert [arrived.pair_keys for arrived, _, _ in house.exit_arguments] == [PAIR.keys(7), None]
    assert unknowns(house) == []


@pytest.mark.parametrize(
    "opening",
    [
        short_open(pair=session(2)),
        short_open(party=OF_BOB),
        changed(short_open(), body=short_open().body[:40]),
    ],
    ids=["another name", "of another ingress", "cut"],
)
def test_one_of_a_pair_session_that_is_not_known_is_answered_with_unknown(house, opening):
    house.arrive(opening)
    assert house.exits == []
    (answer,) = unknowns(house)
    assert (answer.source, answer.destination) == (opening.destination, opening.source)
    assert (answer.connection, answer.from_exit, answer.body) == (opening.connection, True, b"")
    assert house.meters.opens_unknown_pair == 1
    assert house.counts() == (0, 0, 0)  # it is pending no more
    house.arrive(open_frame(opening.connection, opening.source, opening.body[:32] + b"handshake"))
    assert len(house.exits) == 1  # its number was not used


@pytest.mark.parametrize(
    "opening",
    [
        short_open(number=0, pair=session(2)),
        changed(short_open(pair=session(2)), body=b"x" * 16 + OWN_INSTANCE + session(2).name),
        changed(short_open(pair=session(2)), body=ALICE_INSTANCE + b"x" * 16 + session(2).name),
    ],
)
def test_one_that_no_open_could_be_is_dropped_without_an_answer(house, opening):
    house.arrive(opening)
    assert (house.exits, unknowns(house)) == ([], [])
    assert house.meters.opens_ignored == 1


def test_the_number_of_one_that_was_authentic_is_used_for_both_forms(house):
    house.arrive(short_open(7))
    house.pending().authenticated()
    house.tell(messages.ConnectionEnded(ALICE.id, 7, is_exit=True))
    house.arrive(short_open(7))
    house.arrive(short_open(7, session(2)))
    house.arrive(open_frame(7))
    assert len(house.exits) == 1
    assert unknowns(house) == []
    assert house.meters.opens_ignored == 3


def test_no_more_than_so_many_answers_are_given_at_once(house):
    for number in range(1, int(UNKNOWN_BURST) + 100):
        house.arrive(short_open(number, session(2)))
    assert len(unknowns(house)) == UNKNOWN_BURST


def test_a_pair_session_is_forgotten_in_its_time_by_a_timer(house):
    house.pairs.of_ingress.agreed(OF_BOB, session(3), house.world.now())
    house.tell(messages.PairAgreed())
    house.world.run(PAIR_AGE_S)
    assert house.pairs.parties() == {OF_ALICE}
    house.world.run(EXIT_GRACE_S)
    assert house.pairs.parties() == set()
    house.world.run(1000.0)
    house.pairs.of_exit.agreed(OF_ALICE, PAIR, house.world.now())
    house.tell(messages.PairAgreed())
    house.world.run(PAIR_AGE_S + EXIT_GRACE_S)
    assert house.pairs.parties() == set()


def test_those_with_an_agent_that_is_another_instance_are_forgotten_at_once(house):
    house.pairs.of_ingress.agreed(OF_ALICE, session(3), 0.0)
    house.pairs.of_exit.agreed(OF_BOB, session(4), 0.0)
    house.routes(record_of(BOB, instance=b"b"))  # nobody knows where she is
    assert house.pairs.parties() == {OF_ALICE, OF_BOB}
    house.routes(record_of(ALICE, instance=b"A"), record_of(BOB, instance=b"b"))
    assert house.pairs.parties() == {OF_BOB}


def test_those_with_an_agent_that_is_refused_are_forgotten_at_once(house):
    house.pairs.of_ingress.agreed(OF_ALICE, session(3), 0.0)
    house.tell(messages.TrustChanged(TrustStore([IDENTITIES[4].public_key])))
    assert house.pairs.parties() == set()
    house.arrive(short_open())
    assert (house.exits, unknowns(house)) == ([], [])


@pytest.mark.parametrize("is_known", [True, False])
def test_of_both_forms_that_come_at_once_one_becomes_a_connection(house, is_known):
    short = short_open(7, PAIR if is_known else session(2))
    data = changed(open_frame(7), type=FrameType.DATA)
    house.arrive(short, open_frame(7), data)
    ((arrived, _, _),) = house.exit_arguments
    assert arrived.pair_keys == (PAIR.keys(7) if is_known else None)
    assert len(unknowns(house)) == (not is_known)
    (told,) = house.exits[0].heard
    assert told.frames == ((open_frame(7), data) if is_known else (data,))
