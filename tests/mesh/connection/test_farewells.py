"""Farewells of connections: kept for a while, said a few times, and forgotten."""

from math import inf

import pytest

from mesh.connection.farewells import EXPIRY_S, FAREWELLS_S, MAX_FAREWELLS, MAX_SAID, Farewells
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId

ONE, OTHER = AgentId(b"1" * 16), AgentId(b"2" * 16)
NOW = 100.0


def frame(kind, number=0):
    return Frame(kind, False, ONE, OTHER, 7, number, b"sealed")


FAREWELL = (frame(FrameType.FIN),)


@pytest.mark.parametrize("kind", [FrameType.DATA, FrameType.FIN, FrameType.PROBE, FrameType.ACCEPT])
def test_whoever_asks_on_is_answered_a_few_times(kind):
    farewells = Farewells()
    farewells.keep(ONE, "a", FAREWELL, NOW)
    assert [farewells.answer(ONE, "a", frame(kind)) for _ in range(MAX_SAID)] == [FAREWELL] * MAX_SAID
    assert farewells.answer(ONE, "a", frame(kind)) == ()
    assert farewells.expire(NOW) == inf


@pytest.mark.parametrize("kind", [FrameType.ACK, FrameType.RESET, FrameType.UNKNOWN, FrameType.OPEN])
def test_what_asks_for_nothing_or_for_something_else_is_not_answered(kind):
    farewells = Farewells()
    farewells.keep(ONE, "a", FAREWELL, NOW)
    assert farewells.answer(ONE, "a", frame(kind)) == ()
    assert farewells.answer(ONE, "b", frame(FrameType.FIN)) == ()


def test_they_are_kept_for_a_while():
    farewells = Farewells()
    farewells.keep(ONE, "a", FAREWELL, NOW)
    farewells.keep(ONE, "b", FAREWELL, NOW + 1.0)
    farewells.answer(ONE, "a", frame(FrameType.FIN))
    assert farewells.expire(NOW + 1.0) == NOW + FAREWELLS_S
    assert farewells.expire(NOW + FAREWELLS_S - 0.1) == NOW + FAREWELLS_S - 0.1 + EXPIRY_S  # not that often
    assert farewells.expire(NOW + FAREWELLS_S) == NOW + 1.0 + FAREWELLS_S
    assert farewells.answer(ONE, "a", frame(FrameType.FIN)) == ()
    assert farewells.answer(ONE, "b", frame(FrameType.FIN)) == FAREWELL
    assert farewells.expire(NOW + 1.0 + FAREWELLS_S) == inf


def test_one_that_is_kept_again_is_the_newest():
    farewells = Farewells()
    farewells.keep(ONE, "a", FAREWELL, NOW)
    farewells.keep(ONE, "b", FAREWELL, NOW + 1.0)
    farewells.keep(ONE, "a", FAREWELL, NOW + 2.0)
    assert farewells.expire(NOW + FAREWELLS_S) == NOW + 1.0 + FAREWELLS_S
    farewells.forget(ONE, "b")
    assert farewells.expire(NOW + FAREWELLS_S) == NOW + 2.0 + FAREWELLS_S


def test_of_too_many_the_oldest_go():
    farewells = Farewells()
    for key in range(MAX_FAREWELLS + 2):
        farewells.keep(ONE, key, FAREWELL, NOW)
    assert farewells.answer(ONE, 1, frame(FrameType.FIN)) == ()
    assert farewells.answer(ONE, 2, frame(FrameType.FIN)) == FAREWELL


def test_one_agents_connections_take_nothing_from_others():
    farewells = Farewells()
    farewells.keep(OTHER, "a", FAREWELL, NOW)
    for key in range(2 * MAX_FAREWELLS):
        farewells.keep(ONE, key, FAREWELL, NOW)
    assert farewells.answer(OTHER, "a", frame(FrameType.FIN)) == FAREWELL
    assert farewells.answer(ONE, MAX_FAREWELLS, frame(FrameType.FIN)) == ()
    assert farewells.answer(ONE, MAX_FAREWELLS + 1, frame(FrameType.FIN)) == FAREWELL
    assert farewells.expire(NOW + FAREWELLS_S) == inf
