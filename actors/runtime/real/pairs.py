"""Streams inside of this process: two sockets of a pair, each for an actor."""

import itertools
import socket
from typing import Final

from actors.runtime.real.readiness import Reactor
from actors.runtime.real.streams import LoopStreamSocket
from actors.runtime.seam import PLAIN_OPTIONS

_numbers: Final = itertools.count(1)


def stream_pair(reactor: Reactor) -> tuple[LoopStreamSocket, LoopStreamSocket]:
    """Two ends of one stream; they are named, which the kernel does not do, and no two alike.

    Raises:
        OSError: no descriptor is left for a connection (``EMFILE``).
    """
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        for end in ends:
            reactor.descriptors.require_room(end)
            end.setblocking(False)
    except OSError:
        for end in ends:
            end.close()
        raise
    name = f"inside/{next(_numbers)}"
    near, far = f"{name}a", f"{name}b"
    return (
        LoopStreamSocket(reactor, ends[0], PLAIN_OPTIONS, peer=far, local_name=f"unix:{near}"),
        LoopStreamSocket(reactor, ends[1], PLAIN_OPTIONS, peer=near, local_name=f"unix:{far}"),
    )
