"""What waits in the kernel for a client or target that does not read: bounded, and counted."""

import pytest

from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS, NOT_SENT_BYTES
from tests.actors.connections.both_ends_company import MIB, SIDES, Ends, both, pattern


def budget_of(ends, side):
    """Of the agent on that side, and its end."""
    if side == "client":
        return ends.ingress_settings.budget, ends.ingress
    return ends.exit_settings.budget, ends.exit


@pytest.mark.parametrize("side", SIDES)
def test_what_waits_for_a_socket_that_takes_no_more_is_counted_until_it_does(side):
    ends = Ends(options=CONNECTION_SOCKET_OPTIONS).open()
    ends.client.closes_at_end = ends.target.closes_at_end = False
    one, other = both(ends, side)
    budget, end = budget_of(ends, side)
    one.read(False)
    other.send(pattern(16 * MIB))
    ends.run(10.0)
    assert end._writing
    pipe = end._socket._outgoing()
    assert pipe._unsent <= NOT_SENT_BYTES
    blocked = budget.reserved_bytes
    end._watch_write(False)
    assert blocked - budget.reserved_bytes == NOT_SENT_BYTES
    end._watch_write(True)
    assert budget.reserved_bytes == blocked
    one.read(True)
    ends.run(10.0)
    assert len(one.received) == 16 * MIB
    assert not end._writing
    for program in (one, other):
        program.socket.close()
    ends.run(5.0)
    assert ends.is_over  # which includes that nothing is reserved
    ends.world.stop()


@pytest.mark.parametrize("how", ["reset", "other end"])
@pytest.mark.parametrize("side", SIDES)
def test_a_socket_that_ends_while_it_takes_no_more_gives_back_what_was_counted(side, how):
    ends = Ends(options=CONNECTION_SOCKET_OPTIONS).open()
    one, other = both(ends, side)
    _, end = budget_of(ends, side)
    one.read(False)
    other.send(pattern(16 * MIB))
    ends.run(10.0)
    assert end._writing
    (one if how == "reset" else other).socket.abort()
    ends.run(30.0)
    assert ends.is_over
    ends.world.stop()
