"""What a call to a stream asks of its owner."""

import enum

import msgspec

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


class Effects(msgspec.Struct):
    """To be done in this order: send, write to the local socket, then what the flags say."""

    frames: list[Frame] = msgspec.field(default_factory=list)
    """To send, in this order."""
    delivered: list[bytes] = msgspec.field(default_factory=list)
    """Bytes for the local socket, in this order; report what it took with ``Stream.delivered``."""
    peer_finished: bool = False
    """The other end's stream has ended: after the bytes handed out so far comes the end of stream."""
    peer_reset: ResetCode | None = None
    """The connection is broken: once the bytes handed out so far are written, reset the local socket."""
    path: PathVerdict | None = None
    """What has become known of this end's first hop, if anything has."""
    done: bool = False
    """The stream needs nothing more and can be let go, once the local socket has what was handed out."""
