"""How it is known that a new answer would be the same as one that has been given."""

from collections.abc import Callable, MutableMapping
from typing import Final, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")

IsGood: TypeAlias = Callable[[], bool]
"""Whether an answer is what a new one would be; says so at once, on any thread."""

KEPT_WHILE: Final = "mesh.kept_while"
"""In the environment of a request: whoever makes the answer leaves an :data:`IsGood` there, or nothing.

Only where the answer follows from the bytes of the request, whichever client they come from.
"""


class Stamp(NamedTuple):
    """What an answer is made of."""

    at: float | None
    """When the actors said it, in seconds of their clock; ``None`` if they would be asked anew."""
    revision: str = ""
    """Of what the agent should be, if the answer tells of that."""


def stamped(environ: MutableMapping[str, object], make: Callable[[], T], stamp: Callable[[], Stamp]) -> T:
    """What ``make`` answers to a request, which may be kept for as long as ``stamp`` stays the same.

    If that changes meanwhile, nobody knows which of the two the answer is made of, and it is not kept.
    """
    before = stamp()
    answer = make()
    after = stamp()
    if after.at is not None and before.at in (None, after.at) and before.revision == after.revision:
        environ[KEPT_WHILE] = lambda: stamp() == after
    return answer
