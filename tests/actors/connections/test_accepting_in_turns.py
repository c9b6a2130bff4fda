"""A crowd of clients at one port, and those who come to others."""

from actors.accepting import ACCEPTS_PER_TURN
from mesh.addresses import TcpAddress
from tests.actors.company import Client, record_of, start
from tests.actors.connections.listener_company import NEAR, PORT, House


def test_a_crowd_is_let_in_few_at_a_time():
    house = House()
    listener = house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    listener._listening.watch_read(False)
    crowd = [
        start(house.world, Client, TcpAddress("127.0.0.1", PORT)) for _ in range(3 * ACCEPTS_PER_TURN + 1)
    ]
    house.world.run(0.01)
    taken = []
    for _ in range(4):
        listener.on_readable(listener._listening)
        taken.append(house.meters.clients_accepted)
    assert taken == [ACCEPTS_PER_TURN, 2 * ACCEPTS_PER_TURN, 3 * ACCEPTS_PER_TURN, len(crowd)]
    house.world.stop()
