"""The connection table beside floods of OPENs."""

from actors.messages import connection_table as messages
from mesh.connection.open_admission import INGRESS_BURST
from tests.actors.connections.connection_table_company import ALICE, BOB, House, from_bob, open_frame


def test_no_more_than_so_many_opens_are_pending():
    house = House(max_pending_opens=4)
    house.arrive(*(open_frame(number) for number in (1, 2, 3)), from_bob(1), from_bob(2))
    assert len(house.exits) == 4
    assert house.meters.opens_ignored == 1
    house.pending().settled(is_in_use=True)
    house.arrive(open_frame(4))
    house.tell(messages.ConnectionEnded(ALICE.id, 2, is_exit=True))
    house.arrive(open_frame(5), from_bob(3))
    assert house.counts() == (0, 5, 4)
    house.world.stop()


def test_one_link_leaves_places_for_opens_from_others(caplog):
    house = House(max_pending_opens=18)
    house.tell(messages.FramesArrived(tuple(open_frame(number) for number in range(1, 50)), ALICE.id))
    assert len(house.exits) == 16
    house.tell(messages.FramesArrived((from_bob(1),), BOB.id))
    assert len(house.exits) == 17
    lines = [record.getMessage() for record in caplog.records]
    assert 0 < len(lines) < 10, "each is counted, but not each is written"
    assert house.meters.opens_ignored == 33
    assert f"by peer {house.table._named(ALICE.id)}" in lines[0]
    house.world.stop()


def test_beside_a_flood_of_forged_opens_others_are_looked_at():
    house = House(max_pending_opens=4096)
    for number in range(1, 20_001):
        house.table.ref.tell(messages.FramesArrived((open_frame(number),), BOB.id))
        house.table.ref.tell(messages.ConnectionEnded(ALICE.id, number, is_exit=True))
    house.world.run(0.0)
    assert len(house.exits) == INGRESS_BURST
    house.tell(messages.FramesArrived((open_frame(30_000),), ALICE.id))
    house.tell(messages.FramesArrived((from_bob(1),), BOB.id))
    assert len(house.exits) == INGRESS_BURST + 2
    house.world.stop()
