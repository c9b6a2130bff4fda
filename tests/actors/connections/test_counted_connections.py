"""What a connection adds to the figures of its key, and a listener, an endpoint or a link has there."""

import pytest

from actors.messages import connection as messages
from mesh.connection.endings import Ending
from tests.actors.connections.both_ends_company import Ends
from tests.actors.connections.end_company import KEY
from tests.actors.connections.listener_company import House

pytestmark = pytest.mark.usefixtures("no_crashes")


def meters_of(ends):
    return ends.ingress_meters.listened.of(KEY), ends.exit_meters.served.of(KEY)


def endings(meter):
    return {ending: count for ending, count in meter.endings.items() if count}


def test_its_bytes_and_its_opening_count_at_both_ends_while_it_is_open(ends):
    ends.client.send(bytes(1000))
    ends.target.send(bytes(300_000))
    ends.run(2.0)
    near, far = meters_of(ends)
    assert (near.sent_bytes, near.received_bytes) == (far.received_bytes, far.sent_bytes) == (1000, 300_000)
    for meter in (near, far):
        assert meter.open_connections == sum(meter.opening.counts) == 1
        assert 0.0 < meter.opening.total < 1.0
        assert endings(meter) == {}
    assert near.opening.total > far.opening.total, "the client waits for the exit and for the way there"


def test_its_end_counts_once_at_each_end():
    ends = Ends().open()
    ends.client.socket.shutdown_write()
    ends.run(3.0)
    assert ends.is_over
    for meter in meters_of(ends):
        assert meter.open_connections == 0
        assert endings(meter) == {Ending.CLOSED: 1}
    ends.world.stop()


@pytest.mark.parametrize("gone", ["ingress", "exit", "path", "operator"])
def test_none_stays_open_however_it_ends(ends, gone):
    if gone == "path":
        ends.path(exists=False)
    elif gone == "operator":
        ends.ingress.ref.tell(messages.CloseForOperator())
    else:
        getattr(ends, gone).ref.tell(messages.CloseConnection("the agent leaves"))
    ends.run(600.0)
    for meter in meters_of(ends):
        assert meter.open_connections == 0
        assert sum(meter.endings.values()) == 1


def test_one_whose_key_nobody_has_is_not_shown():
    ends = Ends()
    ends.exit_meters.served.end(KEY)
    ends.open()
    assert ends.exit_meters.served.by_key() == {}
    ends.world.stop()


def test_a_key_has_figures_while_its_listener_is_there():
    house = House()
    listener = house.open()
    assert house.meters.listened.by_key().keys() == {"postgres-main"}
    listener.ref.stop(block=False)
    house.world.run(0.1)
    assert house.meters.listened.by_key() == {}
    house.world.stop()
