"""What the simulator's invariants accept and what they refuse, on talks made up for it."""

from types import SimpleNamespace

import pytest

from scripts.simulation.invariants import InvariantError, as_expected
from scripts.simulation.programs import Conversation, Heard, Manner, Pace, Terms
from scripts.simulation.scenario import Expectation


def talks(*heard, records=None, silent=()):
    """Clients that heard so, numbered from 0."""
    terms = (Terms(number, up=0, down=1, manner=Manner.AT_ONCE) for number in range(len(heard)))
    conversations = [Conversation(one, Pace(), said) for one, said in zip(terms, heard, strict=True)]
    log = SimpleNamespace(crashes=[])
    return SimpleNamespace(conversations=conversations, records=records or {}, silent=list(silent), log=log)


RESET = {"error": 104, "finished_at": 2.0}


def test_a_client_that_no_service_met_is_a_fault():
    with pytest.raises(InvariantError, match="none served"):
        as_expected(talks(Heard(**RESET)), Expectation.SERVED)


def test_a_killed_service_takes_along_those_it_had_not_heard():
    as_expected(talks(Heard(**RESET), silent=[Heard()]), Expectation.SERVED)
    with pytest.raises(InvariantError, match="1 died with a service"):
        as_expected(talks(Heard(**RESET), Heard(**RESET), silent=[Heard()]), Expectation.SERVED)


def test_a_connection_that_the_service_saw_ending_was_not_taken_along():
    with pytest.raises(InvariantError, match="0 died with a service"):
        as_expected(talks(Heard(**RESET), silent=[Heard(**RESET)]), Expectation.SERVED)


def test_a_refused_client_is_not_excused_by_a_killed_service():
    refused = Heard(refused=111, finished_at=2.0)
    with pytest.raises(InvariantError, match="none served"):
        as_expected(talks(refused, silent=[Heard()]), Expectation.SERVED)


def test_a_client_that_left_or_was_met_is_served():
    as_expected(talks(Heard(left=True), Heard(**RESET), records={1: Heard()}), Expectation.SERVED)
