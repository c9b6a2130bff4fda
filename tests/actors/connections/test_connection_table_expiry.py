"""What the connection table does when the certificate of an agent at the other end of connections ends."""

import pytest

from actors.messages import connection as connection_messages
from actors.messages import connection_table as messages
from mesh.trust.certificates import CERTIFICATE_POLL_S
from tests.actors.company import record_of
from tests.actors.connections.connection_table_company import (
    ALICE,
    BOB,
    BOB_INSTANCE,
    OWN,
    OWN_INSTANCE,
    House,
    from_bob,
    open_frame,
)

EXPIRED = connection_messages.PeerExpired(ALICE.id)


def alice(valid_s):
    return record_of(ALICE, instance=b"a", valid_s=valid_s)


def bob(valid_s=100_000):
    return record_of(BOB, instance=b"b", valid_s=valid_s)


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def run_until(house, time_s):
    house.world.run(time_s - house.world.clock.now)


def test_connections_of_either_kind_end_at_that_second_and_those_of_others_go_on(house, caplog):
    house.routes(alice(100), bob())
    (ingress, _), (other, _) = house.register(), house.register(BOB.id, BOB_INSTANCE)
    house.arrive(open_frame(), from_bob(8))
    run_until(house, 99.9)
    assert ingress.of(connection_messages.PeerExpired) == house.exits[0].heard == []
    run_until(house, 100.1)
    assert ingress.of(connection_messages.PeerExpired) == house.exits[0].heard == [EXPIRED]
    assert other.of(connection_messages.PeerExpired) == house.exits[1].heard == []
    assert "has ended; connections with it: 2, reset" in caplog.text


def test_a_record_that_is_gone_before_is_remembered(house):
    house.routes(alice(100))
    connection, _ = house.register()
    house.routes()
    run_until(house, 100.1)
    assert connection.of(connection_messages.PeerExpired) == [EXPIRED]


def test_a_record_that_comes_later_than_the_connection_counts(house):
    house.routes()
    connection, _ = house.register()
    house.routes(alice(100))
    run_until(house, 100.1)
    assert connection.of(connection_messages.PeerExpired) == [EXPIRED]


def test_the_newest_certificate_counts(house):
    house.routes(alice(100))
    connection, _ = house.register()
    house.routes(alice(300))
    run_until(house, 299.9)
    assert connection.of(connection_messages.PeerExpired) == []
    run_until(house, 300.1)
    assert connection.of(connection_messages.PeerExpired) == [EXPIRED]


def test_a_connection_that_begins_once_others_have_ended_is_watched_too(house):
    house.routes(alice(100), bob(50))
    _, number = house.register(BOB.id, BOB_INSTANCE)
    house.tell(messages.ConnectionEnded(BOB.id, number, is_exit=False))
    run_until(house, 90.0)
    connection, _ = house.register()
    run_until(house, 100.1)
    assert connection.of(connection_messages.PeerExpired) == [EXPIRED]


def test_what_opens_before_the_routes_have_changed_ends_with_them(house):
    house.routes(alice(100), bob())
    house.arrive(open_frame(7))
    run_until(house, 100.0)
    house.arrive(open_frame(8))
    house.routes(bob())
    assert [exit_.heard for exit_ in house.exits][1] == [EXPIRED]


@pytest.mark.parametrize("by", ["routes", "time"])
def test_the_wall_clock_may_be_set(house, by):
    house.routes(alice(100_000))
    connection, _ = house.register()
    house.world.dispatcher("here").clock_skew_s = 100_000.0
    if by == "routes":
        house.routes()
    else:
        run_until(house, CERTIFICATE_POLL_S + 0.1)
    assert connection.of(connection_messages.PeerExpired) == [EXPIRED]


def test_a_wall_clock_that_is_set_back_lets_them_go_on(house):
    house.routes(alice(50))
    connection, _ = house.register()
    house.world.dispatcher("here").clock_skew_s = -20.0
    run_until(house, 69.9)
    assert connection.of(connection_messages.PeerExpired) == []
    run_until(house, 70.1)
    assert connection.of(connection_messages.PeerExpired) == [EXPIRED]


def test_an_agent_does_not_judge_itself(house):
    house.routes(record_of(OWN, instance=b"o", valid_s=100))
    connection, _ = house.register(OWN.id, OWN_INSTANCE)
    run_until(house, 200.0)
    assert connection.of(connection_messages.PeerExpired) == []


def test_nothing_rings_where_nothing_is_connected(house):
    house.routes(alice(100))
    _, number = house.register()
    house.tell(messages.ConnectionEnded(ALICE.id, number, is_exit=False))
    run_until(house, 2 * CERTIFICATE_POLL_S)
    assert house.table._certificates._ends.next_look == house.table._alarm.at == float("inf")
