"""A crowd of clients at one port, and those who come to others."""

import errno

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


def test_a_socket_that_does_not_listen_any_more_is_replaced(monkeypatch, caplog):
    """As after ``ss --kill`` of it: its hang-up is reported for ever, and accepting fails for ever."""
    house = House()
    listener = house.open()
    house.offer(record_of(NEAR, "postgres-main"))

    def fail() -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    ended = listener._listening
    monkeypatch.setattr(ended, "accept", fail)
    client = start(house.world, Client, TcpAddress("127.0.0.1", PORT))
    house.world.run(5.0)
    assert client.end == "Connection reset by peer"
    assert listener._listening is not ended
    assert sum("Invalid argument" in record.message for record in caplog.records) == 1
    assert not start(house.world, Client, TcpAddress("127.0.0.1", PORT)).end
    house.world.run(0.1)
    assert house.meters.clients_accepted == 1
    house.world.stop()
