"""What a call to a stream asks of its owner."""

import enum
from typing import Final

from mesh.connection.stream.control import ResetCode
from mesh.link.frames import Frame


class PathVerdict(enum.Enum):
    """What a stream thinks of the path from here to the other end."""

    FAILED = "failed"
    """What is sent does not arrive: try another first hop."""
    PROVED = "proved"
    """It arrives, as soon as the path was changed for one that lost it while the other end was heard."""
    HEARD = "heard"
    """It arrives, as soon as the path was changed for one by which nothing was heard."""
    HELPED = "helped"
    """It arrives by now, which may be chance."""


class Effects:
    """To be done in this order: send, write to the local socket, then what the flags say."""

    __slots__ = ("delivered", "done", "frames", "path", "peer_finished", "peer_reset")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        """To send, in this order."""
        self.delivered: list[bytes] = []
        """Bytes for the local socket, in this order; report what it took with ``Stream.delivered``."""
        self.peer_finished = False
        """The other end's stream has ended: after the bytes handed out so far comes the end of stream."""
        self.peer_reset: ResetCode | None = None
        """The connection is broken: once the bytes handed out so far are written, reset the local socket."""
        self.path: PathVerdict | None = None
        """What has become known of this end's first hop, if anything has."""
        self.done = False
        """The stream needs nothing more and can be let go, once the local socket has what was handed out."""


NOTHING: Final = Effects()
"""To be done: nothing. Nobody adds to it."""
