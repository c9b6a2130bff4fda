"""What an end of a connection waits for beside its stream, and how long it waits for a local socket."""

import enum
from typing import Final

from mesh.connection.stream.rtt import MAX_ACK_DELAY_S
from mesh.deadlines import never

HANG_UP_POLL_S: Final = 1.0
"""How often an unread socket is looked at: its reset or close would otherwise go unseen."""

LEFT_S: Final = 75.0
"""How long a connection lasts whose client, or target, has closed its unix socket while the other goes on.
By TCP it is as long: the kernel forgets the closed socket after a minute, and answers a probe by a reset."""

DRAIN_AFTER_RESET_S: Final = 10.0
"""How long a local socket may take nothing of what preceded the other end's reset."""

DRAIN_BEFORE_RESET_S: Final = 10.0
"""How long the stream may give no credit for what preceded the local socket's own reset."""

DRAIN_AFTER_END_S: Final = 200.0
"""The same for either, if what was reset had ended in order before. Who closes a socket has said all; it is
reset later, by the kernel that has forgotten it. So long a kernel goes on for a closed socket of whose bytes
nothing is taken (Linux: ``tcp_probe_timer()``, whose waits double up to two minutes)."""


FIRST_LOOK_S: Final = MAX_ACK_DELAY_S
"""When an opening is looked at first: what comes of one that takes no longer is to be woken about then, and
needs no timer of its own. A slow one costs a look at which nothing is due."""

RETURN_AFTER_S: Final = 10.0
"""How long a connection that opened slowly keeps to the first hop that it was given for that."""


class Due(enum.IntEnum):
    """What an end waits for, beside its stream."""

    OPENING = 0
    """What the opening waits for; the subclasses keep it."""
    HANG_UP_POLL = 1
    """To look whether the local socket, unread, has hung up."""
    PATH = 2
    """There has been no path for too long."""
    DRAINED = 3
    """What preceded the other end's reset has waited long enough for the local socket."""
    READ_OUT = 4
    """What preceded the local socket's reset has waited long enough for credit; or nobody takes more."""
    RETURN = 5
    """The usual first hop, which was left on a mere doubt, is to have another try."""


NOTHING_DUE: Final = never(Due)
