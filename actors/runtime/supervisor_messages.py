"""What a supervisor receives, and what it answers."""

import msgspec

from actors.runtime.seam import Ref


class ChildrenStopped(msgspec.Struct, frozen=True, gc=False):
    """Fact, sent to who asked for the shutdown: every child has ended or was given up."""

    given_up: tuple[str, ...]
    """Names of children that did not end in their time."""


class ShutDown(msgspec.Struct, frozen=True):
    """Command: stop the children in reverse order of their start, then yourself.

    Asked from outside, it answers with a future of :class:`ChildrenStopped`.
    """

    reply_to: Ref[ChildrenStopped] | None = None


class ChildEnded(msgspec.Struct, frozen=True, gc=False):
    """Fact: this run of a child has ended, however it did."""

    index: int
    run: int


class RestartDue(msgspec.Struct, frozen=True, gc=False):
    """Fact: a child has waited long enough for its next start."""

    index: int
    run: int


class StopOverdue(msgspec.Struct, frozen=True, gc=False):
    """Fact: a child had its time to stop."""

    index: int
    forced: bool
    """Whether that was the second time, after Pykka's own stop."""


Inbound = ShutDown | ChildEnded | RestartDue | StopOverdue
