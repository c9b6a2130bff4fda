"""A client or target that does not read, and one that hangs up while it is not read itself."""

import pytest

from actors.connections.connection_end import MAX_WAITING_PIECES
from actors.connections.due import DRAIN_BEFORE_RESET_S, HANG_UP_POLL_S, LEFT_S
from tests.actors.connections.both_ends_company import MIB, SIDES, SMALL, Ends, both, pattern
from tests.actors.connections.end_company import RESET

pytestmark = pytest.mark.usefixtures("no_crashes")

# Slow sockets


@pytest.mark.parametrize("side", SIDES)
def test_a_socket_that_is_not_read_stalls_its_own_direction_only(ends, side):
    one, other = both(ends, side)
    other.read(False)
    one.send(bytes(40 * MIB))
    ends.run(10.0)
    assert one.unsent_bytes > 20 * MIB
    other.send(pattern(5 * MIB))
    ends.run(10.0)
    assert bytes(one.received) == pattern(5 * MIB)
    held = ends.ingress_settings.budget.reserved_bytes + ends.exit_settings.budget.reserved_bytes
    assert held < 24 * MIB
    other.read(True)
    ends.run(60.0)
    assert len(other.received) == 40 * MIB


def test_small_socket_buffers_and_a_slow_reader_lose_nothing():
    ends = Ends(options=SMALL).open()
    ends.target.send(pattern(300_000))
    for turn in range(60):
        ends.client.read(turn % 2 == 0)
        ends.run(0.05)
    ends.client.read(True)
    ends.run(20.0)
    assert bytes(ends.client.received) == pattern(300_000)
    ends.world.stop()


def test_many_small_pieces_for_a_slow_socket_are_joined():
    ends = Ends(options=SMALL).open()
    ends.client.read(False)
    ends.target.send(pattern(30_000))
    ends.run(1.0)
    pieces = 0
    for number in range(3_000):
        ends.target.send(pattern(30_002 + number)[-2:])
        ends.run(0.002)
        pieces = max(pieces, len(ends.ingress._waiting))
    assert pieces == MAX_WAITING_PIECES
    ends.client.read(True)
    ends.run(5.0)
    assert len(ends.client.received) == 36_000
    ends.world.stop()


# A hang-up is noticed though the socket is not read


@pytest.mark.parametrize("side", SIDES)
def test_a_reset_of_a_stalled_socket_is_noticed(ends, side):
    one, other = both(ends, side)
    other.read(False)
    one.send(bytes(40 * MIB))
    ends.run(5.0)
    one.socket.abort()
    ends.run(HANG_UP_POLL_S + DRAIN_BEFORE_RESET_S + 0.2)
    end = ends.ingress if side == "client" else ends.exit
    assert end._socket is None
    other.read(True)
    ends.run(5.0)
    assert other.end == RESET
    assert ends.is_over


def test_a_client_that_has_finished_and_gone_is_noticed_when_the_target_writes(ends):
    ends.client.send(b"GET")
    ends.client.socket.close()
    ends.run(2.0)
    ends.target.send(pattern(300_000))
    ends.run(HANG_UP_POLL_S + 1.0)
    assert ends.is_over


def test_a_client_that_has_finished_and_reads_slowly_is_not_taken_for_gone():
    ends = Ends(options=SMALL).open()
    ends.client.closes_at_end = ends.target.closes_at_end = False
    ends.client.socket.shutdown_write()
    ends.client.read(False)
    ends.run(1.0)
    ends.target.send(pattern(300_000))
    ends.target.socket.shutdown_write()
    ends.run(30.0)
    ends.client.read(True)
    ends.run(30.0)
    assert bytes(ends.client.received) == pattern(300_000)
    assert ends.client.end == "EOF"
    assert ends.is_over
    ends.world.stop()


# One that closes its unix socket, which no probe of the kernel finds out


def with_a_client_by_unix_socket(ends, monkeypatch):
    """What the client does next is done to a unix socket; the target ends nothing by itself."""
    monkeypatch.setattr(ends.ingress._socket, "_local_name", "unix:/run/app.sock")
    ends.target.closes_at_end = ends.client.closes_at_end = False


def test_a_client_that_closed_its_unix_socket_does_not_hold_the_target_for_ever(ends, monkeypatch):
    with_a_client_by_unix_socket(ends, monkeypatch)
    ends.client.send(b"last words")
    ends.client.socket.close()
    ends.run(LEFT_S - 1.0)
    assert bytes(ends.target.received) == b"last words"
    assert ends.target.end == "EOF"
    assert not ends.is_over
    ends.run(HANG_UP_POLL_S + 2.0)
    assert ends.is_over


def test_a_client_that_has_only_finished_sending_by_its_unix_socket_is_waited_for(ends, monkeypatch):
    with_a_client_by_unix_socket(ends, monkeypatch)
    ends.client.send(b"GET")
    ends.client.socket.shutdown_write()
    ends.run(3 * LEFT_S)
    ends.target.send(b"at last")
    ends.run(1.0)
    assert bytes(ends.client.received) == b"at last"
    assert not ends.is_over
