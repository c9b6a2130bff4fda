"""On whose behalf a thread is at work, so that what comes of it is written down with their name."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple


class Behalf(NamedTuple):
    """Who wants something done."""

    way: str
    """By which it came: ``control socket``, ``http.address``, ``mesh:control``, ``signal``, or the agent."""
    who: str
    """A user's number, a token's name, an agent's name and ID, or a signal."""


ITSELF: Final = Behalf("agent", "itself")

_behalf: Final = ContextVar("behalf", default=ITSELF)


def behalf() -> Behalf:
    """Of whom this thread is at work now."""
    return _behalf.get()


def act_for(someone: Behalf) -> None:
    """Whatever this thread does from now on is for them."""
    _behalf.set(someone)


@contextmanager
def acting_for(someone: Behalf) -> Iterator[None]:
    """Whatever this thread does in the block is for them."""
    token = _behalf.set(someone)
    try:
        yield
    finally:
        _behalf.reset(token)
