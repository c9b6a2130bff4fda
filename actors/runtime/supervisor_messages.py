"""What a supervisor receives, and what it answers."""

import msgspec

from actors.runtime.children import AnyChildSpec
from actors.runtime.seam import Ref


class ChildrenStopped(msgspec.Struct, frozen=True, gc=False):
    """Fact, sent to whoever asked for the shutdown: every child has ended or was given up."""

    given_up: tuple[str, ...]
    """Names of children that did not end in their time, once the shutdown had begun."""


class ChildSettled(msgspec.Struct, frozen=True, gc=False):
    """Fact, sent to whoever asked for a change: it has been carried out, or why it has not."""

    name: str
    problem: str | None
    """``None`` if it was carried out.

    A new child that cannot start yet is no problem: it is tried again. Nor is an old one that did not end in
    its time: it was given up. The log tells of both.
    """


class AddChild(msgspec.Struct, frozen=True):
    """Command: have one child more, after all others; in place of one of this name that is being removed.

    Asked from outside, it answers with a future of :class:`ChildSettled`.
    """

    spec: AnyChildSpec
    reply_to: Ref[ChildSettled] | None = None


class ReplaceChild(msgspec.Struct, frozen=True):
    """Command: stop the child of this name in order, then start the new one in its place.

    Asked from outside, it answers with a future of :class:`ChildSettled`.
    """

    spec: AnyChildSpec
    reply_to: Ref[ChildSettled] | None = None


class ChangeChild(msgspec.Struct, frozen=True):
    """Command: let the child of this name run on, changed: it hears ``command``, and is ``spec`` from now on.

    One that does not run at the moment is started as ``spec`` says. Asked from outside, it answers with a
    future of :class:`ChildSettled`.
    """

    spec: AnyChildSpec
    command: object
    """Of the kind that the child takes."""
    reply_to: Ref[ChildSettled] | None = None


class RemoveChild(msgspec.Struct, frozen=True):
    """Command: stop the child of this name in order, and do not start it again.

    Asked from outside, it answers with a future of :class:`ChildSettled`.
    """

    name: str
    reply_to: Ref[ChildSettled] | None = None
    farewell: object = None
    """What it hears before its stop, of the kind that it takes; ``None`` is nothing."""


class RetireChildren(msgspec.Struct, frozen=True, gc=False):
    """Command: tell every child, and each that starts from now on, to let nobody in any more."""


class ShutDown(msgspec.Struct, frozen=True):
    """Command: stop the children in reverse order of their start, then yourself.

    Asked from outside, it answers with a future of :class:`ChildrenStopped`.
    """

    reply_to: Ref[ChildrenStopped] | None = None


class ChildEnded(msgspec.Struct, frozen=True, gc=False):
    """Fact: this run of a child has ended, however it did."""

    name: str
    run: int


class RestartDue(msgspec.Struct, frozen=True, gc=False):
    """Timer: the child that ran so has waited long enough for its next start."""

    name: str
    run: int


class StopOverdue(msgspec.Struct, frozen=True, gc=False):
    """Timer: this run of a child has had its time to end."""

    name: str
    run: int


Inbound = (
    AddChild
    | ReplaceChild
    | ChangeChild
    | RemoveChild
    | RetireChildren
    | ShutDown
    | ChildEnded
    | RestartDue
    | StopOverdue
)
