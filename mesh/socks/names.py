"""What a host name that a client asks for means: a key, or a key at a given agent.

::

    KEY.mesh, KEY               the nearest exit of the key
    KEY.AGENT.mesh, KEY.AGENT   the exit at the agent of this name or ID

Keys and names may have dots, so the mesh decides: what stands there is a key if somebody offers that key, and
if not, the longest key in front of a dot that the agent behind it offers. Upper and lower case differ.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

SUFFIX: Final = ".mesh"

ANY_AGENT: Final = ""


class Wanted(msgspec.Struct, frozen=True):
    """What a client wants."""

    key: str
    agent: str = ANY_AGENT
    """Name or ID of the only agent that will do."""

    def __str__(self) -> str:
        return f"{self.key}.{self.agent}" if self.agent else self.key


def meanings(host: str) -> Iterator[Wanted]:
    """All that ``host`` may mean, what comes first to mind first."""
    whole = host.removesuffix(".")
    plain = whole.removesuffix(SUFFIX) or whole
    yield Wanted(plain)
    for position in _dots(plain):
        yield Wanted(plain[:position], plain[position + 1 :])


def meaning(host: str, is_offered: Callable[[Wanted], bool]) -> Wanted | None:
    """What ``host`` means.

    Args:
        host: as a client has sent it.
        is_offered: whether anybody offers the key, or the one agent does.

    Returns:
        ``None`` if nobody offers anything that it could mean.
    """
    return next((wanted for wanted in meanings(host) if is_offered(wanted)), None)


def host_of(key: str, agent: str = ANY_AGENT) -> str:
    """The host name by which a client asks for ``key``, at ``agent`` if one is given."""
    return f"{key}.{agent}{SUFFIX}" if agent else key


def _dots(text: str) -> Iterator[int]:
    """Where there is a dot with something on both sides, the last one first."""
    position = text.rfind(".", 0, len(text) - 1)
    while position > 0:
        yield position
        position = text.rfind(".", 0, position)
