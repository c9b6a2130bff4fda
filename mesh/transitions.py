"""A step of a state machine that is a table."""

import enum
from collections.abc import Callable, Mapping
from typing import TypeVar

from mesh.errors import LocalProtocolError

S = TypeVar("S", bound=enum.Enum)
E = TypeVar("E", bound=enum.Enum)


def stepping(subject: str, transitions: Mapping[tuple[S, E], S]) -> Callable[[S, E], S]:
    """The function of a state and an event that returns the state after the event.

    It raises LocalProtocolError for a pair that is not in ``transitions``: a bug of this agent's own.

    Args:
        subject: what has the states, for the error, with its article.
        transitions: the table. States and events are enums whose values read as what is so and what happens.
    """

    def advance(state: S, event: E) -> S:
        try:
            return transitions[state, event]
        except KeyError:
            raise LocalProtocolError(f"{subject} that is {state.value}, yet {event.value}") from None

    return advance
