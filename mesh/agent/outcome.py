"""What came of a new configuration for a running agent, as log, control socket and commands tell it."""

import enum
from collections.abc import Iterator, Sequence
from typing import Final, Self

import msgspec

from mesh.config.difference import Difference

NAMED: Final = 10
"""Services and keys that one line names; of more it gives the number."""


class Verdict(enum.Enum):
    """What has become of a new configuration."""

    DONE = "done"
    PARTLY = "done as far as it could be"
    REFUSED = "refused: the agent goes on as it was"


class Outcome(msgspec.Struct, frozen=True):
    """What came of a new configuration, or would."""

    verdict: Verdict
    added: tuple[str, ...] = ()
    """Services, by name."""
    changed: tuple[str, ...] = ()
    """Services, and other keys that take effect while the agent runs."""
    removed: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()
    """Keys that take effect when the agent is started anew."""
    problems: tuple[str, ...] = ()
    """Why something or all of it is not in effect."""

    @classmethod
    def of(cls, made: Difference, problems: tuple[str, ...] = ()) -> Self:
        """What came of a difference."""
        return cls(
            Verdict.PARTLY if problems else Verdict.DONE,
            tuple(made.added),
            (*made.changed, *made.live),
            tuple(made.removed),
            made.at_start,
            problems,
        )

    def but(self, *problems: str) -> "Outcome":
        """The same with more that is not in effect."""
        verdict = Verdict.PARTLY if problems and self.verdict is Verdict.DONE else self.verdict
        return msgspec.structs.replace(self, verdict=verdict, problems=(*self.problems, *problems))

    def and_changed(self, name: str) -> "Outcome":
        """The same with one more that has changed."""
        return msgspec.structs.replace(self, changed=(*self.changed, name))

    @classmethod
    def refused(cls, problems: Sequence[str]) -> Self:
        """Nothing came of it."""
        return cls(Verdict.REFUSED, problems=tuple(problems))

    def lines(self, tense: str = "") -> Iterator[str]:
        """What is different, for people; ``tense`` is "would be " of what has not been done."""
        if not (self.added or self.changed or self.removed or self.at_start or self.problems):
            yield "nothing is different"
        for what, names in (
            ("added", self.added),
            ("changed", self.changed),
            ("removed", self.removed),
            ("in effect when the agent is started anew, and not before:", self.at_start),
        ):
            if names:
                yield f"{tense}{what} {_some(names)}"


class RefusedError(Exception):
    """A service that is asked for cannot be; the text says why."""


class NotPermittedError(RefusedError):
    """A service that the agent's certificate does not grant; the text says so, and how to have it granted."""


class OutdatedError(Exception):
    """A change that is for another revision; the text says so."""


class Added(msgspec.Struct, frozen=True):
    """A service that has been added."""

    name: str
    address: str
    """Of a listener, with the port that was chosen; an endpoint's target."""
    lease: str | None
    """To renew, for as long as it is to be held; ``None`` if it was saved."""


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
