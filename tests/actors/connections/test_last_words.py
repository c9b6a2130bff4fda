"""What a client or target sent before its reset arrives before the reset, however this agent meets it."""

import pytest

from actors.connections.due import DRAIN_AFTER_RESET_S, DRAIN_BEFORE_RESET_S, HANG_UP_POLL_S
from tests.actors.connections.both_ends_company import MIB, SIDES, SMALL, Ends, both, pattern, resets
from tests.actors.connections.end_company import RESET

HOSTS = {"client": "branch", "target": "hq"}


def meet_while_writing(ends: Ends, side: str, last_words: bytes, *, finishes: bool = False) -> None:
    """The agent of ``side`` has something to write when that side has spoken and reset."""
    one, other = both(ends, side)
    agent = ends.world.dispatcher(HOSTS[side])
    agent.pause()
    other.send(b"a question that nobody reads")
    ends.run(0.1)  # it waits in the agent's mailbox, ahead of what the socket has to say
    one.send(last_words)
    if finishes:
        one.socket.shutdown_write()
    one.socket.abort()
    ends.run(0.1)
    agent.resume()


@pytest.mark.parametrize("byte_count", [1, 50_000])
@pytest.mark.parametrize("side", SIDES)
def test_a_reset_that_is_met_while_writing_is_preceded_by_what_was_unread(ends, side, byte_count):
    _, other = both(ends, side)
    meet_while_writing(ends, side, pattern(byte_count))
    ends.run(1.0)
    assert (bytes(other.received), other.end) == (pattern(byte_count), RESET)
    ends.run(3.0)
    assert ends.is_over
    assert resets(ends) == (1, 1)


@pytest.mark.parametrize("side", SIDES)
def test_an_end_of_stream_before_a_reset_that_is_met_while_writing_is_one_at_the_other_side(ends, side):
    _, other = both(ends, side)
    meet_while_writing(ends, side, b"HTTP/1.0 413", finishes=True)
    ends.run(1.0)
    assert (bytes(other.received), other.end) == (b"HTTP/1.0 413", "EOF")
    ends.run(3.0)
    assert ends.is_over


@pytest.mark.parametrize("side", SIDES)
def test_a_reset_while_reading_is_preceded_by_all_that_more_than_one_turn_takes(ends, side):
    one, other = both(ends, side)
    ends.run(0.1)
    other.send(pattern(4 * MIB))  # its window grows
    one.send(pattern(4 * MIB))
    ends.run(10.0)
    assert len(other.received) == 4 * MIB
    other.received.clear()
    agent = ends.world.dispatcher(HOSTS[side])
    agent.pause()
    one.send(pattern(200_000))
    ends.run(0.5)
    one.socket.abort()
    ends.run(0.1)
    agent.resume()
    ends.run(3.0)
    assert (bytes(other.received), other.end) == (pattern(200_000), RESET)


@pytest.mark.parametrize("side", SIDES)
def test_what_precedes_a_reset_waits_for_credit_and_then_the_reset_comes(side):
    ends = Ends(options=SMALL).open()
    one, other = both(ends, side)
    other.read(False)
    one.send(pattern(300_000))
    ends.run(2.0)
    sent = 300_000 - one.unsent_bytes
    one.socket.abort()
    ends.run(HANG_UP_POLL_S + 1.0)  # noticed, though there is no credit to read it
    assert not other.end
    other.read(True)
    ends.run(3.0)
    assert other.end == RESET
    assert bytes(other.received) == pattern(300_000)[: len(other.received)]
    assert len(other.received) >= min(sent, 65_536)
    assert ends.is_over
    ends.world.stop()


@pytest.mark.parametrize("side", SIDES)
def test_what_precedes_a_reset_does_not_wait_for_credit_for_ever(side):
    ends = Ends().open()
    one, other = both(ends, side)
    other.read(False)
    one.send(pattern(40 * MIB))
    ends.run(5.0)
    one.socket.abort()
    ends.run(HANG_UP_POLL_S + DRAIN_BEFORE_RESET_S + DRAIN_AFTER_RESET_S + 3.0)
    assert ends.is_over
    assert resets(ends) == (1, 1)
    ends.world.stop()


def test_who_has_finished_and_is_reset_has_nothing_left_to_say(ends):
    ends.client.send(b"all")
    ends.client.socket.shutdown_write()
    ends.run(1.0)
    ends.client.socket.abort()
    ends.run(HANG_UP_POLL_S + 1.0)
    assert (bytes(ends.target.received), ends.target.end) == (b"all", "EOF")
    assert ends.is_over
