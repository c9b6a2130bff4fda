"""What the steward of calls to other agents receives."""

from typing import TypeAlias

import msgspec

from mesh.connection.offer import Offer
from mesh.connection.reserved import CONTROL_KEY


class StartCall(msgspec.Struct, frozen=True):
    """Question from outside: ask an agent; the answer is its answer, or a :class:`CallFailed`."""

    offer: Offer
    """The agent."""
    question: bytes
    """As it is on the wire."""
    key: str = CONTROL_KEY
    """The reserved key by which it is asked."""


class CallFailed(msgspec.Struct, frozen=True):
    """An agent has not answered."""

    why: str
    """Completes a sentence that begins with the agent."""
    code: str = ""
    """Of the REJECT, or the ingress's own; empty if the connection was open."""


CallOutcome: TypeAlias = bytes | CallFailed


class CallEnded(msgspec.Struct, frozen=True):
    """Fact: this is what came of a call."""

    number: int
    outcome: CallOutcome


class CallGone(msgspec.Struct, frozen=True):
    """Fact: the actor of a call has ended, however it did."""

    number: int


Inbound: TypeAlias = StartCall | CallEnded | CallGone
