"""Who gets early data: an exit that was heard of late; and which clients are waited for."""

import pytest
from msgspec.structs import replace

from mesh.connection.early_data import (
    FIRST_PASSED,
    HEARD_S,
    LEAST_PATIENCE_S,
    LEAST_WAIT_S,
    MAX_EXITS,
    MOST_PASSED,
    MOST_PATIENCE_S,
    MOST_WAIT_S,
    SLOW_S,
    HeardExits,
    SpeakingHabit,
    first_words_wait_s,
)
from mesh.connection.party import Party
from mesh.trust.identity import AgentId, Instance


def party(number: int = 1) -> Party:
    return Party(AgentId(number.to_bytes(16, "big")), Instance(b"i" * 16), b"k" * 32)


EXIT = party()


@pytest.fixture
def exits() -> HeardExits:
    """One exit was heard at time 0, after 100 ms."""
    heard = HeardExits()
    heard.heard(EXIT, 0.1, 0.0)
    return heard


def test_an_exit_that_was_never_heard_gets_none():
    assert not HeardExits().is_there(EXIT, 0.0)


def test_an_exit_is_there_for_a_while_after_it_was_heard(exits):
    assert exits.is_there(EXIT, HEARD_S - 0.01)
    assert not exits.is_there(EXIT, HEARD_S)


def test_another_instance_of_it_has_not_been_heard(exits):
    another = replace(EXIT, instance=Instance(b"j" * 16))
    assert not exits.is_there(another, 0.0)
    exits.heard(another, 0.1, 0.0)
    assert exits.is_there(another, 0.0)
    assert not exits.is_there(EXIT, 0.0)


def test_an_exit_that_was_slow_to_hand_it_over_gets_none_for_a_while(exits):
    exits.was_slow(party(2), 1.0)  # of which nothing is known
    exits.was_slow(EXIT, 1.0)
    exits.heard(EXIT, 0.1, 1.5)
    assert not exits.is_there(EXIT, 1.5)
    exits.heard(EXIT, 0.1, 0.99 + SLOW_S)
    assert not exits.is_there(EXIT, 0.99 + SLOW_S)
    assert exits.is_there(EXIT, 1.0 + SLOW_S)


def test_an_exit_that_takes_twice_as_long_as_it_did_gets_none_until_it_is_heard(exits):
    exits.asked(EXIT, 0.1)
    exits.asked(EXIT, 0.2)
    assert exits.is_there(EXIT, 0.29)
    assert not exits.is_there(EXIT, 0.31)
    exits.heard(EXIT, 0.3, 0.4)
    assert exits.is_there(EXIT, 0.5)
    exits.asked(EXIT, 0.5)
    assert exits.is_there(EXIT, 0.99), "it may be that slow"
    assert not exits.is_there(EXIT, 0.5 + MOST_PATIENCE_S)


def test_the_slowest_answer_fades(exits):
    for _ in range(40):
        exits.heard(EXIT, 0.001, 1.0)
    exits.asked(EXIT, 1.0)
    assert exits.is_there(EXIT, 1.0 + LEAST_PATIENCE_S - 0.001)
    assert not exits.is_there(EXIT, 1.0 + LEAST_PATIENCE_S)


def test_of_too_many_exits_the_first_are_forgotten(exits):
    for number in range(2, MAX_EXITS + 2):
        exits.heard(party(number), 0.1, 0.0)
    assert not exits.is_there(EXIT, 0.0)
    assert exits.is_there(party(2), 0.0)


def test_what_is_asked_of_a_stranger_is_forgotten():
    heard = HeardExits()
    heard.asked(EXIT, 0.0)
    assert not heard.is_there(EXIT, 0.0)


@pytest.mark.parametrize(("rtt_s", "wait_s"), [(0.0005, LEAST_WAIT_S), (0.024, 0.003), (0.3, MOST_WAIT_S)])
def test_how_long_a_client_is_waited_for_follows_from_the_path(rtt_s, wait_s):
    assert first_words_wait_s(rtt_s) == wait_s


def passed_by(habit: SpeakingHabit) -> int:
    """How many clients are not waited for before one is."""
    count = 0
    while not habit.is_worth_waiting():
        count += 1
    return count


def test_clients_that_listen_first_are_waited_for_ever_more_seldom():
    habit = SpeakingHabit()
    assert passed_by(habit) == 0
    passed = []
    for _ in range(10):
        habit.was_silent()
        passed.append(passed_by(habit))
    assert passed[:3] == [FIRST_PASSED, 2 * FIRST_PASSED, 4 * FIRST_PASSED]
    assert passed[-1] == MOST_PASSED
    habit.spoke()
    assert passed_by(habit) == 0
    habit.was_silent()
    assert passed_by(habit) == FIRST_PASSED
