"""OPENs that come all at once: those of one agent keep no others waiting, and are not kept without end."""

import pytest

from actors.connections.waiting_opens import (
    MOST_WAITING,
    MOST_WAITING_IN_ALL,
    OPENS_PER_TURN,
    WaitingOpens,
)
from actors.messages import connection_table as messages
from actors.meters import Meters
from mesh.link.frames import FrameType
from mesh.trust.identity import AgentId
from tests.actors.connections.connection_table_company import (
    ALICE,
    BOB,
    STRANGER,
    House,
    frame,
    from_bob,
    open_frame,
)

PEER = BOB.id
KNOWN = {ALICE.id, BOB.id}


@pytest.fixture
def house():
    house = House(max_pending_opens=1_000)
    yield house
    house.world.stop()


def opens(source, numbers, *more):
    """What a read of a link brings, by connection."""
    frames = [frame(FrameType.OPEN, 1, source), *more]
    return {(source, number, True): frames for number in numbers}


def test_one_of_another_agent_does_not_wait_for_all_that_came_at_once(house):
    house.table.ref.tell(messages.FramesArrived(tuple(map(open_frame, range(1, 201))), ALICE.id))
    house.table.ref.tell(messages.FramesArrived((from_bob(1),), BOB.id))
    house.world.run(0.0)
    sources = [arrived.party.id for arrived, _, _ in house.exit_arguments]
    assert sources.index(BOB.id) == OPENS_PER_TURN
    assert [each.frame.connection for each, _, _ in house.exit_arguments if each.party.id == ALICE.id] == [
        *range(1, 201)
    ]


def test_what_is_no_more_than_a_turn_does_not_wait():
    waiting, meters = WaitingOpens(Meters()), Meters()
    arrived = opens(ALICE.id, range(OPENS_PER_TURN)) | opens(BOB.id, range(OPENS_PER_TURN))
    assert not waiting.hold_back(arrived, PEER, (), KNOWN)
    assert len(arrived) == 2 * OPENS_PER_TURN
    assert not waiting
    assert meters.opens_ignored == 0


def test_frames_of_connections_that_have_begun_do_not_wait():
    waiting = WaitingOpens(Meters())
    arrived = opens(ALICE.id, range(100))
    other_end = {(ALICE.id, number, False): [frame(FrameType.OPEN, number)] for number in range(100)}
    data = {(ALICE.id, number, True): [frame(FrameType.DATA, number)] for number in range(200, 300)}
    arrived |= other_end | data
    known = set(arrived)
    assert not waiting.hold_back(arrived, PEER, known, KNOWN)
    assert set(arrived) == known
    assert waiting.hold_back(arrived, PEER, (), KNOWN)
    assert set(arrived) == {*opens(ALICE.id, range(OPENS_PER_TURN)), *other_end, *data}


def test_agents_take_turns_and_each_has_its_order():
    waiting = WaitingOpens(Meters())
    more = frame(FrameType.DATA, 1)
    assert waiting.hold_back(opens(ALICE.id, range(200)), PEER, (), KNOWN)
    assert not waiting.hold_back(opens(BOB.id, range(OPENS_PER_TURN + 2), more), PEER, (), KNOWN)
    taken = waiting.take()
    assert len(taken) == OPENS_PER_TURN
    assert [key[:2] for key, _, _ in taken[:5]] == [
        (ALICE.id, OPENS_PER_TURN),
        (BOB.id, OPENS_PER_TURN),
        (ALICE.id, OPENS_PER_TURN + 1),
        (BOB.id, OPENS_PER_TURN + 1),
        (ALICE.id, OPENS_PER_TURN + 2),
    ]
    assert taken[1].frames[1:] == (more,)
    while waiting:
        taken += waiting.take()
    assert [key[1] for key, _, _ in taken if key[0] == ALICE.id] == [*range(OPENS_PER_TURN, 200)]


def test_of_one_agent_no_more_than_so_many_wait():
    meters = Meters()
    waiting = WaitingOpens(meters)
    waiting.hold_back(opens(ALICE.id, range(OPENS_PER_TURN + MOST_WAITING + 5)), PEER, (), KNOWN)
    assert meters.opens_ignored == 5
    waiting.hold_back(opens(BOB.id, range(OPENS_PER_TURN + 1)), PEER, (), KNOWN)
    waiting.hold_back(opens(ALICE.id, [9_999]), PEER, (), KNOWN)
    assert meters.opens_ignored == 6
    assert len(waiting.take()) == OPENS_PER_TURN


def test_of_names_that_nobody_has_none_waits():
    waiting = WaitingOpens(Meters())
    arrived = opens(STRANGER.id, range(100))
    assert not waiting.hold_back(arrived, PEER, (), KNOWN)
    assert len(arrived) == 100


def test_in_its_name_by_another_peer_nobody_takes_an_agents_room():
    meters = Meters()
    waiting = WaitingOpens(meters)
    names = [AgentId(number.to_bytes(16, "big")) for number in range(1, 9)]
    assert waiting.hold_back(opens(ALICE.id, range(OPENS_PER_TURN + 10)), PEER, (), KNOWN)
    for name in (ALICE.id, *names):
        waiting.hold_back(opens(name, range(OPENS_PER_TURN + MOST_WAITING)), STRANGER.id, (), {name})
    assert meters.opens_ignored == 9 * MOST_WAITING + 10 - MOST_WAITING_IN_ALL
    taken = []
    while waiting:
        taken += waiting.take()
    assert len(taken) == MOST_WAITING_IN_ALL
    assert sum(via == PEER for _, _, via in taken) == 10


def test_many_of_one_each_are_bounded_too():
    meters = Meters()
    waiting = WaitingOpens(meters)
    for number in range(1, MOST_WAITING_IN_ALL + 3):
        name = AgentId(number.to_bytes(16, "big"))
        waiting.hold_back(opens(name, range(OPENS_PER_TURN + 1)), PEER, (), {name})
    assert meters.opens_ignored == 2
    count = 0
    while waiting:
        count += len(waiting.take())
    assert count == MOST_WAITING_IN_ALL
