"""The life of a stream, as a table.

OPEN to CLOSING are those of TCP (RFC 9293 section 3.3.2) under plainer names: ESTABLISHED, FIN-WAIT-1,
FIN-WAIT-2, CLOSE-WAIT, CLOSING or LAST-ACK. There is no TIME-WAIT: keys tell connections apart.

An end is done once both FINs have arrived and its own is acknowledged. By then it has acknowledged the
other's FIN, with its own or at once. It is also done when its own FIN goes out, if that is what the other end
repeats its FIN for, and nothing else of it is missing there: its agent says it again (``farewells.py``). If
the other end misses an acknowledgement, it is CLOSING, and repeats what it has kept:

- Only its FIN: the bytes of both directions have arrived. So nobody stays to answer it. It is told UNKNOWN,
  asks, and soon ends quietly, as TCP does in LAST-ACK. A forged UNKNOWN makes it leave early at the worst;
  should its FIN be lost as well, the end that waits for that is told UNKNOWN in turn, and resets its local
  socket.
- Bytes, too: it cannot tell whether they have arrived, so it must neither be silent nor end in order.
  UNKNOWN makes it ask as often as anybody, and then reset its local socket. Lest the loss of one ACK lead
  there, the end that is done stays a while to repeat it, unless its own FIN told of these bytes already.

So a local socket sees an end of stream only once the other's FIN and all before it are here, and an end has
ended in order only if all its own bytes have arrived.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mesh.transitions import stepping


class State(enum.Enum):
    """Where a stream stands."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    OPEN = "open"
    FIN_SENT = "FIN sent"
    FIN_ACKNOWLEDGED = "FIN acknowledged"
    PEER_FINISHED = "peer finished"
    CLOSING = "closing"
    """Both have finished; the own FIN is not acknowledged yet."""
    RESETTING = "resetting"
    """Reset here; the RESET is repeated until answered."""
    DRAINING = "draining"
    """Reset by the other end; segments it sent before may still arrive."""
    DONE = "done"


class Event(enum.Enum):
    """What moves a stream on."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    FINISH = "the local socket has reached its end"
    FINISH_LAST = "the local socket has reached its end, and the other end asks on until it knows"
    FIN_ACKNOWLEDGED = "the own FIN is acknowledged"
    PEER_FIN = "the other end's FIN and all before it have arrived"
    RESET = "the local side resets"
    RESET_ANSWERED = "the other end knows of the reset"
    PEER_RESET = "the other end resets"
    DRAINED = "what the other end sent before its reset has arrived, or will not"
    GIVE_UP = "the other end is out of reach or gone"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.OPEN, Event.FINISH): State.FIN_SENT,
        (State.OPEN, Event.PEER_FIN): State.PEER_FINISHED,
        (State.FIN_SENT, Event.FIN_ACKNOWLEDGED): State.FIN_ACKNOWLEDGED,
        (State.FIN_SENT, Event.PEER_FIN): State.CLOSING,
        (State.FIN_ACKNOWLEDGED, Event.PEER_FIN): State.DONE,
        (State.PEER_FINISHED, Event.FINISH): State.CLOSING,
        (State.PEER_FINISHED, Event.FINISH_LAST): State.DONE,
        (State.CLOSING, Event.FIN_ACKNOWLEDGED): State.DONE,
        # A reset, from either side, in every state that can still lose something.
        (State.OPEN, Event.RESET): State.RESETTING,
        (State.FIN_SENT, Event.RESET): State.RESETTING,
        (State.FIN_ACKNOWLEDGED, Event.RESET): State.RESETTING,
        (State.PEER_FINISHED, Event.RESET): State.RESETTING,
        (State.CLOSING, Event.RESET): State.RESETTING,
        (State.OPEN, Event.PEER_RESET): State.DRAINING,
        (State.FIN_SENT, Event.PEER_RESET): State.DRAINING,
        (State.FIN_ACKNOWLEDGED, Event.PEER_RESET): State.DRAINING,
        (State.PEER_FINISHED, Event.PEER_RESET): State.DRAINING,
        (State.CLOSING, Event.PEER_RESET): State.DRAINING,
        (State.RESETTING, Event.RESET_ANSWERED): State.DONE,
        (State.RESETTING, Event.PEER_RESET): State.DONE,
        (State.DRAINING, Event.DRAINED): State.DONE,
        (State.DRAINING, Event.RESET): State.DONE,
        (State.OPEN, Event.GIVE_UP): State.DONE,
        (State.FIN_SENT, Event.GIVE_UP): State.DONE,
        (State.FIN_ACKNOWLEDGED, Event.GIVE_UP): State.DONE,
        (State.PEER_FINISHED, Event.GIVE_UP): State.DONE,
        (State.CLOSING, Event.GIVE_UP): State.DONE,
        (State.RESETTING, Event.GIVE_UP): State.DONE,
    }
)
"""An absent pair is a bug of this agent's own."""

# Tuples: looking an enum member up in a set calls its hash, which is Python code.
SENDING: Final = (State.OPEN, State.PEER_FINISHED)
"""States in which bytes of the local socket can be sent."""

ACTIVE: Final = (State.OPEN, State.FIN_SENT, State.FIN_ACKNOWLEDGED, State.PEER_FINISHED, State.CLOSING)
"""States in which something is still needed from the other end."""

FIN_UNACKNOWLEDGED: Final = (State.FIN_SENT, State.CLOSING)
"""States in which the own FIN waits for its acknowledgement."""

advance: Final = stepping("a stream", TRANSITIONS)
"""The state after an event; LocalProtocolError if it cannot happen in this state."""
