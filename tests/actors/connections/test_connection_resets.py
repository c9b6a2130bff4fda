"""What becomes of a connection whose client or target is reset."""

import pytest

from actors.connections.connection_settings import RESET_MEANINGS
from actors.connections.due import DRAIN_AFTER_END_S, DRAIN_AFTER_RESET_S, DRAIN_BEFORE_RESET_S
from actors.messages import connection as messages
from mesh.connection.stream import ResetCode
from tests.actors.connections.both_ends_company import SIDES, SMALL, Ends, both, pattern, resets
from tests.actors.connections.end_company import EXIT, RESET

pytestmark = pytest.mark.usefixtures("no_crashes")


@pytest.mark.parametrize("side", SIDES)
def test_a_reset_is_a_reset_at_the_other_side(ends, side):
    one, other = both(ends, side)
    one.send(b"some")
    ends.run(0.1)
    one.socket.abort()
    ends.run(1.0)
    assert (bytes(other.received), other.end) == (b"some", RESET)
    assert ends.is_over
    assert resets(ends) == (1, 1)


def test_both_sides_reset_at_once_are_counted_once_each(ends):
    ends.client.socket.abort()
    ends.target.socket.abort()
    ends.run(3.0)
    assert ends.is_over
    assert resets(ends) == (1, 1)


def test_every_reason_for_a_reset_has_its_words():
    assert set(RESET_MEANINGS) == set(ResetCode)


@pytest.mark.parametrize("side", SIDES)
def test_what_was_sent_before_a_reset_arrives_before_it(ends, side):
    one, other = both(ends, side)
    one.send(pattern(100_000))
    ends.run(0.004)
    assert len(other.received) < 100_000
    one.socket.abort()
    ends.run(3.0)
    assert bytes(other.received) == pattern(100_000)
    assert other.end == RESET


def test_what_arrived_before_a_reset_waits_for_a_slow_socket():
    ends = Ends(options=SMALL).open()
    ends.client.read(False)
    ends.target.send(pattern(100_000))
    ends.run(0.5)
    ends.target.socket.abort()
    ends.run(5.0)
    assert ends.ingress.ref.is_alive()
    ends.client.read(True)
    ends.run(3.0)
    assert ends.client.end == RESET
    assert bytes(ends.client.received) == pattern(len(ends.client.received))
    assert len(ends.client.received) >= 65_536
    assert ends.is_over
    ends.world.stop()


def test_a_socket_that_takes_nothing_after_a_reset_is_not_waited_for_for_ever():
    ends = Ends(options=SMALL).open()
    ends.client.read(False)
    ends.target.send(pattern(100_000))
    ends.run(0.5)
    ends.target.socket.abort()
    ends.run(DRAIN_BEFORE_RESET_S + DRAIN_AFTER_RESET_S - 1.0)  # first for credit, then for the client
    assert ends.ingress.ref.is_alive()
    ends.run(3.5)
    assert ends.is_over
    assert resets(ends) == (1, 1)
    ends.world.stop()


def test_a_socket_that_takes_something_after_a_reset_is_waited_for():
    ends = Ends(options=SMALL).open()
    ends.client.read(False)
    ends.target.send(pattern(80_000))
    ends.run(0.5)
    ends.target.socket.abort()
    for _ in range(5):
        ends.run(DRAIN_AFTER_RESET_S - 2.0)
        ends.client.on_readable(ends.client.socket)
    assert len(ends.client.received) < 80_000
    ends.client.read(True)
    ends.run(1.0)
    assert bytes(ends.client.received) == pattern(80_000)
    assert ends.client.end == RESET
    assert ends.is_over
    ends.world.stop()


# Who closes a socket has said all; the kernel forgets it after a minute, and resets it at the next probe


FORGOTTEN_WITH = [("client", 500_000), ("client", 940_000), ("target", 50_000), ("target", 500_000)]
"""Bytes for which there is credit, and more, which wait unread in front of the end of their stream."""


def closed_and_forgotten(ends, side, byte_count):
    """One side has sent so many bytes and closed its socket, long ago; the other takes nothing yet."""
    one, other = both(ends, side)
    ends.client.closes_at_end = ends.target.closes_at_end = False
    other.read(False)
    one.send(pattern(byte_count))
    ends.run(20.0)
    assert one.unsent_bytes == 0
    one.socket.shutdown_write()
    ends.run(60.0)
    one.socket.abort()
    ends.run(DRAIN_BEFORE_RESET_S + DRAIN_AFTER_RESET_S + 60.0)
    return other


@pytest.mark.parametrize(("side", "byte_count"), FORGOTTEN_WITH)
def test_what_a_socket_said_before_it_was_closed_is_delivered_however_late(side, byte_count):
    ends = Ends(options=SMALL).open()
    other = closed_and_forgotten(ends, side, byte_count)
    assert len(other.received) < byte_count
    other.read(True)
    ends.run(30.0)
    assert bytes(other.received) == pattern(byte_count)
    assert other.end == "EOF"
    assert ends.is_over
    ends.world.stop()


def test_no_reset_takes_back_what_the_kernel_still_has_of_it(monkeypatch):
    ends = Ends(options=SMALL).open()
    monkeypatch.setattr(ends.exit._socket, "abort", lambda: pytest.fail("closed by a reset"))
    closed_and_forgotten(ends, "client", 500_000).read(True)
    ends.run(5.0)
    assert ends.exit._socket is None
    ends.world.stop()


@pytest.mark.parametrize(("side", "byte_count"), FORGOTTEN_WITH[1:])
def test_it_is_not_waited_for_for_ever(side, byte_count):
    ends = Ends(options=SMALL).open()
    closed_and_forgotten(ends, side, byte_count)
    assert not ends.is_over
    ends.run(2 * DRAIN_AFTER_END_S)
    assert ends.is_over
    ends.world.stop()


@pytest.mark.parametrize("side", SIDES)
def test_a_half_closed_connection_can_be_reset_from_either_side(ends, side):
    one, other = both(ends, side)
    ends.client.socket.shutdown_write()
    ends.run(0.5)
    one.socket.abort()
    ends.run(3.0)
    assert other.end == ("EOF" if side == "client" else RESET)
    assert ends.is_over


def test_who_has_been_reset_is_not_counted_again_when_the_path_is_lost(ends):
    ends.path(exists=False)
    ends.client.socket.abort()
    ends.run(0.1)
    assert resets(ends) == (1, 0)
    ends.run(40.0)
    assert ends.is_over
    assert resets(ends) == (1, 1)


@pytest.mark.parametrize(
    "news",
    [messages.PeerRestarted(EXIT.id), messages.PeerExpired(EXIT.id), messages.CloseConnection("leaving")],
)
def test_what_has_ended_in_order_is_not_told_as_reset_while_it_stays_to_repeat_its_last_word(
    ends, caplog, news
):
    ends.client.send(b"question")
    ends.client.socket.shutdown_write()
    ends.run(1.0)
    ends.target.send(b"answer")
    ends.target.socket.close()
    ends.run(1.0)
    assert (bytes(ends.client.received), ends.client.end) == (b"answer", "EOF")
    ends.client.socket.close()
    ends.run(0.1)
    assert ends.ingress.ref.is_alive()
    with caplog.at_level("INFO", logger="mesh.connections"):
        ends.ingress.ref.tell(news)
        ends.run(5.0)
    assert ends.is_over
    assert resets(ends) == (0, 0)
    assert caplog.records == []
