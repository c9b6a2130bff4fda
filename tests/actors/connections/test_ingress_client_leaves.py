"""A client that leaves before its connection is open."""

import pytest

from actors.connections.due import HANG_UP_POLL_S
from actors.messages.connection import CloseWithListener
from mesh.link.frames import FrameType
from tests.actors.connections.end_company import RESET

pytestmark = pytest.mark.usefixtures("no_crashes")


def test_a_client_that_resets_before_the_open_is_noticed_and_what_opens_late_is_reset(one):
    [candidate] = one.exits
    one.client.socket.abort()
    one.run(HANG_UP_POLL_S + 0.2)
    asked = len(candidate.opens)
    assert one.clients_left == 1
    one.run(1.5)
    assert len(candidate.opens) == asked
    assert one.ingress.ref.is_alive()
    candidate.answer()
    assert len(candidate.wire.of(FrameType.RESET)) == 1
    assert one.is_over


def test_a_client_that_resets_is_not_served_by_the_next_candidate(two):
    first, second = two.exits
    two.client.socket.abort()
    two.run(0.2)
    first.answer("refused")
    two.run(HANG_UP_POLL_S + 0.2)
    if second.opens:
        second.answer()
        assert len(second.wire.of(FrameType.RESET)) == 1
    assert two.is_over


def test_with_a_listener_goes_a_client_for_whom_nothing_is_open_yet(one):
    [candidate] = one.exits
    one.ingress.ref.tell(CloseWithListener())
    one.run(0.1)
    assert (one.client.end, one.clients_left) == (RESET, 1)
    candidate.answer()
    assert len(candidate.wire.of(FrameType.RESET)) == 1
    assert one.is_over


def test_for_a_client_that_left_the_answers_are_not_awaited_for_ever(one):
    one.client.socket.abort()
    one.run(10.2)
    assert one.is_over


def test_what_goes_with_its_listener_once_its_client_has_left_still_declines(one):
    [candidate] = one.exits
    one.client.socket.abort()
    one.run(HANG_UP_POLL_S + 0.2)
    one.ingress.ref.tell(CloseWithListener())  # it was on its way
    one.run(0.1)
    candidate.answer()
    assert len(candidate.wire.of(FrameType.RESET)) == 1
    assert one.is_over


def test_an_accept_for_a_client_that_has_just_reset_is_reset(one):
    [candidate] = one.exits
    one.client.socket.abort()
    one.run(0.01)
    candidate.answer()
    assert len(candidate.wire.of(FrameType.RESET)) == 1
    assert candidate.wire.of(FrameType.PROBE) == []
